//! Session-ID (RFC 7989): one name for a call that survives every box in between, so that the logs of both ends can be laid side
//! by side.

use std::fmt;

use crate::message::{Headers, Name, Params, scan};

/// What both ends call themselves in one session. 0 is the nil UUID: not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SessionId {
    pub local: u128,
    pub remote: u128,
    /// The other side is of RFC 7329: there is one UUID for both, and no `remote`.
    single: bool,
}

/// A Session-ID header as received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Received {
    /// The sender's.
    local: u128,
    /// `None`: RFC 7329.
    remote: Option<u128>,
}

impl SessionId {
    /// With our own UUID, which must not be 0.
    pub(crate) fn new(local: u128) -> Self {
        Self { local, remote: 0, single: false }
    }

    /// Another UUID of our own; not for an other side that knows one only.
    pub(crate) fn rename(&mut self, local: u128) {
        if local != 0 && !self.single {
            self.local = local;
        }
    }

    /// As in a message of ours.
    pub(crate) fn of(headers: &Headers) -> Option<Self> {
        Self::parse(headers.value(&Name::SessionId)?)
    }

    /// As written by [`fmt::Display`].
    pub(crate) fn parse(value: &[u8]) -> Option<Self> {
        let Received { local, remote } = read_value(value)?;
        Some(Self { local, remote: remote.unwrap_or_default(), single: remote.is_none() })
    }

    /// Takes over what a request says (6, 8, 11); a header that is missing or broken changes nothing.
    pub(crate) fn heard_request(&mut self, headers: &Headers) {
        match read(headers) {
            Some(Received { local, remote: None }) if local != 0 => {
                (self.local, self.remote, self.single) = (local, 0, true);
            }
            Some(Received { local, remote: Some(_) }) if local != 0 => {
                (self.remote, self.single) = (local, false);
            }
            _ => {}
        }
    }

    /// Takes over what a response says.
    pub(crate) fn heard_response(&mut self, headers: &Headers) {
        match read(headers) {
            // Our own comes back: of RFC 7329, which knows one UUID only (11).
            Some(Received { local, remote }) if local == self.local => self.single = remote.is_none(),
            Some(Received { local, .. }) if local != 0 => (self.remote, self.single) = (local, false),
            _ => {}
        }
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.local)?;
        if !self.single {
            write!(f, ";remote={:032x}", self.remote)?;
        }
        Ok(())
    }
}

fn read(headers: &Headers) -> Option<Received> {
    read_value(headers.value(&Name::SessionId)?)
}

fn read_value(value: &[u8]) -> Option<Received> {
    let at = value.iter().position(|b| *b == b';').unwrap_or(value.len());
    let (local, params) = value.split_at_checked(at)?;
    let params = Params::parse(params).ok()?;
    let remote = match params.value("remote") {
        Some(remote) => Some(uuid(remote)?),
        None => None,
    };
    Some(Received { local: uuid(scan::trim(local))?, remote })
}

/// 32 hexadecimal digits; upper case is taken too.
fn uuid(text: &[u8]) -> Option<u128> {
    let text = std::str::from_utf8(text).ok().filter(|t| t.len() == 32)?;
    if !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    u128::from_str_radix(text, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "ab30317f1a784dc48ff824d0d3715d86";
    const B: &str = "47755a9de7794ba387653f2099600ef2";
    const NIL: &str = "00000000000000000000000000000000";

    fn headers(value: String) -> Headers {
        let mut headers = Headers::new();
        headers.push(Name::SessionId, value);
        headers
    }

    fn ours() -> SessionId {
        SessionId::new(u128::from_str_radix(A, 16).unwrap())
    }

    #[test]
    fn both_uuids_are_kept_apart() {
        let mut it = ours();
        assert_eq!(it.to_string(), format!("{A};remote={NIL}"));
        it.heard_response(&headers(format!("{B};remote={A}")));
        assert_eq!(it.to_string(), format!("{A};remote={B}"));
        // Changed by a transfer behind the other side's back (8).
        it.heard_request(&headers(format!("{};remote={A}", B.replace('4', "5").to_uppercase())));
        assert_eq!(it.to_string(), format!("{A};remote={}", B.replace('4', "5")));
    }

    #[test]
    fn a_box_that_has_no_name_and_a_broken_header_change_nothing() {
        let mut it = ours();
        it.heard_response(&headers(format!("{B};remote={A}")));
        for bad in [
            format!("{NIL};remote={A}"),
            "abc".into(),
            format!("{B}00;remote={A}"),
            format!("{A};remote=x"),
            "é;;".into(),
        ] {
            it.heard_response(&headers(bad));
            assert_eq!(it.to_string(), format!("{A};remote={B}"));
        }
        it.heard_response(&Headers::new());
        assert_eq!(it.to_string(), format!("{A};remote={B}"));
    }

    #[test]
    fn old_implementations_have_one_uuid_for_both() {
        let mut called = ours();
        called.heard_request(&headers(B.into()));
        assert_eq!(called.to_string(), B);
        let mut caller = ours();
        caller.heard_response(&headers(A.into()));
        assert_eq!(caller.to_string(), A);
        let mut echoed = ours();
        echoed.heard_response(&headers(format!("{A};remote={NIL}")));
        assert_eq!(echoed.to_string(), format!("{A};remote={NIL}"), "in the order it was sent");
    }
}
