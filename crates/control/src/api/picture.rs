//! Layout, speaker and stills.

use std::{
    sync::PoisonError,
    time::{Duration, SystemTime},
};

use axum::{
    Json as Answer,
    extract::State as Extracted,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use cau_model::{
    ConferenceId, ParticipantId, Settings, body,
    command::{SetLayout, participant as parse_participant},
    snapshot,
};
use serde::Deserialize;
use serde_json::json;
use utoipa::IntoParams;

use super::{
    Conflict, InConference, NotFound, Unauthorized, Unavailable, Unprocessable,
    conferences::{stored, whole},
};
use crate::{
    Problem, State,
    auth::{Right, SignedIn},
    focus::ask,
    json::{Json, Query},
};

/// Sets the layout of everybody, or, with `for`, of some. Seats not named are automatic.
#[utoipa::path(put, path = "/conferences/{id}/layout", operation_id = "setLayout", tag = "picture", request_body = body::Layout, params(("id" = String, Path)),
    responses((status = 200, body = snapshot::Conference), Unauthorized, NotFound, Conflict, Unprocessable, Unavailable))]
pub(crate) async fn layout(
    Extracted(state): Extracted<State>,
    signed_in: SignedIn,
    InConference(id): InConference,
    Json(body): Json<body::Layout>,
) -> Result<Answer<snapshot::Conference>, Problem> {
    signed_in.may(Right::Steer)?;
    let note = json!({ "layout": body.layout, "names": body.names, "for": body.viewers,
        "fit": body.fit, "cycle": body.cycle.as_ref().map(|c| c.period_s),
        "seats": body.seats.iter().map(|s| json!({ "seat": s.seat, "participant": s.participant,
            "cycle": s.cycle.as_ref().and_then(|c| c.participants.as_ref()) })).collect::<Vec<_>>() });
    let wanted = SetLayout::try_from(body)?;
    whole(async move {
        let _one_at_a_time = state.changing.lock().await;
        let told = ask(state.focus.layout(id, wanted.clone()));
        let changed = if wanted.viewers.is_some() {
            told.await?
        } else {
            // The layout of everybody is a setting: it is there again after a restart.
            let old = ask(state.focus.settings(id)).await?;
            let new =
                Settings { layout: wanted.kind, names: wanted.names.unwrap_or(old.names), ..old.clone() };
            stored(&state, id, &old, &new, told).await?
        };
        state.note(signed_in.name(), "layout.set", Some(id), note);
        Ok(Answer(changed))
    })
    .await
}

/// Names the speaker; `null` gives it back to the voice.
#[utoipa::path(put, path = "/conferences/{id}/speaker", operation_id = "setSpeaker", tag = "picture", request_body = body::Speaker, params(("id" = String, Path)),
    responses((status = 200, body = snapshot::Conference), Unauthorized, NotFound, Conflict, Unprocessable, Unavailable))]
pub(crate) async fn speaker(
    Extracted(state): Extracted<State>,
    signed_in: SignedIn,
    InConference(id): InConference,
    Json(body): Json<body::Speaker>,
) -> Result<Answer<snapshot::Conference>, Problem> {
    signed_in.may(Right::Steer)?;
    let who = body.participant.map(|id| parse_participant(&id, || "participant".to_owned())).transpose()?;
    whole(async move {
        let changed = ask(state.focus.speaker(id, who)).await?;
        state.note(signed_in.name(), "speaker.set", Some(id), json!({ "participant": who }));
        Ok(Answer(changed))
    })
    .await
}

/// The query of `GET …/preview.jpg`.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Still {
    /// Whose picture; absent: what everybody sees who has no layout of his own.
    #[serde(default)]
    participant: Option<String>,
    /// `sent`: what that participant sends (the default); `seen`: what he sees.
    #[serde(default, rename = "as")]
    #[param(rename = "as", inline)]
    what: Option<What>,
}

/// Which of a participant's two pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum What {
    /// What comes from him.
    Sent,
    /// What goes to him.
    Seen,
}

/// A still, as JPEG.
#[utoipa::path(get, path = "/conferences/{id}/preview.jpg", operation_id = "preview", tag = "picture", params(("id" = String, Path), Still),
    responses((status = 200, content_type = "image/jpeg", body = Vec<u8>, description = "The still"), Unauthorized,
        (status = 404, description = "No such conference or participant, or no picture within a second", content_type = "application/problem+json", body = crate::problem::Body9457),
        Unprocessable, Unavailable))]
pub(crate) async fn preview(
    Extracted(state): Extracted<State>,
    signed_in: SignedIn,
    InConference(id): InConference,
    Query(still): Query<Still>,
) -> Result<Response, Problem> {
    signed_in.may(Right::Watch)?;
    let _permit = state.previews.acquire().await.map_err(|e| Problem::internal(&e))?;
    let (whose, seen) = match (&still.participant, still.what) {
        (Some(participant), what) => {
            (parse_participant(participant, || "participant".to_owned())?, what == Some(What::Seen))
        }
        (None, None | Some(What::Seen)) => (common_viewer(&state, id).await?, true),
        (None, Some(What::Sent)) => {
            return Err(Problem::invalid(
                "participant",
                "as=sent cần biết của điểm cầu nào.",
                "as=sent needs to know whose picture.",
            ));
        }
    };
    let jpeg = ask(state.focus.preview(id, whose, seen)).await.and_then(|still| still.ok_or_else(no_picture));
    if jpeg.is_err() {
        // Whoever it was has left, perhaps: look anew next time.
        state.common.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }
    let jpeg = jpeg?;
    let mut response = jpeg.into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("image/jpeg"));
    Ok(response)
}

/// Somebody who sees the conference's own layout; not the speaker while there is another, who may see something else.
/// Looked up once a second for all consoles together: each of them asks for several stills a second, and the list of a
/// large meeting is long.
async fn common_viewer(state: &State, id: ConferenceId) -> Result<ParticipantId, Problem> {
    const FOR: Duration = Duration::from_secs(1);
    let now = (state.clock)();
    let fresh = |since: SystemTime| now.duration_since(since).is_ok_and(|age| age < FOR);
    let known = || state.common.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, viewer)) = known().get(&id).filter(|(since, _)| fresh(*since)) {
        return Ok(*viewer);
    }
    let conference = ask(state.focus.conference(id)).await?;
    let participants = ask(state.focus.participants(id)).await?;
    let own_layout = |p: ParticipantId| conference.layouts.iter().any(|scope| scope.viewers.contains(&p));
    let viewer = participants
        .iter()
        .filter(|p| p.state.present() && p.send.video != snapshot::SendVideo::None && !own_layout(p.id))
        .min_by_key(|p| (Some(p.id) == conference.speaker, p.id))
        .map(|p| p.id)
        .ok_or_else(no_picture)?;
    let mut known = known();
    known.retain(|_, (since, _)| fresh(*since));
    known.insert(id, (now, viewer));
    Ok(viewer)
}

fn no_picture() -> Problem {
    Problem::missing("Chưa có hình.", "There is no picture.")
}
