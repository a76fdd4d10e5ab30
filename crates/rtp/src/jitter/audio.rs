//! The playout buffer of one incoming sound stream.

use super::estimator::Estimator;
use crate::packet::Packet;
use crate::payload::{ComfortNoise, Format, opus_has_fec, opus_is_dtx};
use crate::seq::{Unwrap16, Unwrap32};
use crate::sorted::Sorted;
use smallvec::SmallVec;
use std::time::{Duration, Instant};

/// Time between two pulls.
pub const TICK: Duration = Duration::from_millis(20);

/// What the stream is and how long it may be held.
#[derive(Debug, Clone)]
pub struct Config {
    /// Formats by payload type, comfort noise included; other payload types are counted and dropped (take telephone-event out before).
    pub formats: SmallVec<[(u8, Format); 4]>,
    /// The least delay aimed at. A clean line is played with this and up to one pull more.
    pub min: Duration,
    /// The longest delay; older sound falls out.
    pub max: Duration,
}

impl Config {
    /// With the usual bounds: 10 ms to 500 ms.
    pub fn new(formats: impl IntoIterator<Item = (u8, Format)>) -> Self {
        Self {
            formats: formats.into_iter().collect(),
            min: Duration::from_millis(10),
            max: Duration::from_millis(500),
        }
    }
}

/// A piece of sound to play.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pull {
    /// Decode this packet.
    Packet(Packet),
    /// A packet is missing: conceal so much. `next`: the packet after the missing one where it is there already, for in-band FEC; it comes
    /// again as [`Pull::Packet`].
    Lost {
        /// How much to conceal.
        duration: Duration,
        /// The packet right behind the missing one.
        next: Option<Packet>,
    },
    /// The sender is silent (nothing yet, DTX, hold, gone).
    Silence {
        /// How much.
        duration: Duration,
        /// Comfort noise level in −dBov, when the sender gave one.
        noise: Option<u8>,
    },
}

/// What was dropped or made up, by cause.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets given out.
    pub played: u64,
    /// Pieces concealed.
    pub concealed: u64,
    /// Of those, how many the packet behind the gap had a copy of (Opus in-band FEC), so that nothing had to be made up.
    pub recovered: u64,
    /// Packets that came after their time.
    pub late: u64,
    /// Packets that came twice.
    pub duplicate: u64,
    /// Packets that fell out because more than the longest delay was there.
    pub overflow: u64,
    /// Packets left out to shorten the delay.
    pub shortened: u64,
    /// Pauses lengthened to lengthen the delay.
    pub lengthened: u64,
    /// Times 20 ms were won or lost by playing faster or slower.
    pub stretched: u64,
    /// Packets of payload types not negotiated.
    pub unknown_type: u64,
    /// Empty or malformed payloads.
    pub malformed: u64,
    /// Times the timeline began anew: change of SSRC or clock, jump of the timestamp, the line suddenly slower.
    pub restarts: u64,
}

/// How the buffer is doing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Mean time from a packet's coming to its playing, over about the last second.
    pub delay: Duration,
    /// What is aimed at, above the fastest packet.
    pub target: Duration,
    /// Sound held.
    pub held: Duration,
}

#[derive(Debug)]
enum Content {
    Sound(Packet),
    Noise(u8),
}

#[derive(Debug)]
struct Entry {
    arrived: Instant,
    number: u64,
    ticks: i64,
    content: Content,
}

