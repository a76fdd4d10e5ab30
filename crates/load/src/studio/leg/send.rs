//! What a phone sends.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use cau_drive::media;
use cau_rtp::{session::Session, stream::Outgoing};
use cau_sip::sdp::Stream;

use super::{FRAME, LATEST, Leg, batch::Batch, sends};
use crate::studio::Port;

impl Leg {
    pub(super) fn send_video(&mut self, now: Instant, out: &mut VecDeque<media::Transmit<Port>>) {
        let Some(video) = &mut self.video else { return };
        let Some(clip) = video.clip.clone() else { return };
        if !sends(&video.line.stream) {
            video.next = now;
            return;
        }
        let frame = Duration::from_secs(1) / clip.fps;
        if video.next + LATEST < now {
            video.next = now;
        }
        if video.responder.poll(now) {
            video.key_at.get_or_insert(now);
        }
        while video.next <= now {
            if video.key_at.is_some_and(|at| at <= now) {
                let skip = clip.next_key(video.place) - video.place;
                video.place += skip;
                if let Some(began) = &mut self.began {
                    *began = began.checked_sub(frame * skip as u32).unwrap_or(*began);
                }
                video.key_at = None;
            }
            let unit = clip.unit(video.place);
            if unit.key {
                video.responder.key_sent(now);
                video.keys_sent += 1;
            }
            let port = Port { phone: self.phone, video: true, rtcp: false };
            let mut batch =
                Batch::new(port, video.line.stream.remote, unit.payloads.iter().map(|p| p.bytes.len()));
            for payload in &unit.payloads {
                let packet = video.session.send(
                    now,
                    Outgoing {
                        pt: video.line.pt_send,
                        marker: payload.marker,
                        source: 0,
                        timestamp: video.timestamp,
                        csrc: &[],
                        payload: payload.bytes.clone(),
                        origin: 0,
                    },
                );
                if let Some(history) = &mut video.history {
                    history.push(now, packet.clone());
                }
                batch.push(&packet, out);
            }
            batch.flush(out);
            if clip.judged {
                self.beacons.picture(self.plan.id, self.phone, clip.number(video.place), now);
            }
            video.place += 1;
            video.timestamp = video.timestamp.wrapping_add(90_000 / clip.fps);
            video.next += frame;
        }
    }

    pub(super) fn send_audio(&mut self, now: Instant, out: &mut VecDeque<media::Transmit<Port>>) {
        let (Some(audio), Some(began)) = (&mut self.audio, self.began) else { return };
        if !sends(&audio.line.stream) {
            audio.next = now;
            return;
        }
        if audio.next + LATEST < now {
            audio.next = now;
        }
        while audio.next <= now {
            let place = audio.next.saturating_duration_since(began).as_millis() / FRAME.as_millis();
            let packet = audio.session.send(
                now,
                Outgoing {
                    pt: audio.line.pt_send,
                    marker: audio.timestamp == 0,
                    source: 0,
                    timestamp: audio.timestamp,
                    csrc: &[],
                    payload: audio.sound.frame(place as u64).clone(),
                    origin: 0,
                },
            );
            if audio.sound.begins_burst(place as u64) {
                self.beacons.burst(self.plan.id, self.phone, now);
            }
            let mut data = Vec::with_capacity(packet.wire_len());
            packet.write(&mut data);
            let port = Port { phone: self.phone, video: false, rtcp: false };
            out.push_back(media::Transmit {
                port,
                to: audio.line.stream.remote,
                data: data.into(),
                segment: None,
            });
            let ticks =
                audio.codec.ticks() * (audio.line.clock_hz / audio.line.codec.clock_hz().max(1)).max(1);
            audio.timestamp = audio.timestamp.wrapping_add(ticks);
            audio.next += FRAME;
        }
    }

    /// Sends again what was asked for.
    pub(super) fn repeat(&mut self, out: &mut VecDeque<media::Transmit<Port>>) {
        let Some(video) = &mut self.video else { return };
        let port = Port { phone: self.phone, video: true, rtcp: false };
        for seq in std::mem::take(&mut video.again) {
            let Some(packet) = video.history.as_mut().and_then(|h| h.again(seq)) else { continue };
            self.stats.repeated += 1;
            let mut data = Vec::with_capacity(packet.wire_len());
            packet.write(&mut data);
            out.push_back(media::Transmit {
                port,
                to: video.line.stream.remote,
                data: data.into(),
                segment: None,
            });
        }
    }

    pub(super) fn send_rtcp(&mut self, now: Instant, out: &mut VecDeque<media::Transmit<Port>>) {
        let reports = self.plan.persona.sender_reports;
        let phone = self.phone;
        let mut send = |session: &mut Session, stream: &Stream, video| {
            if let Some(data) = session.poll_rtcp(now) {
                let data = if reports { data } else { without_sender_report(data) };
                let port = Port { phone, video, rtcp: !stream.rtcp_mux };
                out.push_back(media::Transmit {
                    port,
                    to: stream.remote_rtcp,
                    data: data.into(),
                    segment: None,
                });
            }
        };
        if let Some(audio) = &mut self.audio {
            send(&mut audio.session, &audio.line.stream, false);
        }
        if let Some(video) = &mut self.video {
            send(&mut video.session, &video.line.stream, true);
        }
    }

    /// BYE on both lines.
    pub fn goodbye(&mut self, now: Instant, out: &mut VecDeque<media::Transmit<Port>>) {
        let phone = self.phone;
        let mut bye = |session: &mut Session, stream: &Stream, video| {
            let port = Port { phone, video, rtcp: !stream.rtcp_mux };
            let data = session.goodbye(now).into();
            out.push_back(media::Transmit { port, to: stream.remote_rtcp, data, segment: None });
        };
        if let Some(audio) = &mut self.audio {
            bye(&mut audio.session, &audio.line.stream, false);
        }
        if let Some(video) = &mut self.video {
            bye(&mut video.session, &video.line.stream, true);
        }
    }
}

/// The same compound packet with a receiver report in place of the sender report.
fn without_sender_report(mut data: Vec<u8>) -> Vec<u8> {
    if data.get(1) == Some(&200) && data.len() >= 28 {
        let words = u16::from_be_bytes([data[2], data[3]]).saturating_sub(5);
        data[1] = 201;
        data[2..4].copy_from_slice(&words.to_be_bytes());
        data.drain(8..28);
    }
    data
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sender_report_becomes_a_receiver_report_with_the_same_blocks() {
        let mut report = vec![0x81, 200, 0, 12];
        report.extend([7; 4]);
        report.extend([1; 20]);
        report.extend([2; 24]);
        let out = without_sender_report(report);
        assert_eq!((out[1], u16::from_be_bytes([out[2], out[3]])), (201, 7));
        assert_eq!(out.len(), 32);
        assert_eq!(&out[8..], [2; 24]);
    }
}
