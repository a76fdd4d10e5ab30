//! Header fields: names with their compact forms, values as bytes (RFC 3261 7.3).

use std::fmt;

use bytes::Bytes;

use super::scan::{self, SplitList};

macro_rules! names {
    ($($variant:ident = $long:literal $(, $short:literal)?;)*) => {
        /// Name of a header field.
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        #[allow(missing_docs, reason = "the names are the headers")]
        pub enum Name {
            $($variant,)*
            /// Any other, as received.
            Other(Bytes),
        }

        impl Name {
            /// Reads a name in any case, compact forms included; `None` when it is no token.
            pub fn parse(input: &[u8]) -> Option<Self> {
                $(
                    if input.eq_ignore_ascii_case($long.as_bytes()) $(|| input.eq_ignore_ascii_case($short))? {
                        return Some(Self::$variant);
                    }
                )*
                scan::is_token(input).then(|| Self::Other(Bytes::copy_from_slice(input)))
            }

            /// The long form.
            pub fn as_bytes(&self) -> &[u8] {
                match self {
                    $(Self::$variant => $long.as_bytes(),)*
                    Self::Other(name) => name,
                }
            }
        }
    };
}

names! {
    Via = "Via", b"v";
    From = "From", b"f";
    To = "To", b"t";
    CallId = "Call-ID", b"i";
    CSeq = "CSeq";
    MaxForwards = "Max-Forwards";
    Contact = "Contact", b"m";
    ContentLength = "Content-Length", b"l";
    ContentType = "Content-Type", b"c";
    ContentEncoding = "Content-Encoding", b"e";
    ContentDisposition = "Content-Disposition";
    Route = "Route";
    RecordRoute = "Record-Route";
    Allow = "Allow";
    Supported = "Supported", b"k";
    Require = "Require";
    ProxyRequire = "Proxy-Require";
    Unsupported = "Unsupported";
    UserAgent = "User-Agent";
    Server = "Server";
    Accept = "Accept";
    AcceptEncoding = "Accept-Encoding";
    AcceptLanguage = "Accept-Language";
    Subject = "Subject", b"s";
    Expires = "Expires";
    RetryAfter = "Retry-After";
    Reason = "Reason";
    Warning = "Warning";
    Timestamp = "Timestamp";
    Date = "Date";
    SessionExpires = "Session-Expires", b"x";
    MinSe = "Min-SE";
    RSeq = "RSeq";
    RAck = "RAck";
    ReferTo = "Refer-To", b"r";
    ReferredBy = "Referred-By", b"b";
    Event = "Event", b"o";
    AllowEvents = "Allow-Events", b"u";
    Replaces = "Replaces";
    SessionId = "Session-ID";
    Authorization = "Authorization";
    WwwAuthenticate = "WWW-Authenticate";
    ProxyAuthorization = "Proxy-Authorization";
    ProxyAuthenticate = "Proxy-Authenticate";
    PAssertedIdentity = "P-Asserted-Identity";
    MinExpires = "Min-Expires";
    Path = "Path";
    ReferSub = "Refer-Sub";
    SubscriptionState = "Subscription-State";
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(self.as_bytes()))
    }
}

/// One header field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Name.
    pub name: Name,
    /// Value, folded lines joined by a blank, white space at the ends removed; not always UTF-8.
    pub value: Bytes,
}

/// Header fields in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(Vec<Header>);

impl Headers {
    /// None yet.
    pub fn new() -> Self {
        Self(Vec::with_capacity(16))
    }

    /// Adds one at the end.
    pub fn push(&mut self, name: Name, value: impl Into<Bytes>) {
        self.0.push(Header { name, value: value.into() });
    }

    /// Adds one at the front.
    pub fn push_front(&mut self, name: Name, value: impl Into<Bytes>) {
        self.0.insert(0, Header { name, value: value.into() });
    }

    /// The first of that name.
    pub fn value(&self, name: &Name) -> Option<&Bytes> {
        self.0.iter().find(|h| h.name == *name).map(|h| &h.value)
    }

    /// The first of that name as text, bytes that are not UTF-8 replaced.
    pub fn text(&self, name: &Name) -> Option<String> {
        self.value(name).map(|v| String::from_utf8_lossy(v).into_owned())
    }

    /// All of that name, in order, whole lines.
    pub fn all(&self, name: &Name) -> impl Iterator<Item = &Bytes> {
        self.0.iter().filter(move |h| h.name == *name).map(|h| &h.value)
    }

    /// The elements of all of that name, split at commas; empty elements left out.
    pub fn elements(&self, name: &Name) -> impl Iterator<Item = &[u8]> {
        self.all(name).flat_map(|v| -> SplitList<'_> { scan::split_list(v, b',') }).filter(|e| !e.is_empty())
    }

    /// How many of that name.
    pub fn count(&self, name: &Name) -> usize {
        self.all(name).count()
    }

    /// Takes the first of that name away.
    pub fn remove_first(&mut self, name: &Name) {
        if let Some(at) = self.0.iter().position(|h| h.name == *name) {
            self.0.remove(at);
        }
    }

    /// Takes away those that `keep` does not want.
    pub fn retain(&mut self, keep: impl FnMut(&Header) -> bool) {
        self.0.retain(keep);
    }

    /// Replaces the first element of the first of that name (the topmost Via, say).
    pub fn replace_first_element(&mut self, name: &Name, element: &[u8]) {
        let Some(header) = self.0.iter_mut().find(|h| h.name == *name) else { return };
        let mut list = scan::split_list(&header.value, b',');
        let _ = list.next();
        let mut value = element.to_vec();
        for other in list {
            value.extend_from_slice(b", ");
            value.extend_from_slice(other);
        }
        header.value = value.into();
    }

    /// All fields.
    pub fn iter(&self) -> impl Iterator<Item = &Header> {
        self.0.iter()
    }

    /// How many fields.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_any_case_and_short() {
        assert_eq!(Name::parse(b"cALL-iD"), Some(Name::CallId));
        assert_eq!(Name::parse(b"I"), Some(Name::CallId));
        assert_eq!(Name::parse(b"New Fangled"), None);
        assert_eq!(Name::parse(b"Xyzzy-2").unwrap().as_bytes(), b"Xyzzy-2");
    }

    #[test]
    fn first_element_is_replaced_in_place() {
        let mut it = Headers::new();
        it.push(Name::Via, &b"a;x=\"1,2\", b"[..]);
        it.push(Name::Via, &b"c"[..]);
        it.replace_first_element(&Name::Via, b"z");
        assert_eq!(it.elements(&Name::Via).collect::<Vec<_>>(), [b"z", b"b", b"c"]);
    }
}
