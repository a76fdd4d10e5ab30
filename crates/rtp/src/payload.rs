//! Facts about sound payloads: clock rates and how long a payload sounds.

use std::time::Duration;

/// A sound payload format the jitter buffer knows the length of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// G.711 µ-law, 8 kHz, one byte a sample.
    Pcmu,
    /// G.711 A-law, 8 kHz, one byte a sample.
    Pcma,
    /// G.722 at 64 kbit/s: 16 kHz sound, but an RTP clock of 8 kHz (RFC 3551 4.5.2); one byte is 1/8 ms.
    G722,
    /// Opus; the RTP clock is always 48 kHz (RFC 7587 4.1), the length stands in the TOC byte.
    Opus,
    /// Comfort noise, RFC 3389; clock 8 kHz for PT 13.
    ComfortNoise,
}

impl Format {
    /// Ticks per second of the RTP timestamp.
    pub fn clock_rate(self) -> u32 {
        match self {
            Self::Pcmu | Self::Pcma | Self::G722 | Self::ComfortNoise => 8_000,
            Self::Opus => 48_000,
        }
    }

    /// RTP ticks the payload sounds for; None when it is empty, malformed or has no length of its own (comfort noise).
    pub fn ticks(self, payload: &[u8]) -> Option<u32> {
        match self {
            Self::Pcmu | Self::Pcma | Self::G722 => (!payload.is_empty()).then_some(payload.len() as u32),
            Self::Opus => opus_ticks(payload),
            Self::ComfortNoise => None,
        }
    }

    /// Playing time of the payload, as [`Self::ticks`].
    pub fn duration(self, payload: &[u8]) -> Option<Duration> {
        let ticks = u64::from(self.ticks(payload)?);
        Some(Duration::from_nanos(ticks * 1_000_000_000 / u64::from(self.clock_rate())))
    }
}

/// Length of an Opus packet in 48 kHz ticks, 120–5,760 (2.5–120 ms); None when the packet is malformed (RFC 6716 3.1, 3.2, R5).
pub fn opus_ticks(packet: &[u8]) -> Option<u32> {
    let toc = *packet.first()?;
    let frame = match toc >> 3 {
        config @ 0..=11 if config & 3 == 3 => 2_880,
        config @ 0..=11 => 480 << (config & 3), // SILK: 10, 20, 40, 60 ms
        config @ 12..=15 => 480 << (config & 1), // hybrid: 10, 20 ms
        config => 120 << (config & 3),          // CELT: 2.5, 5, 10, 20 ms
    };
    let frames = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => u32::from(*packet.get(1)? & 0x3f),
    };
    (frames > 0 && frames * frame <= 5_760).then_some(frames * frame)
}

/// Whether an Opus packet only says "still silent" (DTX: no more than the TOC and a count byte; RFC 7587 3.1.3).
pub fn opus_is_dtx(packet: &[u8]) -> bool {
    packet.len() <= 2
}

/// Whether an Opus packet holds a copy of the sound before it (in-band FEC: the LBRR flag of RFC 6716 4.2.3 and 4.2.4). Of several frames in one packet, the
/// first says it; packets that count their frames (code 3) are taken for such without.
pub fn opus_has_fec(packet: &[u8]) -> bool {
    let Some((toc, rest)) = packet.split_first() else { return false };
    let config = toc >> 3;
    // CELT has none.
    if config >= 16 || toc & 3 == 3 {
        return false;
    }
    // Two frames of different length: the first one's stands before it, in one or two bytes.
    let skip = match (toc & 3, rest.first()) {
        (2, Some(252..)) => 2,
        (2, _) => 1,
        _ => 0,
    };
    let Some(first) = rest.get(skip) else { return false };
    // One voice flag for each 20 ms, then the flag; the side channel's behind those of the middle.
    let frames = match config {
        0..=11 => [1, 1, 2, 3].get(usize::from(config & 3)).copied().unwrap_or(1),
        _ => 1,
    };
    let side = toc & 4 != 0 && first >> (6 - 2 * frames) & 1 == 1;
    first >> (7 - frames) & 1 == 1 || side
}

