//! What the rest of the program asks of the focus. Every request carries the way for its answer.

use std::sync::Arc;
use std::time::Duration;

use cau_model::command::{Patch, SetLayout, Who};
use cau_model::layout::Equipment;
use cau_model::ornament::Message;
use cau_model::{ConferenceId, OperationId, ParticipantId, Refusal, Settings, Words, snapshot};
use tokio::sync::oneshot;

use crate::kept::Kept;

/// The way back for one answer; dropped unused when the focus ends.
pub type Answer<T> = oneshot::Sender<Result<T, Error>>;

/// Why a request was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No such thing, a clash, or it makes no sense (404, 409, 422).
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Not now: something is used up, or the program is ending (503).
    #[error("{0}")]
    Unavailable(Words),
}

impl Error {
    /// The reason, in both languages.
    pub fn words(&self) -> &Words {
        match self {
            Error::Refused(refusal) => refusal.words(),
            Error::Unavailable(words) => words,
        }
    }

    /// The focus does not answer any more.
    pub(crate) fn ended() -> Error {
        Error::Unavailable(Words::new("MCU đang dừng", "the MCU is shutting down"))
    }
}

/// A site to be called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// SIP address.
    pub uri: String,
    /// The name to show; `None`: the user part of the address.
    pub name: Option<String>,
    /// Where in the request it stands (`[3].`), for refusals; empty when it is the only one.
    pub place: String,
}

/// A site to be brought before viewers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Participant id, or the key of its name (`hoa-phu`).
    pub site: String,
    /// Before whom; `None`: the chair, or everybody when there is none.
    pub viewers: Option<Vec<ParticipantId>>,
    /// When it has failed.
    pub deadline: Duration,
    /// Who asks.
    pub by: String,
    /// The site is what comes in a slot of a link; `site` is passed over.
    pub slot: Option<InSlot>,
    /// Another number of this operation, by which it can be abandoned.
    pub tag: Option<OperationId>,
}

/// A site in a slot of a slave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InSlot {
    /// Path of the slave.
    pub link: String,
    /// The slot, from 0.
    pub slot: u8,
    /// What names the site in RTP; pictures of others do not count.
    pub csrc: u32,
}

/// Where what goes up in a slot comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Upward {
    /// A site of this MCU.
    Site(ParticipantId),
    /// A slot of a slave.
    Slot {
        /// Path of the slave.
        link: String,
        /// The slot, from 0.
        slot: u8,
    },
}

/// What the cascade wants of a conference (docs/cascade.md). What concerns links that are not there is passed over: it is said again when
/// they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkOrder {
    /// Calls with this token are those of a slave: one, and one for each slot. Good for 30 s.
    Expect {
        /// Path of the slave.
        path: String,
        /// Its name for people.
        name: String,
        /// What they show.
        token: String,
        /// Slots at most.
        slots: u8,
    },
    /// Calls the master: once, and once for each slot. Calls to it that are there are ended. [`crate::Body::Link`] tells when all of them stand,
    /// and when one of them is gone.
    Call {
        /// Path of the master.
        path: String,
        /// Its name for people.
        name: String,
        /// Where: a SIP address.
        uri: String,
        /// What the calls show.
        token: String,
        /// Slots.
        slots: u8,
        /// Everybody without a layout of his own sees what comes from there.
        follow: bool,
    },
    /// This goes up in a slot; [`crate::Body::Passed`] follows when a key frame of it has.
    Route {
        /// The slot, from 0.
        slot: u8,
        /// What.
        from: Upward,
        /// What names it in RTP.
        csrc: u32,
        /// Its sound goes up in the slot instead of with everybody else's.
        sound: bool,
    },
    /// Nothing goes up in a slot.
    Unroute(u8),
    /// What may come in a slot of a slave.
    Admit {
        /// Path of the slave.
        path: String,
        /// The slot, from 0.
        slot: u8,
        /// What names the site; `None`: nothing may.
        csrc: Option<u32>,
    },
    /// The bring-up with this tag is of no use any more.
    Abandon {
        /// [`Order::tag`].
        tag: OperationId,
        /// A later one takes its place: nothing is put back.
        superseded: bool,
    },
    /// These see what the layout gives them, whom bring-ups with a tag had shown something else; `None`: everybody.
    Release(Option<Vec<ParticipantId>>),
    /// Everybody sees what the master sends, whatever layout they have; or no more.
    Seize(bool),
}

