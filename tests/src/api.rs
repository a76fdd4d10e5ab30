//! A small client of the HTTP API.

use std::{
    io::{BufRead as _, BufReader},
    sync::mpsc::{Receiver, channel},
    thread,
    time::Duration,
};

use serde_json::{Value, json};

/// The API of one server.
#[derive(Clone)]
pub struct Api {
    base: String,
    token: Option<String>,
    agent: ureq::Agent,
}

impl Api {
    /// Of the server at this port of the loopback.
    pub fn new(port: u16) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(10)))
            .build();
        Self { base: format!("http://127.0.0.1:{port}"), token: None, agent: config.into() }
    }

    /// `host:port`, for those who speak HTTP by hand.
    pub fn address(&self) -> String {
        self.base.trim_start_matches("http://").to_owned()
    }

    /// `http://HOST:PORT`.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Signs in; panics when refused.
    #[must_use]
    pub fn sign_in(mut self, username: &str, password: &str) -> Self {
        let (status, body) =
            self.post("/api/v1/sessions", &json!({ "username": username, "password": password }));
        assert_eq!(status, 201, "signing in: {body}");
        self.token = Some(body["token"].as_str().expect("a token").to_owned());
        self
    }

    /// GET: status and body (JSON, or text as a string; null when empty).
    pub fn get(&self, path: &str) -> (u16, Value) {
        let mut request = self.agent.get(format!("{}{path}", self.base));
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        Self::read(request.call())
    }

    /// GET of bytes.
    pub fn bytes(&self, path: &str) -> (u16, Vec<u8>) {
        let mut request = self.agent.get(format!("{}{path}", self.base));
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        match request.call() {
            Ok(mut answer) => (answer.status().as_u16(), answer.body_mut().read_to_vec().unwrap_or_default()),
            Err(_) => (0, Vec::new()),
        }
    }

    /// What happens from now on: kind and content of every event, until the server ends.
    pub fn events(&self) -> Receiver<(String, Value)> {
        let endless: ureq::Agent = ureq::Agent::config_builder().build().into();
        let request = endless.get(format!("{}/api/v1/events", self.base));
        let token = self.token.as_deref().unwrap_or_default();
        let answer = request.header("authorization", format!("Bearer {token}")).call().expect("the events");
        let (told, events) = channel();
        thread::spawn(move || {
            let mut kind = String::new();
            for line in BufReader::new(answer.into_body().into_reader()).lines() {
                let Ok(line) = line else { return };
                if let Some(named) = line.strip_prefix("event:") {
                    named.trim().clone_into(&mut kind);
                } else if let Some(data) = line.strip_prefix("data:") {
                    let content = serde_json::from_str(data.trim()).unwrap_or_default();
                    if told.send((kind.clone(), content)).is_err() {
                        return;
                    }
                }
            }
        });
        events
    }

    /// POST.
    pub fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        self.with_body(self.agent.post(format!("{}{path}", self.base)), body)
    }

    /// PUT.
    pub fn put(&self, path: &str, body: &Value) -> (u16, Value) {
        self.with_body(self.agent.put(format!("{}{path}", self.base)), body)
    }

    /// PATCH.
    pub fn patch(&self, path: &str, body: &Value) -> (u16, Value) {
        self.with_body(self.agent.patch(format!("{}{path}", self.base)), body)
    }

    /// DELETE.
    pub fn delete(&self, path: &str) -> (u16, Value) {
        let mut request = self.agent.delete(format!("{}{path}", self.base));
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        Self::read(request.call())
    }

    /// The participants of a conference that are connected.
    pub fn connected(&self, conference: &str) -> Vec<Value> {
        let (status, list) = self.get(&format!("/api/v1/conferences/{conference}/participants?limit=10000"));
        assert_eq!(status, 200, "participants: {list}");
        let all = list.as_array().cloned().unwrap_or_default();
        all.into_iter().filter(|p| p["state"] == "connected").collect()
    }

    fn with_body(
        &self,
        mut request: ureq::RequestBuilder<ureq::typestate::WithBody>,
        body: &Value,
    ) -> (u16, Value) {
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        Self::read(request.send_json(body))
    }

    fn read(answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> (u16, Value) {
        match answer {
            Ok(mut answer) => {
                let text = answer.body_mut().read_to_string().unwrap_or_default();
                let body = serde_json::from_str(&text).unwrap_or(if text.is_empty() {
                    Value::Null
                } else {
                    Value::String(text)
                });
                (answer.status().as_u16(), body)
            }
            Err(e) => (0, Value::String(e.to_string())),
        }
    }
}
