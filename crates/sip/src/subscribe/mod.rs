//! Subscriptions of others to what we know (RFC 6665): the conference event package (RFC 4575) and the implicit ones of REFER
//! (RFC 3515).
//!
//! One NOTIFY at a time is under way to a subscriber; what changes meanwhile goes into the next one. A watched conference is asked
//! for its state at most once per [`Config::interval`], and all its subscribers are told then. A NOTIFY that is refused or not
//! answered ends the subscription (RFC 6665 4.2.2).

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;

use crate::{
    call::Checked,
    conference_info::{Detail, State},
    dialog::Dialog,
    event::CallId,
    timer::Alarm,
    transaction::TxId,
};

/// One subscription, or one REFER; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SubscriptionId(pub u64);

/// Settings of subscriptions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Most subscriptions at a time, REFERs included; above it 503.
    pub max: usize,
    /// Longest time granted; 1 hour.
    pub max_expires: Duration,
    /// Shorter ones are answered 423; 60 s.
    pub min_expires: Duration,
    /// Changes of one conference are told at most so often; 5 s (RFC 4575 3.9).
    pub interval: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max: 1000,
            max_expires: Duration::from_secs(3600),
            min_expires: Duration::from_secs(60),
            interval: Duration::from_secs(5),
        }
    }
}

/// Somebody wants to watch a conference.
#[derive(Clone, Debug)]
pub struct Subscribe {
    /// For `accept_subscription` and `refuse_subscription`.
    pub id: SubscriptionId,
    /// The call it came in; `None`: outside of any.
    pub call: Option<CallId>,
    /// Request-URI.
    pub uri: crate::message::Uri,
    /// From.
    pub from: crate::message::NameAddr,
    /// The sender's address.
    pub remote: std::net::SocketAddr,
    /// The account whose credentials it had, when they were asked for.
    pub account: Option<Arc<str>>,
}

/// The dialog a subscription lives in.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// Its own, or that of a call that is over; by our tag.
    Own(Bytes),
    /// A call's.
    InCall(CallId),
}

/// A dialog without call, and the subscriptions in it: more than one when a call has left them behind (RFC 5057 4.1). They count their requests
/// together (RFC 3261 12.2.1.1).
pub(crate) struct Shared {
    pub dialog: Dialog,
    pub by: BTreeSet<SubscriptionId>,
}

/// What is subscribed to.
pub(crate) enum Package {
    /// A conference.
    Conference {
        /// The owner's name for it; empty until he accepts.
        room: Arc<str>,
        /// What the subscriber has.
        sent: Option<Arc<State>>,
        /// What he ought to have.
        now: Option<Arc<State>>,
        /// Of the next document.
        version: u32,
        detail: Detail,
    },
    /// The outcome of a REFER.
    Refer {
        /// The status line told last.
        line: (u16, String),
        /// `id` of Event: the CSeq number of the REFER.
        id: u32,
    },
}

/// One subscription.
pub(crate) struct Subscription {
    pub place: Place,
    pub package: Package,
    /// The request the owner has not decided on.
    pub undecided: Option<Undecided>,
    pub expires: Instant,
    pub alarm: Option<Alarm>,
    /// The NOTIFY under way.
    pub pending: Option<TxId>,
    /// There is more to tell when it is answered.
    pub behind: bool,
    /// Why it ends, when its next NOTIFY is the last.
    pub ending: Option<&'static str>,
}

/// A SUBSCRIBE or REFER without an answer.
pub(crate) struct Undecided {
    pub tx: TxId,
    pub expires: Duration,
    /// REFER without subscription (RFC 4488).
    pub quiet: bool,
}

/// A conference somebody watches.
#[derive(Default)]
pub(crate) struct Watched {
    pub by: BTreeSet<SubscriptionId>,
    /// When the state was told last.
    pub told: Option<Instant>,
    /// The next time it is.
    pub alarm: Option<Alarm>,
}

/// All subscriptions.
#[derive(Default)]
pub(crate) struct Subscriptions {
    pub all: HashMap<SubscriptionId, Subscription>,
    /// Dialogs without calls, by our tag.
    pub dialogs: HashMap<Bytes, Shared>,
    pub rooms: HashMap<Arc<str>, Watched>,
    last: u64,
}

impl Subscriptions {
    pub(crate) fn new_id(&mut self) -> SubscriptionId {
        self.last += 1;
        SubscriptionId(self.last)
    }

    /// Whether a request with a To tag belongs to a dialog of subscriptions alone.
    pub(crate) fn know(&self, core: &crate::message::Core) -> bool {
        let shared = core.to.tag().and_then(|tag| self.dialogs.get(tag));
        let theirs = core.from.tag().unwrap_or_default();
        shared.is_some_and(|s| s.dialog.call_id == core.call_id && s.dialog.remote_tag == theirs)
    }
}

/// Event header of a SUBSCRIBE: the package and its `id`.
pub(crate) fn event(checked: &Checked) -> (String, Option<String>) {
    use crate::message::{Name, Params, scan};
    let value = checked.request.headers.text(&Name::Event).unwrap_or_default();
    let (package, params) = value.split_at(value.find(';').unwrap_or(value.len()));
    let id = Params::parse(params.as_bytes()).ok();
    let id = id.and_then(|p| p.value("id").map(|v| String::from_utf8_lossy(scan::trim(v)).into_owned()));
    (package.trim().to_ascii_lowercase(), id)
}
