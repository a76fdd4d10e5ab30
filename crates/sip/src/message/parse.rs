//! Reading of messages (RFC 3261 7, 18.3; RFC 4475 for what may come).
//!
//! ```text
//! INVITE sip:8000@mcu SIP/2.0      start line
//! Via: SIP/2.0/UDP …               header fields, folded lines begin with blank or tab
//!                                  an empty line
//! v=0 …                            Content-Length bytes; on UDP without it: to the end of the datagram
//! ```

use bytes::Bytes;

use super::{Headers, Limits, Message, Method, Name, Request, Response, Uri, scan};

/// What is wrong with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Not SIP at all, or so broken that nobody can be answered.
    #[error("not a SIP message")]
    Unreadable,
    /// Not SIP/2.0.
    #[error("unsupported version")]
    Version,
    /// Blanks or other signs where they do not belong in the start line.
    #[error("bad start line")]
    StartLine,
    /// Request-URI.
    #[error("bad Request-URI")]
    Uri,
    /// A header line without name or colon.
    #[error("bad header line")]
    HeaderLine,
    /// More header fields or bytes of them than allowed.
    #[error("header too large")]
    HeaderTooLarge,
    /// Content-Length is no number, contradicts itself, or is more than what came.
    #[error("bad Content-Length")]
    Length,
    /// The body is larger than allowed.
    #[error("body too large")]
    BodyTooLarge,
    /// A method nobody knows, and CSeq names another.
    #[error("unknown method")]
    Method,
    /// A header that must be there once is missing.
    #[error("missing {0}")]
    Missing(&'static str),
    /// A header that must be there once is there more often.
    #[error("more than one {0}")]
    Repeated(&'static str),
    /// A header that cannot be read.
    #[error("bad {0}")]
    Bad(&'static str),
}

impl Problem {
    /// The status to answer with.
    pub fn status(self) -> u16 {
        match self {
            Self::Version => 505,
            Self::BodyTooLarge => 413,
            Self::HeaderTooLarge => 513,
            Self::Method => 501,
            _ => 400,
        }
    }
}

/// A message that cannot be taken.
#[derive(Clone, Debug)]
pub struct Malformed {
    /// What is wrong with it.
    pub problem: Problem,
    /// The request as far as it was read, for the response; its Request-URI may be anything. `None`: no response is possible.
    pub request: Option<Box<Request>>,
}

impl Malformed {
    fn silent(problem: Problem) -> Self {
        Self { problem, request: None }
    }
}

/// A message up to the empty line.
#[derive(Debug)]
pub(crate) struct Head {
    /// The message with an empty body, or what is wrong with it.
    pub message: Result<Message, Malformed>,
    /// Content-Length, when there is a readable one.
    pub length: Option<u64>,
}

/// Reads one datagram.
///
/// Errors when it breaks the grammar, or a limit; see [`Malformed`].
pub fn parse(datagram: &Bytes, limits: &Limits) -> Result<Message, Malformed> {
    let end = head_end(datagram, 0).unwrap_or(datagram.len());
    let head = read_head(&datagram.slice(..end), limits);
    let message = head.message?;
    let rest = datagram.slice(end..);
    let declared = match head.length {
        Some(length) => usize::try_from(length).unwrap_or(usize::MAX),
        None => rest.len(),
    };
    if declared.min(rest.len()) > limits.body {
        return Err(refuse(message, Problem::BodyTooLarge));
    }
    if declared > rest.len() {
        return Err(refuse(message, Problem::Length));
    }
    // What follows the declared length is not part of the message (18.3).
    Ok(with_body(message, rest.slice(..declared)))
}

/// Turns a readable message into a refused one.
pub(crate) fn refuse(message: Message, problem: Problem) -> Malformed {
    match message {
        Message::Request(request) => Malformed { problem, request: Some(Box::new(request)) },
        Message::Response(_) => Malformed::silent(problem),
    }
}

pub(crate) fn with_body(message: Message, body: Bytes) -> Message {
    match message {
        Message::Request(r) => Message::Request(Request { body, ..r }),
        Message::Response(r) => Message::Response(Response { body, ..r }),
    }
}

/// The index behind the empty line, searching from `from` (which may be any index before it).
pub(crate) fn head_end(input: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    while let Some(step) = input.get(at..).and_then(|rest| rest.iter().position(|b| *b == b'\n')) {
        at += step + 1;
        match input.get(at..) {
            Some([b'\n', ..]) => return Some(at + 1),
            Some([b'\r', b'\n', ..]) => return Some(at + 2),
            _ => {}
        }
    }
    None
}

/// Reads start line and header fields; `head` may end with the empty line.
pub(crate) fn read_head(head: &Bytes, limits: &Limits) -> Head {
    let mut lines = Lines { rest: head };
    let start = loop {
        match lines.next() {
            Some([]) => continue,
            Some(line) => break line,
            None => return Head { message: Err(Malformed::silent(Problem::Unreadable)), length: None },
        }
    };
    let start = match StartLine::read(start) {
        Ok(start) => start,
        Err(problem) => return Head { message: Err(Malformed::silent(problem)), length: None },
    };
    let (headers, mut problem) = read_headers(head, lines, limits);
    let length = match content_length(&headers) {
        Ok(length) => length,
        Err(wrong) => {
            problem = problem.or(Some(wrong));
            None
        }
    };
    let message = match start {
        StartLine::Status { status, reason } => {
            let reason = head.slice_ref(reason);
            match problem {
                None => Ok(Message::Response(Response { status, reason, headers, body: Bytes::new() })),
                Some(problem) => Err(Malformed::silent(problem)),
            }
        }
        StartLine::Request { method, uri, problem: first } => {
            // The first trouble in reading order is the one to name.
            let problem = first.or(problem);
            let (uri, problem) = match Uri::parse(uri) {
                Ok(uri) => (uri, problem),
                Err(_) => (Uri::Other(head.slice_ref(uri)), problem.or(Some(Problem::Uri))),
            };
            let request = Request { method, uri, headers, body: Bytes::new() };
            match problem {
                None => Ok(Message::Request(request)),
                Some(problem) => Err(Malformed { problem, request: Some(Box::new(request)) }),
            }
        }
    };
    Head { message, length }
}

enum StartLine<'a> {
    Request { method: Method, uri: &'a [u8], problem: Option<Problem> },
    Status { status: u16, reason: &'a [u8] },
}

impl<'a> StartLine<'a> {
    fn read(line: &'a [u8]) -> Result<Self, Problem> {
        if line.get(..4).is_some_and(|s| s.eq_ignore_ascii_case(b"SIP/")) {
            return Self::read_status(line);
        }
        let trimmed = scan::trim(line);
        let (method, rest) = scan::split_word(trimmed);
        let version_at = rest.iter().rposition(|b| scan::is_lws(*b)).ok_or(Problem::Unreadable)?;
        let (uri, version) = rest.split_at_checked(version_at).ok_or(Problem::Unreadable)?;
        let (uri, version) = (scan::trim(uri), scan::trim(version));
        let method = Method::parse(method).ok_or(Problem::Unreadable)?;
        if !version.get(..4).is_some_and(|s| s.eq_ignore_ascii_case(b"SIP/")) {
            return Err(Problem::Unreadable);
        }
        let exact = method.as_str().len() + uri.len() + version.len() + 2 == line.len();
        let problem = if !version.eq_ignore_ascii_case(b"SIP/2.0") {
            Some(Problem::Version)
        } else if !exact || uri.iter().any(|b| scan::is_lws(*b)) {
            Some(Problem::StartLine)
        } else {
            None
        };
        Ok(Self::Request { method, uri, problem })
    }

    fn read_status(line: &'a [u8]) -> Result<Self, Problem> {
        let (version, rest) = scan::split_word(line);
        if !version.eq_ignore_ascii_case(b"SIP/2.0") {
            return Err(Problem::Version);
        }
        let (code, reason) = scan::split_word(rest);
        let status = (code.len() == 3).then(|| scan::number::<u16>(code)).flatten();
        match status {
            Some(status @ 100..=699) => Ok(Self::Status { status, reason }),
            _ => Err(Problem::StartLine),
        }
    }
}

fn read_headers(head: &Bytes, mut lines: Lines<'_>, limits: &Limits) -> (Headers, Option<Problem>) {
    let mut headers = Headers::new();
    let mut problem = None;
    let mut next = lines.next();
    while let Some(line) = next {
        if line.is_empty() {
            break;
        }
        // Gather the lines folded onto this one.
        let mut folded: Option<Vec<u8>> = None;
        next = lines.next();
        while let Some(more @ [b' ' | b'\t', ..]) = next {
            let whole = folded.get_or_insert_with(|| scan::trim(line).to_vec());
            whole.push(b' ');
            whole.extend_from_slice(scan::trim(more));
            next = lines.next();
        }
        if headers.len() >= limits.headers {
            problem = problem.or(Some(Problem::HeaderTooLarge));
            break;
        }
        let whole = folded.as_deref().unwrap_or(line);
        let parts = scan::split_once(whole, b':');
        let Some((Some(name), value)) = parts.map(|(n, v)| (Name::parse(scan::trim(n)), scan::trim(v)))
        else {
            problem = problem.or(Some(Problem::HeaderLine));
            continue;
        };
        match folded {
            None => headers.push(name, head.slice_ref(value)),
            Some(_) => headers.push(name, Bytes::copy_from_slice(value)),
        }
    }
    (headers, problem)
}

fn content_length(headers: &Headers) -> Result<Option<u64>, Problem> {
    let mut length = None;
    for value in headers.all(&Name::ContentLength) {
        let this = scan::number::<u64>(value).ok_or(Problem::Length)?;
        if length.is_some_and(|l| l != this) {
            return Err(Problem::Length);
        }
        length = Some(this);
    }
    Ok(length)
}

/// Lines without their ends, CR LF or LF alone.
struct Lines<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.rest.is_empty() {
            return None;
        }
        let (line, rest) = scan::split_once(self.rest, b'\n').unwrap_or((self.rest, &[]));
        self.rest = rest;
        Some(line.strip_suffix(b"\r").unwrap_or(line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Message, Malformed> {
        parse(&Bytes::copy_from_slice(text.as_bytes()), &Limits::default())
    }

    fn request(text: &str) -> Request {
        match read(text).unwrap() {
            Message::Request(r) => r,
            Message::Response(_) => panic!("a response"),
        }
    }

    fn problem(text: &str) -> (Problem, bool) {
        let malformed = read(text).unwrap_err();
        (malformed.problem, malformed.request.is_some())
    }

    #[test]
    fn folded_compact_and_non_utf8_headers() {
        let text =
            b"OPTIONS sip:h SIP/2.0\r\nTO :\r\n sip:a@b ;\r\n\ttag = 1\r\nf: \xff\xfe <sip:x@y>\r\n\r\nbody"
                .to_vec();
        let Message::Request(it) = parse(&text.into(), &Limits::default()).unwrap() else { panic!() };
        assert_eq!(&it.headers.value(&Name::To).unwrap()[..], b"sip:a@b ; tag = 1");
        assert_eq!(&it.headers.value(&Name::From).unwrap()[..], b"\xff\xfe <sip:x@y>");
        assert_eq!(&it.body[..], b"body", "no Content-Length on UDP: to the end of the datagram");
    }

    #[test]
    fn length_rules_of_a_datagram() {
        assert_eq!(&request("BYE sip:h SIP/2.0\r\nl: 2\r\n\r\nabcd").body[..], b"ab");
        assert_eq!(problem("BYE sip:h SIP/2.0\r\nl: 9\r\n\r\nabcd"), (Problem::Length, true));
        assert_eq!(problem("BYE sip:h SIP/2.0\r\nl: -9\r\n\r\nabcd"), (Problem::Length, true));
        assert_eq!(problem("BYE sip:h SIP/2.0\r\nl: 1\r\nl: 2\r\n\r\nabcd"), (Problem::Length, true));
        assert_eq!(&request("BYE sip:h SIP/2.0\nl: 2\n\nabcd").body[..], b"ab", "bare line feeds");
    }

    #[test]
    fn start_lines() {
        assert_eq!(problem("INVITE  sip:h SIP/2.0\r\n\r\n"), (Problem::StartLine, true));
        assert_eq!(problem("INVITE sip:h; lr SIP/2.0\r\n\r\n"), (Problem::StartLine, true));
        assert_eq!(problem("INVITE <sip:h> SIP/2.0\r\n\r\n"), (Problem::Uri, true));
        assert_eq!(problem("INVITE sip:h SIP/7.0\r\n\r\n"), (Problem::Version, true));
        assert_eq!(problem("INVITE sip:h\r\n\r\n"), (Problem::Unreadable, false));
        assert_eq!(problem("GET / HTTP/1.1\r\n\r\n"), (Problem::Unreadable, false));
        assert_eq!(problem("SIP/2.0 4294967301 better not break\r\n\r\n"), (Problem::StartLine, false));
        assert!(read("SIP/2.0 100 \r\n\r\n").is_ok());
    }

    #[test]
    fn limits_hold() {
        let limits = Limits { headers: 3, body: 4, ..Limits::default() };
        let many = Bytes::from("BYE sip:h SIP/2.0\r\na: 1\r\na: 1\r\na: 1\r\na: 1\r\n\r\n");
        assert_eq!(parse(&many, &limits).unwrap_err().problem, Problem::HeaderTooLarge);
        let large = Bytes::from("BYE sip:h SIP/2.0\r\n\r\n12345");
        assert_eq!(parse(&large, &limits).unwrap_err().problem, Problem::BodyTooLarge);
    }
}
