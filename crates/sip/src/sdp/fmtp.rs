//! `a=fmtp` parameters as devices write them.

/// The parameters of one payload type, from all its `a=fmtp` lines.
///
/// Separators may be `;`, with or without blanks, doubled or at the end; blanks round `=` are passed over, and words
/// separated by blanks alone are parameters of their own when each has its `=`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fmtp(Vec<(String, Option<String>)>);

impl Fmtp {
    /// Reads the text after the payload type.
    pub fn parse(text: &str) -> Self {
        let mut fmtp = Self::default();
        fmtp.extend(text);
        fmtp
    }

    /// Adds what another line says.
    pub(super) fn extend(&mut self, text: &str) {
        for part in text.split(';').map(str::trim).filter(|p| !p.is_empty()) {
            if part.split_whitespace().all(|w| w.find('=').is_some_and(|at| at > 0)) {
                part.split_whitespace().for_each(|word| self.push(word));
            } else {
                self.push(part);
            }
        }
    }

    fn push(&mut self, part: &str) {
        self.0.push(match part.split_once('=') {
            Some((key, value)) => (key.trim().to_owned(), Some(value.trim().trim_matches('"').to_owned())),
            None => (part.to_owned(), None),
        });
    }

    /// Value of a parameter; the first one counts. Names are compared without regard to case.
    pub fn value(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(k, _)| k.eq_ignore_ascii_case(key)).and_then(|(_, v)| v.as_deref())
    }

    /// Value as a number; `None` when missing or not a number.
    pub fn number(&self, key: &str) -> Option<u32> {
        self.value(key)?.parse().ok()
    }

    /// Whether the parameter is `1`.
    pub fn is_set(&self, key: &str) -> bool {
        self.number(key) == Some(1)
    }
}
