//! One call: the dialog, and what is under way in it.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::{
    dialog::Dialog,
    end::EndCause,
    event::CallId,
    message::{Headers, Method, Name, Reason, Request},
    session_timer,
    timer::Alarm,
    transaction::TxId,
    wire::Flow,
};

/// How far the call is.
pub(crate) enum Phase {
    /// The owner has not decided yet.
    Incoming {
        /// Its INVITE.
        tx: TxId,
        /// The INVITE's number.
        cseq: u32,
        /// Whether the INVITE had an offer.
        offered: bool,
        /// 1xx sent, repeated every minute (13.3.1.1).
        ringing: Option<Alarm>,
    },
    /// Our INVITE has no final response yet.
    Calling {
        /// Our INVITE.
        tx: TxId,
        /// Whether it had our offer.
        offered: bool,
        /// Early dialogs, one per fork that rang (12.1, 13.2.2.4).
        early: Vec<Early>,
        /// CANCEL wanted; sent as soon as there is a provisional response (9.1).
        cancelled: bool,
    },
    /// A 2xx brought an offer to our INVITE without one: the owner owes the answer.
    AnswerDue(AnswerDue),
    /// Both sides agree.
    Up,
}

/// What one fork of our INVITE has said so far. Its tag is empty when it gave none (RFC 2543): no dialog then.
pub(crate) struct Early {
    pub dialog: Dialog,
    /// Number of the last provisional response received reliably and in order (RFC 3262 4).
    pub rseq: Option<u32>,
    /// The last session description of it.
    pub sdp: Option<Bytes>,
    /// That description came reliably: it is the answer, and holds.
    pub holds: bool,
}

/// An ACK that waits for the owner's answer.
pub(crate) struct AnswerDue {
    pub tx: TxId,
    pub cseq: u32,
}

/// A PRACK that waits for the owner's answer to the offer of a fork.
pub(crate) struct PrackDue {
    /// The fork.
    pub tag: Bytes,
    /// Value of RAck.
    pub rack: String,
}

/// A 2xx of ours that is repeated until its ACK comes (13.3.1.4).
pub(crate) struct Unacked {
    pub cseq: u32,
    pub flow: Flow,
    pub bytes: Bytes,
    /// Wait before the next retransmission.
    pub interval: std::time::Duration,
    pub again: Option<Alarm>,
    pub give_up: Option<Alarm>,
    /// The 2xx had our offer; the ACK has to bring the answer.
    pub offered: bool,
}

/// Provisional responses of ours that are sent reliably (RFC 3262 3).
#[derive(Default)]
pub(crate) struct Reliable {
    /// Number of the last one; 0: none yet.
    pub rseq: u32,
    /// The one without PRACK.
    pub unacked: Option<Unpracked>,
    /// Those that wait for its PRACK: status and description.
    pub waiting: VecDeque<(u16, Option<Bytes>)>,
    /// The 2xx that waits for it.
    pub accept: Option<Bytes>,
}

impl Reliable {
    /// A description of ours is on its way and not acknowledged: no 2xx may be sent (RFC 3262 5).
    pub(crate) fn describes(&self) -> bool {
        self.unacked.as_ref().is_some_and(|u| u.described)
            || self.waiting.iter().any(|(_, sdp)| sdp.is_some())
    }
}

/// A reliable provisional response without PRACK.
pub(crate) struct Unpracked {
    pub flow: Flow,
    pub bytes: Bytes,
    pub interval: std::time::Duration,
    pub again: Option<Alarm>,
    pub give_up: Option<Alarm>,
    /// It has a description.
    pub described: bool,
}

/// A change of the session under way: re-INVITE, UPDATE, or the offer in a PRACK.
pub(crate) enum Change {
    /// None.
    Idle,
    /// Theirs, the owner decides.
    In(In),
    /// Ours.
    Out {
        /// Its transaction.
        tx: TxId,
        /// What it asks for.
        wanted: Wanted,
    },
    /// Our re-INVITE had no offer, theirs came in the 2xx: the owner owes the answer.
    AnswerDue(AnswerDue),
}

