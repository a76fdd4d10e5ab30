//! Discipline of sound with real speech on a virtual clock: levels evened, echoes and noises found.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use crate::common::speech;
use cau_codec::audio::{self, Codec};
use cau_mixer::{
    command::{AudioCodec, Ear},
    sound::{
        FRAME, Frame,
        coding::Coding,
        room::{Input, Room, Site},
        voice::dbov,
        watch::Finding,
    },
};
use cau_model::{
    ParticipantId,
    sound::{Kind, Rules, Trouble},
};

const TICK: Duration = Duration::from_millis(20);

/// White noise of −1…1 from a seed.
struct Noise(u32);

impl Noise {
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 8) as f32 / 8_388_608.0 - 1.0
    }
}

/// One site: what it says, how loud, and what it does wrong.
struct Mouth {
    said: Vec<f32>,
    at: usize,
    gain: f32,
    /// Amplitude of white noise.
    noise: f32,
    /// Amplitude of mains hum.
    hum: f32,
    /// What it was sent comes back: ticks later, times this.
    echo: Option<(usize, f32)>,
    heard: VecDeque<Vec<f32>>,
    random: Noise,
    ticks: usize,
}

impl Mouth {
    fn new(said: Vec<f32>, db: f32) -> Self {
        Self {
            said,
            at: 0,
            gain: 10f32.powf(db / 20.0),
            noise: 0.0004,
            hum: 0.0,
            echo: None,
            heard: VecDeque::new(),
            random: Noise(7),
            ticks: 0,
        }
    }

    fn frame(&mut self, talks: bool) -> Frame {
        let back = self.echo.and_then(|(ticks, gain)| {
            (self.heard.len() > ticks).then(|| (self.heard.pop_front().unwrap(), gain))
        });
        let frame = std::array::from_fn(|i| {
            let voice = if talks && !self.said.is_empty() {
                self.at = (self.at + 1) % self.said.len();
                self.said[self.at] * self.gain
            } else {
                0.0
            };
            let phase = std::f32::consts::TAU * (self.ticks * FRAME + i) as f32 / 48_000.0;
            let hum = self.hum * ((50.0 * phase).sin() + 0.6 * (150.0 * phase).sin());
            let echo = back.as_ref().map_or(0.0, |(heard, gain)| heard[i] * gain);
            voice + hum + echo + self.noise * self.random.next()
        });
        self.ticks += 1;
        frame
    }
}

struct Hall {
    room: Room,
    sites: Vec<Site>,
    mouths: Vec<Mouth>,
    decoders: Vec<Box<dyn audio::Decode>>,
    now: Instant,
    start: Instant,
    findings: Vec<(Duration, usize, Finding)>,
    /// Power of the speech each site put into the mix, and of how many frames.
    mixed: Vec<(f32, u32)>,
}

impl Hall {
    fn new(mouths: Vec<Mouth>) -> Self {
        let mut room = Room::default();
        room.set_rules(Rules::default());
        let start = crate::common::origin();
        let count = mouths.len();
        Self {
            room,
            sites: (0..count).map(|_| Site::default()).collect(),
            mouths,
            decoders: (0..count).map(|_| audio::decoder(Codec::Pcmu).unwrap()).collect(),
            now: start,
            start,
            findings: Vec::new(),
            mixed: vec![(0.0, 0); count],
        }
    }

    /// 20 ms in which those of `talkers` talk.
    fn tick(&mut self, talkers: &[usize]) {
        self.now += TICK;
        for (n, (site, mouth)) in self.sites.iter_mut().zip(&mut self.mouths).enumerate() {
            *site.frame = mouth.frame(talkers.contains(&n));
            site.fresh = true;
        }
        let coding = Coding::new(AudioCodec::Pcmu, None);
        let mut inputs: Vec<Input<'_>> = self
            .sites
            .iter_mut()
            .zip(1..)
            .map(|(site, who)| Input {
                who: ParticipantId(who),
                ear: &Ear::All,
                site,
                floor: false,
                coding: Some(coding),
                loss: 0,
            })
            .collect();
        let sent = self.room.tick(self.now, &mut inputs);
        for (n, site) in self.sites.iter_mut().enumerate() {
            for finding in site.take_findings() {
                self.findings.push((self.now - self.start, n, finding));
            }
            if site.meter.hears_speech() {
                let power = site.frame.iter().map(|s| s * s).sum::<f32>() / FRAME as f32;
                if power > 10f32.powf(-4.3) {
                    self.mixed[n].0 += power;
                    self.mixed[n].1 += 1;
                }
            }
            if self.mouths[n].echo.is_some() {
                let mut pcm = Vec::new();
                self.decoders[n].decode(sent[n].as_ref().unwrap(), &mut pcm).unwrap();
                assert_eq!(pcm.len(), FRAME);
                self.mouths[n].heard.push_back(pcm.iter().map(|s| f32::from(*s) / 32_768.0).collect());
            }
        }
    }

    fn run(&mut self, seconds: f32, talkers: &[usize]) {
        for _ in 0..(seconds * 50.0) as u32 {
            self.tick(talkers);
        }
    }

    fn level(&self, n: usize) -> f32 {
        dbov(self.mixed[n].0 / self.mixed[n].1.max(1) as f32)
    }

    fn found(&self, n: usize) -> Option<(Duration, Trouble)> {
        self.findings.iter().find_map(|(at, who, finding)| match finding {
            Finding::Found(trouble) if *who == n => Some((*at, *trouble)),
            _ => None,
        })
    }
}

