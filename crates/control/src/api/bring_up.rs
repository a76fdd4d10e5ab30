//! Bringing a site before the chair, and how far that is.

use std::time::Duration;

use axum::{
    Json as Answer,
    extract::{Path, State as Extracted},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use cau_conference::Order;
use cau_model::{OperationId, body, command::participant as parse_participant, snapshot};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use super::{Conflict, InConference, NotFound, Unauthorized, Unavailable, Unprocessable, conferences::whole};
use crate::{
    Problem, State,
    auth::{Right, SignedIn},
    focus::ask,
    json::Json,
};

/// Seconds a bring-up may take when nothing is said.
const DEADLINE: u32 = 30;

/// An operation has begun.
#[derive(Serialize, ToSchema)]
pub(crate) struct Begun {
    /// For `GET /operations/{id}`.
    #[schema(value_type = String)]
    operation: OperationId,
}

/// Brings a site before the chair, sound and picture; before everybody when there is no chair, or before those named in `for`.
///
/// `done` means: a decodable key frame of the site was sent to those it is for, their RTCP reports cover it without loss, and its sound is in
/// their mix; `unconfirmed` where a receiver sends no reports. A site that is not connected is called first. The last command wins: an
/// earlier one for the same screens ends `failed`. What was seen before stays until the site's picture is there, and comes back when it fails.
#[utoipa::path(post, path = "/conferences/{id}/bring-up", operation_id = "bringUp", tag = "operations", params(("id" = String, Path)), request_body = body::BringUp,
    responses((status = 202, body = Begun, headers(("Location" = String))), Unauthorized, NotFound, Conflict, Unprocessable, Unavailable))]
pub(crate) async fn bring_up(
    Extracted(state): Extracted<State>,
    signed_in: SignedIn,
    InConference(conference): InConference,
    Json(body): Json<body::BringUp>,
) -> Result<Response, Problem> {
    signed_in.may(Right::Steer)?;
    let note = json!({ "site": body.site, "for": body.viewers });
    let viewers = body.viewers.map(|ids| {
        ids.iter().enumerate().map(|(n, id)| parse_participant(id, || format!("for[{n}]"))).collect()
    });
    let order = Order {
        site: body.site,
        viewers: viewers.transpose()?,
        deadline: Duration::from_secs(body.deadline_s.unwrap_or(DEADLINE).into()),
        by: signed_in.name().to_owned(),
    };
    whole(async move {
        let begun = ask(state.focus.bring_up(conference, order)).await?;
        state.note(signed_in.name(), "bring-up.begun", Some(conference), note);
        let location = HeaderValue::try_from(format!("/api/v1/operations/{}", begun.id))
            .map_err(|e| Problem::internal(&e))?;
        let body = Begun { operation: begun.id };
        Ok((StatusCode::ACCEPTED, [(header::LOCATION, location)], Answer(body)).into_response())
    })
    .await
}

/// How far an operation is, or how it ended; known for an hour.
#[utoipa::path(get, path = "/operations/{id}", operation_id = "operation", tag = "operations", params(("id" = String, Path)),
    responses((status = 200, body = snapshot::Operation), Unauthorized, NotFound, Unavailable))]
pub(crate) async fn operation(
    Extracted(state): Extracted<State>,
    signed_in: SignedIn,
    Path(id): Path<String>,
) -> Result<Answer<snapshot::Operation>, Problem> {
    signed_in.may(Right::Watch)?;
    let missing = || Problem::missing("Không có thao tác này.", "There is no such operation.");
    let id = id.parse().map_err(|_| missing())?;
    Ok(Answer(ask(state.focus.operation(id)).await?))
}
