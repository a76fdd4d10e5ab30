//! Conferences: stored first, then told to the focus; when the focus refuses, the store is put back.

use axum::{
    Json as Answer,
    extract::State as Extracted,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use cau_model::{ConferenceId, Settings, body, snapshot};
use serde_json::json;

use super::{Conflict, InConference, NotFound, Unauthorized, Unavailable, Unprocessable, page::Page};
use crate::{
    Problem, State,
    auth::{Right, SignedIn},
    focus::ask,
    json::{Json, Query},
};

/// All conferences, in order of their ids.
#[utoipa::path(get, path = "/conferences", operation_id = "listConferences", tag = "conferences", params(Page),
    responses((status = 200, body = Vec<snapshot::Conference>, headers(("Link" = String, description = "The next page"))), Unauthorized, Unprocessable, Unavailable))]
pub(crate) async fn list(
    Extracted(state): Extracted<State>,
    signed_in: SignedIn,
    Query(page): Query<Page>,
) -> Result<Response, Problem> {
    signed_in.may(Right::Watch)?;
    let all = ask(state.focus.list()).await?;
    page.cut("/api/v1/conferences", all, |c| c.id)
}

/// Makes a conference; endpoints can dial its room at once.
#[utoipa::path(post, path = "/conferences", operation_id = "createConference", tag = "conferences", request_body = body::Draft,
    responses((status = 201, body = snapshot::Conference, headers(("Location" = String))), Unauthorized, Conflict, Unprocessable, Unavailable))]
pub(crate) async fn create(
    Extracted(state): Extracted<State>,
    signed_in: SignedIn,
    Json(draft): Json<body::Draft>,
) -> Result<Response, Problem> {
    signed_in.may(Right::Manage)?;
    let settings = Settings::try_from(draft)?;
    cau_conference::check(&settings)?;
    let made = whole(async move {
        let _one_at_a_time = state.changing.lock().await;
        let record = state.store.create_conference(&settings, (state.clock)()).await?;
        match ask(state.focus.create(record.id, settings)).await {
            Ok(made) => {
                state.note(signed_in.name(), "conference.created", Some(made.id), json!(without_pin(&made)));
                Ok(made)
            }
            Err(problem) => {
                undone(state.store.delete_conference(record.id).await);
                Err(problem)
            }
        }
    })
    .await?;
    let location = HeaderValue::try_from(format!("/api/v1/conferences/{}", made.id))
        .map_err(|e| Problem::internal(&e))?;
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Answer(made)).into_response())
}

/// One conference.
#[utoipa::path(get, path = "/conferences/{id}", operation_id = "conference", tag = "conferences", params(("id" = String, Path)),
    responses((status = 200, body = snapshot::Conference), Unauthorized, NotFound, Unavailable))]
pub(crate) async fn one(
    Extracted(state): Extracted<State>,
    signed_in: SignedIn,
    InConference(id): InConference,
) -> Result<Answer<snapshot::Conference>, Problem> {
    signed_in.may(Right::Watch)?;
    Ok(Answer(ask(state.focus.conference(id)).await?))
}

/// Changes settings; absent fields stay as they are, `null` takes away what may be absent.
#[utoipa::path(patch, path = "/conferences/{id}", operation_id = "changeConference", tag = "conferences", params(("id" = String, Path)), request_body = body::Patch,
    responses((status = 200, body = snapshot::Conference), Unauthorized, NotFound, Conflict, Unprocessable, Unavailable))]
pub(crate) async fn change(
    Extracted(state): Extracted<State>,
    signed_in: SignedIn,
    InConference(id): InConference,
    Json(patch): Json<body::Patch>,
) -> Result<Answer<snapshot::Conference>, Problem> {
    signed_in.may(Right::Manage)?;
    whole(async move {
        let _one_at_a_time = state.changing.lock().await;
        let old = ask(state.focus.settings(id)).await?;
        let new = old.patched(patch)?;
        cau_conference::check(&new)?;
        let changed = stored(&state, id, &old, &new, ask(state.focus.change(id, new.clone()))).await?;
        state.note(signed_in.name(), "conference.changed", Some(id), json!(without_pin(&changed)));
        Ok(Answer(changed))
    })
    .await
}

/// Ends a conference: BYE to all.
#[utoipa::path(delete, path = "/conferences/{id}", operation_id = "endConference", tag = "conferences", params(("id" = String, Path)),
    responses((status = 204, description = "Ended"), Unauthorized, NotFound, Unavailable))]
pub(crate) async fn end(
    Extracted(state): Extracted<State>,
    signed_in: SignedIn,
    InConference(id): InConference,
) -> Result<StatusCode, Problem> {
    signed_in.may(Right::Manage)?;
    whole(async move {
        let _one_at_a_time = state.changing.lock().await;
        let conference = ask(state.focus.conference(id)).await?;
        match state.store.delete_conference(id).await {
            // A conference that is not stored (made by the demo) ends all the same.
            Ok(()) | Err(cau_store::Error::Missing(_)) => {}
            Err(e) => return Err(e.into()),
        }
        ask(state.focus.end(id)).await?;
        state.note(
            signed_in.name(),
            "conference.deleted",
            Some(id),
            json!({ "room": conference.room, "name": conference.name }),
        );
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}

/// Stores new settings, then does `told`; puts the old ones back when that is refused.
pub(crate) async fn stored<T>(
    state: &State,
    id: ConferenceId,
    old: &Settings,
    new: &Settings,
    told: impl Future<Output = Result<T, Problem>>,
) -> Result<T, Problem> {
    if old == new {
        return told.await;
    }
    match state.store.update_conference(id, new, (state.clock)()).await {
        Ok(()) | Err(cau_store::Error::Missing(_)) => {}
        Err(e) => return Err(e.into()),
    }
    let answer = told.await;
    if answer.is_err() {
        undone(state.store.update_conference(id, old, (state.clock)()).await);
    }
    answer
}

/// Runs to its end even when the client goes away half-way: store and focus must not part.
pub(crate) async fn whole<T: Send + 'static>(
    work: impl Future<Output = Result<T, Problem>> + Send + 'static,
) -> Result<T, Problem> {
    tokio::spawn(work).await.map_err(|e| Problem::internal(&e))?
}

fn undone(result: Result<(), cau_store::Error>) {
    if let Err(e) = result {
        tracing::error!(error = %e, "a refused change could not be taken back in the store");
    }
}

/// For the journal, which more people read than may know the PIN.
fn without_pin(conference: &snapshot::Conference) -> serde_json::Value {
    let c = conference;
    json!({ "room": c.room, "name": c.name, "pin": c.pin.is_some(), "layout": c.layout, "names": c.names,
        "join_muted": c.join_muted, "encryption": c.encryption, "chair": c.chair, "fit": c.fit, "logo": c.logo,
        "clock": c.clock, "sound": c.sound })
}
