//! SIP by hand over UDP: messages no well-behaved client sends, and the exact words of the answers.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream, UdpSocket},
    time::{Duration, Instant},
};

/// Marks, among extra headers, the ACK of a 2xx; not sent.
const ACK_OF_2XX: &str = "ACK of a 2xx";

/// A socket that speaks SIP as text.
pub struct Raw {
    socket: UdpSocket,
    server: SocketAddr,
    /// Tag, branch and Call-ID of what is sent.
    unique: u64,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    text: String,
}

impl Answer {
    /// The first header of this name (as written by the server, without regard to case).
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.text, name)
    }

    /// The body.
    pub fn body(&self) -> &str {
        self.text.split_once("\r\n\r\n").map_or("", |(_, body)| body)
    }
}

impl Raw {
    /// A socket of its own towards the server.
    pub fn new(server: SocketAddr) -> Self {
        static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a UDP socket");
        let unique =
            u64::from(std::process::id()) << 24 | NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Self { socket, server, unique }
    }

    /// Its own address.
    pub fn addr(&self) -> SocketAddr {
        self.socket.local_addr().expect("bound")
    }

    /// A request of this call with everything RFC 3261 wants. `to_tag` within a dialog; `extra` are whole header lines.
    pub fn request(
        &self,
        method: &str,
        room: &str,
        cseq: (u32, &str),
        to_tag: Option<&str>,
        extra: &[String],
        body: &str,
    ) -> String {
        let me = self.addr();
        // The ACK of a 2xx is a transaction of its own (RFC 3261 13.2.2.4), that of a refusal belongs to the INVITE's (17.1.1.3).
        let branch = if extra.iter().any(|l| l == ACK_OF_2XX) { "ack" } else { "" };
        let tag = to_tag.map(|t| format!(";tag={t}")).unwrap_or_default();
        let mut text = format!(
            "{method} sip:{room}@{server} SIP/2.0\r\n\
             Via: SIP/2.0/UDP {me};branch=z9hG4bK{unique:x}{seq}{branch};rport\r\n\
             Max-Forwards: 70\r\n\
             From: \"Tester\" <sip:tester@{me}>;tag=f{unique:x}\r\n\
             To: <sip:{room}@{server}>{tag}\r\n\
             Call-ID: {unique:x}@tester\r\n\
             CSeq: {seq} {cseq_method}\r\n",
            server = self.server,
            unique = self.unique,
            seq = cseq.0,
            cseq_method = cseq.1,
        );
        for line in extra.iter().filter(|l| *l != ACK_OF_2XX) {
            text += line;
            text += "\r\n";
        }
        if !body.is_empty() {
            text += "Content-Type: application/sdp\r\n";
        }
        text += &format!("Content-Length: {}\r\n\r\n{body}", body.len());
        text
    }

    /// `Contact` of this socket.
    pub fn contact(&self) -> String {
        format!("Contact: <sip:tester@{}>", self.addr())
    }

    /// Acknowledges an answer to an INVITE, with an answer to a late offer when `body` is one.
    pub fn ack(&self, room: &str, cseq: u32, answer: &Answer, body: &str) {
        let mark: &[String] = if answer.status < 300 { &[ACK_OF_2XX.to_owned()] } else { &[] };
        self.send(&self.request("ACK", room, (cseq, "ACK"), Some(&Self::tag(answer)), mark, body));
    }

    /// Sends a text as one datagram.
    pub fn send(&self, text: &str) {
        self.socket.send_to(text.as_bytes(), self.server).expect("sent");
    }

    /// The next final answer to a request of this method; requests of the server and provisional answers are passed over.
    pub fn answer(&self, method: &str) -> Answer {
        self.answer_within(method, Duration::from_secs(3)).unwrap_or_else(|| panic!("no answer to {method}"))
    }

    /// As [`Raw::answer`]; `None` when nothing comes.
    pub fn answer_within(&self, method: &str, limit: Duration) -> Option<Answer> {
        let end = Instant::now() + limit;
        let mut buffer = vec![0; 65_536];
        while let Some(left) = end.checked_duration_since(Instant::now()).filter(|l| !l.is_zero()) {
            self.socket.set_read_timeout(Some(left)).expect("a timeout");
            let Ok((count, _)) = self.socket.recv_from(&mut buffer) else { continue };
            let text = String::from_utf8_lossy(&buffer[..count]).into_owned();
            let Some(status) =
                text.strip_prefix("SIP/2.0 ").and_then(|t| t.get(..3)).and_then(|s| s.parse().ok())
            else {
                continue;
            };
            let answer = Answer { status, text };
            let of = answer.header("CSeq").is_some_and(|c| c.ends_with(method));
            if of && status >= 200 {
                return Some(answer);
            }
        }
        None
    }