/// Adaptive playout buffer: packets of any length in, sound for [`TICK`] a pull out.
///
/// The delay aims at letting 98 of 100 packets come in time. It is changed between talk spurts and where [`Audio::quiet`] says that nothing is
/// said by whole packets, in sound by playing a little faster or slower ([`Audio::stretch`]). Nothing is played twice, order is kept.
#[derive(Debug)]
pub struct Audio {
    config: Config,
    counters: Counters,
    ssrc: Option<u32>,
    clock_rate: u32,
    timestamps: Unwrap32,
    numbers: Unwrap16,
    estimator: Estimator,
    held: Sorted<i64, Entry>,
    /// Timestamp to be played next, once something was played.
    cursor: Option<i64>,
    playing: bool,
    /// Ticks concealed since the cursor stopped.
    bridged: i64,
    last_number: Option<u64>,
    last_ticks: i64,
    last_arrival: Option<(Instant, i64)>,
    late_run: u32,
    /// Sound given out beyond the pulls so far, µs.
    ahead: i64,
    quiet: bool,
    /// The packet played last was Opus, and DTX.
    opus: bool,
    dtx: bool,
    /// Share of packets lost of late, and whether that makes it worth to wait for the next packet's FEC.
    loss: f32,
    lossy: bool,
    noise: Option<u8>,
    excess_since: Option<Instant>,
    /// The delay has been wrong by so much or more since then: too long (true) or too short.
    off_since: Option<(bool, Instant)>,
    /// Still to be won (more than 0) or lost by playing faster or slower, µs.
    shift: i64,
    /// By so much per tick, µs.
    step: i64,
    /// What the last pull had to give beyond a tick, µs.
    stretch: i64,
    delay: f32,
}

/// Won or lost per tick by playing faster or slower, µs: 0.6 %, which nobody hears …
const STRETCH: i64 = 125;
/// … and 2.5 % when the delay is wrong by more than this, µs.
const STRETCH_FAR: i64 = 500;
const FAR: i64 = 80_000;
/// Share of packets lost that makes in-band FEC worth its delay.
const LOSSY: f32 = 0.02;
/// Concealed at most before it becomes silence, µs.
const CONCEAL: i64 = 60_000;
/// Play around the target within which nothing is changed, µs.
const SLACK: i64 = 5_000;
/// How long the delay must be too long before it is shortened in a pause, and in speech.
const SOON: Duration = Duration::from_millis(200);
const LATER: Duration = Duration::from_secs(1);
/// A pause in coming after which timestamps may have made a step, and the step that counts as one.
const PAUSE: Duration = Duration::from_millis(100);
const STEP: i64 = 60_000;
/// Beyond this the timestamp has nothing to do with the one before, µs.
const JUMP: i64 = 2_000_000;
/// Packets held at most: 500 ms of 2.5 ms packets fit.
const MAX_HELD: usize = 256;
const TICK_US: i64 = 20_000;

impl Audio {
    /// Nothing received yet.
    pub fn new(config: Config) -> Self {
        Self {
            config,
            counters: Counters::default(),
            ssrc: None,
            clock_rate: 0,
            timestamps: Unwrap32::default(),
            numbers: Unwrap16::default(),
            estimator: Estimator::new(8_000),
            held: Sorted::new(),
            cursor: None,
            playing: false,
            bridged: 0,
            last_number: None,
            last_ticks: 0,
            last_arrival: None,
            late_run: 0,
            ahead: 0,
            quiet: false,
            opus: false,
            dtx: false,
            loss: 0.0,
            lossy: false,
            noise: None,
            excess_since: None,
            off_since: None,
            shift: 0,
            step: STRETCH,
            stretch: 0,
            delay: 0.0,
        }
    }

    /// Takes one packet, in any order.
    pub fn insert(&mut self, now: Instant, packet: Packet) {
        let Some(format) = self.format(packet.pt) else {
            self.counters.unknown_type += 1;
            return;
        };
        // Comfort noise keeps the clock of the codec it goes with.
        let clock = if format == Format::ComfortNoise && self.clock_rate != 0 {
            self.clock_rate
        } else {
            format.clock_rate()
        };
        if self.ssrc != Some(packet.ssrc) || self.clock_rate != clock {
            if self.ssrc.is_some() {
                self.counters.restarts += 1;
            }
            self.ssrc = Some(packet.ssrc);
            self.clock_rate = clock;
            self.begin_anew(clock);
        }
        let (seq, timestamp) = (packet.seq, packet.timestamp);
        if format == Format::ComfortNoise {
            match ComfortNoise::parse(&packet.payload) {
                Some(noise) => self.place(now, seq, timestamp, false, 0, Content::Noise(noise.level)),
                None => self.counters.malformed += 1,
            }
        } else if let Some(ticks) = format.ticks(&packet.payload) {
            let marker = packet.marker;
            self.place(now, seq, timestamp, marker, i64::from(ticks), Content::Sound(packet));
        } else {
            self.counters.malformed += 1;
        }
    }

