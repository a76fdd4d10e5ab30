//! One encoder of a view, as a job, and the ring of what it made.

use std::{
    mem,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use cau_codec::video::{Encode, Picture, encode};
use cau_rtp::h264::{Mode, Packetizer, Payload};

use crate::{
    command::Config,
    job::Work,
    ring::{Bounds, Item, Ring},
};

/// A view makes a forced key frame this often at most, whatever the receivers ask …
pub const KEY_INTERVAL: Duration = Duration::from_secs(1);
/// … or this often, when nobody else pays for it.
const KEY_SOON: Duration = Duration::from_millis(300);
/// What a ring keeps: enough to replay a second.
const KEEP: Bounds = Bounds { bytes: 2 << 20, time: Duration::from_millis(1500) };
/// RTP header with the most contributing sources.
const HEADER: usize = 12 + 4 * super::MAX_CSRC;
/// Media clock of video, Hz.
pub const CLOCK: u64 = 90_000;

/// An encoded picture, cut into packets already: what all its receivers share.
#[derive(Debug)]
pub struct Encoded {
    /// RTP payloads in order.
    pub payloads: Vec<Payload>,
    /// An IDR picture with its parameter sets.
    pub key: bool,
    /// Every payload is one NAL unit: fit for packetization mode 0.
    pub single: bool,
    /// When the picture was composed.
    pub time: Instant,
    /// Bytes of all payloads.
    pub bytes: usize,
    /// Whose picture it is, where that is known of the picture itself: one that is passed on.
    pub csrc: Option<u32>,
    /// Sequence numbers left out before it: something is missing that never came.
    pub gap: u16,
}

impl Encoded {
    /// A picture of no packets.
    pub fn empty(time: Instant) -> Self {
        Self { payloads: Vec::new(), key: false, single: true, time, bytes: 0, csrc: None, gap: 0 }
    }
}

impl Item for Encoded {
    fn size(&self) -> usize {
        self.bytes
    }

    fn time(&self) -> Instant {
        self.time
    }

    fn is_key(&self) -> bool {
        self.key
    }
}

/// What an encoder is made with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Size and rate.
    pub encoder: encode::Settings,
    /// Which encoder.
    pub kind: encode::Kind,
    /// Largest RTP payload, bytes.
    pub max_payload: usize,
}

impl Settings {
    /// For one bitrate of a view.
    pub fn new(view: &super::Key, kbps: u32, config: &Config) -> Self {
        Self {
            encoder: encode::Settings::new(view.width, view.height, view.fps, kbps),
            kind: config.encoder,
            max_payload: max_payload(config),
        }
    }
}

/// Largest RTP payload, bytes.
pub fn max_payload(config: &Config) -> usize {
    config.max_packet.saturating_sub(HEADER).max(200)
}

/// A composed picture on its way to the encoder.
#[derive(Clone, Debug)]
pub struct Frame {
    /// The pixels.
    pub picture: Picture,
    /// Its time on the view's even cadence.
    pub time: Instant,
}

/// Composed pictures in, packets out.
pub struct Output {
    settings: Settings,
    epoch: Instant,
    pending: Mutex<Option<Frame>>,
    state: Mutex<State>,
    /// What was made.
    pub ring: Ring<Encoded>,
    wants_key: AtomicBool,
    wants_key_soon: AtomicBool,
    wants_single: AtomicBool,
    made: AtomicU64,
    /// Nanoseconds from `epoch` to the last key frame, plus one; 0: none yet.
    key_at: AtomicU64,
    skipped: AtomicU64,
    errors: AtomicU64,
    waker: Arc<dyn Fn() + Send + Sync>,
}

#[derive(Default)]
struct State {
    encoder: Option<Box<dyn Encode>>,
    single: bool,
    last_key: Option<Instant>,
    last_time: Option<Instant>,
}

impl Output {
    /// An encoder that begins with a key frame. `epoch` is the zero of its time stamps; `single`: NAL units of one packet each.
    pub fn new(settings: Settings, single: bool, epoch: Instant, waker: Arc<dyn Fn() + Send + Sync>) -> Self {
        Self {
            settings,
            epoch,
            pending: Mutex::default(),
            state: Mutex::default(),
            ring: Ring::new(KEEP),
            wants_key: AtomicBool::new(false),
            wants_key_soon: AtomicBool::new(false),
            wants_single: AtomicBool::new(single),
            made: AtomicU64::new(0),
            key_at: AtomicU64::new(0),
            skipped: AtomicU64::new(0),
            errors: AtomicU64::new(0),
            waker,
        }
    }

