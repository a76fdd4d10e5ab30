//! What a REGISTER asks for (RFC 3261 10.3 steps 6 and 7).

use std::time::Duration;

use bytes::Bytes;

use super::binding::Key;
use crate::message::{Headers, Name, NameAddr, Uri, scan};

/// Most Contact elements of one REGISTER.
const MOST: usize = 16;

/// What a REGISTER asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// Tell what there is.
    Query,
    /// `*`: remove everything.
    Nothing,
    /// These.
    These(Vec<Wish>),
}

/// One Contact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wish {
    pub uri: Uri,
    pub written: Bytes,
    pub key: Key,
    /// 0–1000.
    pub q: u16,
    /// `None`: not said.
    pub expires: Option<Duration>,
}

/// Reads Contact and Expires. `Err`: 400.
pub(crate) fn read(headers: &Headers) -> Result<Asked, ()> {
    // Values that cannot be read count as 3600 (20.19 leaves it to us; old devices write dates).
    let general = headers.value(&Name::Expires).map(|e| seconds(e));
    let mut wishes = Vec::new();
    let mut star = false;
    for element in headers.elements(&Name::Contact) {
        if element == b"*" {
            star = true;
            continue;
        }
        if wishes.len() == MOST {
            return Err(());
        }
        wishes.push(wish(element, general)?);
    }
    match (star, wishes.is_empty()) {
        (true, true) if general == Some(Duration::ZERO) => Ok(Asked::Nothing),
        (true, _) => Err(()),
        (false, true) => Ok(Asked::Query),
        (false, false) => Ok(Asked::These(wishes)),
    }
}

fn wish(element: &[u8], general: Option<Duration>) -> Result<Wish, ()> {
    let mut address = NameAddr::parse(element).map_err(|_| ())?;
    let expires = address.params.value("expires").map(seconds).or(general);
    let q = match address.params.value("q") {
        Some(q) => thousandths(q).ok_or(())?,
        None => 1000,
    };
    if let Uri::Sip(uri) = &mut address.uri {
        uri.headers = None;
    }
    let instance = address.params.value("+sip.instance").filter(|i| !i.is_empty());
    let key = match instance {
        Some(instance) => {
            let reg_id = address.params.value("reg-id").and_then(scan::number).unwrap_or(0);
            Key::Instance(Bytes::copy_from_slice(instance), reg_id)
        }
        None => Key::Address(address.uri.to_bytes().to_ascii_lowercase().into()),
    };
    address.params.remove("expires");
    let mut written = Vec::new();
    address.write(&mut written);
    Ok(Wish { uri: address.uri, written: written.into(), key, q, expires })
}

fn seconds(value: &[u8]) -> Duration {
    Duration::from_secs(scan::number::<u32>(value).unwrap_or(3600).into())
}

/// `qvalue`: 0 to 1 with up to three decimals.
fn thousandths(q: &[u8]) -> Option<u16> {
    let text = std::str::from_utf8(scan::trim(q)).ok()?;
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    if part.len() > 3 || !part.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let part: u16 = format!("{part:0<3}").parse().ok()?;
    match (whole, part) {
        ("0" | "", part) => Some(part),
        ("1", 0) => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_lines(lines: &[(Name, &str)]) -> Result<Asked, ()> {
        let mut headers = Headers::new();
        for (name, value) in lines {
            headers.push(name.clone(), value.to_string());
        }
        read(&headers)
    }

    #[test]
    fn contacts_with_time_and_preference() {
        let asked = read_lines(&[
            (
                Name::Contact,
                "\"A, B\" <sip:a@h;transport=tcp?x=y>;q=0.5;expires=60;+sip.instance=\"<urn:uuid:1>\";reg-id=2, sip:b@h",
            ),
            (Name::Expires, "120"),
        ]);
        let Ok(Asked::These(all)) = asked else { panic!("{asked:?}") };
        let [a, b] = &all[..] else { panic!("{all:?}") };
        assert_eq!((a.q, a.expires), (500, Some(Duration::from_secs(60))));
        assert_eq!(a.key, Key::Instance("\"<urn:uuid:1>\"".into(), 2));
        assert_eq!(
            a.written,
            "\"A, B\" <sip:a@h;transport=tcp>;q=0.5;+sip.instance=\"<urn:uuid:1>\";reg-id=2"
        );
        assert_eq!((b.q, b.expires), (1000, Some(Duration::from_secs(120))));
    }

    #[test]
    fn the_star_stands_alone_and_only_for_going() {
        let star = (Name::Contact, "*");
        assert_eq!(read_lines(&[star.clone(), (Name::Expires, "0")]), Ok(Asked::Nothing));
        assert_eq!(read_lines(&[star.clone(), (Name::Expires, "60")]), Err(()));
        assert_eq!(read_lines(std::slice::from_ref(&star)), Err(()));
        assert_eq!(read_lines(&[star, (Name::Contact, "<sip:a@h>"), (Name::Expires, "0")]), Err(()));
        assert_eq!(read_lines(&[]), Ok(Asked::Query));
        assert_eq!(read_lines(&[(Name::Contact, "<sip:a@h>;q=2")]), Err(()));
    }

    #[test]
    fn preferences() {
        for (text, want) in [
            ("1", Some(1000)),
            ("0.7", Some(700)),
            ("0.123", Some(123)),
            ("1.000", Some(1000)),
            (".5", Some(500)),
        ] {
            assert_eq!(thousandths(text.as_bytes()), want, "{text}");
        }
        for bad in ["1.1", "2", "0.1234", "-1", "0.x"] {
            assert_eq!(thousandths(bad.as_bytes()), None, "{bad}");
        }
    }
}
