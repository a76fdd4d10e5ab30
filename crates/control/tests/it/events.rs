//! Server-sent events through the router.

use std::time::Duration;

use crate::common::Api;
use axum::{
    body::{Body, BodyDataStream},
    http::Request,
};
use cau_model::ConferenceId;
use futures_util::StreamExt;
use serde_json::{Value, json};
use tower::ServiceExt;

/// One event as it came.
#[derive(Debug, Default, PartialEq)]
struct Frame {
    id: String,
    kind: String,
    data: String,
}

impl Frame {
    fn json(&self) -> Value {
        serde_json::from_str(&self.data).unwrap()
    }
}

struct Stream {
    body: BodyDataStream,
    text: String,
}

impl Stream {
    async fn open(api: &Api, query: &str, last: Option<&str>) -> Self {
        let mut request = Request::get(format!("/api/v1/events{query}"))
            .header("authorization", format!("Bearer {}", api.token));
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let response = api.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { body: response.into_body().into_data_stream(), text: String::new() }
    }

    /// The next block; `None` at the end of the stream.
    async fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let mut frame = Frame::default();
                for line in block.lines() {
                    let (name, value) = line.split_once(": ").unwrap_or((line, ""));
                    match name {
                        "id" => frame.id = value.into(),
                        "event" => frame.kind = value.into(),
                        "data" => frame.data = value.into(),
                        _ => {}
                    }
                }
                self.text = rest.to_owned();
                return Some(frame);
            }
            let chunk = tokio::time::timeout(Duration::from_secs(20), self.body.next())
                .await
                .expect("a frame in time")?;
            self.text.push_str(std::str::from_utf8(&chunk.unwrap()).unwrap());
        }
    }

    /// The next that carries an event out of the ring.
    async fn event(&mut self) -> Frame {
        loop {
            let frame = self.next().await.expect("the stream goes on");
            if !frame.kind.is_empty() && frame.kind != "level" {
                return frame;
            }
        }
    }
}

fn publish(api: &Api, numbers: std::ops::Range<u32>) {
    for n in numbers {
        api.events.publish("conference", Some(ConferenceId(1)), &n);
    }
}

#[tokio::test]
async fn what_happens_is_told_as_it_happens() {
    let api = Api::new().await;
    let mut stream = Stream::open(&api, "", None).await;
    let start = stream.next().await.unwrap();
    assert!(!start.id.is_empty() && start.data.is_empty(), "the place it starts at: {start:?}");
    let (path, sites) = api.meeting(&["Hòa Phú"]).await;
    let made = stream.event().await;
    assert_eq!((made.kind.as_str(), &made.json()["room"]), ("conference", &json!("8000")));
    let joined = loop {
        let frame = stream.event().await;
        if frame.kind == "participant" && frame.json()["change"] == "joined" {
            break frame;
        }
    };
    assert_eq!((&joined.json()["id"], &joined.json()["name"]), (&json!(sites[0]), &json!("Hòa Phú")));
    api.patch(&format!("{path}/participants/{}", sites[0]), json!({"audio_muted":true})).await;
    let muted = stream.event().await;
    assert_eq!((muted.kind.as_str(), &muted.json()["audio"]["muted"]), ("participant", &json!(true)));
    api.delete(&path).await;
    let ended = stream.event().await;
    assert_eq!(ended.json(), json!({"id": path.rsplit('/').next(), "removed": true}));
}

#[tokio::test]
async fn a_stream_resumes_without_a_gap() {
    let api = Api::new().await;
    let mut stream = Stream::open(&api, "", None).await;
    let start = stream.next().await.unwrap().id;
    publish(&api, 0..3);
    assert_eq!(stream.event().await.data, "0");
    let seen = stream.event().await.id;
    drop(stream);
    publish(&api, 3..10);
    for (last, first) in [(&seen, 2), (&start, 0)] {
        let mut stream = Stream::open(&api, "", Some(last)).await;
        for n in first..10 {
            assert_eq!(stream.event().await.data, n.to_string());
        }
    }
}

