//! INFO within a call (RFC 6086): key frames (RFC 5168) and keys pressed.

use std::time::Instant;

use bytes::Bytes;

use super::{
    Endpoint,
    body::{Foreign, media_type},
};
use crate::{
    call::{Checked, Phase},
    event::{CallId, Event, InfoBody, Refused},
    message::{Method, Name},
    transaction::User,
};

/// INFOs without a response at a time; more are of no use to anybody.
const MOST_INFOS: u8 = 8;

/// RFC 5168 4.
const FAST_UPDATE: &str = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\r\n<media_control><vc_primitive><to_encoder>\
    <picture_fast_update/></to_encoder></vc_primitive></media_control>\r\n";

impl Endpoint {
    /// An INFO of the other side; its CSeq is checked already.
    pub(super) fn info_received(&mut self, now: Instant, id: CallId, checked: Checked) {
        let request = &checked.request;
        let kind = request.headers.value(&Name::ContentType).map(|t| media_type(t).0.to_ascii_lowercase());
        if request.body.is_empty() {
            return self.respond_final(now, checked, 200, &[]);
        }
        let body = match kind.as_deref() {
            Some("application/media_control+xml") => media_control(&request.body),
            Some("application/dtmf-relay") => dtmf_relay(&request.body),
            Some("application/dtmf") => dtmf(&request.body),
            _ => return self.foreign_body(now, checked, Foreign::Type),
        };
        let Some(body) = body else {
            self.counters.malformed += 1;
            return self.respond_final(now, checked, 400, &[]);
        };
        self.respond_final(now, checked, 200, &[]);
        if self.calls.get(&id).is_some_and(|c| !c.ended) {
            self.tell(Event::Info { call: id, body });
        }
    }

    /// Sends an INFO within the call.
    ///
    /// Errors when the call does not stand, or too many INFOs of ours wait for their response.
    pub fn info(
        &mut self,
        now: Instant,
        call: CallId,
        content_type: &str,
        body: Bytes,
    ) -> Result<(), Refused> {
        let id = call;
        let room = self.has_room();
        let call = self.calls.get_mut(&id).filter(|c| !c.ended).ok_or(Refused::NoSuchCall)?;
        if !matches!(call.phase, Phase::Up) || !call.confirmed {
            return Err(Refused::WrongState);
        }
        if call.infos >= MOST_INFOS || !room {
            return Err(Refused::TooMany);
        }
        call.infos += 1;
        let mut request = call.dialog.request(Method::Info);
        let flow = call.dialog.destination();
        request.headers.push(Name::UserAgent, self.config.user_agent.clone());
        request.headers.push(Name::ContentType, content_type.to_owned());
        request.body = body;
        if self.start_client(now, request, flow, User::Info(id)).is_none() {
            self.info_done(id);
        }
        Ok(())
    }

    /// Asks for a key frame by INFO (RFC 5168).
    ///
    /// Errors as [`Endpoint::info`].
    pub fn fast_update(&mut self, now: Instant, call: CallId) -> Result<(), Refused> {
        self.info(now, call, "application/media_control+xml", Bytes::from_static(FAST_UPDATE.as_bytes()))
    }

    /// An INFO of ours has its response, or will never get one.
    pub(super) fn info_done(&mut self, id: CallId) {
        if let Some(call) = self.calls.get_mut(&id) {
            call.infos = call.infos.saturating_sub(1);
        }
    }
}

/// Looks for the request for a key frame, whatever is round it.
fn media_control(body: &[u8]) -> Option<InfoBody> {
    let text = String::from_utf8_lossy(body);
    let found = text.contains("picture_fast_update") || text.contains("picture_fast_update_gob");
    if found {
        return Some(InfoBody::FastUpdate);
    }
    text.contains("media_control").then_some(InfoBody::Other)
}

/// `Signal=5` and `Duration=160`, one per line.
fn dtmf_relay(body: &[u8]) -> Option<InfoBody> {
    let text = String::from_utf8_lossy(body);
    let value = |name: &str| {
        text.lines().find_map(|line| {
            let (key, value) = line.split_once('=')?;
            key.trim().eq_ignore_ascii_case(name).then(|| value.trim())
        })
    };
    let digit = digit(value("Signal")?)?;
    Some(InfoBody::Dtmf { digit, duration_ms: value("Duration").and_then(|d| d.parse().ok()).unwrap_or(0) })
}

/// The key alone.
fn dtmf(body: &[u8]) -> Option<InfoBody> {
    let digit = digit(String::from_utf8_lossy(body).trim())?;
    Some(InfoBody::Dtmf { digit, duration_ms: 0 })
}

/// One key; some devices write `*` and `#` as 10 and 11.
fn digit(text: &str) -> Option<char> {
    match text {
        "10" => Some('*'),
        "11" => Some('#'),
        _ => {
            let mut chars = text.chars();
            let key = chars.next()?.to_ascii_uppercase();
            (chars.next().is_none() && matches!(key, '0'..='9' | '*' | '#' | 'A'..='D')).then_some(key)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys() {
        let five = Some(InfoBody::Dtmf { digit: '5', duration_ms: 160 });
        assert_eq!(dtmf_relay(b"Signal= 5\r\nDuration= 160\r\n"), five);
        assert_eq!(dtmf_relay(b"signal=11"), Some(InfoBody::Dtmf { digit: '#', duration_ms: 0 }));
        assert_eq!(dtmf(b" a\r\n"), Some(InfoBody::Dtmf { digit: 'A', duration_ms: 0 }));
        assert_eq!(dtmf(b"55"), None);
        assert_eq!(dtmf_relay(b"Duration=1"), None);
    }

    #[test]
    fn key_frame_requests() {
        assert_eq!(media_control(FAST_UPDATE.as_bytes()), Some(InfoBody::FastUpdate));
        assert_eq!(media_control(b"<media_control/>"), Some(InfoBody::Other));
        assert_eq!(media_control(b"<html/>"), None);
    }
}