    fn place(&mut self, now: Instant, seq: u16, timestamp: u32, marker: bool, ticks: i64, content: Content) {
        let mut at = self.timestamps.extend(timestamp);
        if let Some((then, before)) = self.last_arrival {
            let step = self.us(at - before) - us(now.saturating_duration_since(then));
            if step.abs() > JUMP {
                self.counters.restarts += 1;
                self.begin_anew(self.clock_rate);
                at = self.timestamps.extend(timestamp);
            } else if now.saturating_duration_since(then) >= PAUSE
                && (marker || self.cursor != Some(at))
                && self.estimator.delay(now, at).abs() > STEP
            {
                self.estimator.rebase(now, at);
            }
        }
        self.last_arrival = Some((now, at));
        self.estimator.observe(now, at);
        let number = self.numbers.extend(seq);
        if self.cursor.is_some_and(|c| at + ticks.max(1) <= c) {
            self.counters.late += 1;
            // A newer packet with an older timestamp: the sender set its clock back. Three in a row are believed.
            self.late_run += u32::from(self.last_number.is_some_and(|l| number > l));
            if self.late_run < 3 {
                return;
            }
            self.counters.restarts += 1;
            self.held.clear();
            self.cursor = None;
            self.playing = false;
            self.last_number = None;
            self.estimator = Estimator::new(self.clock_rate);
            self.estimator.observe(now, at);
        }
        self.late_run = 0;
        if !self.held.insert(at, Entry { arrived: now, number, ticks, content }) {
            self.counters.duplicate += 1;
        }
        while self.held.len() > MAX_HELD || self.held_us() > us(self.config.max) + TICK_US {
            self.counters.overflow += 1;
            if let Some((ts, e)) = self.held.pop_first() {
                self.cursor = self.cursor.map(|c| c.max(ts + e.ticks));
                self.last_number = Some(e.number);
            }
        }
    }

    /// The sound for the next [`TICK`]; call it every 20 ms. The pieces, together with what is left of those given out before, last at least
    /// that long: decode them into a queue and take 20 ms from it. Empty when enough was given out already (packets of 60 ms).
    pub fn pull(&mut self, now: Instant) -> SmallVec<[Pull; 2]> {
        let mut pieces = SmallVec::new();
        self.stretch = self.shift.clamp(-self.step, self.step);
        self.shift -= self.stretch;
        let tick = TICK_US + self.stretch;
        let mut need = tick - self.ahead;
        while need > 0 && pieces.len() < 16 {
            let at = now + Duration::from_micros(u64::try_from(tick - need).unwrap_or(0));
            let (pull, length) = self.piece(at, need);
            need -= length.max(1);
            pieces.push(pull);
        }
        self.ahead = -need.min(0);
        pieces
    }

    /// How much more than a tick, µs, the last pull gave: that much sound is to be played in the time of a tick. Negative: less. A multiple of
    /// 125 µs, 500 at most either way.
    pub fn stretch(&self) -> i64 {
        self.stretch
    }

    /// Says whether what was played last was a pause: the delay is then changed where nobody hears it.
    pub fn quiet(&mut self, quiet: bool) {
        self.quiet = quiet;
    }

    fn format(&self, pt: u8) -> Option<Format> {
        self.config.formats.iter().find(|(known, _)| *known == pt).map(|(_, format)| *format)
    }

    fn pausing(&self) -> bool {
        self.quiet || self.dtx
    }

    /// How the buffer is doing.
    pub fn stats(&self) -> Stats {
        let d = |us: i64| Duration::from_micros(u64::try_from(us).unwrap_or(0));
        Stats { delay: d(self.delay as i64), target: d(self.target()), held: d(self.held_us()) }
    }

