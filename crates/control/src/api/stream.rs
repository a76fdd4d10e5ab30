//! `GET /events`: server-sent events.
//!
//! The stream starts with the id of the place it stands at, so that a browser that is cut off before the first event still
//! resumes without a gap. An event `reset` means: what happened in between is lost, read the state anew.

use std::{collections::VecDeque, convert::Infallible, sync::Arc, time::Duration};

use axum::{
    extract::State as Extracted,
    http::HeaderMap,
    response::{
        IntoResponse, Response,
        sse::{Event as Frame, Sse},
    },
};
use cau_model::ConferenceId;
use serde::Deserialize;
use tokio::{
    sync::{OwnedSemaphorePermit, watch},
    time::{Interval, MissedTickBehavior},
};

use crate::{
    Problem, State,
    auth::{Right, SignedIn},
    events::{Event, Read},
    json::Query,
};

/// How often sound levels are told.
const LOOK: Duration = Duration::from_millis(500);
/// Events taken out of the ring at a time.
const BATCH: usize = 64;

/// The query of `GET /events`.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Filter {
    /// Only events of this conference.
    #[serde(default)]
    conference: Option<String>,
}

/// Server-sent events.
///
/// `conference` and `participant` carry the object as the API shows it, `{"conference","id","removed":true}` when it is
/// gone; `level` carries sound levels, up to some per second; `operation`, `alarm` as they come. `Last-Event-ID` resumes without a gap,
/// or an event `reset` says that it was too long ago.
#[utoipa::path(get, path = "/events", operation_id = "events", tag = "events", params(Filter, ("Last-Event-ID" = Option<String>, Header, description = "Id of the last event seen")),
    responses((status = 200, description = "The stream", content_type = "text/event-stream", body = String), super::Unauthorized, super::Unprocessable, super::Unavailable))]
pub(crate) async fn events(
    Extracted(state): Extracted<State>,
    signed_in: SignedIn,
    Query(filter): Query<Filter>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    signed_in.may(Right::Watch)?;
    let only = filter.conference.map(|id| id.parse::<ConferenceId>()).transpose().map_err(|_| {
        Problem::invalid(
            "conference",
            "Không phải mã phiên họp (dạng c1f).",
            "Not the id of a conference (such as c1f).",
        )
    })?;
    let permit = state.streams.clone().try_acquire_owned().map_err(|_| {
        Problem::unavailable("Đã có quá nhiều luồng sự kiện đang mở.", "Too many event streams are open.")
    })?;
    let watch = state.events.watch();
    let (after, reset) = match headers.get("last-event-id").map(|v| v.to_str().unwrap_or_default()) {
        None => (state.events.newest(), false),
        Some(id) => match state.events.number(id) {
            Some(number) if matches!(state.events.read(number, 0), Read::Events(_)) => (number, false),
            _ => (state.events.newest(), true),
        },
    };
    let mut alive = tokio::time::interval(state.keep_alive);
    alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
    alive.reset();
    let mut look = tokio::time::interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let reader = Reader {
        token: signed_in.token,
        only,
        after,
        start: Some(reset),
        pending: VecDeque::new(),
        watch,
        alive,
        look,
        levels: 0,
        state,
        _permit: Arc::new(permit),
    };
    let stream = futures_util::stream::unfold(reader, |mut reader| async move {
        let frame = reader.next().await?;
        Some((Ok::<_, Infallible>(frame), reader))
    });
    let mut response = Sse::new(stream).into_response();
    // Proxies that buffer would hold events back.
    response.headers_mut().insert("x-accel-buffering", axum::http::HeaderValue::from_static("no"));
    Ok(response)
}

struct Reader {
    state: State,
    token: String,
    only: Option<ConferenceId>,
    /// Number of the last event taken out of the ring.
    after: u64,
    /// The first frame is still to be sent; true: it is a reset.
    start: Option<bool>,
    /// Frames taken out of the ring and not sent yet.
    pending: VecDeque<Frame>,
    watch: watch::Receiver<u64>,
    alive: Interval,
    /// When to look at the figures that change all the time.
    look: Interval,
    /// Version of the figures sent last.
    levels: u64,
    _permit: Arc<OwnedSemaphorePermit>,
}

impl Reader {
    async fn next(&mut self) -> Option<Frame> {
        if let Some(reset) = self.start.take() {
            let frame =
                if reset { self.reset() } else { Frame::default().id(self.state.events.id(self.after)) };
            return Some(frame.retry(Duration::from_secs(1)));
        }
        loop {
            if let Some(frame) = self.pending.pop_front() {
                return Some(frame);
            }
            // Marked as seen before the ring is read: an event published in between wakes us again.
            self.watch.mark_unchanged();
            match self.state.events.read(self.after, BATCH) {
                Read::Events(events) if !events.is_empty() => {
                    self.after = events.last().map_or(self.after, |e| e.number);
                    let only = self.only;
                    let wanted = |e: &Event| only.is_none() || e.conference.is_none() || e.conference == only;
                    let hub = &self.state.events;
                    let frame =
                        |e: &Event| Frame::default().id(hub.id(e.number)).event(e.kind).data(&*e.data);
                    self.pending = events.iter().filter(|e| wanted(e)).map(frame).collect();
                }
                Read::Events(_) => {
                    let state = &self.state;
                    tokio::select! {
                        changed = self.watch.changed() => changed.ok()?,
                        () = state.shutdown.cancelled() => return None,
                        _ = self.look.tick() => {
                            let texts = state.events.levels().newer(self.only, &mut self.levels);
                            self.pending = texts.iter().map(|t| Frame::default().event("level").data(t)).collect();
                        }
                        _ = self.alive.tick() => {
                            // Signed out or expired: the stream ends like any other request would.
                            self.state.store.session(&self.token, (self.state.clock)()).await.ok()??;
                            return Some(Frame::default().comment("alive").id(self.state.events.id(self.after)));
                        }
                    }
                }
                Read::Gone { newest } => {
                    self.after = newest;
                    return Some(self.reset());
                }
            }
        }
    }

    fn reset(&self) -> Frame {
        Frame::default().id(self.state.events.id(self.after)).event("reset").data("{}")
    }
}
