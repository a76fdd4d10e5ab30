//! Bodies and queries that say which field is wrong.

use std::any::type_name;

use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Query as AxumQuery, Request},
    http::{StatusCode, header, request::Parts},
};
use serde::de::DeserializeOwned;

use crate::{Problem, strict::Strict};

/// Largest body taken, in bytes.
pub const MAX_BODY: usize = 1 << 20;

/// A JSON body. 413 above [`MAX_BODY`], 415 for another content type, 400 for what is no JSON, 422 naming the field for
/// what is JSON but not what is asked for.
#[derive(Debug)]
pub(crate) struct Json<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        // A page of another site can make a browser send text/plain, never this, without asking first (CORS).
        if !is_json(&request) {
            return Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "Nội dung phải là JSON (Content-Type: application/json).",
                "The body must be JSON (Content-Type: application/json).",
            ));
        }
        let bytes = Bytes::from_request(request, state).await.map_err(|e| match e.status() {
            StatusCode::PAYLOAD_TOO_LARGE => Problem::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                format!("Nội dung lớn hơn {MAX_BODY} byte."),
                format!("The body has more than {MAX_BODY} bytes."),
            ),
            _ if is_timeout(&e) => Problem::new(
                StatusCode::REQUEST_TIMEOUT,
                "Nội dung yêu cầu không đến đủ trong thời gian cho phép.",
                "The body did not arrive in time.",
            ),
            _ => bad_json("connection", "the body was cut off"),
        })?;
        parse(&bytes).map(Self)
    }
}

/// The server's listener ends a body that takes too long with such an error.
fn is_timeout(e: &(dyn std::error::Error + 'static)) -> bool {
    std::iter::successors(Some(e), |e| e.source())
        .filter_map(|e| e.downcast_ref::<std::io::Error>())
        .any(|e| e.kind() == std::io::ErrorKind::TimedOut)
}

fn is_json(request: &Request) -> bool {
    let essence = request
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|v| v.to_str().ok())
        .and_then(|v| v.split(';').next())
        .map(|v| v.trim().to_ascii_lowercase());
    essence
        .is_some_and(|e| e == "application/json" || (e.starts_with("application/") && e.ends_with("+json")))
}

/// JSON text to a value; the problem names the field.
pub(crate) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let mut track = serde_path_to_error::Track::new();
    let tracked = serde_path_to_error::Deserializer::new(&mut json, &mut track);
    let value = T::deserialize(Strict(tracked)).map_err(|cause| {
        let path = track.path().to_string();
        if !cause.is_data() {
            return bad_json(type_name::<T>(), &cause.to_string());
        }
        let cause = plain(&cause.to_string());
        // For an unknown or missing field the path is that of the object around it; the name is in the text.
        let own = ["unknown field `", "missing field `"]
            .iter()
            .find_map(|p| cause.strip_prefix(p)?.split('`').next())
            .map(str::to_owned);
        let field = match (path.as_str(), own) {
            ("." | "", Some(own)) => own,
            ("." | "", None) => String::new(),
            (path, Some(own)) if !path.ends_with(&own) => format!("{path}.{own}"),
            (path, _) => path.to_owned(),
        };
        let vi = vietnamese(&cause);
        Problem::invalid(&field, vi, format!("{cause}."))
    })?;
    json.end().map_err(|e| bad_json(type_name::<T>(), &e.to_string()))?;
    Ok(value)
}

/// Without serde's "at line 1 column 7", which is of no use for a one-line body.
fn plain(cause: &str) -> String {
    cause.rsplit_once(" at line ").map_or(cause, |(text, _)| text).to_owned()
}

fn vietnamese(cause: &str) -> String {
    if let Some(rest) = cause.strip_prefix("unknown field ") {
        let (name, known) = rest.split_once(", expected ").unwrap_or((rest, ""));
        let known = known.trim_start_matches("one of ");
        format!("Không có trường {name}; các trường hợp lệ: {known}.")
    } else if let Some(name) = cause.strip_prefix("missing field ") {
        format!("Thiếu trường {name}.")
    } else {
        format!("Giá trị không hợp lệ: {cause}.")
    }
}

fn bad_json(what: &str, cause: &str) -> Problem {
    tracing::debug!(what, cause, "no JSON");
    Problem::new(
        StatusCode::BAD_REQUEST,
        format!("Nội dung không phải JSON: {cause}."),
        format!("The body is not JSON: {cause}."),
    )
}

/// A query string; 422 names what is wrong in it.
#[derive(Debug)]
pub(crate) struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        AxumQuery::<T>::from_request_parts(parts, state).await.map(|q| Self(q.0)).map_err(|e| {
            let cause = e.body_text();
            let cause = cause.strip_prefix("Failed to deserialize query string: ").unwrap_or(&cause);
            let unknown = cause.split_once("unknown field `").and_then(|(_, rest)| rest.split('`').next());
            let field = unknown.or(cause.split(':').next()).unwrap_or_default();
            Problem::invalid(
                field,
                format!("Tham số không hợp lệ: {cause}."),
                format!("Bad parameter: {cause}."),
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Outer {
        room: String,
        #[serde(default)]
        seats: Vec<Inner>,
    }
    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Inner {
        seat: u16,
    }

    fn refused(text: &str) -> String {
        let p = parse::<Outer>(text.as_bytes()).unwrap_err();
        format!("{p:?}")
    }

    #[test]
    fn only_an_object_is_an_object() {
        for text in [r#"["1"]"#, r#"["1",[{"seat":0}]]"#, "[]", "null", "\"1\"", "7", "true"] {
            let refused = refused(text);
            assert!(refused.contains("422") && refused.contains("expected an object"), "{text}: {refused}");
            assert!(!refused.contains("Outer"), "no name of a type: {refused}");
        }
        let good = parse::<Outer>(br#" {"room":"1","seats":[{"seat":0},{"seat":3}]} "#).unwrap();
        assert_eq!((good.room.as_str(), good.seats.len()), ("1", 2));
        assert_eq!(parse::<Vec<Inner>>(br#"[{"seat":1}]"#).unwrap().len(), 1, "lists stay lists");
    }

    #[test]
    fn the_field_is_named() {
        assert!(refused(r#"{"room":1}"#).contains(r#"field: Some("room")"#));
        assert!(refused(r#"{}"#).contains(r#"field: Some("room")"#));
        assert!(refused(r#"{"room":"1","x":2}"#).contains(r#"field: Some("x")"#));
        assert!(
            refused(r#"{"room":"1","seats":[{"seat":0},{"seat":-1}]}"#)
                .contains(r#"field: Some("seats[1].seat")"#)
        );
        assert!(
            refused(r#"{"room":"1","seats":[{"seat":0,"y":1}]}"#).contains(r#"field: Some("seats[0].y")"#)
        );
        assert!(refused(r#"{"room":"1","seats":[{}]}"#).contains(r#"field: Some("seats[0].seat")"#));
        assert!(refused(r#"{"room":"1","seats":[[0]]}"#).contains(r#"field: Some("seats[0]")"#));
        for text in ["", "{", "{\"room\":\"1\"}x", "nope"] {
            assert!(refused(text).contains("400"), "{text}");
        }
    }
}
