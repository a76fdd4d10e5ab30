//! One call: the dialog, and what is under way in it.

use bytes::Bytes;

use crate::{
    dialog::Dialog, end::EndCause, event::CallId, message::Request, timer::Alarm, transaction::TxId,
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
        /// SDP of a provisional response, in case the 2xx has none.
        early: Option<Bytes>,
        /// CANCEL wanted; sent as soon as there is a provisional response (9.1).
        cancelled: bool,
    },
    /// A 2xx brought an offer to our INVITE without one: the owner owes the answer.
    AnswerDue(AnswerDue),
    /// Both sides agree.
    Up,
}

/// An ACK that waits for the owner's answer.
pub(crate) struct AnswerDue {
    pub tx: TxId,
    pub cseq: u32,
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

/// A re-INVITE under way.
pub(crate) enum Reinvite {
    /// None.
    Idle,
    /// Theirs, the owner decides.
    In { tx: TxId, cseq: u32, offered: bool },
    /// Ours.
    Out { tx: TxId, sdp: Option<Bytes> },
    /// Ours had no offer, theirs came in the 2xx: the owner owes the answer.
    AnswerDue(AnswerDue),
}

/// One call.
pub(crate) struct Call {
    pub id: CallId,
    pub dialog: Dialog,
    pub phase: Phase,
    pub reinvite: Reinvite,
    pub unacked: Vec<Unacked>,
    /// A re-INVITE of the owner that waits for its turn.
    pub wanted: Option<Option<Bytes>>,
    /// It waits because of glare.
    pub glare: Option<Alarm>,
    /// Longest time to ring, or to wait for the end of a cancelled INVITE.
    pub expire: Option<Alarm>,
    /// Confirmed was reported.
    pub confirmed: bool,
    /// Ended or Rejected was reported; what is left is to end the dialog in good manners.
    pub ended: bool,
    /// Hung up before the ACK came: BYE follows it.
    pub bye_after_ack: Option<Option<String>>,
    /// INFOs without a response.
    pub infos: u8,
}

impl Call {
    pub(crate) fn new(id: CallId, dialog: Dialog, phase: Phase) -> Self {
        Self {
            id,
            dialog,
            phase,
            reinvite: Reinvite::Idle,
            unacked: Vec::new(),
            wanted: None,
            glare: None,
            expire: None,
            confirmed: false,
            ended: false,
            bye_after_ack: None,
            infos: 0,
        }
    }

    /// An INVITE, theirs or ours, is not finished: no other may be sent (14.1).
    pub(crate) fn busy(&self) -> bool {
        !matches!(self.phase, Phase::Up)
            || !matches!(self.reinvite, Reinvite::Idle)
            || !self.unacked.is_empty()
            || self.glare.is_some()
    }

    /// An offer of ours has no answer yet.
    pub(crate) fn our_offer_pending(&self) -> bool {
        matches!(self.phase, Phase::Calling { .. } | Phase::AnswerDue(_))
            || matches!(self.reinvite, Reinvite::Out { .. } | Reinvite::AnswerDue(_))
            || self.unacked.iter().any(|u| u.offered)
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
