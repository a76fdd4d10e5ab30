//! What two MCUs say to each other: one JSON text per message (docs/cascade.md has the table).
//!
//! Reading goes in three steps, each bounded: the shape of the text ([`Malformed::TooDeep`], …), its meaning (serde; unknown fields are
//! passed over, an unknown `type` becomes [`Body::Unknown`]), the lengths and numbers in it.

mod scan;

use cau_model::Words;
use cau_model::name;
use cau_model::snapshot::StepName;
use serde::{Deserialize, Serialize};

use crate::path::Path;
use crate::rights::Policy;
use crate::shelf;
use crate::tree::Entry;

/// Versions of the protocol this program speaks: least and most.
pub const VERSIONS: [u16; 2] = [1, 1];
/// Longest message, bytes.
pub const MAX_BYTES: usize = 64 * 1024;
/// Most objects and arrays in each other.
pub const MAX_DEPTH: usize = 8;
/// Most values in a message.
pub const MAX_VALUES: usize = 8_192;
/// Most entries and most removals in one message of the tree.
pub const MAX_ENTRIES: usize = 256;
/// Most capabilities in a hello.
pub const MAX_CAPABILITIES: usize = 32;
/// Longest text for people, characters.
pub const MAX_TEXT: usize = 400;
/// Most slots of a link.
pub const MAX_SLOTS: u8 = 4;

/// Why a text is no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, thiserror::Error)]
pub enum Malformed {
    /// More than [`MAX_BYTES`].
    #[error("the message is too long")]
    TooLong,
    /// More than [`MAX_DEPTH`].
    #[error("the message is too deep")]
    TooDeep,
    /// More values, entries, capabilities than allowed.
    #[error("the message has too many values")]
    TooMany,
    /// Not JSON, or not what its type says.
    #[error("the message cannot be read")]
    Unreadable,
}

/// One message.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    /// Of which connection; 0 in the slave's hello and in what is said before the session stands.
    pub session: u64,
    /// Number within the connection and direction, from 1.
    pub seq: u64,
    /// What is said.
    pub body: Body,
}

#[derive(Deserialize)]
struct Head {
    session: u64,
    seq: u64,
}

#[derive(Serialize)]
struct Written<'a> {
    session: u64,
    seq: u64,
    #[serde(flatten)]
    body: &'a Body,
}

impl Frame {
    /// Reads a message.
    ///
    /// # Errors
    /// What is wrong with it; nothing of it counts then.
    pub fn read(text: &[u8]) -> Result<Frame, Malformed> {
        scan::scan(text)?;
        let head: Head = serde_json::from_slice(text).map_err(|_| Malformed::Unreadable)?;
        let mut body: Body = serde_json::from_slice(text).map_err(|_| Malformed::Unreadable)?;
        body.bound()?;
        Ok(Frame { session: head.session, seq: head.seq, body })
    }

    /// Writes it.
    pub fn write(&self) -> Vec<u8> {
        let written = Written { session: self.session, seq: self.seq, body: &self.body };
        // Every key is a string and every number finite, so that this cannot fail.
        serde_json::to_vec(&written).unwrap_or_default()
    }
}

