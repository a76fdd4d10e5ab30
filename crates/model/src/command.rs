//! What can be asked of a conference, and what it tells back.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::body;
use crate::id::ParticipantId;
use crate::layout::{Equipment, Kind};
use crate::name;
use crate::ornament::Message;
use crate::participant::{Direction, Link, MAX_VOLUME_DB, MIN_VOLUME_DB, State};
use crate::refusal::{Refusal, Words};
use crate::scene::Fit;
use crate::settings::{Names, Settings};
use crate::snapshot::{Quality, Send};
use crate::sound::{self, Trouble};
use crate::voice::Level;

/// Something to be done in a conference.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// A participant comes.
    Join(Join),
    /// The call of a participant moved on (`Left` is [`Command::Leave`]).
    State(ParticipantId, State),
    /// A participant who has left is called again: it is in the list as before, with its rights, and without a seat yet.
    Recall(ParticipantId),
    /// Why a participant is not there yet, or again; `None`: nothing stands in the way.
    Reason(ParticipantId, Option<Words>),
    /// What everybody sees who has no layout of his own, links excepted: the programme of the master.
    Programme {
        /// Who sends it; `None`: everybody sees the layout of the conference.
        participant: Option<ParticipantId>,
        /// Those with a layout of their own see it, too.
        seized: bool,
    },
    /// The call that holds now was dialled by that side.
    Direction(ParticipantId, Direction),
    /// A participant is gone; stays in the list for a while.
    Leave {
        /// Who.
        participant: ParticipantId,
        /// In words for the operator.
        reason: Words,
    },
    /// What the call carries was agreed anew.
    Media {
        /// Whose call.
        participant: ParticipantId,
        /// Codec of its sound.
        audio_codec: Option<String>,
        /// Codec of its picture.
        video_codec: Option<String>,
        /// Whether it sends a picture.
        sends_video: bool,
    },
    /// Layout of everybody, or of some.
    SetLayout(SetLayout),
    /// These see the layout of everybody again.
    ClearLayout(Vec<ParticipantId>),
    /// The speaker named by the operator; `None` gives it back to the voice.
    SetSpeaker(Option<ParticipantId>),
    /// Rights, volume or name of one, or of all but the chair.
    Patch {
        /// Whom it concerns.
        who: Who,
        /// The change.
        patch: Patch,
    },
    /// What is heard.
    Voice(Vec<Level>),
    /// What is measured of one participant's picture and line.
    Measured {
        /// Whose.
        participant: ParticipantId,
        /// Size and rate of the picture that comes in: width, height, pictures per second.
        picture: Option<(u32, u32, f32)>,
        /// The line.
        quality: Quality,
        /// What it is sent.
        send: Send,
    },
    /// New settings as a whole.
    Settings(Settings),
    /// The text over the picture; `None` takes it away.
    SetMessage(Option<Message>),
    /// What the machine has for its conferences: given once at the start, and when it was read anew.
    Equipment(Arc<Equipment>),
    /// Something was found wrong with the sound of a site, or changed.
    Trouble {
        /// Whose.
        participant: ParticipantId,
        /// What.
        trouble: Trouble,
    },
    /// It is not wrong any more.
    TroubleOver {
        /// Whose.
        participant: ParticipantId,
        /// What it was.
        kind: sound::Kind,
    },
}

/// A participant that comes.
#[derive(Debug, Clone, PartialEq)]
pub struct Join {
    /// Its id, never used before.
    pub participant: ParticipantId,
    /// Display name; made clean and distinct. Empty: the user part of the address.
    pub name: String,
    /// SIP address.
    pub uri: String,
    /// Who dialled.
    pub direction: Direction,
    /// Where the call stands.
    pub state: State,
    /// Whether it sends a picture.
    pub sends_video: bool,
    /// It is the end of a link. One with a slot has no seat of its own accord, sees nothing but what is laid out for it, and nothing is written
    /// over that.
    pub link: Option<Link>,
}

/// A layout and who is to see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetLayout {
    /// How the picture is divided.
    pub kind: Kind,
    /// Seats that do not follow the automatic choice.
    pub seats: Vec<(u16, ParticipantId)>,
    /// `None`: as it was.
    pub names: Option<Names>,
    /// `None`: everybody, and layouts of single participants end.
    pub viewers: Option<Vec<ParticipantId>>,
    /// How pictures are placed; `None`: as the conference says.
    pub fit: Option<Fit>,
    /// The automatic seats turn.
    pub cycle: Option<Cycle>,
    /// Single seats that turn.
    pub cycles: Vec<(u16, Cycle)>,
}

impl SetLayout {
    /// This layout for everybody, all seats automatic.
    pub fn new(kind: Kind) -> SetLayout {
        SetLayout {
            kind,
            seats: Vec::new(),
            names: None,
            viewers: None,
            fit: None,
            cycle: None,
            cycles: Vec::new(),
        }
    }
}

/// How seats turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cycle {
    /// From change to change.
    pub period: Duration,
    /// Through whom, in this order; empty: through everybody, in order of joining.
    pub who: Vec<ParticipantId>,
}

impl Cycle {
    /// Quickest change, seconds: the next site must have time to get ready.
    pub const LEAST_S: u32 = 3;
    /// Slowest change, seconds.
    pub const MOST_S: u32 = 3_600;

