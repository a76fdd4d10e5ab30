//! Writing a description in the order of RFC 8866 9.

use bytes::Bytes;

use super::{Attributes, Bandwidth, Session};

impl Session {
    /// The description as RFC 8866 writes it, lines ended by CRLF.
    pub fn to_bytes(&self) -> Bytes {
        let mut out = Text(String::with_capacity(2_048));
        let o = &self.origin;
        out.line('v', "0");
        out.line('o', &format!("{} {} {} {}", o.username, o.id, o.version, o.address));
        out.line('s', if self.name.is_empty() { "-" } else { &self.name });
        out.others(&self.other, "iuep");
        if let Some(address) = &self.connection {
            out.line('c', &address.to_string());
        }
        out.bandwidth(&self.bandwidth);
        for time in &self.times {
            out.line('t', time);
        }
        out.others(&self.other, "rzk");
        out.attributes(&self.attributes);
        for media in &self.media {
            let mut line = format!("{} {} {}", media.kind, media.port, media.protocol);
            for format in &media.formats {
                line.push(' ');
                line.push_str(format);
            }
            out.line('m', &line);
            out.others(&media.other, "i");
            if let Some(address) = &media.connection {
                out.line('c', &address.to_string());
            }
            out.bandwidth(&media.bandwidth);
            out.others(&media.other, "k");
            out.attributes(&media.attributes);
        }
        Bytes::from(out.0)
    }
}

struct Text(String);

impl Text {
    /// One line; nothing in a value can start another.
    fn line(&mut self, kind: char, value: &str) {
        self.0.push(kind);
        self.0.push('=');
        self.0.extend(value.chars().map(|c| if c.is_control() { ' ' } else { c }));
        self.0.push_str("\r\n");
    }

    fn others(&mut self, lines: &[(char, String)], kinds: &str) {
        for (kind, value) in lines.iter().filter(|(kind, _)| kinds.contains(*kind)) {
            self.line(*kind, value);
        }
    }

    fn bandwidth(&mut self, lines: &[Bandwidth]) {
        for b in lines {
            self.line('b', &format!("{}:{}", b.kind, b.value));
        }
    }

    fn attributes(&mut self, attributes: &Attributes) {
        for a in &attributes.0 {
            match &a.value {
                Some(value) => self.line('a', &format!("{}:{value}", a.name)),
                None => self.line('a', &a.name),
            }
        }
    }
}