/// What is said. Direction and meaning: docs/cascade.md.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Body {
    /// The slave's first word.
    Hello(Hello),
    /// The master's answer.
    Welcome(Welcome),
    /// Are you there?
    Ping {
        /// Comes back in the pong.
        id: u64,
    },
    /// I am.
    Pong {
        /// Of the ping.
        id: u64,
    },
    /// Part of the slave's tree.
    Tree(Tree),
    /// The master has the slave's tree up to there.
    TreeAck {
        /// The version.
        version: u64,
    },
    /// The master cannot use what it got: the whole tree, please.
    Resync,
    /// What the slave lets a master do.
    Policy(Policy),
    /// The slave wants to make the media call.
    TokenRequest,
    /// For the media call, once.
    Token {
        /// 32 hexadecimal digits.
        token: String,
    },
    /// A site into a slot.
    Open(Open),
    /// An order failed above: back to what was in the slot before.
    Abort {
        /// Which.
        order: u64,
    },
    /// The slot is the slave's again.
    Close {
        /// Which.
        slot: u8,
    },
    /// A step of an order is done.
    Step {
        /// Of which.
        order: u64,
        /// The step.
        name: StepName,
        /// Where: path of the MCU.
        mcu: Path,
        /// Milliseconds after the slave got the order.
        after_ms: u64,
    },
    /// The site's key frame has passed into the slot.
    Ready {
        /// Of which order.
        order: u64,
    },
    /// An order failed; the slot is as it was before.
    Failed {
        /// Which.
        order: u64,
        /// At which step.
        step: StepName,
        /// Where: path of the MCU.
        mcu: Path,
        /// Why.
        #[serde(flatten)]
        words: Words,
    },
    /// The floor of an MCU is taken or given back.
    Floor {
        /// Whose.
        mcu: Path,
        /// By whom; absent: it is given back.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<String>,
    },
    /// All idle sites below a path are to be called.
    Call {
        /// Number of the order.
        order: u64,
        /// Which sites.
        under: Path,
        /// Higher first.
        priority: u8,
    },
    /// How far that is, summed up.
    Progress {
        /// Of which order.
        order: u64,
        /// The numbers.
        #[serde(flatten)]
        progress: Progress,
    },
    /// Something was not done.
    Refusal(Refused),
    /// One master to the other: its first word, the answer to it, and whenever it has taken or given up the command.
    Peer(Peer),
    /// Part of what the standby keeps.
    Replica(Replica),
    /// The standby has it up to there.
    ReplicaAck {
        /// The version.
        version: u64,
    },
    /// The standby cannot use what it got: everything, please.
    ReplicaResync,
    /// The standby wants the command.
    Take {
        /// For whom: name of the operator.
        by: String,
        /// Also when it is not in step.
        #[serde(default)]
        force: bool,
    },
    /// It is the standby's from now on.
    Yield {
        /// Term of the one that gives it up.
        term: u64,
        /// Who asked for it.
        by: String,
    },
    /// To a slave that comes to an MCU not in command: that may change, so stay. It answers with a ping.
    Wait,
    /// To a slave: the next master of its list commands now.
    Moved,
    /// A type this program does not know.
    #[serde(other, skip_serializing)]
    Unknown,
}

/// The slave's first word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Least and most version it speaks.
    pub versions: [u16; 2],
    /// What it can do beyond version 1.
    #[serde(default)]
    pub capabilities: Vec<String>,
    /// Random number of this run.
    pub instance: u64,
    /// Its place in the tree.
    pub path: Path,
    /// Its name for people.
    pub name: String,
    /// Which meeting of the master.
    pub room: String,
    /// Highest term it has seen.
    #[serde(default)]
    pub term: u64,
    /// Slots it can fill.
    pub slots: u8,
}

/// What one master says of itself to the other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    /// Least and most version it speaks.
    pub versions: [u16; 2],
    /// Random number of this run.
    pub instance: u64,
    /// Its place in the tree: both have the same.
    pub path: Path,
    /// Its name for people.
    pub name: String,
    /// Which meeting.
    pub room: String,
    /// Highest term it has seen.
    pub term: u64,
    /// It is in command.
    pub commands: bool,
    /// Number of this connection, in the answer; 0 in the first word.
    #[serde(default)]
    pub assigned: u64,
    /// What it has of the other's records.
    #[serde(default)]
    pub have: Option<Have>,
}

/// What has changed in the records a standby keeps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replica {
    /// The version it builds on; absent: everything begins.
    #[serde(default)]
    pub base: Option<u64>,
    /// The version the standby has afterwards.
    pub version: u64,
    /// The last message of everything, or a change: what was not said of everything is gone.
    #[serde(default)]
    pub done: bool,
    /// As they are now.
    #[serde(default)]
    pub records: Vec<Record>,
    /// No more there.
    #[serde(default)]
    pub gone: Vec<String>,
}

/// One record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Its name.
    pub key: String,
    /// What it says; mostly JSON.
    pub text: String,
}

/// The master's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// The version both use.
    pub version: u16,
    /// What it can do beyond.
    #[serde(default)]
    pub capabilities: Vec<String>,
    /// Random number of this run of the master.
    pub instance: u64,
    /// Number of this connection: `session` of all that follows.
    pub assigned: u64,
    /// Its term.
    pub term: u64,
    /// Its place in the tree.
    pub path: Path,
    /// What it has of the slave's tree.
    #[serde(default)]
    pub have: Option<Have>,
    /// Slots of the link.
    pub slots: u8,
    /// A ping is sent after so long without sending, ms.
    pub keep_alive_ms: u64,
}

