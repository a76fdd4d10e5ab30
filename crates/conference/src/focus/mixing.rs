//! What the mixers report.

use std::time::Instant;

use cau_mixer::Event as Mixed;
use cau_mixer::event::{Statistics, VideoKind, VideoOut, Voice};
use cau_model::participant::State;
use cau_model::snapshot::{Quality, Send, SendVideo};
use cau_model::sound::{self, Trouble};
use cau_model::voice::{Level, SILENCE_DBOV};
use cau_model::{Command, ConferenceId, ParticipantId, Words};
use cau_sip::CallId;

use super::Focus;
use crate::notice::Body;

impl Focus {
    pub(super) fn mixed(&mut self, now: Instant, event: Mixed) {
        match event {
            Mixed::Voice { conference, voices } => self.voices(now, conference, &voices),
            Mixed::Dtmf { participant, digit } => {
                if let Some((_, call)) = self.call_of(participant) {
                    let conference = call.conference;
                    self.notices.push(Some(conference), Body::Dtmf { participant, digit });
                }
            }
            Mixed::AskInfoFastUpdate { participant } => {
                if let Some((call, _)) = self.call_of(participant) {
                    // A call that is just ending needs no picture any more.
                    let _ = self.sip.fast_update(now, call);
                }
            }
            Mixed::VideoLost { participant } => {
                let words = |name: &str| {
                    Words::new(format!("mất hình từ {name}"), format!("the picture of {name} is lost"))
                };
                self.alarm(participant, "picture-lost", words);
            }
            Mixed::VideoBack { participant } => {
                let words = |name: &str| {
                    Words::new(format!("đã có hình từ {name}"), format!("the picture of {name} is there"))
                };
                self.alarm(participant, "picture-back", words);
            }
            Mixed::Trouble { participant, trouble } => self.trouble(now, participant, trouble),
            Mixed::TroubleOver { participant, kind } => self.trouble_over(now, participant, kind),
            Mixed::MediaTimeout { participant } => self.silent(now, participant),
            Mixed::Passed { participant, csrc } => self.link_passed(participant, csrc),
            Mixed::BringUp { operation, progress } => self.progress_of(now, operation, progress),
            Mixed::Statistics { participant, statistics } => self.measured(now, participant, &statistics),
            // Kept by `handle_media`, which knows of which worker they are.
            Mixed::Totals(_) => {}
        }
    }

    /// The sound of a site was found wrong: told, and the site muted when the conference has that rule.
    fn trouble(&mut self, now: Instant, participant: ParticipantId, trouble: Trouble) {
        let Some((_, call)) = self.call_of(participant) else { return };
        let conference = call.conference;
        let shown = |focus: &Self| {
            let site = focus.rooms.get(&conference)?.conference.participant(participant)?;
            site.troubles.into_iter().find(|shown| shown.kind == trouble.kind())
        };
        let known = shown(self).is_some();
        self.internal(now, conference, Command::Trouble { participant, trouble });
        // What changed its measure only is in the participant's object; what came too late is nowhere.
        let Some(found) = shown(self).filter(|_| !known) else { return };
        let words = |name: &str| {
            let (vi, en) = (&found.detail.vi, &found.detail.en);
            if found.muted {
                Words::new(
                    format!("{name}: {vi}. Đã tắt tiếng theo quy tắc."),
                    format!("{name}: {en}. Muted by rule."),
                )
            } else {
                Words::new(format!("{name}: {vi}"), format!("{name}: {en}"))
            }
        };
        self.alarm(participant, code(trouble.kind(), false), words);
    }

    fn trouble_over(&mut self, now: Instant, participant: ParticipantId, kind: sound::Kind) {
        let Some((_, call)) = self.call_of(participant) else { return };
        let conference = call.conference;
        self.internal(now, conference, Command::TroubleOver { participant, kind });
        let words = |name: &str| {
            let (vi, en) = match kind {
                sound::Kind::Noise => ("hết ồn", "the noise is over"),
                sound::Kind::Hum => ("hết ù", "the hum is over"),
                sound::Kind::Echo => ("hết vọng", "the echo is over"),
            };
            Words::new(format!("{name}: {vi}"), format!("{name}: {en}"))
        };
        self.alarm(participant, code(kind, true), words);
    }

    fn voices(&mut self, now: Instant, conference: ConferenceId, voices: &[Voice]) {
        let Some(room) = self.rooms.get_mut(&conference) else { return };
        let now_heard: Vec<ParticipantId> = voices.iter().map(|voice| voice.participant).collect();
        let mut levels: Vec<Level> = voices.iter().map(level).collect();
        // Who is not in the report any more is silent.
        levels.extend(room.heard.iter().filter(|who| !now_heard.contains(who)).map(|who| Level {
            participant: *who,
            level_dbov: SILENCE_DBOV,
            speaking: false,
        }));
        room.heard = now_heard;
        self.internal(now, conference, Command::Voice(levels));
    }

