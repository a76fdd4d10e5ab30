//! Who asks, and may he?
//!
//! A token comes as `Authorization: Bearer …` or, from the console, in the cookie `cau_session` (HttpOnly, SameSite=Strict).
//! A cookie is sent by the browser whoever made it ask, so a changing request that is signed in by cookie must also come
//! from our own page: `Sec-Fetch-Site: same-origin`, or, from older browsers, an Origin that is our Host.

use axum::{
    extract::{FromRequestParts, Request, State as Extracted},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};
use cau_store::{Role, Session};

use crate::{Problem, State};

/// Name of the console's cookie.
pub const COOKIE: &str = "cau_session";

/// Marks requests that came over TLS; the server puts it on the TLS listener's router as an `Extension`.
#[derive(Debug, Clone, Copy)]
pub struct Secure;

/// What a request wants to do; every route names one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    /// Look at conferences, participants, pictures, events.
    Watch,
    /// Steer a conference that runs: layout, speaker, sound, hang up.
    Steer,
    /// Make, change and end conferences.
    Manage,
}

/// What a role may do. The one place where this is decided.
pub fn rights(role: Role, right: Right) -> bool {
    match (role, right) {
        (Role::Admin, Right::Watch | Right::Steer | Right::Manage) => true,
    }
}

/// Who is signed in; an extractor for every route behind [`require`].
#[derive(Debug, Clone)]
pub struct SignedIn {
    /// The session.
    pub session: Session,
    /// Its token, to sign out with.
    pub token: String,
}

impl SignedIn {
    /// 403 unless the role has this right.
    pub(crate) fn may(&self, right: Right) -> Result<(), Problem> {
        if rights(self.session.user.role, right) {
            return Ok(());
        }
        Err(Problem::new(
            StatusCode::FORBIDDEN,
            "Tài khoản của bạn không có quyền làm việc này.",
            "Your account may not do this.",
        ))
    }

    /// The name for the journal.
    pub(crate) fn name(&self) -> &str {
        &self.session.user.name
    }
}

impl<S: Sync> FromRequestParts<S> for SignedIn {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get::<Self>().cloned().ok_or_else(unknown)
    }
}

/// Middleware in front of everything that needs a sign-in.
pub(crate) async fn require(
    Extracted(state): Extracted<State>,
    mut request: Request,
    next: Next,
) -> Response {
    match check(&state, request.method(), request.headers()).await {
        Ok(signed_in) => {
            request.extensions_mut().insert(signed_in);
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
    }
}

/// The sign-in of a request, by header or cookie.
pub(crate) fn check(
    state: &State,
    method: &Method,
    headers: &HeaderMap,
) -> impl Future<Output = Result<SignedIn, Problem>> + Send + use<> {
    // What is needed of the request is taken out before waiting: its body cannot be shared between threads.
    let token = token(method, headers);
    let state = state.clone();
    async move {
        let token = token?;
        let session = state.store.session(&token, (state.clock)()).await?.ok_or_else(unknown)?;
        Ok(SignedIn { session, token })
    }
}

fn token(method: &Method, headers: &HeaderMap) -> Result<String, Problem> {
    match bearer(headers) {
        Some(token) => Ok(token),
        None => {
            let token = cookie(headers).ok_or_else(unknown)?;
            if !method.is_safe() && !same_origin(headers) {
                return Err(Problem::new(
                    StatusCode::FORBIDDEN,
                    "Yêu cầu này không đến từ trang của chính máy chủ nên bị từ chối.",
                    "The request did not come from this server's own page and was refused.",
                ));
            }
            Ok(token)
        }
    }
}

fn unknown() -> Problem {
    Problem::new(
        StatusCode::UNAUTHORIZED,
        "Hãy đăng nhập: phiên đăng nhập không có hoặc đã hết hạn.",
        "Sign in first: there is no session, or it has expired.",
    )
    .header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
}

fn bearer(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())
}

fn cookie(headers: &HeaderMap) -> Option<String> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|v| v.to_str().ok())
        .flat_map(|v| v.split(';'))
        .find_map(|pair| pair.trim().strip_prefix(COOKIE)?.strip_prefix('='))
        .map(str::to_owned)
}

fn same_origin(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|v: &HeaderValue| v.to_str().ok());
    match text(header::HeaderName::from_static("sec-fetch-site")) {
        Some(site) => site == "same-origin",
        None => {
            let (Some(origin), Some(host)) = (text(header::ORIGIN), text(header::HOST)) else { return false };
            origin.split_once("://").is_some_and(|(_, o)| o.eq_ignore_ascii_case(host))
        }
    }
}

/// The cookie that signs the console in, or, without a token, the one that takes it away.
pub(crate) fn set_cookie(token: Option<&str>, seconds: u64, secure: bool) -> HeaderValue {
    let secure = if secure { "; Secure" } else { "" };
    let (token, seconds) = token.map_or(("", 0), |t| (t, seconds));
    format!("{COOKIE}={token}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}{secure}")
        .parse()
        .unwrap_or_else(|_| HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(list: &[(&'static str, &str)]) -> HeaderMap {
        list.iter().map(|(n, v)| (header::HeaderName::from_static(n), v.parse().unwrap())).collect()
    }

    #[test]
    fn tokens_are_found_in_header_and_cookie() {
        assert_eq!(bearer(&headers(&[("authorization", "bearer  abc")])).as_deref(), Some("abc"));
        assert_eq!(bearer(&headers(&[("authorization", "Basic abc")])), None);
        assert_eq!(cookie(&headers(&[("cookie", "a=b; cau_session=xyz; c=d")])).as_deref(), Some("xyz"));
        assert_eq!(cookie(&headers(&[("cookie", "cau_sessionx=xyz")])), None);
    }

    #[test]
    fn only_our_own_page_may_change_things_by_cookie() {
        let own = |list| same_origin(&headers(list));
        assert!(own(&[("sec-fetch-site", "same-origin")]));
        assert!(!own(&[("sec-fetch-site", "cross-site"), ("origin", "http://mcu"), ("host", "mcu")]));
        assert!(!own(&[("sec-fetch-site", "same-site")]));
        assert!(own(&[("origin", "http://mcu:8080"), ("host", "mcu:8080")]));
        assert!(!own(&[("origin", "http://evil"), ("host", "mcu:8080")]));
        assert!(!own(&[("origin", "null"), ("host", "mcu:8080")]));
        assert!(!own(&[("host", "mcu:8080")]));
    }

    #[test]
    fn the_cookie_is_kept_from_scripts_and_other_sites() {
        assert_eq!(
            set_cookie(Some("t"), 60, true),
            "cau_session=t; Path=/; HttpOnly; SameSite=Strict; Max-Age=60; Secure"
        );
        assert_eq!(set_cookie(None, 60, false), "cau_session=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0");
    }
}
