//! RTP packets (RFC 3550 5.1) and what kind of datagram came in (RFC 5761, RFC 7983).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |V=2|P|X|  CC   |M|     PT      |       sequence number         |
//! |                           timestamp                           |
//! |           synchronization source (SSRC) identifier            |
//! |            contributing source (CSRC) identifiers, 0–15       |
//! |      defined by profile       |    extension words (if X)     |
//! ```

use bytes::{BufMut, Bytes};
use smallvec::SmallVec;

/// Bytes of the fixed header.
pub const HEADER: usize = 12;

/// One RTP packet. A header extension is skipped when parsing and never written; padding is taken off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// Payload type, 0–127.
    pub pt: u8,
    /// Marker: last packet of a picture, first of a talk spurt.
    pub marker: bool,
    /// Sequence number.
    pub seq: u16,
    /// Timestamp in ticks of the payload type's clock.
    pub timestamp: u32,
    /// Synchronization source.
    pub ssrc: u32,
    /// Contributing sources; at most 15 are written.
    pub csrc: SmallVec<[u32; 4]>,
    /// Payload without padding; may be empty.
    pub payload: Bytes,
}

/// Why bytes are no RTP packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Fewer bytes than header, CSRC list or extension need.
    #[error("RTP packet of {0} bytes is cut off")]
    Short(usize),
    /// Version other than 2.
    #[error("RTP version {0}")]
    Version(u8),
    /// Padding count is zero or reaches into the header.
    #[error("RTP padding of {0} bytes")]
    Padding(u8),
}

impl Packet {
    /// Reads one datagram; the payload shares its memory.
    pub fn parse(datagram: Bytes) -> Result<Self, Error> {
        let len = datagram.len();
        let short = Error::Short(len);
        let fixed = datagram.first_chunk::<HEADER>().ok_or(short)?;
        let [b0, b1, s0, s1, t0, t1, t2, t3, c0, c1, c2, c3] = *fixed;
        if b0 >> 6 != 2 {
            return Err(Error::Version(b0 >> 6));
        }
        let csrc_count = usize::from(b0 & 0x0f);
        let mut start = HEADER + 4 * csrc_count;
        let csrc = datagram
            .get(HEADER..start)
            .ok_or(short)?
            .as_chunks::<4>()
            .0
            .iter()
            .map(|c| u32::from_be_bytes(*c))
            .collect();
        if b0 & 0x10 != 0 {
            let head = datagram.get(start..start + 4).and_then(|h| h.first_chunk::<4>()).ok_or(short)?;
            start += 4 + 4 * usize::from(u16::from_be_bytes([head[2], head[3]]));
        }
        let mut end = len;
        if b0 & 0x20 != 0 {
            let pad = datagram.last().copied().unwrap_or(0);
            end = end.checked_sub(usize::from(pad)).ok_or(Error::Padding(pad))?;
            if pad == 0 || end < start {
                return Err(Error::Padding(pad));
            }
        }
        if start > end {
            return Err(short);
        }
        Ok(Self {
            pt: b1 & 0x7f,
            marker: b1 & 0x80 != 0,
            seq: u16::from_be_bytes([s0, s1]),
            timestamp: u32::from_be_bytes([t0, t1, t2, t3]),
            ssrc: u32::from_be_bytes([c0, c1, c2, c3]),
            csrc,
            payload: datagram.slice(start..end),
        })
    }

    /// Appends the packet's bytes to `out`.
    pub fn write(&self, out: &mut impl BufMut) {
        let csrc = self.csrc.get(..15).unwrap_or(&self.csrc);
        let [s0, s1] = self.seq.to_be_bytes();
        let [t0, t1, t2, t3] = self.timestamp.to_be_bytes();
        let [c0, c1, c2, c3] = self.ssrc.to_be_bytes();
        let (first, second) = (0x80 | csrc.len() as u8, u8::from(self.marker) << 7 | self.pt & 0x7f);
        out.put_slice(&[first, second, s0, s1, t0, t1, t2, t3, c0, c1, c2, c3]);
        for source in csrc {
            out.put_slice(&source.to_be_bytes());
        }
        out.put_slice(&self.payload);
    }

    /// Bytes [`Self::write`] appends.
    pub fn wire_len(&self) -> usize {
        HEADER + 4 * self.csrc.len().min(15) + self.payload.len()
    }
}

/// What a datagram on a media port is, told by its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// An RTP packet.
    Rtp,
    /// An RTCP packet (second byte 192–223, RFC 5761 4).
    Rtcp,
    /// STUN (first byte 0–3).
    Stun,
    /// ZRTP (16–19).
    Zrtp,
    /// DTLS (20–63).
    Dtls,
    /// TURN channel data (64–79).
    Turn,
    /// Anything else: dropped.
    Unknown,
}

/// Sorts a datagram by RFC 7983 7 and, among RTP and RTCP, by RFC 5761 4.
pub fn classify(datagram: &[u8]) -> Class {
    match (datagram.first(), datagram.get(1)) {
        (Some(0..=3), _) => Class::Stun,
        (Some(16..=19), _) => Class::Zrtp,
        (Some(20..=63), _) => Class::Dtls,
        (Some(64..=79), _) => Class::Turn,
        (Some(128..=191), Some(192..=223)) => Class::Rtcp,
        (Some(128..=191), Some(_)) => Class::Rtp,
        _ => Class::Unknown,
    }
}
