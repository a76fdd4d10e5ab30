//! The way from signalling to the media threads.

use std::net::IpAddr;

use cau_mixer::Command;
use cau_model::{ConferenceId, ParticipantId};
use cau_sip::sdp::Ports;

/// No RTP ports are left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no RTP ports left")]
pub struct NoPorts;

/// Opens ports and hands commands to the mixer that carries a conference. Nothing here may block.
pub trait Media {
    /// Opens the ports of a participant on the network its call came in by (`local`: our address there) and gives them to
    /// the media thread of `conference`. `addr` of the answer is what the other side is to be told. `wanted`: the ports it had before a
    /// restart, to be taken when they are free, so that what a device goes on sending arrives.
    ///
    /// # Errors
    /// [`NoPorts`]; nothing stays open then.
    fn open(
        &mut self,
        conference: ConferenceId,
        participant: ParticipantId,
        local: IpAddr,
        wanted: Option<Ports>,
    ) -> Result<Ports, NoPorts>;

    /// Closes the ports of a participant, after everything commanded before was sent.
    fn close(&mut self, participant: ParticipantId);

    /// Hands a command to the media thread of `conference`.
    fn command(&mut self, conference: ConferenceId, command: Command);
}
