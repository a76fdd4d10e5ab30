//! The payload types of one media line that we know.

use super::h264::Parameters;
use super::{AudioCodec, Fmtp, Media};

/// One payload type of a media line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Format {
    /// Payload type, 0 to 127.
    pub pt: u8,
    /// What it is.
    pub codec: Codec,
    /// RTP clock as the description says, Hz. `G722/16000` is left as it is written.
    pub clock_hz: u32,
    /// The encoding as written in `a=rtpmap`, to be repeated in the answer; `None` for a payload type that needs none.
    pub rtpmap: Option<String>,
}

/// What a payload type carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Codec {
    /// Sound.
    Audio(AudioCodec),
    /// `telephone-event` (RFC 4733).
    Dtmf,
    /// `CN` (RFC 3389).
    ComfortNoise,
    /// H.264.
    H264(Parameters),
    /// Retransmission (RFC 4588) of another payload type.
    Rtx {
        /// Which.
        apt: u8,
    },
}

/// The payload types of `media` that we know, in the order of the `m=` line. A dynamic payload type without `a=rtpmap` is unknown,
/// attributes of payload types that the line does not list are passed over, and of several `a=rtpmap` for one payload type
/// the first that we know counts.
pub fn formats(media: &Media) -> Vec<Format> {
    let maps: Vec<(u8, &str)> = media.attributes.all("rtpmap").filter_map(numbered).collect();
    let fmtps: Vec<(u8, &str)> = media.attributes.all("fmtp").filter_map(numbered).collect();
    let mut seen = [false; 128];
    let mut found = Vec::new();
    for pt in media.formats.iter().filter_map(|f| f.parse::<u8>().ok()) {
        match seen.get_mut(usize::from(pt)) {
            Some(seen) if !*seen => *seen = true,
            _ => continue,
        }
        let mut fmtp = Fmtp::default();
        fmtps.iter().filter(|(of, _)| *of == pt).for_each(|(_, text)| fmtp.extend(text));
        let mut mapped = maps.iter().filter(|(of, _)| *of == pt).map(|(_, text)| *text).peekable();
        if mapped.peek().is_none() {
            found.extend(fixed(pt));
        }
        found.extend(mapped.find_map(|text| read(pt, text, &fmtp)));
    }
    found
}

/// The payload types of `formats` that repair others, each with the one it repairs.
pub(super) fn repairs(formats: &[Format]) -> impl Iterator<Item = (u8, u8)> {
    formats.iter().filter_map(|f| match f.codec {
        Codec::Rtx { apt } => Some((f.pt, apt)),
        _ => None,
    })
}

/// `<payload type> <rest>`
fn numbered(value: &str) -> Option<(u8, &str)> {
    let (pt, rest) = value.split_once(char::is_whitespace).unwrap_or((value, ""));
    Some((pt.parse().ok()?, rest.trim()))
}

/// A payload type of RFC 3551 that needs no `a=rtpmap`.
fn fixed(pt: u8) -> Option<Format> {
    let codec = match pt {
        13 => Codec::ComfortNoise,
        _ => Codec::Audio(AudioCodec::fixed(pt)?),
    };
    Some(Format { pt, codec, clock_hz: 8_000, rtpmap: None })
}

/// `<encoding>/<clock>[/<channels>]`
fn read(pt: u8, text: &str, fmtp: &Fmtp) -> Option<Format> {
    let text = text.split_whitespace().next()?;
    let mut parts = text.split('/');
    let name = parts.next()?.trim();
    let clock_hz = parts.next()?.trim().parse().ok()?;
    let codec = match name.to_ascii_lowercase().as_str() {
        "telephone-event" => Codec::Dtmf,
        "cn" => Codec::ComfortNoise,
        "rtx" => Codec::Rtx { apt: u8::try_from(fmtp.number("apt")?).ok().filter(|pt| *pt < 128)? },
        "h264" => Codec::H264(Parameters::read(fmtp)?),
        _ => Codec::Audio(AudioCodec::from_rtpmap(name, clock_hz, fmtp)?),
    };
    Some(Format { pt, codec, clock_hz, rtpmap: Some(text.to_owned()) })
}
