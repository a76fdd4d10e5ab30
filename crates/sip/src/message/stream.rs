//! Cutting a byte stream into messages (RFC 3261 18.3), with keep-alives between them (RFC 5626 3.5.1).

use bytes::{Buf, Bytes, BytesMut};

use super::{
    Limits, Malformed, Message, Name, Problem,
    parse::{Head, head_end, read_head, refuse, with_body},
};

/// One thing found in a stream.
#[derive(Debug)]
pub enum Framed {
    /// A message, or one to be refused; the stream goes on behind it.
    Message(Box<Result<Message, Malformed>>),
    /// A double CR LF: answer with a single one.
    Ping,
}

/// The end of the next message cannot be found: the connection is of no use any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the stream cannot be followed")]
pub struct StreamError;

enum State {
    /// Looking for the empty line; everything before this index has been searched.
    Head { searched: usize },
    /// The head is read, this many bytes of body are due.
    Body { message: Message, length: usize },
    /// A refused body passes by.
    Skip { left: u64 },
    /// Nothing more can be read.
    Broken,
}

/// Reassembles messages from reads of any size; holds at most one message and the rest of the last read.
pub struct Framer {
    limits: Limits,
    buffer: BytesMut,
    state: State,
    /// Bytes of CR LF seen since the last message.
    line_ends: usize,
}

impl Framer {
    /// For one connection.
    pub fn new(limits: Limits) -> Self {
        Self { limits, buffer: BytesMut::new(), state: State::Head { searched: 0 }, line_ends: 0 }
    }

    /// Adds what was read.
    pub fn push(&mut self, bytes: &[u8]) {
        if !matches!(self.state, State::Broken) {
            self.buffer.extend_from_slice(bytes);
        }
    }

    /// Bytes kept of a message that is not complete yet, about; 0 between messages.
    pub fn pending(&self) -> usize {
        let read = match &self.state {
            State::Body { message, .. } => {
                1 + message.headers().iter().map(|h| 64 + h.value.len()).sum::<usize>()
            }
            State::Skip { .. } => 1,
            State::Head { .. } | State::Broken => 0,
        };
        read + self.buffer.len()
    }

    /// The next message, or `None` when more bytes are needed.
    ///
    /// Errors once the stream cannot be followed; the connection should be closed then.
    pub fn poll(&mut self) -> Result<Option<Framed>, StreamError> {
        loop {
            match std::mem::replace(&mut self.state, State::Broken) {
                State::Head { searched } => {
                    if searched == 0 && self.skip_line_ends() {
                        self.state = State::Head { searched: 0 };
                        return Ok(Some(Framed::Ping));
                    }
                    let Some(end) = head_end(&self.buffer, searched) else {
                        if self.buffer.len() > self.limits.head {
                            return Err(StreamError);
                        }
                        // The last three bytes may belong to the empty line.
                        self.state = State::Head { searched: self.buffer.len().saturating_sub(3) };
                        return Ok(None);
                    };
                    if end > self.limits.head {
                        return Err(StreamError);
                    }
                    self.line_ends = 0;
                    let head = self.buffer.split_to(end).freeze();
                    if let Some(framed) = self.head(read_head(&head, &self.limits)) {
                        return Ok(Some(framed));
                    }
                }
                State::Body { message, length } => {
                    if self.buffer.len() < length {
                        self.state = State::Body { message, length };
                        return Ok(None);
                    }
                    let body = self.buffer.split_to(length).freeze();
                    self.state = State::Head { searched: 0 };
                    return Ok(Some(Framed::Message(Box::new(Ok(with_body(message, body))))));
                }
                State::Skip { left } => {
                    let here = usize::try_from(left).unwrap_or(usize::MAX).min(self.buffer.len());
                    self.buffer.advance(here);
                    let left = left - here as u64;
                    if left > 0 {
                        self.state = State::Skip { left };
                        return Ok(None);
                    }
                    self.state = State::Head { searched: 0 };
                }
                State::Broken => return Err(StreamError),
            }
        }
    }