/// An offer of theirs, or their wish for one of ours, that waits for the owner.
pub(crate) struct In {
    pub tx: TxId,
    /// INVITE, UPDATE or PRACK.
    pub method: Method,
    pub cseq: u32,
    /// Whether the request had an offer.
    pub offered: bool,
    /// What the 2xx says of session timers.
    pub timer: session_timer::Response,
}

/// A change of ours, sent or waiting for its turn.
#[derive(Clone)]
pub(crate) struct Wanted {
    pub sdp: Option<Bytes>,
    /// By UPDATE instead of re-INVITE.
    pub update: bool,
    /// Only to keep the session alive (RFC 4028 10); nobody asked for it.
    pub refresh: bool,
    /// How often it was put off by the other side.
    pub tries: u8,
}

/// What the other side can do, from its Allow, Supported and Require.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Peer {
    /// It takes UPDATE.
    pub update: bool,
    /// It takes reliable provisional responses.
    pub reliable: bool,
    /// It takes no others.
    pub only_reliable: bool,
}

impl Peer {
    /// Takes note of a request or response; what a message does not say stays as it was.
    pub(crate) fn note(&mut self, headers: &Headers) {
        let says = |name: &Name, what: &[u8]| headers.elements(name).any(|e| e.eq_ignore_ascii_case(what));
        if headers.value(&Name::Allow).is_some() {
            self.update = headers.elements(&Name::Allow).any(|m| m == b"UPDATE");
        }
        self.only_reliable |= says(&Name::Require, b"100rel");
        self.reliable |= says(&Name::Supported, b"100rel") || self.only_reliable;
    }
}

/// The session timer of a call (RFC 4028).
#[derive(Default)]
pub(crate) struct SessionTimer {
    /// From the last 2xx on; `None`: no timer.
    pub agreed: Option<session_timer::Agreed>,
    /// The largest Min-SE heard of in this dialog, seconds; 0: none.
    pub min_se: u32,
    pub refresh: Option<Alarm>,
    pub expire: Option<Alarm>,
}

/// One call.
pub(crate) struct Call {
    pub id: CallId,
    pub dialog: Dialog,
    pub phase: Phase,
    pub change: Change,
    pub unacked: Vec<Unacked>,
    pub reliable: Reliable,
    /// The tag of the other side with which offer and answer were exchanged before the INVITE is answered (RFC 3262 5).
    pub agreed: Option<Bytes>,
    /// The answer to an offer in a provisional response is due.
    pub prack_due: Option<PrackDue>,
    /// What the 2xx to their INVITE says of session timers.
    pub first_timer: session_timer::Response,
    pub timer: SessionTimer,
    pub peer: Peer,
    /// Our description as last agreed on, and theirs: for refreshing.
    pub local_sdp: Option<Bytes>,
    pub remote_sdp: Option<Bytes>,
    /// A change of the owner that waits for its turn.
    pub wanted: Option<Wanted>,
    /// It waits because of glare.
    pub glare: Option<Alarm>,
    /// Longest time to ring, or to wait for the end of a cancelled INVITE.
    pub expire: Option<Alarm>,
    /// How often our first INVITE was sent anew after a refusal.
    pub retries: u8,
    /// Confirmed was reported.
    pub confirmed: bool,
    /// Ended or Rejected was reported; what is left is to end the dialog in good manners.
    pub ended: bool,
    /// Hung up before the ACK came: BYE follows it.
    pub bye_after_ack: Option<Option<Reason>>,
    /// INFOs without a response.
    pub infos: u8,
}

impl Call {
    pub(crate) fn new(id: CallId, dialog: Dialog, phase: Phase) -> Self {
        Self {
            id,
            dialog,
            phase,
            change: Change::Idle,
            unacked: Vec::new(),
            reliable: Reliable::default(),
            agreed: None,
            prack_due: None,
            first_timer: session_timer::Response::Off,
            timer: SessionTimer::default(),
            peer: Peer::default(),
            local_sdp: None,
            remote_sdp: None,
            wanted: None,
            glare: None,
            expire: None,
            retries: 0,
            confirmed: false,
            ended: false,
            bye_after_ack: None,
            infos: 0,
        }
    }

