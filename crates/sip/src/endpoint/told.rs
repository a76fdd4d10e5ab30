//! Why a request was refused, as the other side puts it: Warning (RFC 3261 20.43) and Reason (RFC 3326).

use crate::{
    event::Told,
    message::{Headers, Name, Params, scan},
};

/// Longest text kept, in bytes.
const LONGEST: usize = 200;

/// Reads what is there.
pub(super) fn read(headers: &Headers) -> Told {
    let warning = headers.elements(&Name::Warning).find_map(warning);
    let mut told = Told { warning, ..Told::default() };
    for element in headers.elements(&Name::Reason).take(4) {
        let (protocol, params) = scan::split_once(element, b';').unwrap_or((element, b""));
        let mut whole = vec![b';'];
        whole.extend_from_slice(params);
        let Ok(params) = Params::parse(&whole) else { continue };
        if scan::trim(protocol).eq_ignore_ascii_case(b"Q.850") && told.q850.is_none() {
            told.q850 = params.value("cause").and_then(scan::number);
        }
        if told.reason.is_none() {
            told.reason = params.value("text").map(unquoted).filter(|t| !t.is_empty());
        }
    }
    told
}

/// `399 host "text"`.
fn warning(element: &[u8]) -> Option<(u16, String)> {
    let (code, rest) = scan::split_word(scan::trim(element));
    let code = scan::number::<u16>(code).filter(|c| (100..1_000).contains(c))?;
    let (_agent, text) = scan::split_word(scan::trim(rest));
    Some((code, unquoted(scan::trim(text))))
}

fn unquoted(text: &[u8]) -> String {
    let text = match scan::quoted(text) {
        Some((inner, _)) => String::from_utf8_lossy(&inner).into_owned(),
        None => String::from_utf8_lossy(text).into_owned(),
    };
    let mut end = text.len().min(LONGEST);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(lines: &[(Name, &'static str)]) -> Told {
        let mut headers = Headers::new();
        for (name, value) in lines {
            headers.push(name.clone(), *value);
        }
        read(&headers)
    }

    #[test]
    fn warnings_and_reasons_are_read_whatever_their_form() {
        let it = told(&[
            (Name::Warning, "305 isi.edu \"Incompatible media format: \\\"G729\\\"\", 399 x \"later\""),
            (Name::Reason, "SIP ;cause=580 ;text=\"Precondition Failure\""),
            (Name::Reason, "Q.850;cause=17"),
        ]);
        assert_eq!(it.warning, Some((305, "Incompatible media format: \"G729\"".into())));
        assert_eq!((it.q850, it.reason.as_deref()), (Some(17), Some("Precondition Failure")));
        assert_eq!(told(&[]), Told::default());
        for broken in ["", "x", "99 a", "305", "Warning", "305 a \"open"] {
            let _ = told(&[(Name::Warning, broken), (Name::Reason, broken)]);
        }
    }
}
