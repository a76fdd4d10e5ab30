//! From, To, Contact, Route: an address with a name before and parameters behind it (RFC 3261 20.10).

use super::{
    params::Params,
    scan,
    uri::{Uri, UriError},
};

/// Why such a header could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddrError {
    /// Quote or bracket without its partner, or other text where an address is due.
    #[error("bad name or brackets")]
    Form,
    /// The address itself.
    #[error(transparent)]
    Uri(#[from] UriError),
    /// Parameters behind it.
    #[error("bad parameters")]
    Params,
}

/// `"Name" <sip:user@host>;tag=x`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameAddr {
    /// Display name without quotes; bytes that are not UTF-8 are replaced.
    pub display: Option<String>,
    /// The address.
    pub uri: Uri,
    /// Header parameters (`tag`, `q`, `expires`, `isfocus` …).
    pub params: Params,
}

impl NameAddr {
    /// Reads one element. A display name of several words without quotes, commas and all, is taken (RFC 4475 3.1.2.15), and so are
    /// blanks between bracket and address (3.1.2.14).
    pub fn parse(input: &[u8]) -> Result<Self, AddrError> {
        let input = scan::trim(input);
        if input.starts_with(b"\"") {
            let (name, rest) = scan::quoted(input).ok_or(AddrError::Form)?;
            let rest = scan::trim(rest).strip_prefix(b"<").ok_or(AddrError::Form)?;
            return Self::bracketed(&name, rest);
        }
        if let Some((name, rest)) = scan::split_once(input, b'<') {
            if name.contains(&b'"') {
                return Err(AddrError::Form);
            }
            return Self::bracketed(scan::trim(name), rest);
        }
        // Without brackets, parameters belong to the header, not to the address; a `?` is not allowed (20.10).
        if input.contains(&b'?') || input.contains(&b'>') {
            return Err(AddrError::Form);
        }
        // The user part may hold semicolons: look for the first one behind it.
        let user = input.iter().position(|b| *b == b'@').unwrap_or(0);
        let tail = input.get(user..).unwrap_or_default();
        let end = tail.iter().position(|b| *b == b';').map_or(input.len(), |at| user + at);
        let (uri, params) = input.split_at_checked(end).ok_or(AddrError::Form)?;
        let uri = Uri::parse(scan::trim(uri))?;
        let params = Params::parse(params).map_err(|_| AddrError::Params)?;
        Ok(Self { display: None, uri, params })
    }

    fn bracketed(name: &[u8], rest: &[u8]) -> Result<Self, AddrError> {
        let (uri, params) = scan::split_once(rest, b'>').ok_or(AddrError::Form)?;
        let uri = Uri::parse(scan::trim(uri))?;
        let params = Params::parse(params).map_err(|_| AddrError::Params)?;
        let display = String::from_utf8_lossy(name).trim().to_owned();
        Ok(Self { display: Some(display).filter(|d| !d.is_empty()), uri, params })
    }

    /// The `tag` parameter.
    pub fn tag(&self) -> Option<&[u8]> {
        self.params.value("tag").filter(|t| !t.is_empty())
    }

    /// Appends it as it goes on the wire, always with brackets.
    pub fn write(&self, out: &mut Vec<u8>) {
        if let Some(name) = &self.display {
            out.extend_from_slice(scan::quote(name).as_bytes());
            out.push(b' ');
        }
        out.push(b'<');
        self.uri.write(out);
        out.push(b'>');
        self.params.write(out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> NameAddr {
        NameAddr::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn forms() {
        let it = read("\"J Rosenberg \\\\\\\"\"  <sip:jd@example.com>\n  ;\n  tag = 98asjd8");
        assert_eq!(it.display.as_deref(), Some("J Rosenberg \\\""));
        assert_eq!(it.tag(), Some(&b"98asjd8"[..]));
        let it = read("sip:vivekg@chair-dnrc.example.com ;   tag    = 1918181833n");
        assert_eq!(it.tag(), Some(&b"1918181833n"[..]));
        assert_eq!(it.uri.user(), "vivekg");
        assert_eq!(read("Bell, Alexander <sip:a@b>;tag=43").display.as_deref(), Some("Bell, Alexander"));
        assert_eq!(read("sip:user;par=u@h;tag=9").uri.user(), "user");
        assert_eq!(read("<sip:h;lr>;x").uri.param("lr"), Some(&b""[..]));
    }

    #[test]
    fn broken_forms() {
        for bad in ["\"open <sip:a@b>", "<sip:a@b", "sip:user@h?Route=x", "", "\"Joe\" <sip:j@e>;;;;"] {
            assert!(NameAddr::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn written_with_quotes() {
        let mut it = read("sip:a@b");
        it.display = Some("Xã \"Hòa\"".into());
        let mut out = Vec::new();
        it.write(&mut out);
        assert_eq!(String::from_utf8(out).unwrap(), "\"Xã \\\"Hòa\\\"\" <sip:a@b>");
    }
}
