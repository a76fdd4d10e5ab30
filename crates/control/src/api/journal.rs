//! What happened in a conference.

use axum::{extract::State as Extracted, response::Response};
use cau_store::Row;
use serde::Serialize;
use utoipa::ToSchema;

use super::{InConference, NotFound, Unauthorized, Unavailable, Unprocessable, page, page::Page};
use crate::{
    Problem, State,
    api::sessions::rfc3339,
    auth::{Right, SignedIn},
    focus::ask,
    json::Query,
};

/// Something that happened.
#[derive(Serialize, ToSchema)]
#[schema(as = JournalEntry)]
pub(crate) struct Entry {
    /// Number of the entry, growing.
    id: String,
    /// When: RFC 3339, UTC.
    #[schema(format = DateTime)]
    at: String,
    /// Who did it: a user's name, a `sip:` address, or `system`.
    who: String,
    /// What: `participant.joined`, `participant.left`, `call.refused`, `alarm`, `layout.set`, …
    what: String,
    /// Everything else, by `what`.
    #[schema(value_type = Object)]
    detail: serde_json::Value,
}

impl From<Row> for Entry {
    fn from(row: Row) -> Self {
        let entry = row.entry;
        Self {
            id: row.id.to_string(),
            at: rfc3339(entry.at),
            who: entry.who,
            what: entry.what,
            detail: entry.detail,
        }
    }
}

/// What happened in a conference, the newest first. `after` goes on with what is older; a conference that has ended keeps
/// its journal.
#[utoipa::path(get, path = "/conferences/{id}/journal", operation_id = "journal", tag = "conferences", params(("id" = String, Path), Page),
    responses((status = 200, body = Vec<Entry>, headers(("Link" = String, description = "The next page"))), Unauthorized, NotFound, Unprocessable, Unavailable))]
pub(crate) async fn of_conference(
    Extracted(state): Extracted<State>,
    signed_in: SignedIn,
    InConference(id): InConference,
    Query(page): Query<Page>,
) -> Result<Response, Problem> {
    signed_in.may(Right::Watch)?;
    let (limit, before) = page.bounds::<i64>()?;
    // One more than asked for: that there is one says that there is a next page.
    let rows = state.store.journal_of(id, before, u32::try_from(limit + 1).unwrap_or(u32::MAX)).await?;
    if rows.is_empty() && before.is_none() {
        ask(state.focus.conference(id)).await?;
    }
    let entries = rows.into_iter().map(Entry::from).collect();
    Ok(page::answer(&format!("/api/v1/conferences/{id}/journal"), limit, entries, |e: &Entry| e.id.clone()))
}
