//! The tree of MCUs, and the links that make it.

use std::{
    fmt,
    str::FromStr,
    time::{Duration, SystemTime},
};

use axum::{
    Json as Answer,
    extract::{Path as InPath, State as Extracted},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use cau_cascade::{Path, Policy};
use cau_store::Link as Stored;
use rand::Rng as _;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use utoipa::ToSchema;

use super::{
    Conflict, NotFound, Unauthorized, Unavailable, Unprocessable, conferences::whole, page::Page,
    sessions::rfc3339,
};
use crate::{
    Problem, State,
    auth::{Right, SignedIn},
    cascade::{Above, Below, Handle, Node, Part},
    json::{Json, Query},
};

/// Seconds a token may be used when nothing is said, and at most.
const EXPIRES: u64 = 3_600;
const LONGEST: u64 = 7 * 86_400;

/// Which part of the tree.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Wanted {
    /// Path of an MCU: it and what is below; absent: everything.
    #[serde(default)]
    under: Option<String>,
    /// Levels below that, 0–12; absent: all.
    #[serde(default)]
    depth: Option<usize>,
    /// Most items in the answer, 1–10,000; 1,000 when absent.
    #[serde(default)]
    limit: Option<usize>,
    /// Path of the last item of the page before.
    #[serde(default)]
    after: Option<String>,
}

/// This MCU and everything below it: MCUs and sites, sorted by path; empty when it is in no cascade.
///
/// Changes come as events `cascade`: `{"version","changed":[…],"gone":["path"]}`, or `{"reset":true}`: read it anew.
#[utoipa::path(get, path = "/cascade/tree", operation_id = "cascadeTree", tag = "cascade", params(Wanted),
    responses((status = 200, body = Vec<Node>, headers(("Link" = String, description = "The next page"))), Unauthorized, Unprocessable, Unavailable))]
pub(crate) async fn tree(
    Extracted(state): Extracted<State>,
    signed_in: SignedIn,
    Query(wanted): Query<Wanted>,
) -> Result<Response, Problem> {
    signed_in.may(Right::Watch)?;
    let page = Page::new(wanted.limit, None);
    let (limit, _) = page.bounds::<LinkId>()?;
    let path =
        |field: &str, text: &Option<String>| text.as_deref().map(|text| parse(field, text)).transpose();
    let (under, after) = (path("under", &wanted.under)?, path("after", &wanted.after)?);
    if wanted.depth.is_some_and(|depth| depth > cau_cascade::path::MAX_SEGMENTS) {
        return Err(Problem::invalid("depth", "Từ 0 đến 12.", "0 to 12."));
    }
    let part = Part { under: under.clone(), depth: wanted.depth, after, limit: limit + 1 };
    let mut found = match &state.cascade {
        Some(cascade) => cascade.tree(part).await?,
        None => Vec::new(),
    };
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| more).map(|last| {
        let under = under.map(|path| format!("&under={}", encoded(path.as_str()))).unwrap_or_default();
        let depth = wanted.depth.map(|depth| format!("&depth={depth}")).unwrap_or_default();
        let after = encoded(last.path.as_str());
        format!("</api/v1/cascade/tree?limit={limit}{under}{depth}&after={after}>; rel=\"next\"")
    });
    let nodes: Vec<Node> = found.iter().map(Node::from).collect();
    let mut response = Answer(nodes).into_response();
    if let Some(link) = next.and_then(|link| HeaderValue::try_from(link).ok()) {
        response.headers_mut().insert(header::LINK, link);
    }
    Ok(response)
}

