//! Signing in and out.

use axum::{
    Extension, Json as Answer,
    extract::State as Extracted,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use cau_store::{Session, SignInError};
use serde::{Deserialize, Serialize};
use std::time::SystemTime;
use utoipa::ToSchema;

use super::{Unauthorized, Unavailable, Unprocessable};
use crate::{
    Problem, State,
    auth::{Secure, SignedIn, set_cookie},
    client::Client,
    json::Json,
};

/// Longest user name looked at, in characters.
const MAX_NAME: usize = 128;

/// `POST /sessions`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Credentials {
    /// Upper and lower case are the same.
    username: String,
    #[schema(format = Password)]
    password: String,
}

/// A new session.
#[derive(Serialize, ToSchema)]
pub(crate) struct Created {
    /// To be sent as `Authorization: Bearer …`. Shown only here.
    token: String,
    /// RFC 3339, UTC.
    #[schema(format = DateTime)]
    expires_at: String,
    /// `admin`.
    role: &'static str,
}

/// Who is signed in.
#[derive(Serialize, ToSchema)]
pub(crate) struct Current {
    username: String,
    /// RFC 3339, UTC.
    #[schema(format = DateTime)]
    expires_at: String,
    /// `admin`.
    role: &'static str,
}

/// Signs in.
///
/// Also sets the console's cookie (HttpOnly, SameSite=Strict). After five wrong passwords for a user from an address the
/// next try is refused (429, Retry-After) for 30 s, doubled by each further one up to 15 min; the same after 200 for a user
/// from everywhere, or from an address for everybody.
#[utoipa::path(post, path = "/sessions", operation_id = "signIn", tag = "sessions", request_body = Credentials, security(()),
    responses((status = 201, body = Created), Unauthorized, Unprocessable, Unavailable,
        (status = 429, description = "Too many wrong passwords", content_type = "application/problem+json", body = crate::problem::Body9457)))]
pub(crate) async fn sign_in(
    Extracted(state): Extracted<State>,
    Extension(client): Extension<Client>,
    secure: Option<Extension<Secure>>,
    Json(body): Json<Credentials>,
) -> Result<Response, Problem> {
    let from = client.ip;
    let now = (state.clock)();
    if body.username.chars().count() > MAX_NAME {
        return Err(wrong());
    }
    let signed = match state.store.sign_in(&body.username, &body.password, from, now).await {
        Ok(signed) => signed,
        Err(e) => {
            // Only guesses that cost the guesser something: others could fill the journal.
            if matches!(e, SignInError::Wrong) {
                state.note(&body.username, "session.refused", None, serde_json::json!({ "from": from }));
            }
            return Err(refused(e, now));
        }
    };
    state.note(&signed.session.user.name, "session.created", None, serde_json::json!({ "from": from }));
    let seconds = signed.session.expires_at.duration_since(now).map_or(0, |d| d.as_secs());
    let cookie = set_cookie(Some(&signed.token), seconds, secure.is_some());
    let role = signed.session.user.role.as_str();
    let body = Created { token: signed.token, expires_at: rfc3339(signed.session.expires_at), role };
    Ok((StatusCode::CREATED, [(header::SET_COOKIE, cookie)], Answer(body)).into_response())
}

/// Who is signed in, and until when.
#[utoipa::path(get, path = "/sessions/current", operation_id = "currentSession", tag = "sessions", responses((status = 200, body = Current), Unauthorized))]
pub(crate) async fn current(SignedIn { session, .. }: SignedIn) -> Answer<Current> {
    let Session { user, expires_at } = session;
    Answer(Current { username: user.name, expires_at: rfc3339(expires_at), role: user.role.as_str() })
}

/// Signs out: the token stops working at once, its event streams end.
#[utoipa::path(delete, path = "/sessions/current", operation_id = "signOut", tag = "sessions", responses((status = 204, description = "Signed out"), Unauthorized))]
pub(crate) async fn sign_out(
    Extracted(state): Extracted<State>,
    secure: Option<Extension<Secure>>,
    signed_in: SignedIn,
) -> Result<Response, Problem> {
    state.store.sign_out(&signed_in.token).await?;
    state.note(signed_in.name(), "session.ended", None, serde_json::json!({}));
    let mut headers = HeaderMap::new();
    headers.insert(header::SET_COOKIE, set_cookie(None, 0, secure.is_some()));
    Ok((StatusCode::NO_CONTENT, headers).into_response())
}

fn refused(e: SignInError, now: SystemTime) -> Problem {
    match e {
        SignInError::Wrong => wrong(),
        SignInError::Locked { until } => {
            let seconds = until.duration_since(now).map_or(1, |d| d.as_secs().max(1));
            Problem::new(
                StatusCode::TOO_MANY_REQUESTS,
                format!("Sai mật khẩu quá nhiều lần; hãy thử lại sau {seconds} giây."),
                format!("Too many wrong passwords; try again in {seconds} seconds."),
            )
            .header(header::RETRY_AFTER, seconds)
        }
        SignInError::Busy => Problem::unavailable(
            "Quá nhiều người đang đăng nhập cùng lúc; hãy thử lại.",
            "Too many sign-ins at a time; try again.",
        ),
        SignInError::Store(e) => e.into(),
    }
}

fn wrong() -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, "Sai tên đăng nhập hoặc mật khẩu.", "Wrong user name or password.")
        .header(header::WWW_AUTHENTICATE, axum::http::HeaderValue::from_static("Bearer"))
}

/// RFC 3339 in UTC, to the second.
pub(crate) fn rfc3339(t: SystemTime) -> String {
    jiff::Timestamp::try_from(t)
        .and_then(|t| t.round(jiff::Unit::Second))
        .map_or_else(|_| String::new(), |t| t.to_string())
}