/// A state of a slave's tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Have {
    /// Of which run of the slave.
    pub instance: u64,
    /// Its version.
    pub version: u64,
}

/// What has changed in the slave's tree.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tree {
    /// The version it builds on; absent: a whole tree begins.
    #[serde(default)]
    pub base: Option<u64>,
    /// The version the master has afterwards.
    pub version: u64,
    /// The last message of a whole tree, or a change: what was not said of a whole is gone.
    #[serde(default)]
    pub done: bool,
    /// As they are now.
    #[serde(default)]
    pub entries: Vec<Entry>,
    /// No more there.
    #[serde(default)]
    pub gone: Vec<Path>,
}

/// A site into a slot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Open {
    /// Number of the order; grows with each order of a session.
    pub order: u64,
    /// Which slot.
    pub slot: u8,
    /// Which site.
    pub site: Path,
    /// The picture only, its sound stays as it is.
    #[serde(default)]
    pub prepare: bool,
    /// For whom: name of the operator.
    pub by: String,
    /// Milliseconds after which the slave gives up.
    pub deadline_ms: u64,
}

/// Numbers of a call to all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Sites to be called.
    pub total: u32,
    /// In the meeting.
    pub connected: u32,
    /// Given up.
    pub failed: u32,
}

/// Something was not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// `seq` of the message it answers.
    #[serde(default)]
    pub to: u64,
    /// A short name that holds still.
    pub code: String,
    /// For people.
    #[serde(flatten)]
    pub words: Words,
}

fn short(text: &mut String, most: usize) {
    // Cleaned only when there is something to clean: nearly every text is fine as it came.
    let fine = text.len() <= most
        && text.bytes().all(|b| (b' '..0x7f).contains(&b))
        && text.trim() == text
        && !text.contains("  ");
    if !fine {
        *text = name::line(text, most);
    }
}

fn bound_words(words: &mut Words) {
    short(&mut words.vi, MAX_TEXT);
    short(&mut words.en, MAX_TEXT);
}

impl Body {
    /// Cuts texts, refuses too many of anything.
    fn bound(&mut self) -> Result<(), Malformed> {
        let many = |n: usize, most: usize| if n > most { Err(Malformed::TooMany) } else { Ok(()) };
        match self {
            Body::Hello(hello) => {
                many(hello.capabilities.len(), MAX_CAPABILITIES)?;
                hello.capabilities.iter_mut().for_each(|text| short(text, name::MAX_CHARS));
                short(&mut hello.name, name::MAX_CHARS);
                short(&mut hello.room, name::MAX_CHARS);
            }
            Body::Welcome(welcome) => {
                many(welcome.capabilities.len(), MAX_CAPABILITIES)?;
                welcome.capabilities.iter_mut().for_each(|text| short(text, name::MAX_CHARS));
            }
            Body::Tree(tree) => {
                many(tree.entries.len(), MAX_ENTRIES)?;
                many(tree.gone.len(), MAX_ENTRIES)?;
                for entry in &mut tree.entries {
                    entry.bound()?;
                }
            }
            Body::Policy(policy) => {
                many(policy.closed.len(), MAX_ENTRIES)?;
                policy.slots = policy.slots.min(MAX_SLOTS);
            }
            Body::Token { token } => short(token, 64),
            Body::Open(open) => short(&mut open.by, name::MAX_CHARS),
            Body::Failed { words, .. } => bound_words(words),
            Body::Floor { by: Some(by), .. } => short(by, name::MAX_CHARS),
            Body::Peer(peer) => {
                short(&mut peer.name, name::MAX_CHARS);
                short(&mut peer.room, name::MAX_CHARS);
            }
            Body::Replica(replica) => {
                many(replica.records.len(), MAX_ENTRIES)?;
                many(replica.gone.len(), MAX_ENTRIES)?;
                // Keys are compared and texts read by machines: nothing is cut out of them.
                let keys = replica.records.iter().map(|record| &record.key).chain(&replica.gone);
                for key in keys {
                    many(key.chars().count(), shelf::MAX_KEY)?;
                }
            }
            Body::Take { by, .. } | Body::Yield { by, .. } => short(by, name::MAX_CHARS),
            Body::Refusal(refused) => {
                short(&mut refused.code, name::MAX_CHARS);
                bound_words(&mut refused.words);
            }
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
