//! What is made ready before it is shown, taken, undone and given back; and what is asked of MCUs below as a whole.

use std::time::Duration;

use axum::{
    Json as Answer,
    extract::State as Extracted,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use cau_cascade::{Command, Viewers};
use cau_model::{ConferenceId, OperationId, ParticipantId, command::participant as parse_participant};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::{
    Conflict, InConference, NotFound, Unauthorized, Unavailable, Unprocessable,
    bring_up::{Begun, DEADLINE},
    cascade,
    conferences::whole,
};
use crate::{
    Problem, State,
    auth::{Right, SignedIn},
    cascade::Wish,
    focus::ask,
    json::Json,
};

/// Sites to be made ready.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Preparing {
    /// Paths, in the order they will be taken; those prepared before and not named here are let go.
    sites: Vec<String>,
}

/// A site made ready, or about to be.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Prepared {
    /// Its path.
    site: String,
    /// A key frame of it has come: `take` shows it at once.
    ready: bool,
}

/// Whose screens are meant.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Screens {
    /// The participants; absent: the chair, or everybody when there is none.
    #[serde(default, rename = "for")]
    viewers: Option<Vec<String>>,
    /// Seconds after which it has failed; 30 when absent.
    #[serde(default)]
    deadline_s: Option<u32>,
}

/// An MCU below whose floor is taken or given back.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Floor {
    /// Its path.
    mcu: String,
    /// Everybody there sees what this MCU sends; false: its own operator has the floor again.
    taken: bool,
}

/// Sites that are to be called.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CallAll {
    /// Path of an MCU: its sites and those below; absent: all.
    #[serde(default)]
    under: Option<String>,
    /// Higher first; 0 when absent.
    #[serde(default)]
    priority: u8,
}

impl Screens {
    async fn of(&self, state: &State, conference: ConferenceId) -> Result<Viewers, Problem> {
        let Some(ids) = &self.viewers else { return default_viewers(state, conference).await };
        let parse = |(n, id): (usize, &String)| parse_participant(id, || format!("for[{n}]"));
        Ok(Viewers::Only(ids.iter().enumerate().map(parse).collect::<Result<_, _>>()?))
    }

    fn deadline(&self) -> Result<Duration, Problem> {
        let seconds = u64::from(self.deadline_s.unwrap_or(DEADLINE));
        if !(1..=300).contains(&seconds) {
            return Err(Problem::invalid("deadline_s", "Từ 1 đến 300 giây.", "1 to 300 seconds."));
        }
        Ok(Duration::from_secs(seconds))
    }
}

/// The chair, or everybody.
pub(crate) async fn default_viewers(state: &State, conference: ConferenceId) -> Result<Viewers, Problem> {
    let chair: Option<ParticipantId> = ask(state.focus.conference(conference)).await?.chair_participant;
    Ok(chair.map_or(Viewers::All, |chair| Viewers::Only([chair].into())))
}

/// The sites made ready, in the order they will be taken.
#[utoipa::path(get, path = "/conferences/{id}/prepared", operation_id = "prepared", tag = "operations", params(("id" = String, Path)),
    responses((status = 200, body = Vec<Prepared>), Unauthorized, NotFound, Unprocessable, Unavailable))]
pub(crate) async fn prepared(
    Extracted(state): Extracted<State>,
    signed_in: SignedIn,
    InConference(conference): InConference,
) -> Result<Answer<Vec<Prepared>>, Problem> {
    signed_in.may(Right::Watch)?;
    ask(state.focus.conference(conference)).await?;
    let list = cascade::on(&state)?.prepared().await?;
    Ok(Answer(list.into_iter().map(|(site, ready)| Prepared { site: site.to_string(), ready }).collect()))
}

/// Makes sites ready without showing them: each comes up into a slot with its picture, and without its sound.
#[utoipa::path(post, path = "/conferences/{id}/prepare", operation_id = "prepare", tag = "operations", params(("id" = String, Path)), request_body = Preparing,
    responses((status = 202, description = "Under way"), Unauthorized, NotFound, Conflict, Unprocessable, Unavailable))]
pub(crate) async fn prepare(
    Extracted(state): Extracted<State>,
    signed_in: SignedIn,
    InConference(conference): InConference,
    Json(body): Json<Preparing>,
) -> Result<StatusCode, Problem> {
    signed_in.may(Right::Steer)?;
    let parse = |(n, site): (usize, &String)| cascade::parse(&format!("sites[{n}]"), site);
    let sites = body.sites.iter().enumerate().map(parse).collect::<Result<Vec<_>, _>>()?;
    let note = json!({ "sites": body.sites });
    done(state, signed_in, Some(conference), Command::Prepare { sites }, ("prepare", note)).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Shows the site made ready first.
#[utoipa::path(post, path = "/conferences/{id}/take", operation_id = "take", tag = "operations", params(("id" = String, Path)), request_body = Screens,
    responses((status = 202, body = Begun, headers(("Location" = String))), Unauthorized, NotFound, Conflict, Unprocessable, Unavailable))]
