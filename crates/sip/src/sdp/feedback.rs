//! `a=rtcp-fb` (RFC 4585 4.2, RFC 5104 7.1).

use super::{Attributes, Media};

/// RTCP feedback messages, of one side or of both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Feedback {
    /// Generic NACK.
    pub nack: bool,
    /// Picture loss indication.
    pub pli: bool,
    /// Full intra request of RFC 5104.
    pub fir: bool,
    /// Temporary maximum bit rate.
    pub tmmbr: bool,
}

impl Feedback {
    /// What both want.
    pub fn and(self, other: Self) -> Self {
        Self {
            nack: self.nack && other.nack,
            pli: self.pli && other.pli,
            fir: self.fir && other.fir,
            tmmbr: self.tmmbr && other.tmmbr,
        }
    }

    fn or(self, other: Self) -> Self {
        Self {
            nack: self.nack || other.nack,
            pli: self.pli || other.pli,
            fir: self.fir || other.fir,
            tmmbr: self.tmmbr || other.tmmbr,
        }
    }

    /// What the line says of a payload type, with the wildcard's. RFC 4585 allows it in AVPF only, but devices write it in AVP too;
    /// it counts in both. Several messages may stand on one line (`ccm fir tmmbr`).
    pub(super) fn of(media: &Media, pt: u8) -> Self {
        Self::said_of(media, &pt.to_string()).or(Self::of_all(media))
    }

    /// What the line says of all payload types (`*`).
    pub(super) fn of_all(media: &Media) -> Self {
        Self::said_of(media, "*")
    }

    fn said_of(media: &Media, wanted: &str) -> Self {
        let lines = media.attributes.all("rtcp-fb").filter_map(|value| {
            let (whom, what) = value.split_once(char::is_whitespace)?;
            (whom == wanted).then(|| Self::read(what))
        });
        lines.fold(Self::default(), Self::or)
    }

    /// What is here and not in the other.
    pub(super) fn without(self, other: Self) -> Self {
        Self {
            nack: self.nack && !other.nack,
            pli: self.pli && !other.pli,
            fir: self.fir && !other.fir,
            tmmbr: self.tmmbr && !other.tmmbr,
        }
    }

    fn read(what: &str) -> Self {
        let mut words = what.split_whitespace().map(str::to_ascii_lowercase);
        let kind = words.next().unwrap_or_default();
        let rest: Vec<String> = words.collect();
        let says = |word: &str| rest.iter().any(|w| w == word);
        match kind.as_str() {
            // "nack" alone is the generic one; a parameter makes it another message.
            "nack" => Self { nack: rest.is_empty(), pli: says("pli"), ..Self::default() },
            "ccm" => Self { fir: says("fir"), tmmbr: says("tmmbr"), ..Self::default() },
            _ => Self::default(),
        }
    }

    /// Writes a line per message for `whom`: `*` or a payload type.
    pub(super) fn write(self, whom: &str, attributes: &mut Attributes) {
        let lines =
            [(self.nack, "nack"), (self.pli, "nack pli"), (self.fir, "ccm fir"), (self.tmmbr, "ccm tmmbr")];
        for (_, what) in lines.iter().filter(|(on, _)| *on) {
            attributes.push("rtcp-fb", format!("{whom} {what}"));
        }
    }
}
