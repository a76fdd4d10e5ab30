//! `/healthz`, `/readyz`, `/metrics`.

use axum::{
    extract::{Request, State as Extracted},
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};

use cau_model::Words;
use serde_json::json;
use std::time::Duration;
use tokio::time::MissedTickBehavior;

use crate::{Problem, Sample, State, auth, client::Client, focus::ask, metrics};

/// How often the store is written to see whether it can be.
const PROBE: Duration = Duration::from_secs(5);

/// The program runs.
pub(crate) async fn healthz() -> &'static str {
    "ok\n"
}

/// The program takes calls: the store can be read and the last write succeeded, the focus answers and is not ending.
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

/// Writes to the store at times, and tells by the event `alarm` when that fails and when it works again. Ends with the server.
pub async fn watch_store(state: State) {
    let mut ticks = tokio::time::interval(PROBE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told = false;
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = state.shutdown.cancelled() => return,
        }
        // Asked before the probe, too: a write that failed between two probes that did not is not passed over.
        let failing = match (state.store.failing(), state.store.probe().await) {
            (_, Err(e)) => Some(e.to_string()),
            (Some(detail), Ok(())) if !told => Some(detail),
            (_, Ok(())) => None,
        };
        match &failing {
            Some(detail) if !told => {
                tracing::error!(detail, "the store cannot be written");
                alarm(
                    &state,
                    "store-not-writable",
                    &format!(
                        "Không ghi được vào ổ đĩa của máy chủ ({detail}): thay đổi bị từ chối cho đến khi có chỗ trống."
                    ),
                    &format!(
                        "The server's disk cannot be written ({detail}): changes are refused until there is space."
                    ),
                );
            }
            None if told => {
                tracing::info!("the store can be written again");
                alarm(
                    &state,
                    "store-writable",
                    "Ổ đĩa của máy chủ ghi được trở lại.",
                    "The server's disk can be written again.",
                );
            }
            _ => {}
        }
        told = failing.is_some();
    }
}

fn alarm(state: &State, code: &str, vi: &str, en: &str) {
    let detail =
        json!({ "conference": null, "participant": null, "code": code, "detail": Words::new(vi, en) });
    state.events.publish("alarm", None, &detail);
    state.note("system", "alarm", None, detail);
}

/// Prometheus text. From this machine without sign-in; from elsewhere with a token.
pub(crate) async fn metrics(
    Extracted(state): Extracted<State>,
    request: Request,
) -> Result<Response, Problem> {
    let local = request.extensions().get::<Client>().is_some_and(|client| client.is_local());
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
    samples.push(Sample::new(
        "cau_store_writable",
        "0 after a write to the store that failed, until one succeeds.",
        f64::from(u8::from(state.store.failing().is_none())),
    ));
    samples.extend((state.figures)());
    let mut response = metrics::render(&samples).into_response();
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"));
    Ok(response)
}
