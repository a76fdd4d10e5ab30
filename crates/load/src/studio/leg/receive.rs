//! What a phone receives, and what it asks for.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use cau_rtp::{
    Packet,
    h264::{Mode, starts_key_frame},
    keyframe::{Ask, Heard},
    nack,
    packet::{Class, classify},
    session::Notice,
};

use super::{FRAME, LATEST, Leg, SILENCE, VideoLeg};
use crate::{
    eye::Seen,
    persona::KeyFrames,
    plan::{Codec, PhoneId},
    studio::{
        Event, Port,
        stats::{FREEZE, STANDS},
        watching::Came,
    },
};

/// Packets kept that come before the answer.
const EARLY: usize = 500;
/// A picture is expected this long after the call stands; then it is asked for.
const FIRST_PICTURE: Duration = Duration::from_millis(500);
/// While packets are missing, it is looked this often whether to ask for them.
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// Packets sent again in one turn at most.
const MOST_AGAIN: usize = 256;

impl Leg {
    /// The other side wants a key frame.
    pub fn asked(&mut self, now: Instant, heard: Heard) {
        self.stats.asked += 1;
        let Some(video) = &mut self.video else { return };
        let persona = &self.plan.persona;
        let obeys = match persona.key_frames {
            KeyFrames::Regular | KeyFrames::Asked | KeyFrames::Late => true,
            KeyFrames::InfoOnly => heard == Heard::Info,
            KeyFrames::Never => false,
        };
        if obeys && video.responder.handle(now, heard) {
            let late = persona.key_frames == KeyFrames::Late;
            video.key_at.get_or_insert(if late { now + persona.key_frame_delay } else { now });
        }
    }

    /// A datagram came. True when a turn is wanted because of it: most bring nothing but a number to count.
    pub fn handle_packet(&mut self, now: Instant, port: Port, data: Bytes) -> bool {
        match &mut self.way {
            Some(way) => {
                way.came(now, port, data);
                true
            }
            None => self.arrive(now, port, data),
        }
    }

    pub(super) fn arrive(&mut self, now: Instant, port: Port, data: Bytes) -> bool {
        if self.began.is_none() {
            if self.early.len() < EARLY {
                self.early.push((now, port, data));
            }
            return false;
        }
        match classify(&data) {
            Class::Rtcp => {
                self.handle_rtcp(now, port.video, &data);
                true
            }
            Class::Rtp => {
                let Ok(packet) = Packet::parse(data) else { return false };
                if port.video {
                    self.handle_video(now, packet);
                    self.video.as_ref().is_some_and(|video| video.watching.has_news())
                } else {
                    self.handle_audio(now, packet);
                    false
                }
            }
            _ => false,
        }
    }

    fn handle_rtcp(&mut self, now: Instant, is_video: bool, data: &[u8]) {
        let notices = match (is_video, &mut self.audio, &mut self.video) {
            (false, Some(audio), _) => audio.session.handle_rtcp(now, data),
            (true, _, Some(video)) => video.session.handle_rtcp(now, data),
            _ => return,
        };
        for notice in notices {
            match notice {
                Notice::KeyFrame(heard) if is_video => self.asked(now, heard),
                Notice::Limit { bits, .. } if is_video && self.plan.persona.obeys_limits => {
                    self.limited(now, bits)
                }
                Notice::Nack(lost) => {
                    if let Some(video) = self.video.as_mut().filter(|v| is_video && v.history.is_some()) {
                        video
                            .again
                            .extend(lost.iter().copied().take(MOST_AGAIN.saturating_sub(video.again.len())));
                    }
                }
                _ => {}
            }
        }
    }

    /// The other side wants no more than so many bit/s (TMMBR): another clip, beginning with a key frame.
    fn limited(&mut self, now: Instant, bitrate: u64) {
        self.stats.limits += 1;
        let Some(video) = &mut self.video else { return };
        video.limit = Some(u32::try_from(bitrate / 1000).unwrap_or(u32::MAX));
        let mode = Mode::from_number(video.line.mode.number()).unwrap_or(Mode::SingleNal);
        let clip = self.plan.reel.as_ref().and_then(|reel| reel.within(mode, video.limit));
        if let (Some(clip), Some(before)) = (clip, &video.clip)
            && !Arc::ptr_eq(clip, before)
        {
            // Where it would be had it always been this one: sound and pictures stay together.
            if let Some(began) = self.began {
                let frame = Duration::from_secs(1) / clip.fps;
                let elapsed = video.next.saturating_duration_since(began);
                video.place = (elapsed.as_nanos() / frame.as_nanos().max(1)) as u64;
            }
            video.clip = Some(clip.clone());
            video.key_at = Some(now);
        }
    }

