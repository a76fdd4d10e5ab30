//! Participants: looking at them, muting, hiding, hanging up.

use axum::{Json as Answer, extract::State as Extracted, http::StatusCode, response::Response};
use cau_model::{
    body,
    command::{Patch, Who},
    snapshot,
};
use serde_json::json;

use super::{
    Conflict, InConference, NotFound, OfParticipant, Unauthorized, Unavailable, Unprocessable,
    conferences::whole, page::Page,
};
use crate::{
    Problem, State,
    auth::{Right, SignedIn},
    focus::ask,
    json::{Json, Query},
};

/// The participants of a conference, in order of joining; those who left stay for a while.
#[utoipa::path(get, path = "/conferences/{id}/participants", operation_id = "listParticipants", tag = "participants", params(("id" = String, Path), Page),
    responses((status = 200, body = Vec<snapshot::Participant>, headers(("Link" = String, description = "The next page"))), Unauthorized, NotFound, Unprocessable, Unavailable))]
pub(crate) async fn list(
    Extracted(state): Extracted<State>,
    signed_in: SignedIn,
    InConference(id): InConference,
    Query(page): Query<Page>,
) -> Result<Response, Problem> {
    signed_in.may(Right::Watch)?;
    let all = ask(state.focus.participants(id)).await?;
    page.cut(&format!("/api/v1/conferences/{id}/participants"), all, |p| p.id)
}

/// One participant.
#[utoipa::path(get, path = "/conferences/{id}/participants/{pid}", operation_id = "participant", tag = "participants",
    params(("id" = String, Path), ("pid" = String, Path)),
    responses((status = 200, body = snapshot::Participant), Unauthorized, NotFound, Unavailable))]
pub(crate) async fn one(
    Extracted(state): Extracted<State>,
    signed_in: SignedIn,
    OfParticipant(conference, participant): OfParticipant,
) -> Result<Answer<snapshot::Participant>, Problem> {
    signed_in.may(Right::Watch)?;
    Ok(Answer(ask(state.focus.participant(conference, participant)).await?))
}

/// Mutes, deafens, hides, renames, sets the volume of one participant.
#[utoipa::path(patch, path = "/conferences/{id}/participants/{pid}", operation_id = "patchParticipant", tag = "participants", request_body = body::Participant,
    params(("id" = String, Path), ("pid" = String, Path)),
    responses((status = 200, body = snapshot::Participant), Unauthorized, NotFound, Conflict, Unprocessable, Unavailable))]
pub(crate) async fn patch(
    Extracted(state): Extracted<State>,
    signed_in: SignedIn,
    OfParticipant(conference, participant): OfParticipant,
    Json(change): Json<body::Participant>,
) -> Result<Answer<snapshot::Participant>, Problem> {
    signed_in.may(Right::Steer)?;
    let note = note(&change);
    let patch = Patch::try_from(change)?;
    whole(async move {
        let changed = ask(state.focus.patch(conference, Who::One(participant), patch)).await?;
        let changed = changed.into_iter().find(|p| p.id == participant).ok_or_else(super::no_participant)?;
        let detail = json!({ "participant": participant, "name": changed.name, "change": note });
        state.note(signed_in.name(), "participant.patched", Some(conference), detail);
        Ok(Answer(changed))
    })
    .await
}

/// The same for all but the chair.
#[utoipa::path(patch, path = "/conferences/{id}/participants", operation_id = "patchParticipants", tag = "participants", request_body = body::Participant,
    params(("id" = String, Path)),
    responses((status = 200, body = Vec<snapshot::Participant>, description = "Those it concerned"), Unauthorized, NotFound, Unprocessable, Unavailable))]
pub(crate) async fn patch_all(
    Extracted(state): Extracted<State>,
    signed_in: SignedIn,
    InConference(conference): InConference,
    Json(change): Json<body::Participant>,
) -> Result<Answer<Vec<snapshot::Participant>>, Problem> {
    signed_in.may(Right::Steer)?;
    if change.name.is_some() {
        return Err(Problem::invalid(
            "name",
            "Không thể đặt cùng một tên cho mọi điểm cầu.",
            "One name cannot be given to all participants.",
        ));
    }
    let note = note(&change);
    let patch = Patch::try_from(change)?;
    whole(async move {
        let changed = ask(state.focus.patch(conference, Who::AllButChair, patch)).await?;
        let detail = json!({ "participants": changed.len(), "change": note });
        state.note(signed_in.name(), "participants.patched", Some(conference), detail);
        Ok(Answer(changed))
    })
    .await
}

/// Hangs up.
#[utoipa::path(delete, path = "/conferences/{id}/participants/{pid}", operation_id = "hangUp", tag = "participants",
    params(("id" = String, Path), ("pid" = String, Path)),
    responses((status = 204, description = "Hung up"), Unauthorized, NotFound, Conflict, Unavailable))]
pub(crate) async fn hang_up(
    Extracted(state): Extracted<State>,
    signed_in: SignedIn,
    OfParticipant(conference, participant): OfParticipant,
) -> Result<StatusCode, Problem> {
    signed_in.may(Right::Steer)?;
    whole(async move {
        ask(state.focus.hang_up(conference, participant)).await?;
        state.note(
            signed_in.name(),
            "participant.hung-up",
            Some(conference),
            json!({ "participant": participant }),
        );
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}

/// What is to change, for the journal.
fn note(change: &body::Participant) -> serde_json::Value {
    let mut all = json!({ "audio_muted": change.audio_muted, "deafened": change.deafened,
        "video_hidden": change.video_hidden, "volume_db": change.volume_db, "name": change.name });
    if let Some(fields) = all.as_object_mut() {
        fields.retain(|_, v| !v.is_null());
    }
    all
}
