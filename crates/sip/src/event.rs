//! What the endpoint reports, and the commands' arguments and refusals.

use std::{net::SocketAddr, sync::Arc};

use bytes::Bytes;

use crate::{
    end::EndCause,
    message::{NameAddr, Uri},
    refer::Refer,
    register::{RegistrationId, RegistrationState},
    registrar::Changed,
    subscribe::Subscribe,
    transport::Transport,
};

/// One call of this endpoint; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallId(pub u64);

impl std::fmt::Display for CallId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "call{}", self.0)
    }
}

/// An INVITE that opens a call.
#[derive(Clone, Debug)]
pub struct IncomingInvite {
    /// Request-URI: who is wanted. [`Uri::user`] gives the room.
    pub uri: Uri,
    /// From.
    pub from: NameAddr,
    /// To.
    pub to: NameAddr,
    /// Contact, when there is one (old clients leave it out).
    pub contact: Option<NameAddr>,
    /// Name of the caller as From shows it.
    pub display_name: Option<String>,
    /// User-Agent header.
    pub user_agent: Option<String>,
    /// Call-ID header, for the journal.
    pub call_id: String,
    /// How it came.
    pub transport: Transport,
    /// The sender's address.
    pub remote: SocketAddr,
    /// Our address it came to.
    pub local: SocketAddr,
    /// The SDP offer; `None` asks us to offer (late offer).
    pub offer: Option<Bytes>,
    /// The account whose credentials it had, when they were asked for.
    pub account: Option<Arc<str>>,
    /// What the header of this name said ([`crate::LINK_TOKEN`]): the caller is an MCU that was given a token to show.
    pub link_token: Option<String>,
}

/// Header of an INVITE with which one of our MCUs shows the token its master gave it (docs/cascade.md).
pub const LINK_TOKEN: &str = "Cau-Link-Token";

/// The content of an INFO (RFC 6086).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InfoBody {
    /// The other side wants a key frame (RFC 5168 `picture_fast_update`).
    FastUpdate,
    /// A key was pressed (`application/dtmf-relay`, `application/dtmf`).
    Dtmf {
        /// `0`–`9`, `*`, `#`, `A`–`D`.
        digit: char,
        /// Milliseconds; 0 when not told.
        duration_ms: u32,
    },
    /// A media control message that is not understood (answered 200).
    Other,
}

/// Why a call was refused, in the other side's own words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Code and text of the first Warning header (RFC 3261 20.43).
    pub warning: Option<(u16, String)>,
    /// ITU-T Q.850 cause of a Reason header (RFC 3326): a gateway passes on what the network behind it said.
    pub q850: Option<u16>,
    /// Text of a Reason header.
    pub reason: Option<String>,
}