#[tokio::test]
async fn too_old_or_unknown_ids_are_reset_and_go_on_live() {
    let api = Api::new().await;
    let mut stream = Stream::open(&api, "", None).await;
    let start = stream.next().await.unwrap().id;
    publish(&api, 0..65);
    for last in [start.as_str(), "1-1", "nonsense", ""] {
        let mut stream = Stream::open(&api, "", Some(last)).await;
        let reset = stream.event().await;
        assert_eq!(reset.kind, "reset", "{last}");
        let again = Stream::open(&api, "", Some(&reset.id)).await.next().await.unwrap();
        assert_eq!(
            (again.kind.as_str(), &again.id),
            ("", &reset.id),
            "the id of a reset can be resumed from"
        );
    }
}

#[tokio::test]
async fn a_slow_reader_is_reset_and_nobody_else() {
    let api = Api::new().await;
    let mut slow = Stream::open(&api, "", None).await;
    let mut quick = Stream::open(&api, "", None).await;
    slow.next().await;
    quick.next().await;
    for n in 0..200 {
        publish(&api, n..n + 1);
        assert_eq!(quick.event().await.data, n.to_string());
    }
    assert_eq!(slow.event().await.kind, "reset");
    publish(&api, 200..201);
    assert_eq!(slow.event().await.data, "200");
}

#[tokio::test]
async fn one_conference_can_be_picked() {
    let api = Api::new().await;
    let mut stream = Stream::open(&api, "?conference=c2", None).await;
    stream.next().await;
    api.events.publish("conference", Some(ConferenceId(1)), &"one");
    api.events.publish("conference", Some(ConferenceId(2)), &"two");
    api.events.publish("alarm", None, &"all");
    assert_eq!(stream.event().await.data, "\"two\"");
    assert_eq!(stream.event().await.data, "\"all\"");
}

#[tokio::test]
async fn levels_come_beside_the_ring() {
    let api = Api::new().await;
    let (path, sites) = api.meeting(&["A", "B"]).await;
    let id = path.rsplit('/').next().unwrap();
    let before = api.events.newest();
    api.focus.voice(id, &[(&sites[0], -20, true), (&sites[1], -70, false)]);
    let mut stream = Stream::open(&api, &format!("?conference={id}"), None).await;
    let level = loop {
        let frame = stream.next().await.unwrap();
        if frame.kind == "level" {
            break frame;
        }
    };
    assert!(level.id.is_empty(), "not to be resumed from");
    let told = level.json();
    assert_eq!(told["conference"], id);
    let a = told["participants"]
        .as_array()
        .unwrap()
        .iter()
        .find(|p| p["id"] == sites[0].as_str())
        .unwrap()
        .clone();
    assert_eq!((&a["audio"]["level_dbov"], &a["audio"]["speaking"]), (&json!(-20), &json!(true)));
    assert!(api.events.newest() - before <= 2, "levels do not fill the ring");
}

#[tokio::test]
async fn signing_out_ends_the_stream() {
    let api = Api::with(|state| state.with_keep_alive(Duration::from_millis(20))).await;
    let mut stream = Stream::open(&api, "", None).await;
    stream.next().await;
    let alive = stream.next().await.unwrap();
    assert!(alive.kind.is_empty(), "a comment while nothing happens: {alive:?}");
    api.delete("/api/v1/sessions/current").await;
    while let Some(frame) = stream.next().await {
        assert!(frame.kind.is_empty(), "{frame:?}");
    }
}

#[tokio::test]
async fn shutting_down_ends_the_streams() {
    let api = Api::new().await;
    let mut stream = Stream::open(&api, "", None).await;
    stream.next().await;
    api.state.shutdown().cancel();
    assert_eq!(stream.next().await, None);
}