    /// Hands over the newest picture; one that still waited is left out. The caller schedules the task.
    pub fn submit(&self, frame: Frame) {
        let old = self.pending.lock().unwrap_or_else(PoisonError::into_inner).replace(frame);
        if old.is_some() {
            self.skipped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A key frame with the next picture, or [`KEY_INTERVAL`] after the last.
    pub fn request_key(&self) {
        self.wants_key.store(true, Ordering::Release);
    }

    /// The same, 300 ms after the last: for those who are all hurt, or alone.
    pub fn request_key_soon(&self) {
        self.wants_key_soon.store(true, Ordering::Release);
        self.request_key();
    }

    /// From the next key frame on, NAL units of one packet each.
    pub fn request_single(&self) {
        self.wants_single.store(true, Ordering::Release);
    }

    /// Units made so far: tells whether the ring has something new.
    pub fn made(&self) -> u64 {
        self.made.load(Ordering::Acquire)
    }

    /// Time of the last key frame.
    pub fn last_key(&self) -> Option<Instant> {
        let nanos = self.key_at.load(Ordering::Acquire).checked_sub(1)?;
        Some(self.epoch + Duration::from_nanos(nanos))
    }

    /// Pictures left out since the last call because the encoder was behind.
    pub fn take_skipped(&self) -> u64 {
        self.skipped.swap(0, Ordering::Relaxed)
    }

    /// Errors since the last call.
    pub fn take_errors(&self) -> u64 {
        self.errors.swap(0, Ordering::Relaxed)
    }

    fn encode(&self, state: &mut State, frame: &Frame) -> Result<(), encode::Error> {
        // The encoder wants growing time stamps.
        if state.last_time.is_some_and(|last| frame.time <= last) {
            return Ok(());
        }
        let single = self.wants_single.load(Ordering::Acquire);
        // Who waits for smaller NAL units cannot do with the last key frame, however new it is.
        let interval = if self.wants_key_soon.load(Ordering::Acquire) { KEY_SOON } else { KEY_INTERVAL };
        let due = single != state.single
            || state.last_key.is_none_or(|last| frame.time.saturating_duration_since(last) >= interval);
        let force = due && self.wants_key.swap(false, Ordering::AcqRel);
        if force {
            self.wants_key_soon.store(false, Ordering::Release);
        }
        if force && single != state.single {
            // Slices of another size need another encoder, and that begins with a key frame anyhow.
            state.encoder = None;
        }
        if state.encoder.is_none() {
            state.single = single;
            let mut settings = self.settings.encoder.clone();
            settings.max_nal_bytes = single.then_some(self.settings.max_payload);
            state.encoder = Some(encode::new(self.settings.kind, settings)?);
        }
        let Some(encoder) = state.encoder.as_mut() else { return Ok(()) };
        state.last_time = Some(frame.time);
        let ticks =
            frame.time.saturating_duration_since(self.epoch).as_nanos() * u128::from(CLOCK) / 1_000_000_000;
        let encoded = encoder.encode(&frame.picture, i64::try_from(ticks).unwrap_or(i64::MAX), force)?;
        if encoded.is_empty() {
            if force {
                self.request_key();
            }
            return Ok(());
        }
        if encoded.key {
            state.last_key = Some(frame.time);
            let nanos = frame.time.saturating_duration_since(self.epoch).as_nanos();
            self.key_at.store(u64::try_from(nanos).unwrap_or(u64::MAX - 1) + 1, Ordering::Release);
        }
        let mode = if state.single { Mode::SingleNal } else { Mode::NonInterleaved };
        let packetized = Packetizer::new(mode, self.settings.max_payload).packetize(&encoded.nals);
        if packetized.left_out > 0 {
            self.errors.fetch_add(1, Ordering::Relaxed);
        }
        let payloads = packetized.payloads;
        let bytes = payloads.iter().map(|p| p.bytes.len()).sum();
        let whole = Encoded::empty(frame.time);
        let unit = Encoded { payloads, key: encoded.key, single: state.single, bytes, ..whole };
        self.ring.push(Arc::new(unit));
        self.made.fetch_add(1, Ordering::AcqRel);
        (self.waker)();
        Ok(())
    }
}

impl Work for Output {
    fn work(&self, _: Instant) -> bool {
        let frame = mem::take(&mut *self.pending.lock().unwrap_or_else(PoisonError::into_inner));
        let Some(frame) = frame else { return false };
        // Only this job takes the lock, and it is never run twice at once: no waiting.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(e) = self.encode(&mut state, &frame) {
            if self.errors.fetch_add(1, Ordering::Relaxed) == 0 {
                tracing::warn!("video encoder: {e}");
            }
            // A new one begins with a key frame.
            state.encoder = None;
        }
        false
    }
}