    /// An INVITE, theirs or ours, is not finished: no other may be sent (14.1).
    pub(crate) fn busy(&self) -> bool {
        !matches!(self.phase, Phase::Up)
            || !matches!(self.change, Change::Idle)
            || !self.unacked.is_empty()
            || self.glare.is_some()
    }

    /// Whether an UPDATE with an offer may be sent now (RFC 3311 5.1).
    pub(crate) fn may_update(&self) -> bool {
        let exchanged = match &self.phase {
            Phase::Incoming { .. } => self.agreed.is_some() && !self.reliable.describes(),
            Phase::Calling { .. } => self.prack_due.is_none() && self.early_to_update().is_some(),
            Phase::AnswerDue(_) => false,
            Phase::Up => self.unacked.is_empty(),
        };
        exchanged && matches!(self.change, Change::Idle) && self.glare.is_none()
    }

    /// The 2xx to their INVITE must wait: a description of ours has no PRACK yet (RFC 3262 5), or an offer of theirs no answer.
    pub(crate) fn must_wait(&self) -> bool {
        self.reliable.describes() || matches!(self.change, Change::In(_))
    }

    /// The tag of the fork of our INVITE in which offer and answer were exchanged.
    pub(crate) fn early_to_update(&self) -> Option<Bytes> {
        let Phase::Calling { early, .. } = &self.phase else { return None };
        let agreed = |e: &&Early| self.agreed.as_ref() == Some(&e.dialog.remote_tag);
        let holds = |e: &&Early| self.agreed.is_none() && e.holds && e.sdp.is_some();
        early.iter().find(|e| agreed(e) || holds(e)).map(|e| e.dialog.remote_tag.clone())
    }

    /// An offer of ours has no answer yet.
    pub(crate) fn our_offer_pending(&self) -> bool {
        let offers = match &self.phase {
            Phase::Calling { .. } => self.early_to_update().is_none(),
            Phase::Incoming { offered, .. } => !offered && self.agreed.is_none() && self.reliable.describes(),
            Phase::AnswerDue(_) => true,
            Phase::Up => false,
        };
        offers
            || matches!(self.change, Change::Out { .. } | Change::AnswerDue(_))
            || self.unacked.iter().any(|u| u.offered)
    }

    /// An offer of theirs has no answer yet.
    pub(crate) fn their_offer_pending(&self) -> bool {
        let answered = self.agreed.is_some() || self.reliable.describes();
        let first = matches!(self.phase, Phase::Incoming { offered: true, .. }) && !answered;
        first || self.prack_due.is_some() || matches!(&self.change, Change::In(_))
    }

    /// The dialog with this tag of theirs: the call's, or that of a fork of our INVITE.
    pub(crate) fn dialog_with(&mut self, tag: &[u8]) -> Option<&mut Dialog> {
        match &mut self.phase {
            Phase::Calling { early, .. } => {
                let fork = early.iter_mut().find(|e| e.dialog.remote_tag == tag && !tag.is_empty());
                fork.map(|e| &mut e.dialog)
            }
            _ => Some(&mut self.dialog).filter(|d| d.remote_tag == tag),
        }
    }

    /// Whether there is a dialog with this tag of theirs.
    pub(crate) fn is_with(&self, tag: &[u8]) -> bool {
        match &self.phase {
            Phase::Calling { early, .. } => {
                !tag.is_empty() && early.iter().any(|e| e.dialog.remote_tag == tag)
            }
            _ => self.dialog.remote_tag == tag,
        }
    }
}

/// A request of the other side, checked, with what was read of it.
pub(crate) struct Checked {
    pub request: Request,
    pub core: crate::message::Core,
    /// Where it came from.
    pub source: Flow,
    /// Where responses go.
    pub reply: Flow,
    pub key: crate::transaction::ServerKey,
}

/// Why the endpoint itself ends a call, and how it says so to the other side.
pub(crate) struct Ending {
    pub cause: EndCause,
    pub bye: bool,
}
