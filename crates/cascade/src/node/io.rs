//! What goes into a node and what comes out of it.

use std::collections::BTreeSet;
use std::time::Duration;

use cau_model::participant::State;
use cau_model::snapshot::{Quality, StepName};
use cau_model::{OperationId, ParticipantId, Words};
use serde::{Deserialize, Serialize};

use crate::ConnId;
use crate::operation::Operation;
use crate::path::Path;
use crate::rights::Policy;
use crate::wire::Progress;

/// Settings of one node.
#[derive(Debug, Clone)]
pub struct Config {
    /// Its place in the tree; empty for the root.
    pub path: Path,
    /// Its name for people.
    pub name: String,
    /// The meeting, as the master knows it.
    pub room: String,
    /// How many masters are configured, the best first; 0: there is none above.
    pub masters: usize,
    /// Whether it takes slaves from the start; a standby master does not. With a peer also: which of the two it is by name.
    pub commands: bool,
    /// There is another master, to stand by or to be stood by: [`Transmit::ConnectPeer`].
    pub peer: bool,
    /// As standby: the master has to be gone for so long before it takes command by itself; zero: it never does.
    pub take_over: Duration,
    /// Slots of its links, 1–4.
    pub slots: u8,
    /// What it lets those above do.
    pub policy: Policy,
    /// Most slaves.
    pub max_links: usize,
    /// Most entries below one slave.
    pub max_sites: usize,
    /// Calls begun per second by a call to all.
    pub per_second: u32,
    /// Calls of it without an answer at a time.
    pub at_a_time: usize,
}

impl Config {
    /// An MCU at `path`; no master, two slots, everything allowed, no other master, 256 slaves of 20,000 entries, 50 calls a second, 100 at a time.
    pub fn new(path: Path, name: &str) -> Config {
        Config {
            path,
            name: name.to_owned(),
            room: String::new(),
            masters: 0,
            commands: true,
            peer: false,
            take_over: Duration::from_secs(10),
            slots: 2,
            policy: Policy::default(),
            max_links: 256,
            max_sites: 20_000,
            per_second: 50,
            at_a_time: 100,
        }
    }
}

/// For the driver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transmit {
    /// Connect to the master of this number (from 0): then `handle_connected` or `handle_connect_failed`.
    Connect {
        /// Number in the configuration.
        master: usize,
    },
    /// Connect to the other master: then `handle_peer_connected` or `handle_peer_connect_failed`.
    ConnectPeer,
    /// Send a text.
    Message {
        /// On which connection.
        conn: ConnId,
        /// JSON, at most 64 KiB.
        text: Vec<u8>,
    },
    /// Close it, after what was to be sent; nothing more is wanted from it.
    Close {
        /// Which.
        conn: ConnId,
    },
}

/// A line to another MCU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Link {
    /// To the master.
    Above,
    /// To the slave at this path.
    Below(Path),
}

/// Where a site's picture and sound come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A site of this MCU.
    Own(ParticipantId),
    /// A slot of a slave.
    Slot {
        /// The slave.
        link: Path,
        /// The slot, from 0.
        slot: u8,
    },
}

/// Before whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Viewers {
    /// Everybody.
    All,
    /// These.
    Only(BTreeSet<ParticipantId>),
}

impl Viewers {
    /// Whether somebody is in both.
    pub fn meets(&self, other: &Viewers) -> bool {
        match (self, other) {
            (Viewers::Only(a), Viewers::Only(b)) => !a.is_disjoint(b),
            _ => true,
        }
    }
}

/// Something the conference is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// Make the media calls to the master, anew when there are some; the token is for them.
    CallMaster {
        /// Path of the master.
        link: Path,
        /// Valid once for each call, for 30 s.
        token: String,
        /// Slots.
        slots: u8,
    },
    /// Calls that show this token within 30 s are the media calls of a slave: one for the programme, and one for each slot, each once.
    Expect {
        /// Which slave.
        link: Path,
        /// Its name.
        name: String,
        /// What they show.
        token: String,
        /// Slots.
        slots: u8,
    },
    /// Call a site of this MCU.
    Dial {
        /// Whom.
        site: ParticipantId,
    },
    /// Send a site up: what is in the slot stays until a key frame with `csrc` comes by; one is asked for at the source now.
    Route {
        /// Into which slot of the link above.
        slot: u8,
        /// Whom.
        site: Path,
        /// What names it in RTP.
        csrc: u32,
        /// Where it comes from.
        source: Source,
        /// It is heard above and hears what is above; the site is told so. Otherwise its sound stays as it is.
        sound: bool,
    },
    /// Nobody's picture is wanted in the slot.
    Unroute {
        /// Of the link above.
        slot: u8,
    },
    /// Bring a site before viewers; then `Fact::Step` and one `Fact::Ended`.
    BringUp {
        /// Names it.
        operation: OperationId,
        /// Whom.
        site: Path,
        /// What names it in RTP; pictures of others in the slot do not count.
        csrc: u32,
        /// Where it comes from.
        source: Source,
        /// Before whom.
        viewers: Viewers,
        /// When it has failed.
        deadline: Duration,
        /// Who asks.
        by: String,
    },
    /// That bring-up failed elsewhere: what was seen before is seen again. No `Fact::Ended` is wanted.
    Abandon {
        /// Which.
        operation: OperationId,
        /// A later one takes its place: nothing is put back.
        superseded: bool,
    },
    /// These see what the layout gives them again.
    Release {
        /// Who.
        viewers: Viewers,
    },
    /// The floor is taken by an operator above (everybody sees what the master sends), or given back.
    Floor {
        /// By whom; `None`: it is the own operator's.
        by: Option<String>,
    },
}

