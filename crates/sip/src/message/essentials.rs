//! The header fields every message must have exactly once (RFC 3261 8.1.1).

use bytes::Bytes;

use super::{Headers, Method, Name, NameAddr, Problem, Via, scan};

/// What identifies a message.
#[derive(Clone, Debug)]
pub struct Core {
    /// Topmost Via as received.
    pub via: Via,
    /// From.
    pub from: NameAddr,
    /// To.
    pub to: NameAddr,
    /// Call-ID.
    pub call_id: Bytes,
    /// Number of CSeq, below 2³¹.
    pub cseq: u32,
    /// Method of CSeq.
    pub method: Method,
}

impl Core {
    /// Reads them.
    ///
    /// Errors with the first that is missing, repeated or unreadable.
    pub fn read(headers: &Headers) -> Result<Self, Problem> {
        let via = headers.elements(&Name::Via).next().ok_or(Problem::Missing("Via"))?;
        let via = Via::parse(via).map_err(|_| Problem::Bad("Via"))?;
        let from = NameAddr::parse(one(headers, &Name::From, "From")?).map_err(|_| Problem::Bad("From"))?;
        let to = NameAddr::parse(one(headers, &Name::To, "To")?).map_err(|_| Problem::Bad("To"))?;
        let call_id = one(headers, &Name::CallId, "Call-ID")?;
        if call_id.is_empty() || call_id.iter().any(|b| scan::is_lws(*b)) {
            return Err(Problem::Bad("Call-ID"));
        }
        let (number, method) = scan::split_word(one(headers, &Name::CSeq, "CSeq")?);
        let cseq = scan::number::<u32>(number).filter(|n| *n < 1 << 31).ok_or(Problem::Bad("CSeq"))?;
        let method = Method::parse(method).ok_or(Problem::Bad("CSeq"))?;
        Ok(Self { via, from, to, call_id: call_id.clone(), cseq, method })
    }
}

fn one<'a>(headers: &'a Headers, name: &Name, word: &'static str) -> Result<&'a Bytes, Problem> {
    let mut all = headers.all(name);
    let first = all.next().ok_or(Problem::Missing(word))?;
    match all.next() {
        None => Ok(first),
        Some(_) => Err(Problem::Repeated(word)),
    }
}

/// Max-Forwards, when it is there.
///
/// Errors when it is repeated or no number of 0–255 (20.22).
pub(crate) fn max_forwards(headers: &Headers) -> Result<Option<u8>, Problem> {
    if headers.value(&Name::MaxForwards).is_none() {
        return Ok(None);
    }
    let value = one(headers, &Name::MaxForwards, "Max-Forwards")?;
    scan::number::<u8>(value).map(Some).ok_or(Problem::Bad("Max-Forwards"))
}
