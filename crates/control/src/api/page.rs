//! Lists in pages: `?limit=&after=`, the next one in the `Link` header (RFC 8288).

use axum::{
    Json as Answer,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};

use crate::Problem;

/// Items of a page when the client does not say.
const DEFAULT: usize = 1000;
/// Most items of a page: a meeting of the largest size in one answer.
const MOST: usize = 10_000;

/// The query of a list.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Page {
    /// Most items in the answer, 1–10,000; 1,000 when absent.
    #[serde(default)]
    #[param(minimum = 1, maximum = 10_000)]
    limit: Option<usize>,
    /// Id of the last item of the page before.
    #[serde(default)]
    after: Option<String>,
}

impl Page {
    /// A page of a list whose ids are no numbers.
    pub fn new(limit: Option<usize>, after: Option<String>) -> Self {
        Self { limit, after }
    }

    /// The page of `items`, which are put in order of their ids.
    pub fn cut<T: Serialize, K: Ord + Copy + std::fmt::Display + std::str::FromStr>(
        self,
        path: &str,
        mut items: Vec<T>,
        id: impl Fn(&T) -> K,
    ) -> Result<Response, Problem> {
        let (limit, after) = self.bounds::<K>()?;
        items.sort_by_key(&id);
        let start = after.map_or(0, |after| items.partition_point(|item| id(item) <= after));
        Ok(answer(path, limit, items.split_off(start), id))
    }

    /// Most items, and the id of the last one before.
    pub fn bounds<K: std::str::FromStr>(self) -> Result<(usize, Option<K>), Problem> {
        let limit = self.limit.unwrap_or(DEFAULT);
        if !(1..=MOST).contains(&limit) {
            return Err(Problem::invalid("limit", format!("Từ 1 đến {MOST}."), format!("1 to {MOST}.")));
        }
        let after = self.after.map(|text| text.parse::<K>()).transpose().map_err(|_| {
            Problem::invalid(
                "after",
                "Không phải mã của một mục trong danh sách.",
                "Not the id of an item of the list.",
            )
        })?;
        Ok((limit, after))
    }
}

/// The first `limit` of `items`, and where the next page is when there are more.
pub(crate) fn answer<T: Serialize, K: std::fmt::Display>(
    path: &str,
    limit: usize,
    mut items: Vec<T>,
    id: impl Fn(&T) -> K,
) -> Response {
    let more = items.len() > limit;
    items.truncate(limit);
    let next = items
        .last()
        .filter(|_| more)
        .map(|last| format!("<{path}?limit={limit}&after={}>; rel=\"next\"", id(last)));
    let mut response = Answer(items).into_response();
    if let Some(link) = next.and_then(|link| HeaderValue::try_from(link).ok()) {
        response.headers_mut().insert(header::LINK, link);
    }
    response
}
