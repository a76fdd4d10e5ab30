//! `/healthz`, `/readyz`, `/metrics`.

use axum::{
    extract::{Request, State as Extracted},
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};

use crate::{Problem, Sample, State, auth, focus::ask, metrics};

/// The program runs.
pub(crate) async fn healthz() -> &'static str {
    "ok\n"
}

/// The program takes calls: the store can be read, the focus answers and is not ending.
pub(crate) async fn readyz(Extracted(state): Extracted<State>) -> Result<&'static str, Problem> {
    state.store.check().await?;
    if ask(state.focus.totals()).await?.draining {
        return Err(Problem::unavailable(
            "MCU đang dừng, không nhận cuộc gọi mới.",
            "The MCU is ending and takes no new calls.",
        ));
    }
    Ok("ok\n")
}

/// Prometheus text. From this machine without sign-in; from elsewhere with a token.
pub(crate) async fn metrics(
    Extracted(state): Extracted<State>,
    request: Request,
) -> Result<Response, Problem> {
    // Without a known peer (tests, a listener without addresses) the sign-in is asked for.
    let local = auth::peer(&request).is_loopback();
    let signed_in = auth::check(&state, request.method(), request.headers());
    drop(request);
    if !local {
        signed_in.await?.may(auth::Right::Watch)?;
    }
    let mut samples = metrics::of_totals(&ask(state.focus.totals()).await?);
    samples.push(Sample::new("cau_event_streams", "Event streams open now.", state.events.readers() as f64));
    samples.push(Sample::new("cau_events_total", "Events published.", state.events.newest() as f64));
    samples.push(Sample::new(
        "cau_journal_lost_total",
        "Journal entries lost because the disk was too slow or failed.",
        state.journal.lost() as f64,
    ));
    samples.extend((state.figures)());
    let mut response = metrics::render(&samples).into_response();
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"));
    Ok(response)
}