    fn checked(body: body::Cycle, field: &str) -> Result<Cycle, Refusal> {
        if !(Cycle::LEAST_S..=Cycle::MOST_S).contains(&body.period_s) {
            return Err(Refusal::invalid(
                format!("{field}.period_s"),
                "chu kỳ luân phiên từ 3 đến 3600 giây",
                "a cycle takes 3 to 3600 seconds from change to change",
            ));
        }
        let ids = body.participants.unwrap_or_default();
        let who = ids
            .iter()
            .enumerate()
            .map(|(at, id)| participant(id, || format!("{field}.participants[{at}]")))
            .collect::<Result<_, _>>()?;
        Ok(Cycle { period: Duration::from_secs(body.period_s.into()), who })
    }
}

impl TryFrom<body::Layout> for SetLayout {
    type Error = Refusal;

    fn try_from(body: body::Layout) -> Result<SetLayout, Refusal> {
        let mut seats = Vec::new();
        let mut cycles = Vec::new();
        for (index, seat) in body.seats.into_iter().enumerate() {
            let number = u16::try_from(seat.seat).unwrap_or(u16::MAX);
            match (seat.participant, seat.cycle) {
                (Some(id), None) => {
                    seats.push((number, participant(&id, || format!("seats[{index}].participant"))?));
                }
                (None, Some(cycle)) => {
                    cycles.push((number, Cycle::checked(cycle, &format!("seats[{index}].cycle"))?));
                }
                (participant, _) => {
                    let field = if participant.is_some() { "cycle" } else { "participant" };
                    return Err(Refusal::invalid(
                        format!("seats[{index}].{field}"),
                        "mỗi ghế cần participant hoặc cycle, không cả hai",
                        "a seat has either participant or cycle, not both",
                    ));
                }
            }
        }
        let viewers = body.viewers.map(|ids| {
            ids.iter().enumerate().map(|(index, id)| participant(id, || format!("for[{index}]"))).collect()
        });
        Ok(SetLayout {
            kind: body.layout.parse()?,
            seats,
            names: body.names.map(|names| names.parse()).transpose()?,
            viewers: viewers.transpose()?,
            fit: body.fit.map(|fit| fit.parse()).transpose()?,
            cycle: body.cycle.map(|cycle| Cycle::checked(cycle, "cycle")).transpose()?,
            cycles,
        })
    }
}

impl TryFrom<body::Message> for Message {
    type Error = Refusal;

    fn try_from(body: body::Message) -> Result<Message, Refusal> {
        let viewers = body.viewers.map(|ids| {
            let all = ids.iter().enumerate();
            all.map(|(index, id)| participant(id, || format!("for[{index}]")))
                .collect::<Result<BTreeSet<_>, _>>()
        });
        Ok(Message {
            text: Message::checked(&body.text)?,
            motion: body.motion,
            place: body.place,
            viewers: viewers.transpose()?,
        })
    }
}

/// The participant named in the body of a request.
pub fn participant(id: &str, field: impl FnOnce() -> String) -> Result<ParticipantId, Refusal> {
    id.parse().map_err(|_| {
        Refusal::invalid(
            field(),
            "không phải mã điểm cầu (dạng p2a)",
            "not the id of a participant (such as p2a)",
        )
    })
}

/// Whom a [`Command::Patch`] concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// This one.
    One(ParticipantId),
    /// All present but the chair.
    AllButChair,
}

/// A change to a participant's rights, volume or name; absent fields stay.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Patch {
    /// Nobody hears the site.
    pub audio_muted: Option<bool>,
    /// The site hears nobody.
    pub deafened: Option<bool>,
    /// Nobody sees the site.
    pub video_hidden: Option<bool>,
    /// Gain, dB.
    pub volume_db: Option<f32>,
    /// Name, cleaned, not empty.
    pub name: Option<String>,
}

impl TryFrom<body::Participant> for Patch {
    type Error = Refusal;

    fn try_from(body: body::Participant) -> Result<Patch, Refusal> {
        if body.volume_db.is_some_and(|db| !(MIN_VOLUME_DB..=MAX_VOLUME_DB).contains(&db)) {
            return Err(Refusal::invalid("volume_db", "từ −40 đến +20 dB", "−40 to +20 dB"));
        }
        let name = body.name.map(|raw| name::clean(&raw));
        if name.as_deref() == Some("") {
            return Err(Refusal::invalid("name", "tên không được trống", "the name must not be empty"));
        }
        Ok(Patch {
            audio_muted: body.audio_muted,
            deafened: body.deafened,
            video_hidden: body.video_hidden,
            volume_db: body.volume_db,
            name,
        })
    }
}

/// What a command changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Event {
    /// The conference's own snapshot changed: settings, layout, speaker.
    Conference,
    /// A participant's snapshot changed: came, left, renamed, rights, media.
    Participant(ParticipantId),
    /// Only what is measured of a participant changed: level, line. May come often.
    Level(ParticipantId),
    /// The mixer has to hear of new rights: muted, deafened, volume, hidden.
    Sound(ParticipantId),
    /// [`crate::Conference::scenes`] gives something new.
    Scenes,
    /// Somebody else is the speaker, or nobody.
    Speaker(Option<ParticipantId>),
    /// The mixer has to hear of new rules of sound.
    Rules,
}

pub(crate) fn no_participant(id: ParticipantId) -> Refusal {
    Refusal::NotFound(Words::new(
        format!("phiên họp không có điểm cầu {id}"),
        format!("there is no participant {id} in the conference"),
    ))
}