    fn handle_audio(&mut self, now: Instant, packet: Packet) {
        let Some(audio) = &mut self.audio else { return };
        let known =
            audio.line.pt_recv.iter().find(|(pt, _)| *pt == packet.pt).map(|(_, codec)| Codec::of(codec));
        self.stats.audio.first_packet.get_or_insert(now);
        for packet in audio.session.receive(now, packet) {
            audio.gaps.mark(now, SILENCE);
            audio.octets += packet.payload.len() as u64;
            if let Some(buffer) = &mut audio.buffer {
                buffer.insert(now, packet.clone());
            }
            if let (Some(sight), Some(codec)) = (&self.sight, known) {
                let seen = Seen::Sound { phone: self.phone, at: now, codec, packet };
                self.stats.missed += u64::from(sight.try_send(seen).is_err());
            }
        }
    }

    fn handle_video(&mut self, now: Instant, packet: Packet) {
        let Some(video) = &mut self.video else { return };
        self.stats.video.first_packet.get_or_insert(now);
        if self.stats.first_key.is_none() && starts_key_frame(&packet.payload) {
            self.stats.first_key = Some(now);
        }
        if !video.line.pt_recv.iter().any(|(pt, _)| *pt == packet.pt) {
            return;
        }
        for packet in video.session.receive(now, packet) {
            video.watching.insert(now, packet);
        }
    }

    /// Pictures that became whole, losses.
    pub(super) fn take_pictures(&mut self, now: Instant) {
        let Some(video) = &mut self.video else { return };
        video.watching.handle_timeout(now);
        self.stats.asked_again += video.ask_again(now);
        while let Some(came) = video.watching.poll() {
            match came {
                Came::Picture { arrived, key, damaged, unit } => {
                    self.stats.pictures += u64::from(!damaged);
                    self.stats.damaged += u64::from(damaged);
                    if key && !damaged {
                        self.stats.key_frames += 1;
                        self.stats.first_decodable.get_or_insert(arrived);
                        video.requester.key_frame(now);
                    }
                    if damaged && self.plan.persona.asks_key_frames {
                        video.requester.request(now);
                    }
                    video.hurt = damaged || video.hurt && !key;
                    if !video.hurt && self.stats.first_decodable.is_some() {
                        video.still.mark(arrived, STANDS);
                    }
                    if self.stats.first_decodable.is_some() {
                        video.gaps.mark(arrived, FREEZE);
                    }
                    video.first_unit.get_or_insert(arrived);
                    video.last_unit = Some(arrived);
                    self.looks = looks(self.phone, self.plan.persona.glimpse, arrived, self.wall.0)
                        && (self.looks || key);
                    if let (Some(sight), Some(unit)) = (self.sight.as_ref().filter(|_| self.looks), unit) {
                        let seen = Seen::Unit { phone: self.phone, unit };
                        self.stats.missed += u64::from(sight.try_send(seen).is_err());
                    }
                }
                Came::Lost => {
                    video.hurt = true;
                    if self.plan.persona.asks_key_frames {
                        video.requester.request(now);
                    }
                }
            }
        }
        let waited = now.saturating_duration_since(video.since) >= FIRST_PICTURE;
        if waited
            && video.line.stream.recv
            && self.plan.persona.asks_key_frames
            && self.stats.first_decodable.is_none()
        {
            video.requester.request(now);
        }
    }

    /// Takes 20 ms of sound after the other, as a sound card does.
    pub(super) fn play(&mut self, now: Instant) {
        let Some(audio) = &mut self.audio else { return };
        let Some(buffer) = &mut audio.buffer else { return };
        if audio.next_pull + LATEST < now {
            audio.next_pull = now;
        }
        while audio.next_pull <= now {
            buffer.pull(audio.next_pull);
            audio.next_pull += FRAME;
        }
    }

    pub(super) fn ask(&mut self, now: Instant, events: &mut VecDeque<Event>) {
        let Some(video) = &mut self.video else { return };
        if let Some(every) = self.plan.persona.pesters
            && video.pestered.is_none_or(|at| now.saturating_duration_since(at) >= every)
        {
            video.pestered = Some(now);
            video.session.ask(Ask::Pli);
        }
        match video.requester.poll(now) {
            Some(Ask::Info) => events.push_back(Event::AskInfo(self.phone)),
            Some(ask) => {
                video.session.ask(ask);
            }
            None => {}
        }
    }
}

impl VideoLeg {
    /// Asks for what is missing, where that was negotiated; how many packets.
    fn ask_again(&mut self, now: Instant) -> u64 {
        self.ask_at = None;
        if self.history.is_none() {
            return 0;
        }
        let rtt = self.session.sender.rtt();
        let patience = (!self.asker.is_useless()).then(|| nack::patience(rtt));
        let (missing, lost) = self.watching.missing(patience);
        let ask = self.asker.poll(now, &missing, lost, rtt);
        if !ask.is_empty() {
            self.session.nack(&ask);
        }
        self.ask_at = (!missing.is_empty()).then_some(now + LOOK_AGAIN);
        ask.len() as u64
    }
}

/// Who decodes now and then only: is it this phone's second? It begins with the first key frame in it.
fn looks(phone: PhoneId, glimpse: u32, now: Instant, start: Instant) -> bool {
    let second = now.saturating_duration_since(start).as_secs();
    glimpse <= 1 || (second + u64::from(phone.0) * 7).is_multiple_of(u64::from(glimpse))
}
