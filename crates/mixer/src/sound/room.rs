//! One conference's mix: who is in it, who shares an encoding of it, and who has one of his own.
//!
//! Everybody who is not in the mix hears exactly the same and shares one encoding per codec. Who is in the mix must not hear
//! himself: his own voice is subtracted and he has an encoder of his own, which he keeps for [`OWN_FOR`] after he was last heard. An
//! encoder remembers the past, and so does the decoder at the far end: a new own encoder is first run over the last 100 ms of the common
//! mix, so that it takes over from the common one in the state that one has. Who hears a choice of the others ([`Ear`]) has his own as well.

use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, Instant},
};

use bytes::Bytes;
use cau_model::{ParticipantId, sound::Rules};
use smallvec::SmallVec;

use super::{
    FRAME, Frame,
    coding::{Coding, Encoder},
    echo::Analyzer,
    even::{self, Leveller},
    limiter::Limiter,
    mix::{self, Candidate, Fader},
    voice::Meter,
    watch::{Finding, Watch},
};
use crate::command::Ear;

/// How long an own encoding goes on after the site was last heard.
const OWN_FOR: Duration = Duration::from_secs(10);
/// Frames of the common mix a new own encoder is run over.
const WARM: usize = 5;
/// A site below this level, dBov, for [`GATE_FOR`] is not in the mix: many open microphones add up to noise.
const GATE: f32 = -65.0;
const GATE_FOR: Duration = Duration::from_secs(1);
/// Speech is looked for in this many of the loudest sites; who is quieter than so many others is not the speaker.
const DETECTED: usize = 4;
/// An encoder that nobody listened to for this long is dropped.
const UNUSED: Duration = Duration::from_secs(5);

/// One site's part in the mix. Kept with its leg.
pub struct Site {
    /// The last frame that came in; what it holds is scaled by the mixer.
    pub frame: Box<Frame>,
    /// `frame` is of this tick.
    pub fresh: bool,
    /// … and nothing but digital silence.
    pub silent: bool,
    /// Level and speech.
    pub meter: Meter,
    /// Nobody hears him.
    pub muted: bool,
    /// He hears nothing.
    pub deafened: bool,
    /// Linear gain of his voice.
    pub volume: f32,
    fader: Fader,
    /// In the mix in the last tick.
    admitted: bool,
    /// His voice is in this tick's sum.
    heard: bool,
    open_until: Option<Instant>,
    own: Option<Own>,
    /// Of this tick, dBov.
    level: f32,
    even: Leveller,
    watch: Option<Box<Watch>>,
}

struct Own {
    coding: Coding,
    encoder: Encoder,
    limiter: Limiter,
    until: Instant,
}

impl Default for Site {
    fn default() -> Self {
        Self {
            frame: Box::new([0.0; FRAME]),
            fresh: false,
            silent: false,
            meter: Meter::default(),
            muted: false,
            deafened: false,
            volume: 1.0,
            fader: Fader::default(),
            admitted: false,
            heard: false,
            open_until: None,
            own: None,
            level: super::voice::SILENCE,
            even: Leveller::default(),
            watch: None,
        }
    }
}

impl Site {
    /// Loud enough, now or a moment ago.
    fn is_open(&mut self, now: Instant, level: f32) -> bool {
        if level > GATE {
            self.open_until = Some(now + GATE_FOR);
        }
        self.open_until.is_some_and(|until| now < until)
    }

    /// He is heard, or a moment ago was and must be faded out.
    pub fn needs_sound(&self) -> bool {
        !self.muted || !self.fader.is_closed()
    }

    /// Gain by which his voice is evened, dB.
    pub fn evened_db(&self) -> f32 {
        self.even.gain_db()
    }

    /// What was found wrong with his sound since the last call.
    pub fn take_findings(&mut self) -> Vec<Finding> {
        self.watch.as_mut().map(|watch| watch.take_findings()).unwrap_or_default()
    }

    /// Watches what came in this tick, and evens his level. `looked`: the detector looked.
    fn discipline(&mut self, now: Instant, rules: Rules, level: f32, looked: bool) {
        let heard = self.fresh && !self.muted;
        if !rules.watches() || self.muted || self.watch.as_ref().is_some_and(|watch| watch.is_over(now)) {
            self.watch = None;
        } else if self.watch.is_none() && heard {
            self.watch = Watch::begin(now, level);
        }
        if let Some(watch) = &mut self.watch {
            let speech = looked.then(|| self.meter.speaking());
            watch.came(now, heard.then_some(&*self.frame), level, speech);
        }
        if !rules.even_levels {
            self.even.rest();
        } else if heard && looked && self.meter.hears_speech() {
            let noisy = self.watch.as_ref().is_some_and(|watch| watch.is_noisy());
            self.even.hear(level, if noisy { 0.0 } else { even::MOST });
        }
    }

