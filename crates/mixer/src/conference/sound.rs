//! A conference's sound: what is mixed and reported every 20 ms.

use std::{
    mem,
    time::{Duration, Instant},
};

use cau_model::ParticipantId;
use smallvec::SmallVec;

use super::{Conference, Shared};
use crate::{
    command::Ear,
    event::{Event, Voice},
    leg::audio::Audio,
    out::Out,
    sound::{room::Input, watch::Finding},
    view,
};

/// Levels are reported this often.
const VOICE_EVERY: Duration = Duration::from_millis(100);
/// Voices in one report.
const VOICES: usize = 16;

impl Conference {
    /// Sees to the legs, mixes and sends 20 ms of sound.
    pub fn tick(&mut self, now: Instant, shared: &Shared, out: &mut Out) {
        self.attend(now, shared, out);
        let floor = self.floor;
        let brought: SmallVec<[ParticipantId; 4]> = self.brought.iter().map(|b| b.site).collect();
        let mut audios: Vec<(ParticipantId, &Ear, Option<u32>, &mut Audio)> =
            Vec::with_capacity(self.legs.len());
        for (participant, leg) in &mut self.legs {
            let Some(audio) = &mut leg.audio else { continue };
            audios.push((*participant, &leg.ear, leg.named, audio));
        }
        let inputs = audios.iter_mut().map(|(who, ear, _, audio)| {
            let (coding, loss) = (audio.coding(), audio.reported_loss());
            let floor = floor == Some(*who) || brought.contains(who);
            Input { who: *who, ear, site: &mut audio.site, floor, coding, loss }
        });
        let encoded = self.room.tick(now, &mut inputs.collect::<Vec<_>>());
        out.totals.audio_encoders += self.room.encoders();
        let active = || self.room.active().iter().copied();
        let heard: SmallVec<[(ParticipantId, u32); 16]> = active()
            .filter_map(|i| audios.get(i).filter(|(.., audio)| audio.site.is_heard()))
            .filter_map(|(participant, _, named, audio)| Some((*participant, named.or(audio.ssrc_in())?)))
            .collect();
        for ((participant, ear, _, audio), frame) in audios.iter_mut().zip(encoded) {
            let Some(frame) = frame.filter(|f| !f.is_empty()) else {
                audio.skip();
                continue;
            };
            let csrc: SmallVec<[u32; view::MAX_CSRC]> = heard
                .iter()
                .filter(|(p, _)| p != participant && ear.hears(*p))
                .map(|(_, s)| *s)
                .take(view::MAX_CSRC)
                .collect();
            let csrc = if audio.site.deafened { &[][..] } else { csrc.as_slice() };
            audio.send(now, *participant, &frame, csrc, out);
        }
        for i in active() {
            let Some((participant, .., audio)) = audios.get_mut(i) else { continue };
            report_findings(*participant, audio, out);
        }
        self.report_voices(now, out);
    }

    /// The worker was too late for some ticks: sound goes on with a gap.
    pub fn skip_ticks(&mut self, ticks: u32) {
        for audio in self.legs.values_mut().filter_map(|l| l.audio.as_mut()) {
            for _ in 0..ticks {
                audio.skip();
            }
        }
    }

    fn report_voices(&mut self, now: Instant, out: &mut Out) {
        if now < self.voice_at {
            return;
        }
        self.voice_at = now + VOICE_EVERY;
        let mut voices: Vec<Voice> = self
            .legs
            .iter()
            .filter_map(|(participant, leg)| {
                let site = &leg.audio.as_ref()?.site;
                let voice = Voice {
                    participant: *participant,
                    level_dbov: site.meter.level_dbov(),
                    speaking: site.meter.speaking(),
                };
                (!site.muted && (site.is_heard() || voice.speaking)).then_some(voice)
            })
            .collect();
        voices.sort_by(|a, b| b.level_dbov.total_cmp(&a.level_dbov));
        voices.truncate(VOICES);
        if !voices.is_empty() || mem::take(&mut self.spoke) {
            self.spoke = !voices.is_empty();
            out.events.push_back(Event::Voice { conference: self.id, voices });
        }
    }
}

/// What was found wrong with a site's sound, or found to be over.
fn report_findings(participant: ParticipantId, audio: &mut Audio, out: &mut Out) {
    for finding in audio.site.take_findings() {
        out.events.push_back(match finding {
            Finding::Found(trouble) => Event::Trouble { participant, trouble },
            Finding::Over(kind) => Event::TroubleOver { participant, kind },
        });
    }
}
