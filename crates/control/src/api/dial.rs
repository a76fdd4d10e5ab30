//! Calling sites.

use axum::{
    Json as Answer,
    extract::State as Extracted,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use cau_conference::Wanted;
use cau_model::{body, snapshot};
use serde_json::json;

use super::{Conflict, InConference, NotFound, Unauthorized, Unavailable, Unprocessable, conferences::whole};
use crate::{
    Problem, State,
    auth::{Right, SignedIn},
    focus::ask,
    json::Json,
};

/// Has sites called: one, or an array of them, all or none.
///
/// They are in the list at once, as `calling`; what becomes of the calls is told by events. A site that is there, or is being called,
/// is not called twice; one whose line is lost is called at once. `reason` says why a call failed.
#[utoipa::path(post, path = "/conferences/{id}/participants", operation_id = "inviteParticipants", tag = "participants", params(("id" = String, Path)), request_body = body::Invitees,
    responses((status = 202, body = Vec<snapshot::Participant>, description = "Under way: the participant, or an array of them"), Unauthorized, NotFound, Conflict, Unprocessable, Unavailable))]
pub(crate) async fn invite(
    Extracted(state): Extracted<State>,
    signed_in: SignedIn,
    InConference(conference): InConference,
    Json(body): Json<body::Invitees>,
) -> Result<Response, Problem> {
    signed_in.may(Right::Steer)?;
    let (sites, one) = match body {
        body::Invitees::One(site) => (vec![wanted(site, String::new())], true),
        body::Invitees::Several(sites) => {
            let place = |(n, site)| wanted(site, format!("[{n}]."));
            (sites.into_iter().enumerate().map(place).collect(), false)
        }
    };
    let note: Vec<_> = sites.iter().map(|site| json!({ "uri": site.uri, "name": site.name })).collect();
    whole(async move {
        let invited = ask(state.focus.invite(conference, sites)).await?;
        state.note(signed_in.name(), "participants.invited", Some(conference), json!({ "sites": note }));
        let single = invited.first().filter(|_| one).cloned();
        Ok(match single {
            Some(site) => (StatusCode::ACCEPTED, Answer(site)).into_response(),
            None => (StatusCode::ACCEPTED, Answer(invited)).into_response(),
        })
    })
    .await
}

fn wanted(site: body::Invitee, place: String) -> Wanted {
    Wanted { uri: site.uri, name: site.name, place }
}
