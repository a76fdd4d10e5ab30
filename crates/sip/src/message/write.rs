//! Writing of messages. Content-Length is always written, and always right.

use bytes::Bytes;

use super::{Headers, Name, Request, Response, reason_phrase};

impl Request {
    /// The bytes for the wire.
    pub fn to_bytes(&self) -> Bytes {
        let mut out = Vec::with_capacity(512 + self.body.len());
        out.extend_from_slice(self.method.as_str().as_bytes());
        out.push(b' ');
        self.uri.write(&mut out);
        out.extend_from_slice(b" SIP/2.0\r\n");
        write_rest(&mut out, &self.headers, &self.body);
        out.into()
    }
}

impl Response {
    /// The bytes for the wire; an empty reason becomes the usual phrase.
    pub fn to_bytes(&self) -> Bytes {
        let mut out = Vec::with_capacity(512 + self.body.len());
        out.extend_from_slice(format!("SIP/2.0 {} ", self.status).as_bytes());
        if self.reason.is_empty() {
            out.extend_from_slice(reason_phrase(self.status).as_bytes());
        } else {
            out.extend_from_slice(&self.reason);
        }
        out.extend_from_slice(b"\r\n");
        write_rest(&mut out, &self.headers, &self.body);
        out.into()
    }
}

fn write_rest(out: &mut Vec<u8>, headers: &Headers, body: &Bytes) {
    for header in headers.iter().filter(|h| h.name != Name::ContentLength) {
        out.extend_from_slice(header.name.as_bytes());
        out.extend_from_slice(b": ");
        // A line break inside a value would begin a header of its own.
        out.extend(header.value.iter().map(|b| if matches!(b, b'\r' | b'\n') { b' ' } else { *b }));
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
    out.extend_from_slice(body);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Limits, Message, Method, parse};

    #[test]
    fn what_is_written_reads_back() {
        let mut headers = Headers::new();
        headers.push(Name::Via, "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKa");
        headers.push(Name::Subject, "evil\r\nX-Injected: 1");
        let it = Request {
            method: Method::Invite,
            uri: "sip:8000@[::1]".parse().unwrap(),
            headers,
            body: Bytes::from_static(b"v=0"),
        };
        let Message::Request(back) = parse(&it.to_bytes(), &Limits::default()).unwrap() else { panic!() };
        assert_eq!(back.uri, it.uri);
        assert_eq!(back.body, it.body);
        assert_eq!(back.headers.len(), 3);
        assert_eq!(back.headers.text(&Name::Subject).as_deref(), Some("evil  X-Injected: 1"));
    }
}
