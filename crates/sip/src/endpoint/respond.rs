//! Building responses (RFC 3261 8.2.6).

use std::time::Instant;

use bytes::Bytes;

use super::Endpoint;
use crate::{
    call::Checked,
    message::{Headers, Method, Name, Request, Response, scan},
    session_id::SessionId,
    transaction::TxId,
    wire::Flow,
};

/// Methods that are understood.
const ALLOW: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, PRACK";
/// Methods that are understood by the focus of a conference.
const ALLOW_FOCUS: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, PRACK, SUBSCRIBE, REFER";
/// Extensions that are understood (option tags, RFC 3261 19.2); `timer` (RFC 4028) when it is switched on.
const EXTENSIONS: &[&str] = &["100rel"];
/// Bodies that are understood.
pub(super) const ACCEPT: &str =
    "application/sdp, application/media_control+xml, application/dtmf-relay, application/dtmf";

/// A header of a response: name and value.
pub(super) type Extra<'a> = (Name, &'a str);

impl Endpoint {
    /// Methods that are understood.
    pub(super) fn allow(&self) -> &'static str {
        if self.config.focus { ALLOW_FOCUS } else { ALLOW }
    }

    /// A response to `request`. `tag` goes into To unless there is one.
    pub(super) fn response_to(&self, request: &Request, status: u16, reason: &str, tag: &[u8]) -> Response {
        let mut headers = Headers::new();
        let source = &request.headers;
        for header in source.iter() {
            match header.name {
                Name::Via | Name::From | Name::CallId | Name::CSeq => {
                    headers.push(header.name.clone(), header.value.clone());
                }
                Name::To => {
                    let tagless = status > 100 && crate::dialog::tag_of(&header.value).is_empty();
                    let value = if tagless && !tag.is_empty() {
                        with_tag(&header.value, tag)
                    } else {
                        header.value.clone()
                    };
                    headers.push(Name::To, value);
                }
                Name::Timestamp if status == 100 => headers.push(Name::Timestamp, header.value.clone()),
                Name::RecordRoute
                    if (101..300).contains(&status)
                        && matches!(request.method, Method::Invite | Method::Subscribe | Method::Refer) =>
                {
                    headers.push(Name::RecordRoute, header.value.clone());
                }
                _ => {}
            }
        }
        headers.push(Name::SessionId, self.session_id(request, tag).to_string());
        headers.push(Name::Server, self.config.user_agent.clone());
        let reason = Bytes::copy_from_slice(reason.as_bytes());
        Response { status, reason, headers, body: Bytes::new() }
    }

    /// The Session-ID of a response (RFC 7989): that of the call with this tag of ours, else one made of the Call-ID.
    fn session_id(&self, request: &Request, tag: &[u8]) -> SessionId {
        let theirs = request.headers.value(&Name::To).map(|to| crate::dialog::tag_of(to)).unwrap_or_default();
        let tag = if theirs.is_empty() { tag } else { &theirs[..] };
        let call = self.by_tag.get(tag).and_then(|id| self.calls.get(id));
        let mut session = match call {
            Some(call) => call.dialog.session,
            None => {
                self.new_session(request.headers.value(&Name::CallId).map(|c| &c[..]).unwrap_or_default())
            }
        };
        session.heard_request(&request.headers);
        session
    }

    /// A name of ours for a session, always the same for a Call-ID.
    pub(super) fn new_session(&self, call_id: &[u8]) -> SessionId {
        let half = |which: u8| u128::from(self.stateless(&[&[which], call_id]));
        SessionId::new((half(1) << 64 | half(2)).max(1))
    }

    /// Extensions that are understood, as in Supported.
    pub(super) fn supported(&self) -> String {
        self.extensions().collect::<Vec<_>>().join(", ")
    }

    /// Whether an option tag of Require is understood.
    pub(super) fn understands(&self, option: &[u8]) -> bool {
        // A Path concerns REGISTER only, and is said there.
        let path = self.registrar.as_ref().map(|_| "path");
        self.extensions().chain(path).any(|known| option.eq_ignore_ascii_case(known.as_bytes()))
    }

    fn extensions(&self) -> impl Iterator<Item = &'static str> {
        let timer = self.config.session_timers.map(|_| "timer");
        let no_report = self.config.focus.then_some("norefersub");
        EXTENSIONS.iter().copied().chain(timer).chain(no_report)
    }

    /// Answers without keeping anything (8.2.7).
    pub(super) fn respond_stateless(
        &mut self,
        request: &Request,
        flow: &Flow,
        status: u16,
        reason: &str,
        extra: &[Extra<'_>],
    ) {
        let part = |name: &Name| request.headers.value(name).map(|v| &v[..]).unwrap_or_default();
        let tag = self.stateless_tag(&[part(&Name::CallId), part(&Name::From), part(&Name::CSeq)]);
        let mut response = self.response_to(request, status, reason, tag.as_bytes());
        add(&mut response, extra);
        self.wire.send(flow, response.to_bytes(), None, &mut self.counters);
    }

    /// Answers a request once and for all, in a server transaction of its own.
    pub(super) fn respond_final(&mut self, now: Instant, checked: Checked, status: u16, extra: &[Extra<'_>]) {
        let id = self.begin(&checked);
        let tag = self.token();
        let mut response = self.response_to(&checked.request, status, "", tag.as_bytes());
        add(&mut response, extra);
        self.send_response(now, id, status, response.to_bytes());
    }

    /// Makes the server transaction of a request; outside of dialogs it is noted for merged ones.
    pub(super) fn begin(&mut self, checked: &Checked) -> TxId {
        let invite = checked.request.method == Method::Invite;
        let id = self.start_server(checked.key.clone(), checked.reply, invite);
        if checked.core.to.tag().is_none() {
            let key = merge_key(checked);
            self.tx.merges.insert(key.clone(), id);
            if let Some(server) = self.tx.servers.get_mut(&id) {
                server.merge = Some(key);
            }
        }
        id
    }

    /// Answers the request of a transaction that was kept waiting for the owner.
    pub(super) fn respond_pending(
        &mut self,
        now: Instant,
        id: TxId,
        status: u16,
        tag: &[u8],
        extra: &[Extra<'_>],
        body: Option<Bytes>,
    ) -> Option<Bytes> {
        let request = self.tx.servers.get(&id).and_then(|s| s.request.as_deref())?;
        let mut response = self.response_to(request, status, "", tag);
        add(&mut response, extra);
        if let Some(body) = body {
            response.headers.push(Name::ContentType, "application/sdp");
            response.body = body;
        }
        let bytes = response.to_bytes();
        self.send_response(now, id, status, bytes.clone());
        Some(bytes)
    }
}

/// From tag, Call-ID and CSeq: what merged requests have in common (8.2.2.2).
pub(super) fn merge_key(checked: &Checked) -> Box<[u8]> {
    let core = &checked.core;
    let mut key = Vec::with_capacity(96);
    for part in [core.from.tag().unwrap_or_default(), &core.call_id, core.method.as_str().as_bytes()] {
        key.extend_from_slice(part);
        key.push(0);
    }
    key.extend_from_slice(&core.cseq.to_be_bytes());
    key.into()
}

pub(super) fn add(response: &mut Response, extra: &[Extra<'_>]) {
    for (name, value) in extra {
        response.headers.push(name.clone(), value.to_string());
    }
}

/// `value` with `;tag=` behind it.
pub(super) fn with_tag(value: &[u8], tag: &[u8]) -> Bytes {
    let mut out = scan::trim(value).to_vec();
    out.extend_from_slice(b";tag=");
    out.extend_from_slice(tag);
    out.into()
}
