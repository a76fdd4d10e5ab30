//! What this machine is, and the layouts it knows.

use axum::{Json as Answer, extract::State as Extracted};
use cau_model::layout::{self, Kind};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{Unauthorized, Unprocessable};
use crate::{
    Problem, State,
    auth::{Right, SignedIn},
    json::Query,
};

/// Name and addresses of this machine.
#[derive(Serialize, ToSchema)]
pub(crate) struct Machine {
    /// Version of the program.
    version: String,
    /// `host:port` of each SIP listener as it is advertised; `sip:ROOM@` before it is what an endpoint dials.
    sip: Vec<String>,
}

/// What this machine is and how to dial in.
#[utoipa::path(get, path = "/about", operation_id = "about", tag = "conferences", responses((status = 200, body = Machine), Unauthorized))]
pub(crate) async fn about(
    Extracted(state): Extracted<State>,
    signed_in: SignedIn,
) -> Result<Answer<Machine>, Problem> {
    signed_in.may(Right::Watch)?;
    Ok(Answer(Machine { version: state.about.version.clone(), sip: state.about.sip.clone() }))
}

/// The query of `GET /layouts`.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Sites {
    /// For how many sites `grid` is to be drawn, 1–10,000; 6 when absent.
    #[serde(default)]
    sites: Option<usize>,
}

/// A layout and its seats.
#[derive(Serialize, ToSchema)]
pub(crate) struct Drawing {
    /// Its name.
    layout: String,
    /// Rectangles of the seats, index = seat number, as shares of the picture.
    seats: Vec<Share>,
}

/// A rectangle as shares (0–1) of the width and height of the picture.
#[derive(Serialize, ToSchema)]
pub(crate) struct Share {
    x: f64,
    y: f64,
    w: f64,
    h: f64,
}

/// The layouts there are, with the rectangles of their seats, for drawing them.
#[utoipa::path(get, path = "/layouts", operation_id = "layouts", tag = "picture", params(Sites), responses((status = 200, body = Vec<Drawing>), Unauthorized, Unprocessable))]
pub(crate) async fn layouts(
    signed_in: SignedIn,
    Query(query): Query<Sites>,
) -> Result<Answer<Vec<Drawing>>, Problem> {
    signed_in.may(Right::Watch)?;
    let sites = query.sites.unwrap_or(6);
    if !(1..=10_000).contains(&sites) {
        return Err(Problem::invalid("sites", "Từ 1 đến 10000.", "1 to 10000."));
    }
    Ok(Answer(kinds().map(|kind| drawing(kind, sites)).collect()))
}

/// From the fewest seats to the most, the equal ones after the others.
fn kinds() -> impl Iterator<Item = Kind> {
    let others = [
        Kind::Full,
        Kind::Grid,
        Kind::SideBySide,
        Kind::OnePlus5,
        Kind::OnePlus7,
        Kind::TwoPlus8,
        Kind::OnePlus12,
    ];
    let equal = (1..=5).flat_map(|rows| (1..=5).map(move |cols| Kind::Equal { cols, rows })).skip(1);
    others.into_iter().chain(equal)
}

fn drawing(kind: Kind, sites: usize) -> Drawing {
    // 1080p: pixel rounding does not show in a drawing of a thumb's size.
    const CANVAS: (u32, u32) = (1920, 1080);
    let share = |part: u32, whole: u32| f64::from(part * 10_000 / whole) / 10_000.0;
    let seats = layout::tiles(kind, sites, CANVAS)
        .into_iter()
        .map(|r| Share {
            x: share(r.x, CANVAS.0),
            y: share(r.y, CANVAS.1),
            w: share(r.w, CANVAS.0),
            h: share(r.h, CANVAS.1),
        })
        .collect();
    Drawing { layout: kind.to_string(), seats }
}
