//! What the contract names and this version cannot do yet: refused with the reason, never ignored.

use axum::extract::State as Extracted;

use super::{InConference, NotFound, Unauthorized, Unprocessable};
use crate::{
    Problem, State,
    auth::{Right, SignedIn},
    focus::ask,
};

fn not_yet(vi: &str, en: &str) -> Problem {
    Problem::invalid("", format!("Chưa có trong phiên bản này: {vi}."), format!("Not available yet: {en}."))
}

/// Not available yet: the MCU dials a site.
#[utoipa::path(post, path = "/conferences/{id}/participants", operation_id = "inviteParticipants", tag = "later", params(("id" = String, Path)), responses(Unauthorized, NotFound, Unprocessable))]
pub(crate) async fn invite(
    Extracted(state): Extracted<State>,
    signed_in: SignedIn,
    InConference(id): InConference,
) -> Result<(), Problem> {
    signed_in.may(Right::Steer)?;
    ask(state.focus.conference(id)).await?;
    Err(not_yet("gọi ra; các điểm cầu tự gọi vào phòng", "dialling out; sites dial into the room themselves"))
}

/// Not available yet: brings a site before the chair.
#[utoipa::path(post, path = "/conferences/{id}/bring-up", operation_id = "bringUp", tag = "later", params(("id" = String, Path)), responses(Unauthorized, NotFound, Unprocessable))]
pub(crate) async fn bring_up(
    Extracted(state): Extracted<State>,
    signed_in: SignedIn,
    InConference(id): InConference,
) -> Result<(), Problem> {
    signed_in.may(Right::Steer)?;
    ask(state.focus.conference(id)).await?;
    Err(not_yet(
        "đưa lên màn hình chủ tọa; hãy chọn điểm phát biểu hoặc bố cục",
        "bringing a site up; use the speaker or the layout",
    ))
}

/// Operations come from bring-ups, so there is none yet.
#[utoipa::path(get, path = "/operations/{id}", operation_id = "operation", tag = "later", params(("id" = String, Path)), responses(Unauthorized, NotFound))]
pub(crate) async fn operation(signed_in: SignedIn) -> Result<(), Problem> {
    signed_in.may(Right::Watch)?;
    Err(Problem::missing("Không có thao tác này.", "There is no such operation."))
}

/// Not available yet: the tree of MCUs.
#[utoipa::path(
    get,
    path = "/cascade/tree",
    operation_id = "cascadeTree",
    tag = "later",
    responses(Unauthorized, Unprocessable)
)]
pub(crate) async fn tree(signed_in: SignedIn) -> Result<(), Problem> {
    signed_in.may(Right::Watch)?;
    Err(cascade())
}

/// Not available yet: the links to other MCUs.
#[utoipa::path(
    get,
    path = "/cascade/links",
    operation_id = "cascadeLinks",
    tag = "later",
    responses(Unauthorized, Unprocessable)
)]
pub(crate) async fn links(signed_in: SignedIn) -> Result<(), Problem> {
    signed_in.may(Right::Watch)?;
    Err(cascade())
}

/// Not available yet: a link to another MCU.
#[utoipa::path(
    post,
    path = "/cascade/links",
    operation_id = "addCascadeLink",
    tag = "later",
    responses(Unauthorized, Unprocessable)
)]
pub(crate) async fn add_link(signed_in: SignedIn) -> Result<(), Problem> {
    signed_in.may(Right::Manage)?;
    Err(cascade())
}

/// Not available yet: ends a link.
#[utoipa::path(
    delete,
    path = "/cascade/links",
    operation_id = "removeCascadeLink",
    tag = "later",
    responses(Unauthorized, Unprocessable)
)]
pub(crate) async fn remove_link(signed_in: SignedIn) -> Result<(), Problem> {
    signed_in.may(Right::Manage)?;
    Err(cascade())
}

fn cascade() -> Problem {
    not_yet("nối tầng MCU", "linking MCUs")
}
