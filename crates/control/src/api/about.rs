//! What this machine is, and the layouts it knows.

use std::sync::PoisonError;

use axum::{Json as Answer, extract::State as Extracted};
use cau_model::layout::{AUDIENCE_MAX, Kind, Layout, Rect};
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
    /// It has a logo to put on pictures (`picture.logo`).
    logo: bool,
}

/// What this machine is and how to dial in.
#[utoipa::path(get, path = "/about", operation_id = "about", tag = "conferences", responses((status = 200, body = Machine), Unauthorized))]
pub(crate) async fn about(
    Extracted(state): Extracted<State>,
    signed_in: SignedIn,
) -> Result<Answer<Machine>, Problem> {
    signed_in.may(Right::Watch)?;
    let about = &state.about;
    Ok(Answer(Machine { version: about.version.clone(), sip: about.sip.clone(), logo: about.logo }))
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
    /// What people call it, where a file says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<String>,
    /// Rectangles of the seats, index = seat number, as shares of the picture. A later one may lie over an earlier one.
    seats: Vec<Share>,
    /// Of `lecture`: what the lecturer sees, seats 1, 2, ….
    #[serde(skip_serializing_if = "Option::is_none")]
    lecturer_sees: Option<Vec<Share>>,
    /// How many of the first seats follow the voice.
    follow_voice: usize,
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
    Extracted(state): Extracted<State>,
    signed_in: SignedIn,
    Query(query): Query<Sites>,
) -> Result<Answer<Vec<Drawing>>, Problem> {
    signed_in.may(Right::Watch)?;
    let sites = query.sites.unwrap_or(6);
    if !(1..=10_000).contains(&sites) {
        return Err(Problem::invalid("sites", "Từ 1 đến 10000.", "1 to 10000."));
    }
    let files = state.layouts.read().unwrap_or_else(PoisonError::into_inner).clone();
    let custom = files.iter().map(|c| Layout { kind: Kind::Custom(c.name()), custom: Some(c.clone()) });
    Ok(Answer(kinds().map(Layout::from).chain(custom).map(|layout| drawing(&layout, sites)).collect()))
}

/// From the fewest seats to the most, the equal ones after the others; those of files come last.
fn kinds() -> impl Iterator<Item = Kind> {
    let others = [
        Kind::Full,
        Kind::Grid,
        Kind::Pip,
        Kind::SideBySide,
        Kind::Lecture,
        Kind::OnePlus5,
        Kind::OnePlus7,
        Kind::TwoPlus8,
        Kind::OnePlus12,
    ];
    let equal = (1..=5).flat_map(|rows| (1..=5).map(move |cols| Kind::Equal { cols, rows })).skip(1);
    others.into_iter().chain(equal)
}

fn drawing(layout: &Layout, sites: usize) -> Drawing {
    // 1080p: pixel rounding does not show in a drawing of a thumb's size.
    const CANVAS: (u32, u32) = (1920, 1080);
    let share = |part: u32, whole: u32| f64::from(part * 10_000 / whole) / 10_000.0;
    let shares = |rects: Vec<Rect>| -> Vec<Share> {
        let one = |r: Rect| Share {
            x: share(r.x, CANVAS.0),
            y: share(r.y, CANVAS.1),
            w: share(r.w, CANVAS.0),
            h: share(r.h, CANVAS.1),
        };
        rects.into_iter().map(one).collect()
    };
    let audience = sites.saturating_sub(1).clamp(1, AUDIENCE_MAX);
    Drawing {
        layout: layout.kind.to_string(),
        title: layout.custom.as_ref().map(|custom| custom.title().to_owned()),
        seats: shares(layout.tiles(sites, CANVAS)),
        lecturer_sees: (layout.kind == Kind::Lecture)
            .then(|| shares(cau_model::layout::tiles(Kind::Grid, audience, CANVAS))),
        follow_voice: if layout.is_equal() { 0 } else { layout.mains() },
    }
}