    /// His voice was in the last sum.
    pub fn is_heard(&self) -> bool {
        self.heard
    }

    /// He is not and was not heard of late, nothing of his sound is watched or evened: he hears what everybody hears, and that is all.
    fn only_listens(&self, rules: Option<Rules>) -> bool {
        self.fader.is_closed()
            && self.own.is_none()
            && self.watch.is_none()
            && !self.meter.is_audible()
            && (self.even.gain_db() == 0.0 || rules.is_some_and(|rules| rules.even_levels))
    }
}

/// What a site does in a tick.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Part {
    /// More than the others, or with an ear of his own.
    Active,
    /// He listens and no more: nearly everybody in a large meeting, so nothing else is done for him.
    Listens,
    /// The same, and he is deafened.
    Deafened,
}

/// One site in a tick.
pub struct Input<'a> {
    /// Whose it is.
    pub who: ParticipantId,
    /// What he hears.
    pub ear: &'a Ear,
    /// The site.
    pub site: &'a mut Site,
    /// He holds the floor.
    pub floor: bool,
    /// What is sent to him; `None`: nothing.
    pub coding: Option<Coding>,
    /// Share of it that he reports lost, per cent.
    pub loss: u8,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Heard {
    Everybody,
    Nobody,
}

struct Shared {
    encoder: Encoder,
    used: Instant,
}

/// What all sites of one conference share.
#[derive(Default)]
pub struct Room {
    limiter: Limiter,
    history: VecDeque<Box<Frame>>,
    shared: BTreeMap<(Heard, Coding), Shared>,
    encoders: u32,
    /// Places of those who did more than listen in the last tick.
    active: Vec<usize>,
    /// What is done about sound of its own accord; at first nothing.
    rules: Option<Rules>,
    /// Made when the first echo is looked for.
    analyzer: Option<Box<Analyzer>>,
}

impl Room {
    /// What is done about sound from now on.
    pub fn set_rules(&mut self, rules: Rules) {
        self.rules = Some(rules);
    }

