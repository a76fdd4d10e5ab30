//! Reason (RFC 3326): why a request ends something.

use std::fmt;

use super::{Headers, Name, Params, quote, scan};

/// Longest text kept of somebody else's words, characters.
const MOST_TEXT: usize = 200;
/// Most values looked at.
const MOST_VALUES: usize = 4;

/// One value of a Reason header: `SIP;cause=200;text="Call completed elsewhere"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// `SIP` (the cause is a status code), `Q.850` (an ITU-T cause), or another namespace.
    pub protocol: String,
    /// The cause in that namespace.
    pub cause: Option<u16>,
    /// Words for people, control characters left out.
    pub text: Option<String>,
}

impl Reason {
    /// With a SIP status code as its cause.
    pub fn sip(cause: u16, text: &str) -> Self {
        Self { protocol: "SIP".into(), cause: Some(cause), text: Some(text.to_owned()) }
    }

    /// With a cause of ITU-T Q.850; 16 is normal clearing.
    pub fn q850(cause: u16, text: &str) -> Self {
        Self { protocol: "Q.850".into(), cause: Some(cause), text: Some(text.to_owned()) }
    }

    /// What the headers say: the first readable value with words, else the first readable value.
    pub fn read(headers: &Headers) -> Option<Self> {
        let values = || headers.elements(&Name::Reason).take(MOST_VALUES).filter_map(Self::parse);
        values().find(|r| r.text.is_some()).or_else(|| values().next())
    }

    fn parse(value: &[u8]) -> Option<Self> {
        let at = value.iter().position(|b| *b == b';').unwrap_or(value.len());
        let (protocol, params) = value.split_at_checked(at)?;
        let protocol = scan::trim(protocol);
        if !scan::is_token(protocol) {
            return None;
        }
        let params = Params::parse(params).ok()?;
        let text = params.value("text").map(|t| match scan::quoted(t) {
            Some((inner, _)) => clean(&inner),
            None => clean(t),
        });
        Some(Self {
            protocol: clean(protocol),
            cause: params.value("cause").and_then(scan::number),
            text: text.filter(|t| !t.is_empty()),
        })
    }

    /// For an operator: its words, else namespace and cause.
    pub fn words(&self) -> String {
        match (&self.text, self.cause) {
            (Some(text), _) => text.clone(),
            (None, Some(cause)) => format!("{} {cause}", self.protocol),
            (None, None) => self.protocol.clone(),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.protocol)?;
        if let Some(cause) = self.cause {
            write!(f, ";cause={cause}")?;
        }
        if let Some(text) = &self.text {
            write!(f, ";text={}", quote(text))?;
        }
        Ok(())
    }
}

fn clean(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.trim().chars().filter(|c| !c.is_control()).take(MOST_TEXT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[&'static str]) -> Option<Reason> {
        let mut headers = Headers::new();
        for value in values {
            headers.push(Name::Reason, *value);
        }
        Reason::read(&headers)
    }

    #[test]
    fn what_is_written_reads_back() {
        for reason in [Reason::sip(200, "Call completed elsewhere"), Reason::q850(16, "hết \"giờ\", \\ hết")]
        {
            let mut headers = Headers::new();
            headers.push(Name::Reason, reason.to_string());
            assert_eq!(Reason::read(&headers), Some(reason));
        }
    }

    #[test]
    fn several_values_and_sloppy_ones() {
        let it = read(&["Q.850 ;cause=16 , SIP; cause=600; text=\"Busy Everywhere\""]).unwrap();
        assert_eq!(
            (it.protocol.as_str(), it.cause, it.words().as_str()),
            ("SIP", Some(600), "Busy Everywhere")
        );
        assert_eq!(read(&["Q.850;cause=17"]).unwrap().words(), "Q.850 17");
        assert_eq!(read(&["SIP;cause=many;text=plain"]).unwrap().words(), "plain");
        assert_eq!(read(&["SIP"]).unwrap().words(), "SIP");
        assert_eq!(read(&["\"quoted\";cause=1", ";;"]), None);
        assert_eq!(read(&[]), None);
    }
}
