//! Errors as `application/problem+json` (RFC 9457), in plain words.
//!
//! `title` is English and stable for programs to match on together with `status`; `detail` says what happened and what to
//! do, in Vietnamese or English by Accept-Language (Vietnamese when the header is absent); `field` names the part of the
//! request that is wrong, as `layout` or `seats[1].seat`.

use axum::{
    body::Body,
    extract::Request,
    http::{HeaderName, HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use cau_model::{Refusal, Words};
use serde::Serialize;

use crate::language::Language;

/// An answer that is not a success.
#[derive(Debug, Clone)]
pub struct Problem(Box<Inner>);

/// Boxed, so that a `Result` with a problem in it stays as small as what it holds otherwise.
#[derive(Debug, Clone)]
struct Inner {
    status: StatusCode,
    words: Words,
    field: Option<String>,
    header: Option<(HeaderName, HeaderValue)>,
}

/// The body of an error (RFC 9457).
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Problem)]
pub struct Body9457 {
    /// Always `about:blank`: the kind of the problem is its status.
    #[serde(rename = "type")]
    #[schema(example = "about:blank")]
    kind: &'static str,
    /// English, the same for every problem of this status.
    #[schema(example = "Unprocessable Content")]
    title: &'static str,
    /// The HTTP status.
    #[schema(example = 422)]
    status: u16,
    /// What happened and what to do, in the language of Accept-Language.
    detail: String,
    /// Which part of the request is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "seats[1].seat")]
    field: Option<String>,
}

impl Problem {
    /// A problem in both languages.
    pub fn new(status: StatusCode, vi: impl Into<String>, en: impl Into<String>) -> Self {
        Self::with(status, Words::new(vi, en), None)
    }

    fn with(status: StatusCode, words: Words, field: Option<String>) -> Self {
        Self(Box::new(Inner { status, words, field, header: None }))
    }

    /// Names the part of the request that is wrong.
    #[must_use]
    pub fn field(mut self, field: impl Into<String>) -> Self {
        self.0.field = Some(field.into()).filter(|f: &String| !f.is_empty());
        self
    }

    /// Adds a header such as Retry-After.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: impl Into<HeaderValue>) -> Self {
        self.0.header = Some((name, value.into()));
        self
    }

    /// 422: it makes no sense.
    pub fn invalid(field: &str, vi: impl Into<String>, en: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, vi, en).field(field)
    }

    /// 404: no such thing.
    pub fn missing(vi: impl Into<String>, en: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, vi, en)
    }

    /// 503: not now.
    pub fn unavailable(vi: impl Into<String>, en: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, vi, en).header(header::RETRY_AFTER, 2)
    }

    /// 500: our fault. What happened goes to the log, not to whoever asked.
    pub fn internal(cause: &dyn std::fmt::Display) -> Self {
        tracing::error!(%cause, "a request failed");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "Máy chủ gặp lỗi; chi tiết nằm trong nhật ký hệ thống.",
            "The server failed; the details are in its log.",
        )
    }

    /// The status it will be answered with.
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    fn render(&self, language: Language) -> Body {
        let body = Body9457 {
            kind: "about:blank",
            title: title(self.0.status),
            status: self.0.status.as_u16(),
            detail: language.of_words(&self.0.words).to_owned(),
            field: self.0.field.clone(),
        };
        serde_json::to_vec(&body).unwrap_or_default().into()
    }
}

/// RFC 9457 4.2.1 wants the status phrase for `about:blank`; those of RFC 9110.
fn title(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNPROCESSABLE_ENTITY => "Unprocessable Content",
        StatusCode::PAYLOAD_TOO_LARGE => "Content Too Large",
        _ => status.canonical_reason().unwrap_or("Error"),
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = Response::new(self.render(Language::Vi));
        *response.status_mut() = self.0.status;
        if let Some((name, value)) = &self.0.header {
            response.headers_mut().insert(name.clone(), value.clone());
        }
        // `localize` writes the words when it knows the language.
        response.extensions_mut().insert(self);
        response
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let (status, field) = match &refusal {
            Refusal::NotFound(_) => (StatusCode::NOT_FOUND, None),
            Refusal::Conflict(_) => (StatusCode::CONFLICT, None),
            Refusal::Invalid { field, .. } => (StatusCode::UNPROCESSABLE_ENTITY, Some(field.clone())),
        };
        Self::with(status, refusal.words().clone(), field)
    }
}

impl From<cau_store::Error> for Problem {
    fn from(e: cau_store::Error) -> Self {
        use cau_store::Error as E;
        match &e {
            E::RoomTaken(room) => Self::new(
                StatusCode::CONFLICT,
                format!("Phòng {room} đã có phiên họp khác dùng."),
                format!("Room {room} is used by another conference."),
            )
            .field("room"),
            E::PathTaken(path) => Self::new(
                StatusCode::CONFLICT,
                format!("Đã có đường nối cho {path}; hãy xóa nó trước."),
                format!("There is a link for {path} already; delete it first."),
            )
            .field("path"),
            E::TooManyLinks(most) => Self::new(
                StatusCode::CONFLICT,
                format!("Đã có {most} đường nối, không thêm được nữa."),
                format!("There are {most} links already; no more can be added."),
            ),
            E::Missing(_) => Self::missing("Không có phiên họp này.", "There is no such conference."),
            E::NotWritable { .. } => {
                tracing::error!(error = %e, "the store cannot be written");
                Self::unavailable(
                    "Không ghi được vào ổ đĩa của máy chủ; thay đổi chưa được thực hiện.",
                    "The server's disk cannot be written; nothing was changed.",
                )
            }
            E::Busy { .. } => {
                tracing::error!(error = %e, "the store is busy");
                Self::unavailable(
                    "Ổ đĩa của máy chủ đang quá tải; thay đổi chưa được thực hiện, hãy thử lại.",
                    "The server's disk is overloaded; nothing was changed, try again.",
                )
            }
            _ => Self::internal(&e),
        }
    }
}

/// Middleware: writes the words of a [`Problem`] in the language of the request.
pub(crate) async fn localize(request: Request, next: Next) -> Response {
    let language = Language::of(request.headers());
    let head = request.method() == axum::http::Method::HEAD;
    let mut response = next.run(request).await;
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        let body = problem.render(language);
        *response.body_mut() = if head { Body::empty() } else { body };
        let headers = response.headers_mut();
        headers.remove(header::CONTENT_LENGTH);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CONTENT_LANGUAGE, HeaderValue::from_static(language.tag()));
        headers.append(header::VARY, HeaderValue::from_static("Accept-Language"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}
