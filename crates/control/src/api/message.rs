//! The message over the pictures.

use axum::{Json as Answer, extract::State as Extracted};
use cau_model::{body, ornament::Message, snapshot};
use serde_json::json;

use super::{Conflict, InConference, NotFound, Unauthorized, Unavailable, Unprocessable, conferences::whole};
use crate::{
    Problem, State,
    auth::{Right, SignedIn},
    focus::ask,
    json::Json,
};

/// Writes a line of text over the pictures of everybody, or, with `for`, of some. It takes the place of the one before.
#[utoipa::path(put, path = "/conferences/{id}/message", operation_id = "setMessage", tag = "picture", request_body = body::Message, params(("id" = String, Path)),
    responses((status = 200, body = snapshot::Conference), Unauthorized, NotFound, Conflict, Unprocessable, Unavailable))]
pub(crate) async fn set(
    Extracted(state): Extracted<State>,
    signed_in: SignedIn,
    InConference(id): InConference,
    Json(body): Json<body::Message>,
) -> Result<Answer<snapshot::Conference>, Problem> {
    signed_in.may(Right::Steer)?;
    let message = Message::try_from(body)?;
    whole(async move {
        let note = json!(message);
        let changed = ask(state.focus.message(id, Some(message))).await?;
        state.note(signed_in.name(), "message.set", Some(id), note);
        Ok(Answer(changed))
    })
    .await
}

/// Takes the text away.
#[utoipa::path(delete, path = "/conferences/{id}/message", operation_id = "clearMessage", tag = "picture", params(("id" = String, Path)),
    responses((status = 204, description = "Gone"), Unauthorized, NotFound, Unavailable))]
pub(crate) async fn clear(
    Extracted(state): Extracted<State>,
    signed_in: SignedIn,
    InConference(id): InConference,
) -> Result<axum::http::StatusCode, Problem> {
    signed_in.may(Right::Steer)?;
    whole(async move {
        ask(state.focus.message(id, None)).await?;
        state.note(signed_in.name(), "message.cleared", Some(id), json!({}));
        Ok(axum::http::StatusCode::NO_CONTENT)
    })
    .await
}