    /// What was dropped or made up so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    fn begin_anew(&mut self, clock_rate: u32) {
        self.timestamps = Unwrap32::default();
        self.numbers = Unwrap16::default();
        self.estimator = Estimator::new(clock_rate);
        self.held.clear();
        self.cursor = None;
        self.playing = false;
        self.bridged = 0;
        self.last_number = None;
        self.last_arrival = None;
        self.late_run = 0;
        self.noise = None;
        self.excess_since = None;
        self.off_since = None;
    }

    fn us(&self, ticks: i64) -> i64 {
        ticks.saturating_mul(1_000_000) / i64::from(self.clock_rate.max(1))
    }

    fn ticks(&self, us: i64) -> i64 {
        us * i64::from(self.clock_rate.max(1)) / 1_000_000
    }

    fn target(&self) -> i64 {
        let wanted = self.estimator.wanted().max(us(self.config.min));
        // The copy of a lost packet comes with the one after it.
        let fec = if self.opus && self.lossy { self.us(self.last_ticks) } else { 0 };
        (wanted + fec).min(us(self.config.max))
    }

    /// The delay aimed at for a packet of so many µs. One that is not a whole number of pulls is needed up to so much before it is played.
    fn aim(&self, length: i64) -> i64 {
        let (mut a, mut b) = (TICK_US, length.max(1));
        while b != 0 {
            (a, b) = (b, a % b);
        }
        self.target() + TICK_US - a
    }

    fn held_us(&self) -> i64 {
        match (self.held.first(), self.held.last()) {
            (Some((first, _)), Some((last, e))) => self.us(last + e.ticks - first),
            _ => 0,
        }
    }

    /// One piece to be played at `at`, and its length in µs.
    fn piece(&mut self, at: Instant, need: i64) -> (Pull, i64) {
        if !self.playing {
            return self.begin_spurt(at, need);
        }
        loop {
            let cursor = self.cursor.unwrap_or(0);
            let Some((ts, entry)) = self.held.first() else { return self.underrun(need) };
            if matches!(entry.content, Content::Noise(_)) {
                if ts > cursor + self.bridged && self.estimator.delay(at, ts) < self.target() {
                    return self.underrun(need);
                }
                self.playing = false;
                return self.begin_spurt(at, need);
            }
            let (number, ticks) = (entry.number, entry.ticks);
            let missing = ts - cursor - self.bridged;
            if missing > 0 {
                let skipped = self.last_number.map_or(0, |l| number.saturating_sub(l + 1));
                // No packet missing: the sender was silent. Or so much is missing that playing on is better.
                if skipped == 0 || self.us(self.bridged) >= CONCEAL {
                    self.playing = false;
                    return self.begin_spurt(at, need);
                }
                return self.conceal(missing);
            }
            let delay = self.estimator.delay(at, ts);
            let aim = self.aim(self.us(ticks));
            let excess = delay - aim - self.us(ticks);
            let follows = self.held.second().is_some_and(|next| next <= ts + ticks);
            // What was bridged beyond a gap was this packet: it is only late.
            let concealed = -missing >= ticks && excess >= 0;
            if follows && (concealed || self.too_long(at, excess)) {
                self.held.pop_first();
                if concealed {
                    self.counters.late += 1;
                    self.bridged = -missing - ticks;
                } else {
                    self.counters.shortened += 1;
                }
                self.cursor = Some(ts + ticks);
                self.last_number = Some(number);
                continue;
            }
            self.follow(at, delay - aim);
            if self.pausing() && self.bridged == 0 && delay + SLACK < aim {
                self.counters.lengthened += 1;
                return (self.silence(need), need);
            }
            return self.play(at);
        }
    }

    /// Plays faster or slower from now on when the delay has been off for a while and there is sound: the two clocks differ, or the line has
    /// changed.
    fn follow(&mut self, at: Instant, off: i64) {
        let long = off >= TICK_US + SLACK;
        if self.shift != 0 || self.pausing() || !(long || off < 0) {
            self.off_since = None;
            return;
        }
        let since = match self.off_since {
            Some((l, since)) if l == long => since,
            _ => at,
        };
        self.off_since = Some((long, since));
        if at.saturating_duration_since(since) >= LATER {
            self.off_since = None;
            self.counters.stretched += 1;
            self.shift = if long { TICK_US } else { -TICK_US };
            self.step = if off.abs() >= FAR { STRETCH_FAR } else { STRETCH };
        }
    }

    /// Whether a packet is to be left out: in a pause soon, in sound beyond the longest delay only. A single pull that comes late (a busy
    /// machine) is no reason.
    fn too_long(&mut self, at: Instant, excess: i64) -> bool {
        if excess < SLACK {
            self.excess_since = None;
            return false;
        }
        let since = *self.excess_since.get_or_insert(at);
        let lasts = at.saturating_duration_since(since);
        let due = self.pausing() && lasts >= SOON;
        if !due && excess + self.target() < us(self.config.max) {
            return false;
        }
        self.excess_since = None;
        true
    }

    /// Nothing is playing: waits until the first packet has been held for the target, then begins; of a heap that came at once only the end
    /// is played.
    fn begin_spurt(&mut self, at: Instant, need: i64) -> (Pull, i64) {
        while let Some((ts, entry)) = self.held.first() {
            let (number, ticks) = (entry.number, entry.ticks);
            if let Content::Noise(level) = entry.content {
                self.noise = Some(level);
                self.held.pop_first();
                self.last_number = Some(number);
                self.cursor = Some(ts);
                continue;
            }
            let excess = self.estimator.delay(at, ts) - self.aim(self.us(ticks));
            if excess < 0 {
                break;
            }
            let follows = self.held.second().is_some();
            if follows && excess >= self.us(ticks) + SLACK {
                self.held.pop_first();
                self.counters.shortened += 1;
                self.cursor = Some(ts + ticks);
                self.last_number = Some(number);
                continue;
            }
            self.playing = true;
            return self.play(at);
        }
        (self.silence(need), need)
    }

    fn silence(&self, length: i64) -> Pull {
        Pull::Silence {
            duration: Duration::from_micros(u64::try_from(length).unwrap_or(0)),
            noise: self.noise,
        }
    }

    /// Nothing there: lost, late or silent, nobody knows yet. The cursor stays; what is concealed counts against a gap found later.
    fn underrun(&mut self, need: i64) -> (Pull, i64) {
        if self.us(self.bridged) >= CONCEAL {
            self.playing = false;
            return (self.silence(need), need);
        }
        self.conceal(i64::MAX)
    }

    fn conceal(&mut self, missing: i64) -> (Pull, i64) {
        let ticks =
            missing.min(if self.last_ticks > 0 { self.last_ticks } else { self.ticks(TICK_US) }).max(1);
        let cursor = self.cursor.unwrap_or(0);
        self.bridged += ticks;
        self.counters.concealed += 1;
        let next = match self.held.first() {
            Some((ts, Entry { content: Content::Sound(packet), .. })) if ts == cursor + self.bridged => {
                Some(packet.clone())
            }
            _ => None,
        };
        let copy = next
            .as_ref()
            .is_some_and(|n: &Packet| self.format(n.pt) == Some(Format::Opus) && opus_has_fec(&n.payload));
        self.counters.recovered += u64::from(copy);
        let length = self.us(ticks);
        (Pull::Lost { duration: Duration::from_micros(u64::try_from(length).unwrap_or(0)), next }, length)
    }

    fn note_loss(&mut self, lost: f32) {
        self.loss += (lost - self.loss) / 200.0;
        self.lossy = self.loss > if self.lossy { LOSSY / 4.0 } else { LOSSY };
    }

    fn play(&mut self, at: Instant) -> (Pull, i64) {
        let Some((ts, Entry { arrived, number, ticks, content: Content::Sound(packet) })) =
            self.held.pop_first()
        else {
            return (self.silence(TICK_US), TICK_US);
        };
        let missing = self.last_number.map_or(0, |last| number.saturating_sub(last + 1)).min(10);
        (0..missing).for_each(|_| self.note_loss(1.0));
        self.note_loss(0.0);
        self.cursor = Some(ts + ticks);
        self.bridged = 0;
        self.last_number = Some(number);
        self.last_ticks = ticks;
        self.noise = None;
        self.counters.played += 1;
        self.opus = self.format(packet.pt) == Some(Format::Opus);
        self.dtx = self.opus && opus_is_dtx(&packet.payload);
        let waited = us(at.saturating_duration_since(arrived)) as f32;
        self.delay =
            if self.counters.played == 1 { waited } else { self.delay + (waited - self.delay) / 50.0 };
        (Pull::Packet(packet), self.us(ticks))
    }
}

/// Whole microseconds, without the 128-bit division of `as_micros`.
pub(super) fn us(d: Duration) -> i64 {
    i64::try_from(d.as_secs())
        .unwrap_or(i64::MAX)
        .saturating_mul(1_000_000)
        .saturating_add(i64::from(d.subsec_micros()))
}