/// A site of this MCU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// Its name.
    pub name: String,
    /// Where its call stands.
    pub state: State,
    /// It asks for the floor.
    pub hand: bool,
    /// It is an MCU that does not speak this protocol.
    pub foreign: bool,
}

/// How a bring-up of the conference ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Done, as the contract says.
    Done,
    /// All was sent, a receiver does not report.
    Unconfirmed,
    /// Failed, with the step; everybody sees what was there before.
    Failed(Words),
}

/// Something that happened in the conference.
#[derive(Debug, Clone, PartialEq)]
pub enum Fact {
    /// A site as it is now; also one that is invited and not there. Links are not sites.
    Site(ParticipantId, Site),
    /// A site is no more in the list.
    Gone(ParticipantId),
    /// How loud it is, dBov.
    Level(ParticipantId, i8),
    /// How good its line is.
    Quality(ParticipantId, Quality),
    /// It could not be called.
    DialFailed {
        /// Whom.
        site: ParticipantId,
        /// Why.
        words: Words,
    },
    /// The media calls of a link stand, all of them, or no more.
    Media {
        /// Which.
        link: Link,
        /// Whether it stands.
        up: bool,
    },
    /// A key frame of the site wanted has gone into the slot; from now on it is in there.
    Passed {
        /// Of the link above.
        slot: u8,
        /// Whose.
        csrc: u32,
    },
    /// A step of a bring-up is done.
    Step(OperationId, StepName),
    /// It has ended.
    Ended(OperationId, Outcome),
}

/// What an operator wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// A site before viewers.
    BringUp {
        /// Whom.
        site: Path,
        /// Before whom.
        viewers: Viewers,
        /// When it has failed.
        deadline: Duration,
    },
    /// Sites into slots, without showing them; those prepared before and not named are let go.
    Prepare {
        /// In the order they will be taken.
        sites: Vec<Path>,
    },
    /// The next prepared site before viewers.
    Take {
        /// Before whom.
        viewers: Viewers,
        /// When it has failed.
        deadline: Duration,
    },
    /// The site these viewers saw before this one; when there was none, their layout.
    Undo {
        /// Who.
        viewers: Viewers,
        /// When it has failed.
        deadline: Duration,
    },
    /// These viewers see their layout again, the slot goes back to its operator.
    Release {
        /// Who.
        viewers: Viewers,
    },
    /// What stands in a slot of the own link to the master when no master holds it.
    Offer {
        /// Which.
        slot: u8,
        /// Whom; `None`: nobody in particular.
        site: Option<Path>,
    },
    /// What those above may do from now on.
    SetPolicy(Policy),
    /// The floor of an MCU below is taken, or given back.
    Floor {
        /// Whose.
        mcu: Path,
        /// Take it.
        seize: bool,
    },
    /// All sites below a path that are not in the meeting are called, each by its own MCU.
    CallAll {
        /// Which.
        under: Path,
        /// Higher first.
        priority: u8,
    },
    /// This master commands from now on, whoever did before. With another master in command and reachable it is handed over in good
    /// order, which [`Event::Commands`] tells.
    TakeCommand {
        /// Also when the other master cannot be asked, or its records are not all here.
        force: bool,
    },
    /// The other master takes the command, and gives it back after so long: what has to work in earnest.
    Drill {
        /// How long the other one keeps it once all slaves are there.
        hold: Duration,
    },
}

/// Something to be told.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// An operation as it is now.
    Operation(Box<Operation>),
    /// A link came or went, or was refused.
    Link {
        /// Which.
        link: Link,
        /// Whether it stands.
        up: bool,
        /// Why not.
        words: Option<Words>,
    },
    /// Something an operator should look at.
    Alarm {
        /// A short name that holds still.
        code: &'static str,
        /// Which MCU it is about.
        mcu: Path,
        /// In words.
        words: Words,
    },
    /// How far a call to all is.
    Progress {
        /// Below which path.
        under: Path,
        /// The numbers.
        progress: Progress,
    },
    /// [`crate::Node::kept`] gives something new.
    Keep,
    /// The other master can be spoken to, or no more.
    Peer {
        /// Whether it can.
        up: bool,
        /// Why not.
        words: Option<Words>,
    },
    /// This MCU commands from now on, or does no more.
    Commands {
        /// Whether it does.
        commands: bool,
        /// What it had as standby is to be taken up: [`crate::Node::shelf`].
        restore: bool,
        /// How that came.
        words: Words,
    },
    /// The master has told its standby of a record; `None`: it is gone.
    Record {
        /// Its name.
        key: String,
        /// What it says.
        text: Option<String>,
    },
    /// How far a drill is, or how it ended.
    Drill(Box<super::Drill>),
}

/// What a node wants to find again after a restart, and what a standby master needs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Kept {
    /// Highest term seen.
    pub term: u64,
    /// What those above may do; `None`: as configured.
    pub policy: Option<Policy>,
    /// Who sees which site, and who brought it up.
    pub screens: Vec<(Viewers, Path, String)>,
    /// Prepared sites and who prepared them.
    pub prepared: Vec<(Path, String)>,
    /// MCUs below whose floor is taken, and by whom.
    pub floors: Vec<(Path, String)>,
    /// What the own operator offers in each slot.
    pub offers: Vec<Option<Path>>,
    /// Of two masters: whether this one had the command; `None`: as configured.
    pub commands: Option<bool>,
}