/// One link: to the master above (`up`), or of a slave below (`down`).
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Link {
    /// Its id.
    #[schema(value_type = String)]
    id: LinkId,
    /// `up` or `down`.
    direction: &'static str,
    /// The path of the MCU at the other end; empty for the root of the tree.
    path: String,
    /// Its name; of the master its address.
    name: String,
    /// `waiting` (the token was not used yet), `expired` (nor will it be), `enrolled` (has its certificate, is not connected since the
    /// start), `connected`, `lost`.
    state: &'static str,
    /// Why it is not connected, in Vietnamese.
    reason: Option<String>,
    /// The same in English.
    reason_en: Option<String>,
    /// MCUs and sites below it.
    sites: usize,
    /// What the slave's operator lets this MCU do, when it is connected.
    #[schema(value_type = Option<Object>)]
    policy: Option<Policy>,
    /// SHA-256 of its certificate, in hexadecimal digits.
    certificate: Option<String>,
    /// RFC 3339, UTC; null for the master.
    #[schema(format = DateTime)]
    created_at: Option<String>,
    /// When it got its certificate.
    #[schema(format = DateTime)]
    enrolled_at: Option<String>,
    /// Until when the token may be used, as long as it was not.
    #[schema(format = DateTime)]
    token_expires_at: Option<String>,
}

/// A new link, and what its slave needs once.
#[derive(Serialize, ToSchema)]
pub(crate) struct Created {
    #[serde(flatten)]
    link: Link,
    /// For the file `cascade.token_file` of the slave. Shown only here; good for one slave until `token_expires_at`.
    token: String,
}

/// A link to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Draft {
    /// One step below this MCU's own path. Absent: made of the name.
    #[serde(default)]
    #[schema(example = "dak-lak")]
    path: Option<String>,
    /// Shown to people. Absent: the path.
    #[serde(default)]
    #[schema(example = "Đắk Lắk")]
    name: Option<String>,
    /// Seconds until the token expires, 60–604,800; 3,600 when absent.
    #[serde(default)]
    expires_s: Option<u64>,
}

/// The links: first the one to the master, where there is one, then those of the slaves.
#[utoipa::path(get, path = "/cascade/links", operation_id = "cascadeLinks", tag = "cascade", params(Page),
    responses((status = 200, body = Vec<Link>, headers(("Link" = String, description = "The next page"))), Unauthorized, Unprocessable, Unavailable))]
pub(crate) async fn links(
    Extracted(state): Extracted<State>,
    signed_in: SignedIn,
    Query(page): Query<Page>,
) -> Result<Response, Problem> {
    signed_in.may(Right::Watch)?;
    let live = on(&state)?.links().await?;
    let now = (state.clock)();
    let mut all: Vec<Link> = live.above.map(up).into_iter().collect();
    for stored in state.store.links().await? {
        let below = stored.path.parse().ok().and_then(|path: Path| live.below.get(&path));
        all.push(down(&stored, below, now));
    }
    page.cut("/api/v1/cascade/links", all, |link| link.id)
}

/// Makes the link of a slave, with a token it enrols with, once.
#[utoipa::path(post, path = "/cascade/links", operation_id = "addCascadeLink", tag = "cascade", request_body = Draft,
    responses((status = 201, body = Created, headers(("Location" = String))), Unauthorized, Conflict, Unprocessable, Unavailable))]