/// What happened. Every call opened by [`Event::Incoming`] or `Endpoint::call` ends with exactly one [`Event::Ended`] or
/// [`Event::Rejected`], unless it was ended by `Endpoint::reject`, after which nothing more is said of it.
#[derive(Clone, Debug)]
pub enum Event {
    /// Somebody calls: `ring`, `accept` or `reject`.
    Incoming {
        /// The new call.
        call: CallId,
        /// Its INVITE.
        request: Box<IncomingInvite>,
    },
    /// A re-INVITE, or an UPDATE or PRACK with an offer: `answer_reoffer` or `reject_reoffer`, at once (RFC 3311 5.2). UPDATE and
    /// PRACK may come before [`Event::Confirmed`], when offer and answer were exchanged by then.
    Reoffer {
        /// The call.
        call: CallId,
        /// The offer; `None`: `answer_reoffer` takes our offer, the answer comes as [`Event::Answer`].
        offer: Option<Bytes>,
    },
    /// The re-INVITE last reported was cancelled; it needs no answer any more and nothing has changed.
    ReofferCancelled {
        /// The call.
        call: CallId,
    },
    /// The answer to our offer: in the ACK or PRACK (late offer), in a 2xx (dial-out, our re-INVITE or UPDATE). That of a call that
    /// rings comes with its 2xx; before it only when the session changes once more ([`Event::Reoffer`] follows). A refresh of the
    /// session (RFC 4028) that changes what the other side said last is reported as the answer to what we said last.
    Answer {
        /// The call.
        call: CallId,
        /// The SDP.
        sdp: Bytes,
    },
    /// The offer in a 2xx or reliable 18x to our INVITE or re-INVITE without one: give `answer`, it goes into the ACK or PRACK.
    Offer {
        /// The call.
        call: CallId,
        /// The SDP.
        sdp: Bytes,
    },
    /// The call stands: its ACK was seen, or its 2xx was received.
    Confirmed {
        /// The call.
        call: CallId,
    },
    /// A provisional response to our INVITE.
    Progress {
        /// The call.
        call: CallId,
        /// 101–199.
        status: u16,
        /// Early SDP: an answer to our offer. Forks that ring at the same time have one each.
        sdp: Option<Bytes>,
    },
    /// Our INVITE was refused; the call is over.
    Rejected {
        /// The call.
        call: CallId,
        /// 300–699.
        status: u16,
        /// Reason phrase.
        reason: String,
        /// 3xx: where to try instead, what the other side likes best first (`q`).
        contacts: Vec<Uri>,
        /// What it says of why, beside the status.
        told: Told,
    },
    /// Our re-INVITE or UPDATE was refused; the call goes on as it was (RFC 3261 14.1).
    ReofferRejected {
        /// The call.
        call: CallId,
        /// 300–699.
        status: u16,
    },
    /// The call is over.
    Ended {
        /// The call.
        call: CallId,
        /// Why.
        cause: EndCause,
    },
    /// An INFO within the call; it is answered already.
    Info {
        /// The call.
        call: CallId,
        /// What it says.
        body: InfoBody,
    },
    /// Somebody wants to watch a conference: `accept_subscription` or `refuse_subscription`.
    Subscribe(Box<Subscribe>),
    /// A watched conference has changed, and it is time to tell: `publish` its state.
    StateWanted {
        /// As the owner called it in `accept_subscription`.
        room: Arc<str>,
    },
    /// Somebody asks us to call or hang up somebody: `accept_refer` or `refuse_refer`.
    Refer(Box<Refer>),
    /// A device of an account of ours came or went.
    Registrar(Changed),
    /// How a registration of ours stands now.
    Registration {
        /// Which.
        id: RegistrationId,
        /// How.
        state: RegistrationState,
    },
}

/// Whom to call and how.
#[derive(Clone, Debug)]
pub struct Target {
    /// Request-URI and To. Its host must be an IP address unless `remote` is given.
    pub uri: Uri,
    /// From; `None`: `sip:` and our own address.
    pub from: Option<Uri>,
    /// Display name in From.
    pub display: Option<String>,
    /// Protocol; `None`: as the address says (`;transport=tcp`), else UDP.
    pub protocol: Option<crate::transport::Protocol>,
    /// The address to send to, when it is not the host of `uri` (looked-up name, proxy).
    pub remote: Option<SocketAddr>,
    /// The local address to use; `None`: chosen from the configuration.
    pub local: Option<SocketAddr>,
    /// Further headers of the INVITE.
    pub headers: Vec<(String, String)>,
    /// Our UUID in Session-ID (RFC 7989); all legs of a conference share one (9). `None`: one of its own.
    pub session_id: Option<u128>,
    /// Route of the INVITE, nearest first: the Path of a registered device. `remote` has to be the first of it.
    pub routes: Vec<Bytes>,
}

impl Target {
    /// Calls `uri`, everything else by default.
    pub fn new(uri: Uri) -> Self {
        Self {
            uri,
            from: None,
            display: None,
            protocol: None,
            remote: None,
            local: None,
            headers: Vec::new(),
            session_id: None,
            routes: Vec::new(),
        }
    }
}

/// Why a command was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The call is over or never was; its `Ended` may still wait in the queue of events.
    #[error("no such call")]
    NoSuchCall,
    /// The call is not in a state in which this can be done.
    #[error("the call is not in the state for this")]
    WrongState,
    /// As many calls or transactions as configured.
    #[error("too many calls")]
    TooMany,
    /// The target is not a `sip:` address, or its host is a name and no address was given.
    #[error("the target has no address to send to")]
    NoAddress,
    /// No socket of the target's address family, or one bound to all addresses and no address to show.
    #[error("no local address to call from")]
    NoLocalAddress,
}