/// An address to be looked up (RFC 3263); the answer goes to [`crate::Focus::handle_lookup`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lookup {
    /// Names the question.
    pub token: u64,
    /// The address; its host may be an IP address.
    pub uri: cau_sip::Uri,
}

/// A request, an event of a mixer, or the order to end: everything that reaches the focus other than SIP.
#[derive(Debug)]
pub enum Request {
    /// All conferences, in order of their ids.
    List(Answer<Vec<snapshot::Conference>>),
    /// One conference.
    Conference(ConferenceId, Answer<snapshot::Conference>),
    /// The settings of one conference as they are now.
    Settings(ConferenceId, Answer<Settings>),
    /// Opens a conference that is stored already, with the id it got there. Conflict when room or id exists.
    Create {
        /// The id given by the store.
        id: ConferenceId,
        /// Stored settings.
        settings: Box<Settings>,
        /// With the whole of it.
        answer: Answer<snapshot::Conference>,
    },
    /// Takes over settings that are stored already.
    Change {
        /// Which conference.
        id: ConferenceId,
        /// Stored settings.
        settings: Box<Settings>,
        /// With the whole of it.
        answer: Answer<snapshot::Conference>,
    },
    /// Ends a conference: BYE to all.
    End(ConferenceId, Answer<()>),
    /// The participants of a conference, those who left lately included, in order of first appearance.
    Participants(ConferenceId, Answer<Vec<snapshot::Participant>>),
    /// One participant.
    Participant(ConferenceId, ParticipantId, Answer<snapshot::Participant>),
    /// Rights, volume or name of one, or of all but the chair.
    Patch {
        /// Where.
        conference: ConferenceId,
        /// Whom it concerns.
        who: Who,
        /// The change.
        patch: Patch,
        /// With those it concerned, as they are now.
        answer: Answer<Vec<snapshot::Participant>>,
    },
    /// Calls sites into a conference, all or none; answered as soon as they are in the list.
    Invite {
        /// Where.
        conference: ConferenceId,
        /// Whom.
        sites: Vec<Wanted>,
        /// With them, in the same order, as they are now.
        answer: Answer<Vec<snapshot::Participant>>,
    },
    /// Calls a site of the list again now; nothing when it is there or being called.
    CallAgain(ConferenceId, ParticipantId, Answer<()>),
    /// Brings a meeting back after a restart: layouts, seats, and the calls that stood.
    Restore {
        /// Where; opened already.
        conference: ConferenceId,
        /// Its live part.
        room: Box<cau_model::kept::Room>,
        /// Its sites.
        sites: Vec<(ParticipantId, Kept)>,
        /// When everything is in the list and under way.
        answer: Answer<()>,
    },
    /// Brings a site before viewers; answered as soon as it is under way.
    BringUp {
        /// Where.
        conference: ConferenceId,
        /// What is wanted.
        order: Box<Order>,
        /// With the operation.
        answer: Answer<snapshot::Operation>,
    },
    /// The cascade wants something.
    Link(ConferenceId, Box<LinkOrder>),
    /// How far an operation is, or how it ended; known for an hour.
    Operation(OperationId, Answer<snapshot::Operation>),
    /// Hangs up one participant.
    HangUp(ConferenceId, ParticipantId, Answer<()>),
    /// Sets a layout. When it is for everybody the settings change: store those of [`Request::Settings`] afterwards.
    Layout {
        /// Where.
        conference: ConferenceId,
        /// The layout.
        layout: SetLayout,
        /// With the whole conference.
        answer: Answer<snapshot::Conference>,
    },
    /// The text over the pictures; `None` takes it away.
    Message {
        /// Where.
        conference: ConferenceId,
        /// The text.
        message: Option<Message>,
        /// With the whole conference.
        answer: Answer<snapshot::Conference>,
    },
    /// What the machine has for its conferences, read at the start and anew when asked.
    Equipment(Arc<Equipment>),
    /// Names the speaker, or gives it back to the voice.
    Speaker {
        /// Where.
        conference: ConferenceId,
        /// Who; `None`: the voice decides.
        participant: Option<ParticipantId>,
        /// With the whole conference.
        answer: Answer<snapshot::Conference>,
    },
    /// A still of what a participant sends or sees, as JPEG; `None` when there is no picture. May take a second.
    Preview {
        /// Where.
        conference: ConferenceId,
        /// Whose.
        participant: ParticipantId,
        /// What he sees instead of what he sends.
        seen: bool,
        /// With the image.
        answer: Answer<Option<Vec<u8>>>,
    },
    /// Counters and gauges for health and metrics.
    Totals(Answer<Totals>),
    /// A report of a mixer.
    Media {
        /// The number of its media thread.
        worker: usize,
        /// The report.
        event: cau_mixer::Event,
    },
    /// How busy the threads are, 0–1: the busiest of packets and sound, those of pictures on average. About once a second.
    Load {
        /// Packets and sound.
        media: f32,
        /// Pictures.
        pictures: f32,
    },
    /// Registers the MCU at somebody else's registrar, from now on.
    Register(Box<cau_sip::register::Registration>),
    /// No new calls; BYE to all after the grace time.
    Drain,
}

