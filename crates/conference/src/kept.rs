//! What is kept of a meeting so that it goes on after a restart, whenever that comes.

use std::net::{IpAddr, SocketAddr};

use cau_model::participant::{Direction, Rights};
use cau_model::{ConferenceId, ParticipantId, kept};
use serde::{Deserialize, Serialize};

/// Something to be kept, or forgotten. Later ones about the same thing replace earlier ones.
#[derive(Debug, Clone, PartialEq)]
pub enum Keep {
    /// The live part of a conference.
    Room(ConferenceId, kept::Room),
    /// A conference with all its sites has ended.
    RoomGone(ConferenceId),
    /// A site.
    Site(ConferenceId, ParticipantId, Box<Kept>),
    /// A site is gone for good.
    SiteGone(ConferenceId, ParticipantId),
}

/// One site.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    /// The name shown.
    pub name: String,
    /// The address shown.
    pub uri: String,
    /// Who dialled the call that holds.
    pub direction: Direction,
    /// What the operator has set.
    pub rights: Rights,
    /// Its place in the order of joining; 0: it was never there.
    pub joined: u64,
    /// An operator had it called.
    pub dialled: bool,
    /// Where it can be called.
    pub target: Option<String>,
    /// The way to there, when it is not the host of `target`.
    pub remote: Option<SocketAddr>,
    /// Its call, when it stands.
    pub call: Option<KeptCall>,
}

/// A call that stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KeptCall {
    /// The dialog.
    pub dialog: cau_sip::Saved,
    /// Our address on the network it came in by.
    pub local: IpAddr,
    /// Our address as it was told.
    pub addr: IpAddr,
    /// Our RTP port for sound.
    pub audio: u16,
    /// Our RTP port for pictures.
    pub video: u16,
    /// Our name for RTCP.
    pub cname: String,
    /// Where its signalling comes from.
    pub peer: IpAddr,
    /// Our description in force.
    pub ours: String,
    /// Theirs.
    pub theirs: String,
    /// Our offer, when the offer was ours.
    pub our_offer: Option<String>,
}
