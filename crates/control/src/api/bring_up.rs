//! Bringing a site before the chair, and how far that is.

use std::time::Duration;

use axum::{
    Json as Answer,
    extract::{Path, State as Extracted},
    response::Response,
};
use cau_cascade::{Command, Viewers};
use cau_conference::Order;
use cau_model::{
    ConferenceId, OperationId, ParticipantId, body, command::participant as parse_participant, snapshot,
};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use super::{
    Conflict, InConference, NotFound, Unauthorized, Unavailable, Unprocessable, cascade, conferences::whole,
    scenes,
};
use crate::{
    Problem, State,
    auth::{Right, SignedIn},
    cascade::{FarOperation, Wish},
    focus::ask,
    json::Json,
};

/// Seconds a bring-up may take when nothing is said.
pub(crate) const DEADLINE: u32 = 30;

/// An operation has begun.
#[derive(Serialize, ToSchema)]
pub(crate) struct Begun {
    /// For `GET /operations/{id}`.
    #[schema(value_type = String)]
    pub(crate) operation: OperationId,
}

/// An operation of this MCU, or one across MCUs.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum AnyOperation {
    Own(snapshot::Operation),
    Far(FarOperation),
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
        let parse = |(n, id): (usize, &String)| parse_participant(id, || format!("for[{n}]"));
        ids.iter().enumerate().map(parse).collect::<Result<Vec<ParticipantId>, _>>()
    });
    let order = Order {
        site: body.site,
        viewers: viewers.transpose()?,
        deadline: Duration::from_secs(body.deadline_s.unwrap_or(DEADLINE).into()),
        by: signed_in.name().to_owned(),
        slot: None,
        tag: None,
    };
    whole(async move {
        let operation = match order.site.contains('/') {
            true => far(&state, conference, order).await?,
            false => ask(state.focus.bring_up(conference, order)).await?.id,
        };
        state.note(signed_in.name(), "bring-up.begun", Some(conference), note);
        scenes::under_way(Some(operation))
    })
    .await
}

/// Through the tree of MCUs.
async fn far(state: &State, conference: ConferenceId, order: Order) -> Result<OperationId, Problem> {
    let cascade = cascade::on(state)?;
    let site = cascade::parse("site", &order.site)?;
    let viewers = match order.viewers {
        Some(viewers) => Viewers::Only(viewers.into_iter().collect()),
        None => scenes::default_viewers(state, conference).await?,
    };
    if !(1..=300).contains(&order.deadline.as_secs()) {
        return Err(Problem::invalid("deadline_s", "Từ 1 đến 300 giây.", "1 to 300 seconds."));
    }
    let command = Command::BringUp { site, viewers, deadline: order.deadline };
    let begun = cascade.wish(Wish { conference: Some(conference), by: order.by, command }).await?;
    begun.ok_or_else(|| Problem::internal(&"no operation began"))
}

/// How far an operation is, or how it ended; known for an hour.
#[utoipa::path(get, path = "/operations/{id}", operation_id = "operation", tag = "operations", params(("id" = String, Path)),
    responses((status = 200, body = inline(AnyOperation)), Unauthorized, NotFound, Unavailable))]
pub(crate) async fn operation(
    Extracted(state): Extracted<State>,
    signed_in: SignedIn,
    Path(id): Path<String>,
) -> Result<Answer<AnyOperation>, Problem> {
    signed_in.may(Right::Watch)?;
    let missing = || Problem::missing("Không có thao tác này.", "There is no such operation.");
    let id = id.parse().map_err(|_| missing())?;
    if let Some(cascade) = &state.cascade
        && let Some(far) = cascade.operation(id).await?
    {
        return Ok(Answer(AnyOperation::Far(far)));
    }
    Ok(Answer(AnyOperation::Own(ask(state.focus.operation(id)).await?)))
}
