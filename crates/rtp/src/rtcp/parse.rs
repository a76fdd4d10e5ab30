//! Reading RTCP datagrams.
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |V=2|P| RC/FMT  |      PT       |  length (words, less one)     |
//! ```

use super::{Compound, Description, Item, Limit, ReportBlock, SenderInfo, kind};
use bytes::Bytes;
use smallvec::SmallVec;

/// Items kept of one datagram, and entries of one list; a datagram cannot hold many more that mean something.
const MAX_ITEMS: usize = 128;
const MAX_ENTRIES: usize = 64;

/// Reads a whole datagram: compound or reduced size (RFC 5506), in any order. What is unknown is skipped, what is broken is counted, and one
/// broken packet does not spoil the others. Only a wrong version or a length beyond the datagram ends the walk.
pub fn parse(datagram: &[u8]) -> Compound {
    let mut out = Compound::default();
    let mut rest = datagram;
    while let Some((head, after)) = rest.split_first_chunk::<4>() {
        let [first, pt, l0, l1] = *head;
        let length = 4 * usize::from(u16::from_be_bytes([l0, l1]));
        let Some(mut body) = after.get(..length).filter(|_| first >> 6 == 2) else {
            out.malformed += 1;
            return out;
        };
        rest = after.get(length..).unwrap_or_default();
        if first & 0x20 != 0 {
            let pad = usize::from(body.last().copied().unwrap_or(0));
            match body.len().checked_sub(pad).and_then(|n| body.get(..n)) {
                Some(inner) if pad > 0 => body = inner,
                _ => {
                    out.malformed += 1;
                    continue;
                }
            }
        }
        if out.items.len() >= MAX_ITEMS {
            out.skipped += 1;
            continue;
        }
        let before = out.items.len();
        match packet(first & 0x1f, pt, body, &mut out.items) {
            Some(true) => {}
            Some(false) => out.skipped += 1,
            None => {
                out.malformed += 1;
                out.items.truncate(before + MAX_ITEMS);
            }
        }
    }
    out.malformed += u32::from(!rest.is_empty());
    out
}

/// One packet's body; Some(false) when its type is unknown, None when it is malformed.
fn packet(count: u8, pt: u8, body: &[u8], items: &mut Vec<Item>) -> Option<bool> {
    let item = match (pt, count) {
        (kind::SR, _) => {
            let (ssrc, rest) = word(body)?;
            let (info, rest) = sender_info(rest)?;
            Item::SenderReport { ssrc, info, blocks: blocks(count, rest)? }
        }
        (kind::RR, _) => {
            let (ssrc, rest) = word(body)?;
            Item::ReceiverReport { ssrc, blocks: blocks(count, rest)? }
        }
        (kind::SDES, _) => return descriptions(count, body, items),
        (kind::BYE, _) => {
            let list = body.as_chunks::<4>().0.get(..usize::from(count))?;
            Item::Bye(list.iter().map(|c| u32::from_be_bytes(*c)).collect())
        }
        (kind::FIR_2032, _) => Item::FirRfc2032 { ssrc: word(body)?.0 },
        (kind::RTPFB, 1) => {
            let (sender, media, fci) = feedback(body)?;
            Item::Nack { sender, media, lost: nack(fci)? }
        }
        (kind::RTPFB, 3) => {
            let (sender, _, fci) = feedback(body)?;
            Item::Tmmbr { sender, limits: limits(fci)? }
        }
        (kind::RTPFB, 4) => {
            let (sender, _, fci) = feedback(body)?;
            Item::Tmmbn { sender, limits: limits(fci)? }
        }
        (kind::PSFB, 1) => {
            let (sender, media, _) = feedback(body)?;
            Item::Pli { sender, media }
        }
        (kind::PSFB, 4) => {
            let (sender, media, fci) = feedback(body)?;
            let mut targets: SmallVec<[(u32, u8); 2]> = fci
                .as_chunks::<8>()
                .0
                .iter()
                .take(MAX_ENTRIES)
                .map(|&[a, b, c, d, seq, ..]| (u32::from_be_bytes([a, b, c, d]), seq))
                .collect();
            if targets.is_empty() && media != 0 {
                // Seen: the target in the header, as in a PLI, and no entry.
                targets.push((media, 0));
            }
            Item::Fir { sender, targets: (!targets.is_empty()).then_some(targets)? }
        }
        (kind::PSFB, 15) => {
            let (sender, _, fci) = feedback(body)?;
            match remb(fci)? {
                Some((bitrate, ssrcs)) => Item::Remb { sender, bitrate, ssrcs },
                None => return Some(false),
            }
        }
        _ => return Some(false),
    };
    items.push(item);
    Some(true)
}

fn word(b: &[u8]) -> Option<(u32, &[u8])> {
    b.split_first_chunk::<4>().map(|(w, rest)| (u32::from_be_bytes(*w), rest))
}

