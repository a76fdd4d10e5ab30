//! A client of the HTTP API.

use std::{
    io::{BufRead, BufReader, Read},
    time::Duration,
};

use serde_json::{Value, json};
use ureq::http::{Response, StatusCode};

use crate::failure::Failure;

/// The server answers within milliseconds; longer means that it does not.
const PATIENCE: Duration = Duration::from_secs(15);
/// Entries of a list asked for at a time.
const PAGE: usize = 500;

/// The API of one MCU, signed in.
pub struct Api {
    base: String,
    language: String,
    token: String,
    /// The session is ours: it ends with us.
    own: bool,
    agent: ureq::Agent,
}

/// A refusal of the API.
pub struct Problem {
    /// In the language asked for.
    pub words: String,
    /// Which part of the request.
    field: Option<String>,
}

impl Problem {
    /// The place in a list that the refusal names: `[3].uri`.
    pub fn element(&self) -> Option<usize> {
        self.field.as_deref()?.strip_prefix('[')?.split(']').next()?.parse().ok()
    }
}

impl Api {
    /// Signs in where there is no token.
    pub fn open(
        url: &str,
        language: &str,
        token: Option<&str>,
        user: &str,
        password: Option<&str>,
    ) -> Result<Self, Failure> {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(PATIENCE))
            .timeout_recv_response(Some(PATIENCE))
            .build();
        let mut api = Self {
            base: format!("{}/api/v1", url.trim_end_matches('/')),
            language: language.to_owned(),
            token: token.unwrap_or_default().to_owned(),
            own: false,
            agent: config.into(),
        };
        if token.is_none() {
            let password = password.ok_or_else(|| {
                Failure::Ctl("no sign-in: give a token (CAU_TOKEN) or a password (CAU_PASSWORD)".into())
            })?;
            let made = api.post("/sessions", &json!({ "username": user, "password": password }))?;
            api.token = made["token"].as_str().unwrap_or_default().to_owned();
            api.own = true;
        }
        Ok(api)
    }

    /// Signs out again.
    pub fn close(&self) {
        if self.own {
            // Nothing is lost when it fails: the session ends by itself.
            let _ = self.delete("/sessions/current");
        }
    }

    pub fn get(&self, path: &str) -> Result<Value, Failure> {
        whole(self.read(self.with(self.agent.get(self.url(path))).call())?)
    }

    pub fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        whole(self.try_post(path, body)?)
    }

    /// A refusal is an answer.
    pub fn try_post(&self, path: &str, body: &Value) -> Result<Result<Value, Problem>, Failure> {
        self.read(self.with(self.agent.post(self.url(path))).send_json(body))
    }

    pub fn put(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        whole(self.read(self.with(self.agent.put(self.url(path))).send_json(body))?)
    }

    pub fn delete(&self, path: &str) -> Result<Value, Failure> {
        whole(self.read(self.with(self.agent.delete(self.url(path))).call())?)
    }

    /// A whole list, page by page.
    pub fn list(&self, path: &str) -> Result<Vec<Value>, Failure> {
        self.pages(path, "", "id")
    }

    /// The same with more in the query (`&depth=1`), of things told apart by `key`.
    pub fn pages(&self, path: &str, query: &str, key: &str) -> Result<Vec<Value>, Failure> {
        let mut all = Vec::new();
        let mut after = String::new();
        loop {
            let page = self.get(&format!("{path}?limit={PAGE}{query}{after}"))?;
            let page = page.as_array().cloned().unwrap_or_default();
            let last = page.last().and_then(|p| p[key].as_str()).map(super::cascade::encoded);
            let more = page.len() == PAGE;
            all.extend(page);
            match last.filter(|_| more) {
                Some(id) => after = format!("&after={id}"),
                None => return Ok(all),
            }
        }
    }

    /// What happens from now on.
    pub fn events(&self, query: &str) -> Result<Lines, Failure> {
        let request = self.with(self.agent.get(self.url(&format!("/events{query}"))));
        let response = request.call().map_err(|e| self.unreachable(&e))?;
        if response.status() != StatusCode::OK {
            return Err(whole(self.read(Ok(response))?)
                .err()
                .unwrap_or_else(|| Failure::Ctl("no events".into())));
        }
        let body: Box<dyn Read> = Box::new(response.into_body().into_reader());
        Ok(Lines(BufReader::new(body)))
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    fn with<B>(&self, request: ureq::RequestBuilder<B>) -> ureq::RequestBuilder<B> {
        let request = request.header("accept-language", &self.language);
        if self.token.is_empty() {
            return request;
        }
        request.header("authorization", format!("Bearer {}", self.token))
    }

    fn unreachable(&self, e: &ureq::Error) -> Failure {
        Failure::Ctl(format!("{}: {e}. Is the MCU running there (--url, CAU_URL)?", self.base))
    }

    fn read(
        &self,
        answer: Result<Response<ureq::Body>, ureq::Error>,
    ) -> Result<Result<Value, Problem>, Failure> {
        let mut answer = answer.map_err(|e| self.unreachable(&e))?;
        let text = answer.body_mut().read_to_string().map_err(|e| self.unreachable(&e))?;
        let body: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
        if answer.status().is_success() {
            return Ok(Ok(body));
        }
        let words = body["detail"].as_str().map_or_else(|| answer.status().to_string(), str::to_owned);
        let field = body["field"].as_str().map(str::to_owned);
        Ok(Err(Problem { words, field }))
    }
}

fn whole(answer: Result<Value, Problem>) -> Result<Value, Failure> {
    answer.map_err(|problem| match problem.field {
        Some(field) => Failure::Ctl(format!("{field}: {}", problem.words)),
        None => Failure::Ctl(problem.words),
    })
}

/// A stream of server-sent events.
pub struct Lines(BufReader<Box<dyn Read>>);

impl Lines {
    /// Kind and data of the next event; `None` at the end of the stream.
    pub fn next_event(&mut self) -> Result<Option<(String, Value)>, Failure> {
        let (mut kind, mut data) = (String::new(), String::new());
        loop {
            let mut line = String::new();
            let read =
                self.0.read_line(&mut line).map_err(|e| Failure::Ctl(format!("the events end: {e}")))?;
            if read == 0 {
                return Ok(None);
            }
            let line = line.trim_end();
            if line.is_empty() {
                if !kind.is_empty() {
                    let value = serde_json::from_str(&data).unwrap_or(Value::Null);
                    return Ok(Some((kind, value)));
                }
                data.clear();
            } else if let Some(text) = line.strip_prefix("event:") {
                text.trim().clone_into(&mut kind);
            } else if let Some(text) = line.strip_prefix("data:") {
                data.push_str(text.trim_start());
            }
        }
    }
}

/// Between two looks.
#[expect(clippy::disallowed_methods, reason = "a command line waits for what it asked for")]
pub fn pause(time: Duration) {
    std::thread::sleep(time);
}
