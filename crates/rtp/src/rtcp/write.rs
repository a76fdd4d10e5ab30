//! Writing RTCP packets, one behind the other into one datagram.

use super::{Limit, ReportBlock, SenderInfo, kind};

/// Builds a compound packet. The order is the caller's: a report first, then SDES, then what else (RFC 3550 6.1).
#[derive(Debug, Clone, Default)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// Nothing written yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The datagram.
    pub fn finish(self) -> Vec<u8> {
        self.bytes
    }

    /// Bytes so far.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    fn packet(&mut self, count: u8, pt: u8, body: &[u32]) -> &mut Self {
        self.bytes.extend_from_slice(&[0x80 | count & 0x1f, pt]);
        self.bytes.extend_from_slice(&(body.len() as u16).to_be_bytes());
        for w in body {
            self.bytes.extend_from_slice(&w.to_be_bytes());
        }
        self
    }

    /// Sender report with up to 31 blocks.
    pub fn sender_report(&mut self, ssrc: u32, info: &SenderInfo, blocks: &[ReportBlock]) -> &mut Self {
        let mut body = vec![
            ssrc,
            (info.ntp >> 32) as u32,
            info.ntp as u32,
            info.rtp_timestamp,
            info.packets,
            info.octets,
        ];
        let count = append(&mut body, blocks);
        self.packet(count, kind::SR, &body)
    }

    /// Receiver report with up to 31 blocks.
    pub fn receiver_report(&mut self, ssrc: u32, blocks: &[ReportBlock]) -> &mut Self {
        let mut body = vec![ssrc];
        let count = append(&mut body, blocks);
        self.packet(count, kind::RR, &body)
    }

    /// Source description of one source; texts are cut at 255 bytes.
    pub fn description(&mut self, ssrc: u32, cname: &str, name: Option<&str>) -> &mut Self {
        let mut chunk = ssrc.to_be_bytes().to_vec();
        for (typ, text) in [(1, Some(cname)), (2, name.filter(|n| !n.is_empty()))] {
            let Some(text) = text else { continue };
            let end = (0..=text.len().min(255)).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0);
            let text = text.get(..end).unwrap_or_default();
            chunk.extend_from_slice(&[typ, text.len() as u8]);
            chunk.extend_from_slice(text.as_bytes());
        }
        chunk.resize((chunk.len() + 1).next_multiple_of(4), 0);
        self.bytes.extend_from_slice(&[0x81, kind::SDES]);
        self.bytes.extend_from_slice(&((chunk.len() / 4) as u16).to_be_bytes());
        self.bytes.extend_from_slice(&chunk);
        self
    }

    /// Goodbye of one source.
    pub fn bye(&mut self, ssrc: u32) -> &mut Self {
        self.packet(1, kind::BYE, &[ssrc])
    }

    /// Picture loss indication (RFC 4585 6.3.1).
    pub fn pli(&mut self, sender: u32, media: u32) -> &mut Self {
        self.packet(1, kind::PSFB, &[sender, media])
    }

    /// Full intra request (RFC 5104 4.3.1): the media source in the header is 0, the target stands in the entry.
    pub fn fir(&mut self, sender: u32, target: u32, seq: u8) -> &mut Self {
        self.packet(4, kind::PSFB, &[sender, 0, target, u32::from(seq) << 24])
    }

    /// Full intra-frame request of RFC 2032 5.2.1: names the source asked.
    pub fn fir_rfc2032(&mut self, target: u32) -> &mut Self {
        self.packet(0, kind::FIR_2032, &[target])
    }

    /// Generic NACK (RFC 4585 6.2.1). `lost` in ascending order; packed into at most 64 entries, nothing is written when it is empty.
    pub fn nack(&mut self, sender: u32, media: u32, lost: &[u16]) -> &mut Self {
        let mut entries: Vec<(u16, u16)> = Vec::new();
        for &seq in lost {
            let full = entries.len() >= 64;
            match entries.last_mut().map(|(pid, mask)| (seq.wrapping_sub(*pid), mask)) {
                Some((0, _)) => {}
                Some((d @ 1..=16, mask)) => *mask |= 1 << (d - 1),
                _ if full => break,
                _ => entries.push((seq, 0)),
            }
        }
        if entries.is_empty() {
            return self;
        }
        let body: Vec<u32> = [sender, media]
            .into_iter()
            .chain(entries.iter().map(|(pid, mask)| u32::from(*pid) << 16 | u32::from(*mask)))
            .collect();
        self.packet(1, kind::RTPFB, &body)
    }

    /// Temporary maximum media stream bit rate request (RFC 5104 4.2.1).
    pub fn tmmbr(&mut self, sender: u32, limit: &Limit) -> &mut Self {
        self.packet(3, kind::RTPFB, &[sender, 0, limit.ssrc, pack(limit)])
    }

    /// Temporary maximum media stream bit rate notification (RFC 5104 4.2.2).
    pub fn tmmbn(&mut self, sender: u32, limits: &[Limit]) -> &mut Self {
        let body: Vec<u32> =
            [sender, 0].into_iter().chain(limits.iter().take(31).flat_map(|l| [l.ssrc, pack(l)])).collect();
        self.packet(4, kind::RTPFB, &body)
    }
}

fn append(body: &mut Vec<u32>, blocks: &[ReportBlock]) -> u8 {
    let mut count = 0;
    for b in blocks.iter().take(31) {
        let lost = b.lost.clamp(-0x80_0000, 0x7f_ffff) as u32 & 0xff_ffff;
        body.extend([
            b.ssrc,
            u32::from(b.fraction_lost) << 24 | lost,
            b.highest,
            b.jitter,
            b.last_sr,
            b.delay,
        ]);
        count += 1;
    }
    count
}

/// Rounds the rate down to 17 significant bits: a limit must not be exceeded.
fn pack(l: &Limit) -> u32 {
    let exponent = (64 - l.bitrate.leading_zeros()).saturating_sub(17);
    let mantissa = (l.bitrate >> exponent) as u32;
    exponent << 26 | mantissa << 9 | u32::from(l.overhead & 0x1ff)
}
