//! The routes put together: API, console, documentation, health.

use axum::{
    Extension, Json as Answer, Router,
    extract::{DefaultBodyLimit, Request},
    http::{HeaderName, HeaderValue, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use utoipa::openapi::OpenApi;

use crate::{MAX_BODY, Problem, Secure, State, api, auth, client, console, health, problem};

/// What the pages of the console may load: their own files, stills, the API. No script but ours, no frame around it.
const CSP: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; \
     manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";
/// Swagger UI writes style attributes and loads icons as data.
const CSP_DOCS: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
     connect-src 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Everything the HTTP listeners serve. Serve it with `into_make_service_with_connect_info::<SocketAddr>()`: the lock-out
/// on guessing and `/metrics` look at the peer's address. On a TLS listener add `Extension(Secure)`.
pub fn router(state: State) -> Router {
    let (api, openapi) = api_router(&state);
    let description = openapi.clone();
    Router::new()
        .nest("/api/v1", api.with_state(state.clone()))
        .route("/api/v1/openapi.json", get(async move || Answer(description)))
        .merge(docs())
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(health::metrics))
        .fallback(fallback)
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(middleware::from_fn(problem::localize))
        .layer(middleware::from_fn(headers))
        .layer(middleware::from_fn_with_state(state.clone(), client::find))
        .with_state(state)
}

/// The description of the API (OpenAPI 3.1), as committed in `docs/openapi.json`.
pub fn openapi() -> OpenApi {
    let (closed, open) = api::routes();
    closed.merge(open).into_openapi()
}

fn api_router(state: &State) -> (Router<State>, OpenApi) {
    let (closed, open) = api::routes();
    let (closed, _) = closed.split_for_parts();
    let (open, _) = open.split_for_parts();
    // Behind the sign-in stands every path of the API that is not expressly open, those that do not exist included.
    let closed = closed
        .fallback(nothing_here)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn_with_state(state.clone(), auth::require));
    (Router::new().merge(open.method_not_allowed_fallback(wrong_method)).merge(closed), openapi())
}

fn docs() -> Router<State> {
    let config = utoipa_swagger_ui::Config::from("/api/v1/openapi.json").try_it_out_enabled(false);
    utoipa_swagger_ui::SwaggerUi::new("/docs").config(config).into()
}

/// Paths outside the API: the files of the console.
async fn fallback(request: Request) -> Response {
    if !matches!(*request.method(), axum::http::Method::GET | axum::http::Method::HEAD) {
        return nothing_here().await.into_response();
    }
    console::serve(request.uri().clone(), request.headers().clone()).await
}

async fn nothing_here() -> Problem {
    Problem::missing("Không có địa chỉ này trên máy chủ.", "There is nothing at this address.")
}

async fn wrong_method() -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "Địa chỉ này không nhận phương thức đó; xem header Allow.",
        "This address does not take that method; see the header Allow.",
    )
}

/// Middleware: headers that keep browsers from helping an attacker.
async fn headers(secure: Option<Extension<Secure>>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let csp = if path.starts_with("/docs") { CSP_DOCS } else { CSP };
    let api = path.starts_with("/api/");
    let mut response = next.run(request).await;
    let out = response.headers_mut();
    let mut set = |name: HeaderName, value: &'static str| {
        out.insert(name, HeaderValue::from_static(value));
    };
    set(header::CONTENT_SECURITY_POLICY, csp);
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(header::X_FRAME_OPTIONS, "DENY");
    set(header::REFERRER_POLICY, "no-referrer");
    set(HeaderName::from_static("cross-origin-opener-policy"), "same-origin");
    set(HeaderName::from_static("cross-origin-resource-policy"), "same-origin");
    set(HeaderName::from_static("permissions-policy"), "camera=(), microphone=(), geolocation=()");
    if api {
        set(header::CACHE_CONTROL, "no-store");
    }
    if secure.is_some() {
        set(header::STRICT_TRANSPORT_SECURITY, "max-age=31536000");
    }
    response
}
