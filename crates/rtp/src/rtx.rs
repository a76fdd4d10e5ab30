//! Retransmission in a stream of its own (RFC 4588 4), with its own SSRC and payload type.
//!
//! ```text
//! |                  RTP header of the repair                     |
//! |  original sequence number     |                               |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+                               |
//! |                  original payload                             |
//! ```

use crate::packet::Packet;
use bytes::{BufMut, BytesMut};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

/// The stream of repairs beside one outgoing stream.
#[derive(Debug)]
pub struct Sender {
    ssrc: u32,
    seq: u16,
}

impl Sender {
    /// SSRC and first sequence number are random from `seed`.
    pub fn new(seed: u64) -> Self {
        let mut rng = SmallRng::seed_from_u64(seed);
        Self { ssrc: rng.random_range(1..=u32::MAX), seq: rng.random_range(0..0x8000) }
    }

    /// The SSRC of the repairs.
    pub fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// A packet once more, as a repair of payload type `pt`: two bytes longer than it was.
    pub fn wrap(&mut self, packet: &Packet, pt: u8) -> Packet {
        let mut payload = BytesMut::with_capacity(2 + packet.payload.len());
        payload.put_u16(packet.seq);
        payload.extend_from_slice(&packet.payload);
        let seq = self.seq;
        self.seq = seq.wrapping_add(1);
        Packet { pt, seq, ssrc: self.ssrc, payload: payload.freeze(), ..packet.clone() }
    }
}

/// The packet a repair holds, as it was sent first: of payload type `pt` and source `ssrc`. `None` when it holds none (some senders
/// pad with empty ones to measure the line).
pub fn unwrap(repair: Packet, pt: u8, ssrc: u32) -> Option<Packet> {
    let (seq, rest) = repair.payload.split_first_chunk::<2>()?;
    if rest.is_empty() {
        return None;
    }
    let seq = u16::from_be_bytes(*seq);
    Some(Packet { pt, seq, ssrc, payload: repair.payload.slice(2..), ..repair })
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn packet(seq: u16) -> Packet {
        let mut data = vec![0x80, 0x80 | 96];
        data.extend(seq.to_be_bytes());
        data.extend([0, 0, 1, 0, 9, 9, 9, 9, 0x65, 1, 2, 3]);
        Packet::parse(Bytes::from(data)).unwrap()
    }

    #[test]
    fn a_repair_brings_the_packet_back_as_it_was() {
        let mut sender = Sender::new(3);
        for seq in [7, 65_535, 0] {
            let repair = sender.wrap(&packet(seq), 97);
            assert_eq!((repair.pt, repair.ssrc), (97, sender.ssrc()));
            assert_eq!((repair.timestamp, repair.marker), (256, true));
            let mut wire = Vec::new();
            repair.write(&mut wire);
            let came = Packet::parse(Bytes::from(wire)).unwrap();
            assert_eq!(unwrap(came, 96, 0x0909_0909), Some(packet(seq)));
        }
    }

    #[test]
    fn repairs_have_a_sequence_of_their_own() {
        let mut sender = Sender::new(3);
        let first = sender.wrap(&packet(500), 97).seq;
        assert_eq!(sender.wrap(&packet(20), 97).seq, first.wrapping_add(1));
    }

    #[test]
    fn padding_is_no_packet() {
        for len in 0..=2 {
            let repair = Packet { payload: Bytes::from(vec![0; len]), ..packet(1) };
            assert_eq!(unwrap(repair, 96, 1), None);
        }
    }
}
