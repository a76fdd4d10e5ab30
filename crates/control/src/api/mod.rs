//! The routes under `/api/v1`.

pub(crate) mod about;
pub(crate) mod bring_up;
pub(crate) mod cascade;
pub(crate) mod conferences;
pub(crate) mod dial;
pub(crate) mod journal;
pub(crate) mod message;
pub(crate) mod page;
pub(crate) mod participants;
pub(crate) mod picture;
pub(crate) mod scenes;
pub(crate) mod sessions;
pub(crate) mod standby;
pub(crate) mod stream;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use cau_model::{ConferenceId, ParticipantId};
use utoipa::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{Problem, State, problem::Body9457};

/// What stands at the head of the OpenAPI file.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Cầu",
        description = "Control of the multipoint control unit. Errors are application/problem+json (RFC 9457); `title` is \
            English and stable, `detail` is in Vietnamese or English by Accept-Language (Vietnamese when absent). Lists are \
            paged by `limit` and `after` with a `Link` header. Times are RFC 3339 UTC, ratios 0–1, ids opaque strings.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0")
    ),
    servers((url = "/api/v1")),
    tags(
        (name = "sessions", description = "Signing in and out"),
        (name = "conferences", description = "Meetings"),
        (name = "participants", description = "Sites in a meeting"),
        (name = "picture", description = "Layout, speaker, stills"),
        (name = "operations", description = "What takes a while: bringing a site up"),
        (name = "events", description = "What happens, live"),
        (name = "cascade", description = "The MCUs above and below, and their sites")
    ),
    components(schemas(Body9457)),
    modifiers(&Security)
)]
struct Head;

struct Security;

impl utoipa::Modify for Security {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
        let components = openapi.components.get_or_insert_default();
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        components.add_security_scheme("token", SecurityScheme::Http(bearer));
        let cookie = ApiKey::Cookie(ApiKeyValue::new(crate::auth::COOKIE));
        components.add_security_scheme("console", SecurityScheme::ApiKey(cookie));
        let requirement = |name| utoipa::openapi::SecurityRequirement::new(name, Vec::<String>::new());
        openapi.security = Some(vec![requirement("token"), requirement("console")]);
    }
}

/// The routes that need a sign-in, and those that do not, each with its part of the OpenAPI description.
pub(crate) fn routes() -> (OpenApiRouter<State>, OpenApiRouter<State>) {
    let closed = OpenApiRouter::with_openapi(Head::openapi())
        .routes(routes!(sessions::current, sessions::sign_out))
        .routes(routes!(conferences::list, conferences::create))
        .routes(routes!(conferences::one, conferences::change, conferences::end))
        .routes(routes!(journal::of_conference))
        .routes(routes!(participants::list, participants::patch_all, dial::invite))
        .routes(routes!(participants::one, participants::patch, participants::hang_up))
        .routes(routes!(picture::layout))
        .routes(routes!(picture::speaker))
        .routes(routes!(message::set, message::clear))
        .routes(routes!(picture::preview))
        .routes(routes!(about::about))
        .routes(routes!(about::layouts))
        .routes(routes!(stream::events))
        .routes(routes!(bring_up::bring_up))
        .routes(routes!(bring_up::operation))
        .routes(routes!(scenes::prepared))
        .routes(routes!(scenes::prepare))
        .routes(routes!(scenes::take))
        .routes(routes!(scenes::undo))
        .routes(routes!(scenes::release))
        .routes(routes!(cascade::tree))
        .routes(routes!(cascade::links, cascade::add))
        .routes(routes!(cascade::remove))
        .routes(routes!(standby::standby))
        .routes(routes!(standby::take_command))
        .routes(routes!(standby::drill))
        .routes(routes!(scenes::floor))
        .routes(routes!(scenes::call_all));
    let open = OpenApiRouter::new().routes(routes!(sessions::sign_in));
    (closed, open)
}

macro_rules! problem_response {
    ($(#[$doc:meta])* $name:ident, $status:literal, $text:literal) => {
        $(#[$doc])*
        #[derive(utoipa::IntoResponses)]
        #[response(status = $status, description = $text, content_type = "application/problem+json")]
        #[allow(dead_code)]
        pub(crate) struct $name(Body9457);
    };
}
problem_response!(
    /// 401 in the description.
    Unauthorized, 401, "Not signed in, or the session has expired"
);
problem_response!(
    /// 404 in the description.
    NotFound, 404, "No such conference or participant"
);
problem_response!(
    /// 409 in the description.
    Conflict, 409, "It exists already, or changed meanwhile"
);
problem_response!(
    /// 422 in the description.
    Unprocessable, 422, "It makes no sense; `field` says which part"
);
problem_response!(
    /// 503 in the description.
    Unavailable, 503, "Not now; Retry-After says when"
);

/// The conference of the path; what is no id is no such conference.
pub(crate) struct InConference(pub ConferenceId);

/// The participant of the path, and where.
pub(crate) struct OfParticipant(pub ConferenceId, pub ParticipantId);

impl<S: Send + Sync> FromRequestParts<S> for InConference {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = axum::extract::Path::<std::collections::HashMap<String, String>>::from_request_parts(
            parts, state,
        );
        let path = path.await.map_err(|_| no_conference())?;
        path.get("id").and_then(|id| id.parse().ok()).map(Self).ok_or_else(no_conference)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for OfParticipant {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let InConference(conference) = InConference::from_request_parts(parts, state).await?;
        let path = axum::extract::Path::<std::collections::HashMap<String, String>>::from_request_parts(
            parts, state,
        );
        let path = path.await.map_err(|_| no_participant())?;
        let participant = path.get("pid").and_then(|id| id.parse().ok()).ok_or_else(no_participant)?;
        Ok(Self(conference, participant))
    }
}

fn no_conference() -> Problem {
    Problem::missing("Không có phiên họp này.", "There is no such conference.")
}

fn no_participant() -> Problem {
    Problem::missing("Phiên họp không có điểm cầu này.", "There is no such participant in the conference.")
}
