//! SIP messages: tolerant reading, exact writing (RFC 3261 7, 25).

mod addr;
mod essentials;
mod header;
mod limits;
mod method;
mod params;
mod parse;
mod reason;
pub(crate) mod scan;
mod status;
mod stream;
mod uri;
mod via;
mod write;

pub use addr::{AddrError, NameAddr};
pub use essentials::Core;
pub(crate) use essentials::max_forwards;
pub use header::{Header, Headers, Name};
pub use limits::Limits;
pub use method::Method;
pub use params::{ParamError, Params};
pub use parse::{Malformed, Problem, parse};
pub use reason::Reason;
pub use scan::quote;
pub use status::reason_phrase;
pub use stream::{Framed, Framer, StreamError};
pub use uri::{Host, SipUri, Uri, UriError};
pub use via::{Via, ViaError};

use bytes::Bytes;

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Method.
    pub method: Method,
    /// Request-URI.
    pub uri: Uri,
    /// Header fields in their order.
    pub headers: Headers,
    /// Body, empty when there is none.
    pub body: Bytes,
}

/// A response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// 100–699.
    pub status: u16,
    /// Reason phrase as received.
    pub reason: Bytes,
    /// Header fields in their order.
    pub headers: Headers,
    /// Body, empty when there is none.
    pub body: Bytes,
}

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// A request.
    Request(Request),
    /// A response.
    Response(Response),
}

impl Message {
    /// Header fields.
    pub fn headers(&self) -> &Headers {
        match self {
            Self::Request(r) => &r.headers,
            Self::Response(r) => &r.headers,
        }
    }
}