pub(crate) async fn take(
    Extracted(state): Extracted<State>,
    signed_in: SignedIn,
    InConference(conference): InConference,
    Json(body): Json<Screens>,
) -> Result<Response, Problem> {
    show(
        state,
        signed_in,
        conference,
        &body,
        ("take", |viewers, deadline| Command::Take { viewers, deadline }),
    )
    .await
}

/// Shows the site before this one again; the layout, when there was none (204).
#[utoipa::path(post, path = "/conferences/{id}/undo", operation_id = "undo", tag = "operations", params(("id" = String, Path)), request_body = Screens,
    responses((status = 202, body = Begun, headers(("Location" = String))), (status = 204, description = "The layout is back"), Unauthorized, NotFound, Conflict, Unprocessable, Unavailable))]
pub(crate) async fn undo(
    Extracted(state): Extracted<State>,
    signed_in: SignedIn,
    InConference(conference): InConference,
    Json(body): Json<Screens>,
) -> Result<Response, Problem> {
    show(
        state,
        signed_in,
        conference,
        &body,
        ("undo", |viewers, deadline| Command::Undo { viewers, deadline }),
    )
    .await
}

/// Gives the viewers their layout back, and the slot to the operator it is of.
#[utoipa::path(post, path = "/conferences/{id}/release", operation_id = "release", tag = "operations", params(("id" = String, Path)), request_body = Screens,
    responses((status = 204, description = "Given back"), Unauthorized, NotFound, Conflict, Unprocessable, Unavailable))]
pub(crate) async fn release(
    Extracted(state): Extracted<State>,
    signed_in: SignedIn,
    InConference(conference): InConference,
    Json(body): Json<Screens>,
) -> Result<StatusCode, Problem> {
    signed_in.may(Right::Steer)?;
    let viewers = body.of(&state, conference).await?;
    let note = json!({ "for": body.viewers });
    done(state, signed_in, Some(conference), Command::Release { viewers }, ("release", note)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes the floor of an MCU below, or gives it back.
#[utoipa::path(put, path = "/cascade/floor", operation_id = "cascadeFloor", tag = "cascade", request_body = Floor,
    responses((status = 204, description = "Said"), Unauthorized, Conflict, Unprocessable, Unavailable))]
pub(crate) async fn floor(
    Extracted(state): Extracted<State>,
    signed_in: SignedIn,
    Json(body): Json<Floor>,
) -> Result<StatusCode, Problem> {
    signed_in.may(Right::Steer)?;
    let command = Command::Floor { mcu: cascade::parse("mcu", &body.mcu)?, seize: body.taken };
    let note = json!({ "mcu": body.mcu, "taken": body.taken });
    done(state, signed_in, None, command, ("cascade.floor", note)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Calls all sites below that are not in the meeting, each by its own MCU. How far it is comes as events `cascade` (`progress`).
#[utoipa::path(post, path = "/cascade/call-all", operation_id = "cascadeCallAll", tag = "cascade", request_body = CallAll,
    responses((status = 202, description = "Under way"), Unauthorized, Conflict, Unprocessable, Unavailable))]
pub(crate) async fn call_all(
    Extracted(state): Extracted<State>,
    signed_in: SignedIn,
    Json(body): Json<CallAll>,
) -> Result<StatusCode, Problem> {
    signed_in.may(Right::Steer)?;
    let own = cascade::on(&state)?.own().clone();
    let under = body.under.as_deref().map_or(Ok(own), |path| cascade::parse("under", path))?;
    let note = json!({ "under": body.under });
    let command = Command::CallAll { under, priority: body.priority };
    done(state, signed_in, None, command, ("cascade.call-all", note)).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Shows another site on these screens.
async fn show(
    state: State,
    signed_in: SignedIn,
    conference: ConferenceId,
    screens: &Screens,
    (what, command): (&'static str, fn(Viewers, Duration) -> Command),
) -> Result<Response, Problem> {
    signed_in.may(Right::Steer)?;
    let command = command(screens.of(&state, conference).await?, screens.deadline()?);
    let note = json!({ "for": screens.viewers });
    under_way(done(state, signed_in, Some(conference), command, (what, note)).await?)
}

/// Has the node do it, and notes that it was asked.
async fn done(
    state: State,
    signed_in: SignedIn,
    conference: Option<ConferenceId>,
    command: Command,
    (what, note): (&'static str, serde_json::Value),
) -> Result<Option<OperationId>, Problem> {
    whole(async move {
        let by = signed_in.name().to_owned();
        let begun = cascade::on(&state)?.wish(Wish { conference, by, command }).await?;
        state.note(signed_in.name(), what, conference, note);
        Ok(begun)
    })
    .await
}

pub(crate) fn under_way(begun: Option<OperationId>) -> Result<Response, Problem> {
    let Some(operation) = begun else { return Ok(StatusCode::NO_CONTENT.into_response()) };
    let location = HeaderValue::try_from(format!("/api/v1/operations/{operation}"))
        .map_err(|e| Problem::internal(&e))?;
    Ok((StatusCode::ACCEPTED, [(header::LOCATION, location)], Answer(Begun { operation })).into_response())
}
