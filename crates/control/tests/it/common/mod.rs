//! The real router on a real store, with real conferences of `model` behind the handle instead of calls.

pub mod focus;

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use axum::{
    Router,
    body::Body,
    extract::ConnectInfo,
    http::{HeaderMap, Method, Request, StatusCode, header},
};
use cau_control::{About, Events, State};
use cau_store::{Options, Store};
use http_body_util::BodyExt;
use serde_json::Value;
use tower::ServiceExt;

pub const PASSWORD: &str = "Cau-Long-Bien-1902";

/// The API under test.
pub struct Api {
    pub router: Router,
    pub state: State,
    pub store: Store,
    pub journal: cau_store::Journal,
    pub events: Events,
    pub focus: focus::Fake,
    pub handle: cau_conference::Handle,
    pub clock: Arc<AtomicU64>,
    pub token: String,
    /// Removed at the end.
    _dir: tempfile::TempDir,
}

/// One answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub bytes: Vec<u8>,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |v| v.to_str().unwrap())
    }
    /// The status, after checking that an error is a whole problem.
    pub fn problem(&self) -> (u16, String) {
        assert_eq!(self.header("content-type"), "application/problem+json", "{}", self.text());
        let body = self.json();
        assert_eq!(body["status"], self.status.as_u16());
        assert_eq!(body["type"], "about:blank");
        assert!(!body["title"].as_str().unwrap().is_empty() && !body["detail"].as_str().unwrap().is_empty());
        (self.status.as_u16(), body["field"].as_str().unwrap_or_default().to_owned())
    }
}

impl Api {
    /// Signed in as admin; no conference yet.
    pub async fn new() -> Self {
        Self::with(|state| state).await
    }

    pub async fn with(adjust: impl FnOnce(State) -> State) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(AtomicU64::new(1_800_000_000));
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let options = Options { admin_password: Some(PASSWORD.into()), ..Options::new(dir.path()) };
        let store = Store::open(options, now).await.unwrap().store;
        let journal = store.journal();
        let events = Events::with_capacity(now, 64);
        let (focus, handle) = focus::Fake::start(events.clone());
        let ticking = clock.clone();
        let state = State::new(
            store.clone(),
            journal.clone(),
            handle.clone(),
            events.clone(),
            Arc::new(move || SystemTime::UNIX_EPOCH + Duration::from_secs(ticking.load(Ordering::Relaxed))),
            About { version: "0.1.0".into(), sip: vec!["192.0.2.10:5060".into()], logo: false },
        );
        let state = adjust(state);
        let router = cau_control::router(state.clone());
        let mut api = Self {
            router,
            state,
            store,
            journal,
            events,
            focus,
            handle,
            clock,
            token: String::new(),
            _dir: dir,
        };
        let signed = api.sign_in(PASSWORD, "192.0.2.1").await;
        api.token = signed.json()["token"].as_str().unwrap().to_owned();
        api
    }

    pub async fn sign_in(&self, password: &str, from: &str) -> Answer {
        let body = serde_json::json!({ "username": "admin", "password": password }).to_string();
        let mut request = Request::post("/api/v1/sessions")
            .header("content-type", "application/json")
            .body(Body::from(body))
            .unwrap();
        let peer: SocketAddr = (from.parse::<std::net::IpAddr>().unwrap(), 40_000).into();
        request.extensions_mut().insert(ConnectInfo(peer));
        self.raw(request).await
    }

    pub fn later(&self, seconds: u64) {
        self.clock.fetch_add(seconds, Ordering::Relaxed);
    }

    pub async fn raw(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes().to_vec();
        Answer { status: parts.status, headers: parts.headers, bytes }
    }

    pub async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token))
            .header(header::ACCEPT_LANGUAGE, "en");
        let body = match body {
            Some(json) => {
                request = request.header(header::CONTENT_TYPE, "application/json");
                Body::from(json.to_string())
            }
            None => Body::empty(),
        };
        self.raw(request.body(body).unwrap()).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, None).await
    }
    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.call(Method::POST, path, Some(body)).await
    }
    pub async fn put(&self, path: &str, body: Value) -> Answer {
        self.call(Method::PUT, path, Some(body)).await
    }
    pub async fn patch(&self, path: &str, body: Value) -> Answer {
        self.call(Method::PATCH, path, Some(body)).await
    }
    pub async fn delete(&self, path: &str) -> Answer {
        self.call(Method::DELETE, path, None).await
    }

    /// Room 8000 with these sites in it; the path of the conference and the ids of the sites.
    pub async fn meeting(&self, sites: &[&str]) -> (String, Vec<String>) {
        let made =
            self.post("/api/v1/conferences", serde_json::json!({ "room": "8000", "name": "Giao ban" })).await;
        assert_eq!(made.status, 201, "{}", made.text());
        let id = made.json()["id"].as_str().unwrap().to_owned();
        let sites = sites.iter().map(|name| self.focus.join(&id, name)).collect();
        (format!("/api/v1/conferences/{id}"), sites)
    }
}