/// Background noise as its sender describes it (RFC 3389 3).
#[derive(Debug, Clone, PartialEq)]
pub struct ComfortNoise {
    /// Level in −dBov, 0 (loudest) to 127.
    pub level: u8,
    /// Quantized reflection coefficients, at most 31 are kept; as sent (0–254, 127 is zero).
    pub coefficients: Vec<u8>,
}

impl ComfortNoise {
    /// Reads a payload; None when it is empty. A set top bit of the level, which must be zero, is ignored.
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let (level, rest) = payload.split_first()?;
        Some(Self { level: level & 0x7f, coefficients: rest.iter().take(31).copied().collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twenty_milliseconds_of_every_codec() {
        let ms20 = Some(Duration::from_millis(20));
        assert_eq!(Format::Pcma.duration(&[0; 160]), ms20);
        assert_eq!(Format::G722.duration(&[0; 160]), ms20);
        assert_eq!(Format::G722.clock_rate(), 8_000);
        assert_eq!(Format::Opus.duration(&[0x78]), ms20); // config 15, one frame
        assert_eq!(Format::Opus.duration(&[]), None);
    }

    #[test]
    fn opus_lengths_follow_the_table_of_rfc_6716() {
        assert_eq!(opus_ticks(&[0 << 3]), Some(480));
        assert_eq!(opus_ticks(&[3 << 3]), Some(2_880));
        assert_eq!(opus_ticks(&[16 << 3]), Some(120));
        assert_eq!(opus_ticks(&[31 << 3 | 1]), Some(1_920));
        assert_eq!(opus_ticks(&[31 << 3 | 3, 3]), Some(2_880));
        assert_eq!(opus_ticks(&[3 << 3 | 3, 2]), Some(5_760));
        assert_eq!(opus_ticks(&[3 << 3 | 3, 3]), None, "more than 120 ms");
        assert_eq!(opus_ticks(&[31 << 3 | 3, 0]), None, "no frame");
        assert_eq!(opus_ticks(&[31 << 3 | 3]), None, "count missing");
    }

    #[test]
    fn the_flag_of_a_copy_stands_behind_the_voice_flags_of_the_first_frame() {
        assert!(opus_has_fec(&[9 << 3, 0b0100_0000]), "20 ms");
        assert!(!opus_has_fec(&[9 << 3, 0b1000_0000]), "voice only");
        assert!(opus_has_fec(&[11 << 3, 0b0001_0000]) && !opus_has_fec(&[11 << 3, 0b1110_0000]), "60 ms");
        assert!(
            opus_has_fec(&[9 << 3 | 4, 0b0001_0000]) && !opus_has_fec(&[9 << 3, 0b0001_0000]),
            "side channel"
        );
        assert!(opus_has_fec(&[9 << 3 | 2, 252, 7, 0b0100_0000]) && !opus_has_fec(&[9 << 3 | 2, 70, 0]));
        assert!(!opus_has_fec(&[31 << 3, 0xff]), "CELT");
        assert!(!opus_has_fec(&[9 << 3]) && !opus_has_fec(&[]) && !opus_has_fec(&[9 << 3 | 2, 255, 1]));
    }

    #[test]
    fn comfort_noise_gives_its_level() {
        assert_eq!(ComfortNoise::parse(&[0x40]).map(|n| n.level), Some(64));
        assert_eq!(ComfortNoise::parse(&[0xc0, 127, 1]).map(|n| n.coefficients.len()), Some(2));
        assert_eq!(ComfortNoise::parse(&[]), None);
        assert_eq!(ComfortNoise::parse(&[9; 200]).map(|n| n.coefficients.len()), Some(31));
    }
}