pub(crate) async fn add(
    Extracted(state): Extracted<State>,
    signed_in: SignedIn,
    Json(draft): Json<Draft>,
) -> Result<Response, Problem> {
    signed_in.may(Right::Manage)?;
    let cascade = on(&state)?;
    let authority = cascade.authority().copied().ok_or_else(|| {
        Problem::invalid(
            "",
            "MCU này không nhận MCU cấp dưới: hãy đặt control.tls_bind trong cấu hình.",
            "This MCU cannot take slaves: set control.tls_bind in its configuration.",
        )
    })?;
    let (path, name) = place(cascade.own(), draft.path, draft.name)?;
    let expires = draft.expires_s.unwrap_or(EXPIRES);
    if !(60..=LONGEST).contains(&expires) {
        return Err(Problem::invalid(
            "expires_s",
            format!("Từ 60 đến {LONGEST}."),
            format!("60 to {LONGEST}."),
        ));
    }
    let mut secret = [0_u8; 32];
    // The thread's generator: ChaCha, seeded and reseeded by the operating system.
    rand::rng().fill_bytes(&mut secret);
    let token = format!("cau1-{}{}", hex(&secret), hex(&authority));
    whole(async move {
        let now = (state.clock)();
        let hash = Sha256::digest(secret).into();
        let stored = state
            .store
            .create_link(path.as_str(), &name, &hash, now + Duration::from_secs(expires), now)
            .await?;
        state.note(signed_in.name(), "link.created", None, json!({ "path": path.as_str(), "name": name }));
        let link = down(&stored, None, now);
        let location = format!("/api/v1/cascade/links/{}", link.id);
        let location = HeaderValue::try_from(location).map_err(|e| Problem::internal(&e))?;
        Ok((StatusCode::CREATED, [(header::LOCATION, location)], Answer(Created { link, token }))
            .into_response())
    })
    .await
}

/// Ends a link: its certificate is revoked, its connection closed. Its entries stay in the tree as lost.
#[utoipa::path(delete, path = "/cascade/links/{id}", operation_id = "removeCascadeLink", tag = "cascade", params(("id" = String, Path)),
    responses((status = 204, description = "Gone"), Unauthorized, NotFound, Conflict, Unavailable))]
pub(crate) async fn remove(
    Extracted(state): Extracted<State>,
    signed_in: SignedIn,
    InPath(id): InPath<String>,
) -> Result<StatusCode, Problem> {
    signed_in.may(Right::Manage)?;
    let cascade = on(&state)?;
    let id: LinkId = id.parse().map_err(|()| no_link())?;
    if id == UP {
        return Err(Problem::new(
            StatusCode::CONFLICT,
            "Đường nối lên cấp trên do cấu hình đặt ra (cascade.masters); hãy sửa ở đó.",
            "The link to the master comes from the configuration (cascade.masters); change it there.",
        ));
    }
    whole(async move {
        let gone = state.store.delete_link(id.0).await.map_err(|e| match e {
            cau_store::Error::Missing(_) => no_link(),
            e => e.into(),
        })?;
        state.note(signed_in.name(), "link.revoked", None, json!({ "path": gone.path, "name": gone.name }));
        if let Ok(path) = gone.path.parse() {
            cascade.revoked(path).await;
        }
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}

/// The cascade, or that there is none.
pub(crate) fn on(state: &State) -> Result<Handle, Problem> {
    state.cascade.clone().ok_or_else(|| {
        Problem::invalid(
            "",
            "MCU này không nối tầng: hãy đặt cascade.role trong cấu hình.",
            "This MCU is in no cascade: set cascade.role in its configuration.",
        )
    })
}

/// A path of a request.
pub(crate) fn parse(field: &str, text: &str) -> Result<Path, Problem> {
    text.parse().map_err(|_| {
        Problem::invalid(
            field,
            "Không phải đường dẫn như dak-lak/buon-ma-thuot/hoa-phu.",
            "Not a path such as dak-lak/buon-ma-thuot/hoa-phu.",
        )
    })
}

/// Path and name of a new link.
fn place(own: &Path, path: Option<String>, name: Option<String>) -> Result<(Path, String), Problem> {
    let name = name.map(|name| cau_model::name::clean(&name)).filter(|name| !name.is_empty());
    let path = match (path, &name) {
        (Some(path), _) => parse("path", &path)?,
        (None, Some(name)) => own.join(&cau_cascade::path::segment(name)),
        (None, None) => {
            return Err(Problem::invalid("path", "Cần path hoặc name.", "path or name is needed."));
        }
    };
    if path.parent().as_ref() != Some(own) {
        let example = own.join("dak-lak");
        return Err(Problem::invalid(
            "path",
            format!("Phải nằm ngay dưới MCU này, như {example}."),
            format!("Must be one step below this MCU, such as {example}."),
        ));
    }
    let name = name.unwrap_or_else(|| path.last().to_owned());
    Ok((path, name))
}

fn no_link() -> Problem {
    Problem::missing("Không có đường nối này.", "There is no such link.")
}

fn up(above: Above) -> Link {
    Link {
        id: UP,
        direction: "up",
        path: above.path.to_string(),
        name: above.address,
        state: if above.up { "connected" } else { "lost" },
        reason: above.words.as_ref().map(|words| words.vi.clone()),
        reason_en: above.words.map(|words| words.en),
        sites: 0,
        policy: None,
        certificate: None,
        created_at: None,
        enrolled_at: None,
        token_expires_at: None,
    }
}

fn down(stored: &Stored, below: Option<&Below>, now: SystemTime) -> Link {
    let words = below.and_then(|below| below.words.clone());
    Link {
        id: LinkId(stored.id),
        direction: "down",
        path: stored.path.clone(),
        name: stored.name.clone(),
        state: match (stored.enrolled_at, below) {
            (None, _) if stored.token_expires_at <= now => "expired",
            (None, _) => "waiting",
            (Some(_), None) => "enrolled",
            (Some(_), Some(below)) if below.up => "connected",
            (Some(_), Some(_)) => "lost",
        },
        reason: words.as_ref().map(|words| words.vi.clone()),
        reason_en: words.map(|words| words.en),
        sites: below.map_or(0, |below| below.sites),
        policy: below.and_then(|below| below.policy.clone()),
        certificate: stored.certificate.map(|hash| hex(&hash)),
        created_at: Some(rfc3339(stored.created_at)),
        enrolled_at: stored.enrolled_at.map(rfc3339),
        token_expires_at: stored.enrolled_at.is_none().then(|| rfc3339(stored.token_expires_at)),
    }
}

/// The id of a link; the one to the master has 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LinkId(u64);

const UP: LinkId = LinkId(0);

impl fmt::Display for LinkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "l{:x}", self.0)
    }
}