    /// Decides how to go on behind a head; gives the message when it has no body or is refused.
    fn head(&mut self, head: Head) -> Option<Framed> {
        let message = match head.message {
            Ok(message) => message,
            Err(malformed) => {
                // With a readable length the stream can be followed over the bad message.
                self.state = match head.length {
                    Some(left) if malformed.request.is_some() => State::Skip { left },
                    _ => State::Broken,
                };
                return Some(Framed::Message(Box::new(Err(malformed))));
            }
        };
        let Some(length) = head.length else {
            // On a stream the length must be there (20.14); without a body it does not matter.
            if message.headers().value(&Name::ContentType).is_some() {
                self.state = State::Broken;
                return Some(Framed::Message(Box::new(Err(refuse(message, Problem::Length)))));
            }
            self.state = State::Head { searched: 0 };
            return Some(Framed::Message(Box::new(Ok(message))));
        };
        match usize::try_from(length) {
            Ok(0) => {
                self.state = State::Head { searched: 0 };
                Some(Framed::Message(Box::new(Ok(with_body(message, Bytes::new())))))
            }
            Ok(length) if length <= self.limits.body => {
                self.state = State::Body { message, length };
                None
            }
            _ => {
                self.state = State::Skip { left: length };
                Some(Framed::Message(Box::new(Err(refuse(message, Problem::BodyTooLarge)))))
            }
        }
    }

    /// Drops line ends between messages; true for each double CR LF.
    fn skip_line_ends(&mut self) -> bool {
        while let Some(b'\r' | b'\n') = self.buffer.first() {
            self.buffer.advance(1);
            self.line_ends += 1;
            if self.line_ends == 4 {
                self.line_ends = 0;
                return true;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &[u8] = b"\r\n\r\nOPTIONS sip:a SIP/2.0\r\nCall-ID: 1\r\nContent-Length: 3\r\n\r\nabcBYE sip:b SIP/2.0\r\nl: 0\r\n\r\n";

    fn drain(framer: &mut Framer, seen: &mut Vec<String>) {
        while let Some(framed) = framer.poll().unwrap() {
            seen.push(match framed {
                Framed::Ping => "ping".into(),
                Framed::Message(m) => match *m {
                    Ok(Message::Request(r)) => format!("{} {:?}", r.method, r.body),
                    Ok(Message::Response(r)) => r.status.to_string(),
                    Err(malformed) => format!("{}", malformed.problem),
                },
            });
        }
    }

    #[test]
    fn pieces_of_any_size_give_the_same_messages() {
        for size in 1..TWO.len() {
            let mut framer = Framer::new(Limits::default());
            let mut seen = Vec::new();
            for piece in TWO.chunks(size) {
                framer.push(piece);
                drain(&mut framer, &mut seen);
            }
            assert_eq!(seen, ["ping", "OPTIONS b\"abc\"", "BYE b\"\""], "pieces of {size}");
        }
    }

    #[test]
    fn a_body_above_the_limit_passes_by() {
        let mut framer = Framer::new(Limits { body: 8, ..Limits::default() });
        let mut seen = Vec::new();
        framer.push(b"INVITE sip:a SIP/2.0\r\nl: 100000\r\n\r\n");
        drain(&mut framer, &mut seen);
        for _ in 0..100 {
            framer.push(&[b'x'; 1000]);
            drain(&mut framer, &mut seen);
            assert!(framer.buffer.is_empty());
        }
        framer.push(b"BYE sip:b SIP/2.0\r\n\r\n");
        drain(&mut framer, &mut seen);
        assert_eq!(seen, ["body too large", "BYE b\"\""]);
    }

    #[test]
    fn streams_that_cannot_be_followed() {
        let mut framer = Framer::new(Limits::default());
        framer.push(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        assert!(matches!(framer.poll(), Ok(Some(Framed::Message(_)))));
        assert_eq!(framer.poll().unwrap_err(), StreamError);
        let mut framer = Framer::new(Limits { head: 100, ..Limits::default() });
        framer.push(&[b'a'; 101]);
        assert_eq!(framer.poll().unwrap_err(), StreamError);
    }
}