    /// Mixes 20 ms. Gives one encoded frame per input with a coding, in order; an empty one where the encoder failed.
    pub fn tick(&mut self, now: Instant, inputs: &mut [Input<'_>]) -> Vec<Option<Bytes>> {
        let parts = self.listen(now, inputs);
        let mut sum: Frame = [0.0; FRAME];
        for i in &self.active {
            let Some(Input { site, .. }) = inputs.get_mut(*i) else { continue };
            let target = if site.admitted && !site.muted { site.volume * site.even.gain() } else { 0.0 };
            site.heard = if site.fresh {
                site.fader.run(&mut site.frame, target)
            } else {
                site.fader.rest(target);
                false
            };
            if site.heard {
                mix::add(&mut sum, &site.frame);
            }
        }
        let all: &[Input<'_>] = inputs;
        let chosen: Vec<Option<Box<Frame>>> = all.iter().map(|input| chosen(input, all)).collect();
        let mut common = sum;
        self.limiter.run(&mut common);
        self.encoders = 0;
        let mut worst: SmallVec<[(Coding, u8); 8]> = SmallVec::new();
        let sharing = inputs.iter().filter(|i| i.loss > 0 && i.site.own.is_none());
        for (coding, loss) in sharing.filter_map(|i| Some((i.coding?, i.loss))) {
            match worst.iter_mut().find(|(c, _)| *c == coding) {
                Some((_, most)) => *most = loss.max(*most),
                None => worst.push((coding, loss)),
            }
        }
        let mut done: BTreeMap<(Heard, Coding), Bytes> = BTreeMap::new();
        let mut shared = |room: &mut Self, heard, coding| {
            let encoded = done.entry((heard, coding)).or_insert_with(|| {
                let loss = worst.iter().find(|(c, _)| *c == coding).map_or(0, |(_, loss)| *loss);
                room.encode_shared(now, heard, coding, loss, &common)
            });
            encoded.clone()
        };
        let out = inputs
            .iter_mut()
            .zip(parts.into_iter().zip(chosen))
            .map(|(input, (part, chosen))| {
                if part != Part::Active {
                    let heard = if part == Part::Deafened { Heard::Nobody } else { Heard::Everybody };
                    return input.coding.map(|coding| shared(self, heard, coding));
                }
                let site = &mut *input.site;
                let Some(coding) = input.coding else {
                    if let Some(watch) = &mut site.watch {
                        watch.sent(None);
                    }
                    return None;
                };
                if !site.deafened
                    && let Some(frame) = chosen
                {
                    return Some(self.encode_own(now, site, coding, input.loss, *frame));
                }
                if !site.deafened && self.needs_own(now, site, coding) {
                    let frame = if site.heard { mix::minus(&sum, &site.frame) } else { sum };
                    return Some(self.encode_own(now, site, coding, input.loss, frame));
                }
                let heard = if site.deafened { Heard::Nobody } else { Heard::Everybody };
                if let Some(watch) = &mut site.watch {
                    watch.sent((!site.deafened).then_some(&common));
                }
                Some(shared(self, heard, coding))
            })
            .collect();
        self.judge(now, inputs);
        self.remember(common);
        self.shared.retain(|_, s| now.saturating_duration_since(s.used) < UNUSED);
        out
    }

    /// Encoders that ran in the last tick.
    pub fn encoders(&self) -> u32 {
        self.encoders
    }

    /// Places, among the inputs of the last tick, of those who did more than listen: only they are heard, or have findings.
    pub fn active(&self) -> &[usize] {
        &self.active
    }

    /// Levels, speech, and who is admitted to the mix.
    fn listen(&mut self, now: Instant, inputs: &mut [Input<'_>]) -> Vec<Part> {
        self.active.clear();
        let mut parts = Vec::with_capacity(inputs.len());
        let mut candidates = Vec::new();
        let mut whose = Vec::new();
        let mut audible = Vec::new();
        for (i, input) in inputs.iter_mut().enumerate() {
            let site = &mut *input.site;
            let level = if !site.fresh || site.muted {
                site.meter.silence();
                super::voice::SILENCE
            } else {
                let level =
                    if site.silent { site.meter.measure_silence() } else { site.meter.measure(&site.frame) };
                // Who is not, is not looked at; in a large meeting that is nearly everybody.
                if site.meter.is_audible() {
                    audible.push((i, site.meter.power()));
                } else {
                    site.meter.rest();
                }
                level
            };
            site.level = level;
            let open = site.is_open(now, level);
            if !site.muted && (open || input.floor) {
                whose.push(i);
                candidates.push(Candidate {
                    level: site.meter.level_dbov(),
                    was_in: site.admitted,
                    floor: input.floor,
                });
            }
            site.admitted = false;
            if open || input.floor || *input.ear != Ear::All || !site.only_listens(self.rules) {
                self.active.push(i);
                parts.push(Part::Active);
            } else {
                site.heard = false;
                parts.push(if site.deafened { Part::Deafened } else { Part::Listens });
            }
        }
        audible.sort_by(|a, b| b.1.total_cmp(&a.1));
        let mut looked: SmallVec<[usize; DETECTED]> = SmallVec::new();
        for (n, (i, _)) in audible.into_iter().enumerate() {
            let Some(input) = inputs.get_mut(i) else { continue };
            let Site { meter, frame, .. } = &mut *input.site;
            if n < DETECTED {
                meter.detect(frame);
                looked.push(i);
            } else {
                meter.rest();
            }
        }
        if let Some(rules) = self.rules {
            for i in &self.active {
                let Some(Input { site, .. }) = inputs.get_mut(*i) else { continue };
                site.discipline(now, rules, site.level, looked.contains(i));
            }
        }
        for (i, admitted) in whose.into_iter().zip(mix::admit(&candidates)) {
            if let Some(input) = inputs.get_mut(i) {
                input.site.admitted = admitted;
            }
        }
        parts
    }

    /// What is wrong with whose sound: noise when its time has come, echo of one site per tick.
    fn judge(&mut self, now: Instant, inputs: &mut [Input<'_>]) {
        let mut analysed = false;
        for i in &self.active {
            let Some(watch) = inputs.get_mut(*i).and_then(|input| input.site.watch.as_mut()) else {
                continue;
            };
            watch.judge(now);
            if !analysed && watch.wants_analysis(now) {
                analysed = true;
                watch.analyse(now, self.analyzer.get_or_insert_default());
            }
        }
    }

    /// Own encodings are for who is in the mix, and was lately.
    fn needs_own(&self, now: Instant, site: &mut Site, coding: Coding) -> bool {
        let keep = site.own.as_ref().is_some_and(|own| own.coding == coding && now < own.until);
        if !keep && !site.heard {
            site.own = None;
        }
        keep || site.heard
    }

    /// Encodes `frame`, in which he himself is not, for him alone.
    fn encode_own(
        &mut self,
        now: Instant,
        site: &mut Site,
        coding: Coding,
        loss: u8,
        mut frame: Frame,
    ) -> Bytes {
        if site.own.as_ref().is_none_or(|own| own.coding != coding) {
            let Some(mut encoder) = Encoder::new(coding) else { return Bytes::new() };
            for frame in &self.history {
                encoder.encode(frame);
            }
            site.own = Some(Own { coding, encoder, limiter: self.limiter, until: now });
        }
        let Some(own) = &mut site.own else { return Bytes::new() };
        if site.heard {
            own.until = now + OWN_FOR;
        }
        own.limiter.run(&mut frame);
        if let Some(watch) = &mut site.watch {
            watch.sent(Some(&frame));
        }
        self.encoders += 1;
        own.encoder.expect_loss(loss);
        own.encoder.encode(&frame)
    }

    fn encode_shared(
        &mut self,
        now: Instant,
        heard: Heard,
        coding: Coding,
        loss: u8,
        common: &Frame,
    ) -> Bytes {
        let history = &self.history;
        let shared = match self.shared.entry((heard, coding)) {
            std::collections::btree_map::Entry::Occupied(e) => e.into_mut(),
            std::collections::btree_map::Entry::Vacant(e) => {
                let Some(mut encoder) = Encoder::new(coding) else { return Bytes::new() };
                if heard == Heard::Everybody {
                    for frame in history {
                        encoder.encode(frame);
                    }
                }
                e.insert(Shared { encoder, used: now })
            }
        };
        shared.used = now;
        shared.encoder.expect_loss(loss);
        self.encoders += 1;
        match heard {
            Heard::Everybody => shared.encoder.encode(common),
            Heard::Nobody => shared.encoder.encode(&[0.0; FRAME]),
        }
    }

    fn remember(&mut self, common: Frame) {
        let mut frame = if self.history.len() >= WARM { self.history.pop_front() } else { None }
            .unwrap_or_else(|| Box::new(common));
        *frame = common;
        self.history.push_back(frame);
    }
}

/// What somebody hears whose ear is not everybody's.
fn chosen(input: &Input<'_>, inputs: &[Input<'_>]) -> Option<Box<Frame>> {
    if *input.ear == Ear::All {
        return None;
    }
    let mut frame = Box::new([0.0; FRAME]);
    for other in inputs.iter().filter(|o| o.site.heard && o.who != input.who && input.ear.hears(o.who)) {
        mix::add(&mut frame, &other.site.frame);
    }
    Some(frame)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::AudioCodec;

    #[expect(clippy::disallowed_methods, reason = "an arbitrary origin of virtual time")]
    fn start() -> Instant {
        Instant::now()
    }

    fn talk(site: &mut Site, tick: usize, hz: f32) {
        *site.frame = std::array::from_fn(|i| {
            0.2 * (std::f32::consts::TAU * hz * (tick * FRAME + i) as f32 / 48_000.0).sin()
        });
        site.fresh = true;
    }

    fn run(
        room: &mut Room,
        now: Instant,
        sites: &mut [Site],
        codings: &[Coding],
        tick: usize,
        talkers: &[usize],
    ) -> Vec<Option<Bytes>> {
        run_with(room, now, sites, codings, tick, talkers, &BTreeMap::new())
    }

    fn run_with(
        room: &mut Room,
        now: Instant,
        sites: &mut [Site],
        codings: &[Coding],
        tick: usize,
        talkers: &[usize],
        ears: &BTreeMap<u64, Ear>,
    ) -> Vec<Option<Bytes>> {
        for (i, site) in sites.iter_mut().enumerate() {
            site.fresh = false;
            if talkers.contains(&i) {
                talk(site, tick, 400.0 + 100.0 * i as f32);
            }
        }
        let mut inputs: Vec<_> = sites
            .iter_mut()
            .zip(codings)
            .zip(1..)
            .map(|((site, coding), who)| Input {
                who: ParticipantId(who),
                ear: ears.get(&who).unwrap_or(&Ear::All),
                site,
                floor: false,
                coding: Some(*coding),
                loss: 0,
            })
            .collect();
        room.tick(now + Duration::from_millis(20) * tick as u32, &mut inputs)
    }

    #[test]
    fn listeners_share_one_encoding_per_codec_and_talkers_have_their_own() {
        let now = start();
        let mut room = Room::default();
        let mut sites: Vec<Site> = (0..100).map(|_| Site::default()).collect();
        let opus = Coding::new(AudioCodec::Opus { fec: true }, None);
        let pcma = Coding::new(AudioCodec::Pcma, None);
        let codings: Vec<_> = (0..100).map(|i| if i < 50 { opus } else { pcma }).collect();
        for tick in 0..10 {
            let out = run(&mut room, now, &mut sites, &codings, tick, &[0, 1, 60]);
            assert!(out.iter().all(|o| o.as_ref().is_some_and(|b| !b.is_empty())));
            assert_eq!(room.encoders(), 2 + 3, "tick {tick}: two codecs and three talkers");
            assert_eq!(out[2], out[49], "the very same packet");
            assert_ne!(out[0], out[2]);
        }
    }

    #[test]
    fn a_talker_keeps_his_own_encoding_for_ten_seconds_and_then_shares() {
        let now = start();
        let mut room = Room::default();
        let mut sites: Vec<Site> = (0..3).map(|_| Site::default()).collect();
        let codings = [Coding::new(AudioCodec::Pcmu, None); 3];
        let mut count = Vec::new();
        for tick in 0..700 {
            let talkers: &[usize] = if tick < 50 { &[0] } else { &[] };
            run(&mut room, now, &mut sites, &codings, tick, talkers);
            count.push(room.encoders());
        }
        assert_eq!(count[10], 2);
        assert_eq!(count[300], 2, "5 s after");
        assert_eq!(count[620], 1, "11 s after");
    }

    /// G.711 µ-law that is not silence.
    fn is_loud(frame: &Option<Bytes>) -> bool {
        frame.as_ref().unwrap().iter().map(|b| (!b & 0x7f) > 8).filter(|l| *l).count() > 20
    }

    #[test]
    fn who_has_an_ear_of_his_own_hears_the_chosen_ones_and_never_himself() {
        let now = start();
        let codings = [Coding::new(AudioCodec::Pcmu, None); 3];
        let of = |ids: &[u64]| ids.iter().copied().map(ParticipantId).collect::<Vec<_>>();
        let cases = [
            // Who talks, what the third hears of it, whether that is something.
            (0, Ear::Only(of(&[1])), true),
            (1, Ear::Only(of(&[1])), false),
            (2, Ear::Only(of(&[1, 3])), false),
            (0, Ear::Without(of(&[1])), false),
            (1, Ear::Without(of(&[1])), true),
            (2, Ear::Without(of(&[1])), false),
            (0, Ear::Only(of(&[])), false),
        ];
        for (talker, ear, hears) in cases {
            let mut room = Room::default();
            let mut sites: Vec<Site> = (0..3).map(|_| Site::default()).collect();
            let ears = [(3, ear.clone())].into();
            for tick in 0..40 {
                let out = run_with(&mut room, now, &mut sites, &codings, tick, &[talker], &ears);
                if tick > 5 {
                    assert_eq!(is_loud(&out[2]), hears, "{talker} talks, {ear:?}, tick {tick}");
                    let other = if talker == 0 { 1 } else { 0 };
                    assert!(is_loud(&out[other]), "the others hear as always, tick {tick}");
                }
            }
        }
    }

    #[test]
    fn who_is_deafened_hears_nothing_and_who_is_muted_is_not_heard() {
        let now = start();
        let mut room = Room::default();
        let mut sites: Vec<Site> = (0..3).map(|_| Site::default()).collect();
        let codings = [Coding::new(AudioCodec::Pcmu, None); 3];
        sites[1].deafened = true;
        for tick in 0..50 {
            sites[0].muted = tick >= 25;
            let out = run(&mut room, now, &mut sites, &codings, tick, &[0]);
            let loud = |i: usize| {
                out[i].as_ref().unwrap().iter().map(|b| (!b & 0x7f) > 8).filter(|l| *l).count() > 20
            };
            assert!(!loud(1), "deafened, tick {tick}");
            if (5..25).contains(&tick) {
                assert!(loud(2), "tick {tick}");
            } else if tick > 28 {
                assert!(!loud(2), "muted, tick {tick}");
            }
        }
    }
}
