//! What the contract names and this version cannot do yet: refused with the reason, never ignored.

use super::{Unauthorized, Unprocessable};
use crate::{
    Problem,
    auth::{Right, SignedIn},
};

fn not_yet(vi: &str, en: &str) -> Problem {
    Problem::invalid("", format!("Chưa có trong phiên bản này: {vi}."), format!("Not available yet: {en}."))
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