#[test]
fn soft_and_loud_sites_are_heard_within_three_decibels() {
    let Some(people) = speech::recordings() else { return };
    let gains = [-9.0, 8.0, 0.0, -5.0];
    let mut hall = Hall::new(people.into_iter().zip(gains).map(|(said, db)| Mouth::new(said, db)).collect());
    for round in 0..8 {
        if round == 4 {
            hall.mixed = vec![(0.0, 0); 4];
        }
        for n in 0..4 {
            hall.run(5.0, &[n]);
        }
    }
    let after: Vec<f32> = (0..4).map(|n| hall.level(n)).collect();
    let (low, high) =
        (after.iter().copied().fold(0.0, f32::min), after.iter().copied().fold(-99.0, f32::max));
    assert!(high - low < 3.0, "{after:?}");
    assert!(after.iter().all(|level| (level + 23.0).abs() < 3.0), "{after:?}");
    assert!(hall.findings.is_empty(), "{:?}", hall.findings);
}

#[test]
fn noise_alone_moves_no_gain() {
    let mut quiet = Mouth::new(Vec::new(), 0.0);
    quiet.noise = 0.004;
    let mut hall = Hall::new(vec![quiet, Mouth::new(Vec::new(), 0.0)]);
    hall.run(20.0, &[]);
    assert_eq!((hall.sites[0].evened_db(), hall.sites[1].evened_db()), (0.0, 0.0));
}

#[test]
fn a_site_that_returns_the_mix_is_named_within_five_seconds_and_nobody_else() {
    let Some(people) = speech::recordings() else { return };
    for (ticks, db) in [(3, 0.0), (12, -12.0), (45, -20.0)] {
        let mut mouths: Vec<Mouth> = people.iter().map(|said| Mouth::new(said.clone(), 0.0)).collect();
        mouths[3].echo = Some((ticks, 10f32.powf(db / 20.0)));
        let mut hall = Hall::new(mouths);
        hall.run(5.0, &[1]);
        let (at, trouble) = hall.found(3).unwrap_or_else(|| panic!("{db} dB after {ticks} ticks: not found"));
        let Trouble::Echo { delay_ms } = trouble else { panic!("{trouble:?}") };
        assert!(at < Duration::from_secs(5), "{at:?}");
        // The tick in which it is sent comes on top.
        assert!(usize::from(delay_ms).abs_diff(20 * (ticks + 1)) <= 20, "{delay_ms} ms for {ticks} ticks");
        hall.run(20.0, &[0, 1]);
        assert!(hall.findings.iter().all(|(_, who, _)| *who == 3), "{:?}", hall.findings);
        // It is over when the loudspeaker is turned down.
        hall.mouths[3].echo = None;
        hall.run(25.0, &[1, 3]);
        assert_eq!(hall.findings.last().map(|f| (f.1, f.2)), Some((3, Finding::Over(Kind::Echo))));
    }
}

#[test]
fn minutes_of_double_talk_name_no_clean_site() {
    let Some(people) = speech::recordings() else { return };
    let mut hall = Hall::new(people.into_iter().map(|said| Mouth::new(said, 0.0)).collect());
    for pair in [[0, 1], [2, 3], [0, 2], [1, 3], [0, 3], [1, 2]] {
        hall.run(30.0, &pair);
    }
    assert!(hall.findings.is_empty(), "{:?}", hall.findings);
}

#[test]
fn noisy_and_humming_sites_are_found_while_others_speak_and_quiet_ones_are_not() {
    let Some(people) = speech::recordings() else { return };
    let mut mouths: Vec<Mouth> = people.into_iter().map(|said| Mouth::new(said, 0.0)).collect();
    mouths[1].noise = 0.012;
    mouths[2].hum = 0.004;
    let mut hall = Hall::new(mouths);
    hall.run(12.0, &[0]);
    let (at, noise) = hall.found(1).expect("the noise");
    assert!(matches!(noise, Trouble::Noise { level_dbov: -46..=-40 }), "{noise:?}");
    assert!(at < Duration::from_secs(8), "{at:?}");
    let (_, hum) = hall.found(2).expect("the hum");
    assert!(matches!(hum, Trouble::Hum { level_dbov: -52..=-46 }), "{hum:?}");
    // A noisy site that speaks stays noisy; one that is repaired is not named any more.
    hall.mouths[2].hum = 0.0;
    hall.run(20.0, &[1]);
    let over: Vec<_> = hall.findings.iter().filter(|(_, _, f)| matches!(f, Finding::Over(_))).collect();
    assert!(matches!(over[..], [(_, 2, Finding::Over(Kind::Hum))]), "{over:?}");
    assert!(hall.found(0).is_none() && hall.found(3).is_none());
    assert!(hall.sites[1].evened_db() <= 0.0, "its noise is not made louder");
}

#[test]
fn a_muted_site_is_not_watched_and_nobody_is_without_the_rule() {
    let mut loud = Mouth::new(Vec::new(), 0.0);
    loud.noise = 0.02;
    let mut hall = Hall::new(vec![loud]);
    hall.sites[0].muted = true;
    hall.run(10.0, &[]);
    hall.sites[0].muted = false;
    hall.room.set_rules(Rules { watch: false, ..Rules::default() });
    hall.run(10.0, &[]);
    assert!(hall.findings.is_empty());
    hall.room.set_rules(Rules { watch: false, mute_noisy: true, ..Rules::default() });
    hall.run(10.0, &[]);
    assert!(hall.found(0).is_some(), "a rule that mutes needs somebody who watches");
}
