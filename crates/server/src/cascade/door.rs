//! The two routes other MCUs come to: to get a certificate, and to link.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Extension, Json, Router,
    extract::{ConnectInfo, DefaultBodyLimit, Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use cau_cascade::Path;
use cau_drive::Clock;
use cau_model::Words;
use cau_store::{Enrolment, Store};
use hyper_util::rt::TokioIo;
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::{handshake::derive_accept_key, protocol::Role};

use super::{
    driver::Input,
    line::{self, PROTOCOL},
    refusals::Refusals,
};
use crate::tls::authority::{self, Authority};

/// Largest body of an enrolment, bytes.
const MAX_BODY: usize = 16_384;

/// The certificate a connection has shown; the listener puts it there. The authority has issued it.
#[derive(Debug, Clone)]
pub struct Shown(pub Option<Arc<[u8]>>);

/// What the routes need.
#[derive(Clone)]
pub struct Door {
    /// Who may come.
    pub store: Store,
    /// Issues certificates.
    pub authority: Arc<Authority>,
    /// Told who was refused.
    pub refusals: Refusals,
    /// Takes the links.
    pub inputs: mpsc::Sender<Input>,
}

/// A slave's request.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Enrol {
    /// 64 hexadecimal digits: the secret part of the token.
    pub token: String,
    /// PEM.
    pub csr: String,
}

/// What it gets.
#[derive(Serialize, Deserialize)]
pub struct Enrolled {
    /// PEM.
    pub certificate: String,
    /// The authority it is of, PEM.
    pub authority: String,
    /// The path it is bound to.
    pub path: String,
}

/// Why it gets nothing.
#[derive(Serialize, Deserialize)]
pub struct Refused {
    /// For people.
    pub words: Words,
}

struct Refusal(StatusCode, Words);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.0, Json(Refused { words: self.1 })).into_response()
    }
}

/// The routes for other MCUs.
pub fn routes(door: Door) -> Router {
    Router::new()
        .route("/enrol", post(enrol))
        .route("/link", get(link))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(door)
}

impl Door {
    fn refuse(&self, peer: SocketAddr, reason: &'static str, status: StatusCode) -> Refusal {
        self.refusals.tell(peer, reason);
        let (vi, en) = super::refusals::words(reason);
        Refusal(status, Words::new(vi, en))
    }

    fn failed(e: &dyn std::fmt::Display) -> Refusal {
        tracing::error!("a link cannot be made: {e}");
        Refusal(StatusCode::SERVICE_UNAVAILABLE, Words::new("MCU cấp trên gặp lỗi", "the master failed"))
    }
}

async fn enrol(
    State(door): State<Door>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    body: Result<Json<Enrol>, axum::extract::rejection::JsonRejection>,
) -> Result<Json<Enrolled>, Refusal> {
    let unreadable = || door.refuse(peer, "request", StatusCode::UNPROCESSABLE_ENTITY);
    let Json(body) = body.map_err(|_| unreadable())?;
    let request = authority::Request::read(&body.csr).ok_or_else(unreadable)?;
    let wrong = || door.refuse(peer, "token", StatusCode::FORBIDDEN);
    let secret = authority::unhex(&body.token).filter(|secret| secret.len() == 32).ok_or_else(wrong)?;
    let (token, key, now) = (Sha256::digest(secret).into(), request.key(), Clock::wall_now());
    let found = door.store.enrolment(&token, &key, now).await.map_err(|e| Door::failed(&e))?;
    let (link, certificate) = match found {
        Enrolment::Refused => return Err(wrong()),
        Enrolment::Again(link, pem) => (link, pem),
        Enrolment::Open(link) => {
            let path: Path = link.path.parse().map_err(|e| Door::failed(&e))?;
            let pem = door.authority.link(&path, &request, now).map_err(|e| Door::failed(&e))?;
            let der = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|e| Door::failed(&e))?;
            let hash = authority::fingerprint(&der);
            let spent = door.store.enrol(link.id, &key, &hash, &pem, now).await;
            if !spent.map_err(|e| Door::failed(&e))? {
                return Err(wrong());
            }
            tracing::info!(%peer, path = link.path, "a slave has enrolled");
            (link, pem)
        }
    };
    Ok(Json(Enrolled { certificate, authority: door.authority.pem().to_owned(), path: link.path }))
}

async fn link(
    State(door): State<Door>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Extension(Shown(shown)): Extension<Shown>,
    mut request: Request,
) -> Result<Response, Refusal> {
    let Some(shown) = shown else {
        return Err(door.refuse(peer, "no-certificate", StatusCode::FORBIDDEN));
    };
    let other = authority::peer_in(&shown);
    let path = match &other {
        Some(path) => path.clone(),
        None => {
            let path = door.identity(&shown).await?;
            path.map_err(|reason| door.refuse(peer, reason, StatusCode::FORBIDDEN))?
        }
    };
    let Some(key) = websocket_key(request.headers()) else {
        return Err(door.refuse(peer, "protocol", StatusCode::BAD_REQUEST));
    };
    let upgraded = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let Ok(upgraded) = upgraded.await else { return };
        if other.is_some() {
            let socket = line::socket(TokioIo::new(upgraded), Role::Server).await;
            let _ = door.inputs.send(Input::PeerAccepted(Box::new(socket))).await;
            return;
        }
        // It may have been revoked meanwhile.
        if matches!(door.identity(&shown).await, Ok(Ok(_))) {
            let socket = line::socket(TokioIo::new(upgraded), Role::Server).await;
            let _ = door.inputs.send(Input::Accepted(Box::new(socket), path)).await;
        }
    });
    let mut response = StatusCode::SWITCHING_PROTOCOLS.into_response();
    let headers = response.headers_mut();
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(PROTOCOL));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, HeaderValue::try_from(key).map_err(|e| Door::failed(&e))?);
    Ok(response)
}

impl Door {
    /// The path a certificate stands for now, or why it stands for none.
    async fn identity(&self, certificate: &[u8]) -> Result<Result<Path, &'static str>, Refusal> {
        let stored = self.store.link_with(&authority::fingerprint(certificate)).await;
        let Some(stored) = stored.map_err(|e| Self::failed(&e))? else { return Ok(Err("revoked")) };
        let path = authority::path_in(certificate).filter(|path| path.as_str() == stored.path);
        Ok(path.ok_or("wrong-path"))
    }
}

/// What to answer to a good upgrade (RFC 6455 4.2.1).
fn websocket_key(headers: &HeaderMap) -> Option<String> {
    let has = |name: header::HeaderName, word: &str| {
        let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|item| item.trim().eq_ignore_ascii_case(word))
    };
    let key = headers.get(header::SEC_WEBSOCKET_KEY)?.as_bytes();
    let good = has(header::UPGRADE, "websocket")
        && has(header::CONNECTION, "upgrade")
        && has(header::SEC_WEBSOCKET_VERSION, "13")
        && has(header::SEC_WEBSOCKET_PROTOCOL, PROTOCOL);
    (good && key.len() == 24).then(|| derive_accept_key(key))
}