impl FromStr for LinkId {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let digits = text.strip_prefix('l').ok_or(())?;
        let id = Self(u64::from_str_radix(digits, 16).map_err(|_| ())?);
        (id.to_string() == text).then_some(id).ok_or(())
    }
}

impl Serialize for LinkId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// For a query (RFC 3986 2.1).
fn encoded(text: &str) -> String {
    use fmt::Write as _;
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_one_step_below() {
        let own: Path = "dak-lak".parse().unwrap();
        let of = |path: Option<&str>, name: Option<&str>| {
            place(&own, path.map(str::to_owned), name.map(str::to_owned))
                .map(|(path, name)| (path.to_string(), name))
        };
        assert_eq!(
            of(None, Some("Buôn Ma Thuột")).unwrap(),
            ("dak-lak/buon-ma-thuot".into(), "Buôn Ma Thuột".into())
        );
        assert_eq!(of(Some("dak-lak/b"), None).unwrap(), ("dak-lak/b".into(), "b".into()));
        for wrong in ["", "dak-lak", "dak-lak/a/b", "ha-noi", "ha-noi/a", "Dak-Lak/a", "dak-lak//a"] {
            of(Some(wrong), Some("x")).unwrap_err();
        }
        of(None, None).unwrap_err();
    }

    #[test]
    fn ids_of_links_come_back_and_others_do_not() {
        assert_eq!("l1f".parse(), Ok(LinkId(0x1f)));
        assert_eq!(LinkId(0x1f).to_string(), "l1f");
        for wrong in ["", "l", "1f", "l1F", "l+1", "l01", "c1"] {
            assert_eq!(wrong.parse::<LinkId>(), Err(()), "{wrong}");
        }
        assert_eq!(encoded("a/đ&"), "a/%C4%91%26");
    }
}