/// How a registration of ours stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// The address we are called by there.
    pub address: String,
    /// `trying`, `registered`, `failed`, `ended`.
    pub state: &'static str,
}

/// Counters (since the start) and gauges (now).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Totals {
    /// Conferences now.
    pub conferences: usize,
    /// Calls now, those being set up included.
    pub calls: usize,
    /// Participants in a conference now.
    pub participants: usize,
    /// Calls let in.
    pub accepted: u64,
    /// Calls that went out.
    pub dialled: u64,
    /// Tries to call out that failed.
    pub dial_failed: u64,
    /// Calls that stood before a restart and went on after it.
    pub resumed: u64,
    /// Calls to a room that does not exist.
    pub refused_room: u64,
    /// Calls without a codec in common, or with a description that cannot be read.
    pub refused_media: u64,
    /// Calls refused because ports, seats or the whole machine were used up.
    pub refused_full: u64,
    /// Calls of MCUs below refused because of their token.
    pub refused_link: u64,
    /// Calls refused because too many of their source had not been confirmed.
    pub refused_unproven: u64,
    /// Calls refused because the machine was too busy.
    pub refused_overload: u64,
    /// Calls refused because the program was ending.
    pub refused_draining: u64,
    /// Notices lost because nobody took them, or because there were too many of refused calls.
    pub lost_notices: u64,
    /// Devices at our registrar now.
    pub devices: usize,
    /// Subscriptions to conferences now, REFERs under way included.
    pub subscriptions: usize,
    /// SIP calls now, those included that are being ended.
    pub dialogs: usize,
    /// SIP transactions now, the finished ones included that wait for repetitions.
    pub transactions: usize,
    /// Our registrations elsewhere.
    pub registrations: Vec<Registration>,
    /// Whether the program is ending.
    pub draining: bool,
    /// Whether new calls are refused because the machine is too busy.
    pub overloaded: bool,
    /// Pictures per second of encoded views at most, by how busy the machine is.
    pub fps: u32,
    /// Counters of SIP.
    pub sip: cau_sip::Counters,
    /// The figures of every worker as last reported, in order of their numbers.
    pub mixer: Vec<cau_mixer::event::Totals>,
}
