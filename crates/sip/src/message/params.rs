//! Parameters behind `;` (RFC 3261 25.1 `generic-param`, `uri-parameter`).

use bytes::Bytes;
use smallvec::SmallVec;

use super::scan;

/// Most parameters one header element or address may have.
const MOST: usize = 64;

/// A list of parameters that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("bad parameters")]
pub struct ParamError;

/// Parameters in their order, names compared without case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Params(SmallVec<[(Bytes, Option<Bytes>); 2]>);

impl Params {
    /// Parses `;a=b;c`, white space round the separators allowed, one trailing `;` tolerated.
    pub fn parse(input: &[u8]) -> Result<Self, ParamError> {
        let input = scan::trim(input);
        if input.is_empty() {
            return Ok(Self::default());
        }
        let list = input.strip_prefix(b";").ok_or(ParamError)?;
        let list = scan::trim(list.strip_suffix(b";").unwrap_or(list));
        let mut out = SmallVec::new();
        for element in scan::split_list(list, b';') {
            let (name, value) = match scan::split_once(element, b'=') {
                Some((name, value)) => (scan::trim(name), Some(scan::trim(value))),
                None => (element, None),
            };
            if name.is_empty() || name.iter().any(|b| scan::is_lws(*b)) || out.len() == MOST {
                return Err(ParamError);
            }
            out.push((Bytes::copy_from_slice(name), value.map(Bytes::copy_from_slice)));
        }
        Ok(Self(out))
    }

    /// The first parameter of that name: `None` when absent, `Some(b"")` when it has no value.
    pub fn value(&self, name: &str) -> Option<&[u8]> {
        let found = self.0.iter().find(|(n, _)| n.eq_ignore_ascii_case(name.as_bytes()))?;
        Some(found.1.as_deref().unwrap_or_default())
    }

    /// Whether it is there.
    pub fn has(&self, name: &str) -> bool {
        self.value(name).is_some()
    }

    /// Sets or adds one.
    pub fn set(&mut self, name: &'static str, value: Option<String>) {
        let value = value.map(Bytes::from);
        match self.0.iter_mut().find(|(n, _)| n.eq_ignore_ascii_case(name.as_bytes())) {
            Some((_, old)) => *old = value,
            None => self.0.push((Bytes::from_static(name.as_bytes()), value)),
        }
    }

    /// Takes one away.
    pub fn remove(&mut self, name: &str) {
        self.0.retain(|(n, _)| !n.eq_ignore_ascii_case(name.as_bytes()));
    }

    /// Appends `;a=b;c`.
    pub fn write(&self, out: &mut Vec<u8>) {
        for (name, value) in &self.0 {
            out.push(b';');
            out.extend_from_slice(name);
            if let Some(value) = value {
                out.push(b'=');
                out.extend_from_slice(value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spaces_quotes_and_order() {
        let it = Params::parse(b" ; newparam =\t newvalue ;secondparam ; q = \"a;b\";").unwrap();
        assert_eq!(it.value("NewParam"), Some(&b"newvalue"[..]));
        assert_eq!(it.value("secondparam"), Some(&b""[..]));
        assert_eq!(it.value("q"), Some(&b"\"a;b\""[..]));
        let mut out = Vec::new();
        it.write(&mut out);
        assert_eq!(out, b";newparam=newvalue;secondparam;q=\"a;b\"");
    }

    #[test]
    fn empty_ones_are_refused() {
        assert_eq!(Params::parse(b";;"), Err(ParamError));
        assert_eq!(Params::parse(b";;;;"), Err(ParamError));
        assert_eq!(Params::parse(b"a=b"), Err(ParamError));
    }
}