    /// No media for long. The device may be gone, or it is just silent (no picture, voice detection): ask it by a re-INVITE,
    /// and let SIP's own time-out decide.
    fn silent(&mut self, now: Instant, participant: ParticipantId) {
        let Some((id, call)) = self.call_of(participant).filter(|(_, call)| call.unproven.is_none()) else {
            return;
        };
        let conference = call.conference;
        let words = |name: &str| {
            Words::new(
                format!("không nhận được âm thanh, hình ảnh từ {name}; đang kiểm tra thiết bị"),
                format!("nothing is received from {name}; asking the device whether it is there"),
            )
        };
        self.alarm(participant, "media-lost", words);
        self.internal(now, conference, Command::State(participant, State::Reconnecting));
        self.probe(now, id);
    }

    /// The other side answered: if it was thought lost, it is there again.
    pub(super) fn alive(&mut self, now: Instant, id: CallId) {
        let Some(call) = self.calls.get(&id) else { return };
        let (conference, participant) = (call.conference, call.participant);
        let lost = self
            .rooms
            .get(&conference)
            .and_then(|room| room.conference.find(participant))
            .is_some_and(|site| site.state == State::Reconnecting);
        if lost {
            let words = |name: &str| {
                Words::new(format!("{name} vẫn còn kết nối"), format!("{name} is still connected"))
            };
            self.alarm(participant, "media-back", words);
            self.internal(now, conference, Command::State(participant, State::Connected));
        }
    }

    fn measured(&mut self, now: Instant, participant: ParticipantId, statistics: &Statistics) {
        let Some((id, call)) = self.call_of(participant) else { return };
        let conference = call.conference;
        if self.media_proves(now, id, statistics.rx_kbps > 0.0) {
            return;
        }
        let command = Command::Measured {
            participant,
            picture: statistics.video.map(|video| (video.width, video.height, tenths(video.fps))),
            quality: quality(statistics),
            send: send(statistics.send),
        };
        self.internal(now, conference, command);
        // Those who are muted are not in the reports of voices; their operator wants to see that they speak all the same.
        let muted = self
            .rooms
            .get(&conference)
            .and_then(|room| room.conference.rights(participant))
            .is_some_and(|rights| rights.audio_muted);
        if muted {
            let voice =
                Voice { participant, level_dbov: statistics.level_dbov, speaking: statistics.speaking };
            self.internal(now, conference, Command::Voice(vec![level(&voice)]));
        }
    }

    fn alarm(&mut self, participant: ParticipantId, code: &'static str, words: impl Fn(&str) -> Words) {
        let Some((_, call)) = self.call_of(participant).filter(|(_, call)| call.unproven.is_none()) else {
            return;
        };
        let conference = call.conference;
        let site = self.rooms.get(&conference).and_then(|room| room.conference.find(participant));
        let words = words(site.map_or(&call.name, |site| &site.name));
        self.notices.push(Some(conference), Body::Alarm { participant: Some(participant), code, words });
    }
}

fn code(kind: sound::Kind, over: bool) -> &'static str {
    match (kind, over) {
        (sound::Kind::Noise, false) => "noise",
        (sound::Kind::Noise, true) => "noise-over",
        (sound::Kind::Hum, false) => "hum",
        (sound::Kind::Hum, true) => "hum-over",
        (sound::Kind::Echo, false) => "echo",
        (sound::Kind::Echo, true) => "echo-over",
    }
}

fn level(voice: &Voice) -> Level {
    // `as` saturates, and makes 0 of what is no number.
    let level_dbov = (voice.level_dbov.round() as i8).clamp(SILENCE_DBOV, 0);
    Level { participant: voice.participant, level_dbov, speaking: voice.speaking }
}

/// Rounded to what is worth showing, so that noise in the last digits is no change.
fn tenths(value: f32) -> f32 {
    (value * 10.0).round() / 10.0
}

fn quality(statistics: &Statistics) -> Quality {
    let loss = statistics.loss.max(statistics.loss_out.unwrap_or_default());
    Quality {
        loss: (loss * 1000.0).round() / 1000.0,
        jitter_ms: tenths(statistics.jitter_ms),
        rtt_ms: statistics.rtt_ms.map(tenths),
        rx_kbps: statistics.rx_kbps.round() as u32,
        tx_kbps: statistics.tx_kbps.round() as u32,
    }
}

fn send(out: VideoOut) -> Send {
    let video = match out.kind {
        VideoKind::None => SendVideo::None,
        VideoKind::Encoded => SendVideo::Encoded,
        VideoKind::Forwarded => SendVideo::Forwarded,
    };
    Send { video, width: out.width, height: out.height, fps: tenths(out.fps), copies: out.copies }
}