fn feedback(body: &[u8]) -> Option<(u32, u32, &[u8])> {
    let (sender, rest) = word(body)?;
    let (media, fci) = word(rest)?;
    Some((sender, media, fci))
}

fn sender_info(b: &[u8]) -> Option<(SenderInfo, &[u8])> {
    let (ntp, rest) = b.split_first_chunk::<8>()?;
    let (rtp_timestamp, rest) = word(rest)?;
    let (packets, rest) = word(rest)?;
    let (octets, rest) = word(rest)?;
    Some((SenderInfo { ntp: u64::from_be_bytes(*ntp), rtp_timestamp, packets, octets }, rest))
}

fn blocks(count: u8, b: &[u8]) -> Option<SmallVec<[ReportBlock; 2]>> {
    let all = b.as_chunks::<24>().0.get(..usize::from(count))?;
    Some(all.iter().filter_map(|c| block(c)).collect())
}

fn block(b: &[u8]) -> Option<ReportBlock> {
    let (ssrc, rest) = word(b)?;
    let (loss, rest) = word(rest)?;
    let (highest, rest) = word(rest)?;
    let (jitter, rest) = word(rest)?;
    let (last_sr, rest) = word(rest)?;
    let (delay, _) = word(rest)?;
    let fraction_lost = (loss >> 24) as u8;
    let lost = ((loss << 8) as i32) >> 8;
    Some(ReportBlock { ssrc, fraction_lost, lost, highest, jitter, last_sr, delay })
}

/// Chunks of a source description; those before a broken one are kept.
fn descriptions(count: u8, body: &[u8], items: &mut Vec<Item>) -> Option<bool> {
    let mut rest = body;
    for _ in 0..count {
        let (ssrc, after) = word(rest)?;
        let mut d = Description { ssrc, ..Description::default() };
        let mut at = after;
        let mut used = 4;
        loop {
            let (&typ, tail) = at.split_first()?;
            if typ == 0 {
                break;
            }
            let (&len, tail) = tail.split_first()?;
            let (text, tail) = tail.split_at_checked(usize::from(len))?;
            let slot = match typ {
                1 => Some(&mut d.cname),
                2 => Some(&mut d.name),
                6 => Some(&mut d.tool),
                _ => None,
            };
            if let Some(slot) = slot {
                *slot = Some(Bytes::copy_from_slice(text));
            }
            used += 2 + text.len();
            at = tail;
        }
        items.push(Item::Description(d));
        // The chunk ends with one to four zero bytes, at a word.
        rest = rest.get((used + 1).next_multiple_of(4)..).unwrap_or_default();
    }
    Some(true)
}

/// RFC 4585 6.2.1: a packet and a mask of the 16 after it.
fn nack(fci: &[u8]) -> Option<Vec<u16>> {
    let entries = fci.as_chunks::<4>().0;
    if entries.is_empty() {
        return None;
    }
    let mut lost = Vec::new();
    for &[p0, p1, m0, m1] in entries.iter().take(MAX_ENTRIES) {
        let pid = u16::from_be_bytes([p0, p1]);
        let mask = u16::from_be_bytes([m0, m1]);
        lost.push(pid);
        lost.extend((0..16).filter(|i| mask >> i & 1 == 1).map(|i| pid.wrapping_add(i + 1)));
    }
    Some(lost)
}

/// RFC 5104 4.2.1.1: exponent 6, mantissa 17, overhead 9 bits. An empty list is legal in a TMMBN.
fn limits(fci: &[u8]) -> Option<SmallVec<[Limit; 1]>> {
    Some(
        fci.as_chunks::<8>()
            .0
            .iter()
            .take(MAX_ENTRIES)
            .filter_map(|c| {
                let (ssrc, rest) = word(c)?;
                let (v, _) = word(rest)?;
                let bitrate = shifted(u64::from(v >> 9 & 0x1ffff), v >> 26);
                Some(Limit { ssrc, bitrate, overhead: (v & 0x1ff) as u16 })
            })
            .collect(),
    )
}

/// draft-alvestrand-rmcat-remb 2.2; None inside when it is another application layer message.
#[allow(clippy::type_complexity)]
fn remb(fci: &[u8]) -> Option<Option<(u64, SmallVec<[u32; 2]>)>> {
    let (name, rest) = word(fci)?;
    if name.to_be_bytes() != *b"REMB" {
        return Some(None);
    }
    let (v, rest) = word(rest)?;
    let count = (v >> 24) as usize;
    let bitrate = shifted(u64::from(v & 0x3ffff), v >> 18 & 0x3f);
    let list = rest.as_chunks::<4>().0.get(..count)?;
    Some(Some((bitrate, list.iter().take(MAX_ENTRIES).map(|c| u32::from_be_bytes(*c)).collect())))
}

fn shifted(mantissa: u64, exponent: u32) -> u64 {
    if mantissa.leading_zeros() >= exponent { mantissa << exponent } else { u64::MAX }
}
