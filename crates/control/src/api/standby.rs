//! Two masters: who commands, taking command, drilling it.

use std::time::Duration;

use axum::{Json as Answer, extract::State as Extracted, http::StatusCode};
use cau_cascade::Command;
use serde::Deserialize;
use serde_json::json;
use utoipa::ToSchema;

use super::{Conflict, Unauthorized, Unavailable, Unprocessable, cascade, conferences::whole};
use crate::{
    Problem, State,
    auth::{Right, SignedIn},
    cascade::{Standby, Wish},
    json::Json,
};

/// Longest reason, characters.
const MOST_REASON: usize = 400;

/// The command is wanted here.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TakeCommand {
    /// Why; for the journal.
    #[schema(example = "MCU trung tâm bảo trì")]
    reason: String,
    /// Also when the other master cannot be asked, or its records are not all here. Only when it is certain that it has stopped.
    #[serde(default)]
    force: bool,
}

/// The standby is to be tried in earnest.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DrillDraft {
    /// Seconds the other master keeps the command once all slaves are there, 0–600; 10 when absent.
    #[serde(default)]
    hold_s: Option<u32>,
}

/// Of two masters: who commands, how the other one stands, and the last drill.
///
/// Changes come as events `cascade`: `{"standby":{…}}`, `{"drill":{…}}`.
#[utoipa::path(get, path = "/cascade/standby", operation_id = "cascadeStandby", tag = "cascade",
    responses((status = 200, body = Standby), Unauthorized, Unprocessable, Unavailable))]
pub(crate) async fn standby(
    Extracted(state): Extracted<State>,
    signed_in: SignedIn,
) -> Result<Answer<Standby>, Problem> {
    signed_in.may(Right::Watch)?;
    cascade::on(&state)?.standby().await?.map(Answer).ok_or_else(|| {
        Problem::invalid(
            "",
            "MCU này không có MCU dự phòng: hãy đặt cascade.peer trong cấu hình.",
            "This MCU has no other master beside it: set cascade.peer in its configuration.",
        )
    })
}

/// This MCU commands from now on. From a master in command it is handed over in good order.
///
/// `GET /cascade/standby` and the events `cascade` tell when it is done; alarm `not-taken` when it is not.
#[utoipa::path(post, path = "/cascade/take-command", operation_id = "takeCommand", tag = "cascade", request_body = TakeCommand,
    responses((status = 202, description = "Under way"), Unauthorized, Conflict, Unprocessable, Unavailable))]
pub(crate) async fn take_command(
    Extracted(state): Extracted<State>,
    signed_in: SignedIn,
    Json(body): Json<TakeCommand>,
) -> Result<StatusCode, Problem> {
    signed_in.may(Right::Manage)?;
    let reason = cau_model::name::line(&body.reason, MOST_REASON);
    if reason.is_empty() {
        return Err(Problem::invalid("reason", "Cần nêu lý do.", "A reason is needed."));
    }
    let note = json!({ "reason": reason, "force": body.force });
    wish(state, signed_in, Command::TakeCommand { force: body.force }, ("cascade.take-command", note)).await
}

/// The other master takes command, keeps it for a while, and gives it back: only so is it known that it works.
#[utoipa::path(post, path = "/cascade/drill", operation_id = "cascadeDrill", tag = "cascade", request_body = DrillDraft,
    responses((status = 202, description = "Under way"), Unauthorized, Conflict, Unprocessable, Unavailable))]
pub(crate) async fn drill(
    Extracted(state): Extracted<State>,
    signed_in: SignedIn,
    Json(body): Json<DrillDraft>,
) -> Result<StatusCode, Problem> {
    signed_in.may(Right::Manage)?;
    let hold = body.hold_s.unwrap_or(10);
    let command = Command::Drill { hold: Duration::from_secs(hold.into()) };
    wish(state, signed_in, command, ("cascade.drill-begun", json!({ "hold_s": hold }))).await
}

async fn wish(
    state: State,
    signed_in: SignedIn,
    command: Command,
    (what, note): (&'static str, serde_json::Value),
) -> Result<StatusCode, Problem> {
    whole(async move {
        let by = signed_in.name().to_owned();
        cascade::on(&state)?.wish(Wish { conference: None, by, command }).await?;
        state.note(signed_in.name(), what, None, note);
        Ok(StatusCode::ACCEPTED)
    })
    .await
}