    /// The next request of this method the server sends, as text; answers and other requests are passed over.
    pub fn asked(&self, method: &str) -> String {
        self.asked_within(method, Duration::from_secs(8))
            .unwrap_or_else(|| panic!("the server sent no {method}"))
    }

    /// As [`Raw::asked`]; `None` when nothing comes.
    pub fn asked_within(&self, method: &str, limit: Duration) -> Option<String> {
        let end = Instant::now() + limit;
        let mut buffer = vec![0; 65_536];
        while let Some(left) = end.checked_duration_since(Instant::now()).filter(|l| !l.is_zero()) {
            self.socket.set_read_timeout(Some(left)).expect("a timeout");
            let Ok((count, _)) = self.socket.recv_from(&mut buffer) else { continue };
            let text = String::from_utf8_lossy(&buffer[..count]).into_owned();
            if text.starts_with(&format!("{method} ")) {
                return Some(text);
            }
        }
        None
    }

    /// Answers a request of the server with 200.
    pub fn agree(&self, request: &str) {
        self.respond(request, "200 OK", &[], "");
    }

    /// Answers a request of the server: status and phrase, further header lines, a description.
    pub fn respond(&self, request: &str, status: &str, extra: &[String], body: &str) {
        let wanted = ["via", "from", "to", "call-id", "cseq"];
        let head = request.split("\r\n\r\n").next().unwrap_or_default();
        let mut text = format!("SIP/2.0 {status}\r\n");
        for line in head.lines().skip(1) {
            let name = line.split(':').next().unwrap_or_default().trim().to_ascii_lowercase();
            if !wanted.contains(&name.as_str()) {
                continue;
            }
            text += line;
            if name == "to" && !line.contains(";tag=") {
                text += &format!(";tag=t{:x}", self.unique);
            }
            text += "\r\n";
        }
        for line in extra {
            text += &format!("{line}\r\n");
        }
        if !body.is_empty() {
            text += "Content-Type: application/sdp\r\n";
        }
        self.send(&format!("{text}Content-Length: {}\r\n\r\n{body}", body.len()));
    }

    /// The tag of To in an answer.
    pub fn tag(answer: &Answer) -> String {
        let to = answer.header("To").unwrap_or_default();
        to.split(";tag=").nth(1).unwrap_or_default().split(';').next().unwrap_or_default().to_owned()
    }
}

/// Sends a request over a TCP connection of its own; the status of the first final answer within three seconds.
pub fn over_tcp(server: SocketAddr, text: &str) -> Option<u16> {
    let mut stream = TcpStream::connect(server).expect("a TCP connection");
    stream.set_read_timeout(Some(Duration::from_secs(3))).expect("a timeout");
    // The server may close before it has read everything.
    let _ = stream.write_all(text.as_bytes());
    let mut answer = Vec::new();
    let mut part = [0; 4096];
    loop {
        let count = stream.read(&mut part).ok().filter(|count| *count > 0)?;
        answer.extend_from_slice(&part[..count]);
        let text = String::from_utf8_lossy(&answer);
        let mut statuses = text.lines().filter_map(|l| l.strip_prefix("SIP/2.0 ")?.get(..3)?.parse().ok());
        if let Some(status) = statuses.find(|s: &u16| *s >= 200) {
            return Some(status);
        }
    }
}

/// The first header of this name in a request.
pub fn header<'a>(request: &'a str, name: &str) -> Option<&'a str> {
    let head = request.split("\r\n\r\n").next()?;
    head.lines().skip(1).find_map(|l| {
        let (n, value) = l.split_once(':')?;
        n.trim().eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// An SDP of these `m=` blocks, all on this machine.
pub fn sdp(blocks: &[&str]) -> String {
    format!("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n{}", blocks.concat())
}

/// G.711 A-law at this port.
pub fn audio(port: u16) -> String {
    format!("m=audio {port} RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\n")
}
