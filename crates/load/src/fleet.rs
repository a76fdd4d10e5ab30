//! Phones that run: threads, sockets, records.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    ops::RangeInclusive,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use cau_drive::{
    Clock,
    media::{self, Handle},
    ports, signal,
};
use cau_sip::sdp::{Direction, Ports};
use tokio::sync::mpsc;

use crate::{
    desk::{Desk, Lines, Notice, Request},
    eye,
    plan::{PhoneId, Plan},
    record::{Record, Records, State},
    studio::{Beacons, Command, Event, Port, Studio},
};

/// Pictures and packets of sound that wait for a slow eye at most: about ten seconds of six phones. What falls out is counted
/// ([`Stats::missed`](crate::Stats)).
const SIGHT: usize = 5_000;
/// Eyes. A phone's pictures all go to the same one.
const EYES: usize = 2;
/// Requests that wait for the signalling thread.
const REQUESTS: usize = 16_384;

/// How a fleet is run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Address the phones call from and take media at.
    pub ip: IpAddr,
    /// RTP ports of the phones.
    pub ports: RangeInclusive<u16>,
    /// Media threads.
    pub threads: usize,
    /// The media threads go before others where the system allows it: what the phones measure must not be their own lateness.
    pub urgent: bool,
    /// They say that they are the focus of a conference (`isfocus`), as MCUs do.
    pub focus: bool,
    /// Seed of SSRCs, Call-IDs, tags and the like: two fleets with the same seed look like one caller to an MCU.
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            ip: IpAddr::from([127, 0, 0, 1]),
            ports: 30_000..=59_999,
            threads: 1,
            urgent: false,
            focus: false,
            seed: rand::random(),
        }
    }
}

/// Why a fleet cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No SIP socket.
    #[error(transparent)]
    Bind(#[from] signal::BindError),
    /// No thread, no poll set, no runtime.
    #[error("the system refuses a thread: {0}")]
    System(#[from] io::Error),
}

struct Shared {
    records: Arc<Mutex<Records>>,
    changed: Condvar,
    /// The latest a media thread has been since it was last asked, µs.
    late: AtomicU64,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Records> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with(&self, phone: PhoneId, change: impl FnOnce(&mut Record)) {
        if let Some(record) = self.lock().get_mut(&phone) {
            change(record);
        }
        self.changed.notify_all();
    }
}

/// Phones that call one or more MCUs. Dropping it hangs up.
pub struct Fleet {
    shared: Arc<Shared>,
    requests: mpsc::Sender<Request>,
    studios: Vec<Handle<Studio>>,
    threads: Vec<JoinHandle<()>>,
    sip: SocketAddr,
    next: u32,
}

impl Fleet {
    /// Starts the threads; nobody calls yet.
    ///
    /// # Errors
    /// When sockets or threads are refused.
    pub fn start(options: &Options) -> Result<Self, Error> {
        // What the system does not give is seen when ports run out; the record says so.
        let _ = cau_drive::limits::raise_open_files();
        let clock = Clock::start();
        let shared =
            Arc::new(Shared { records: Arc::default(), changed: Condvar::new(), late: AtomicU64::new(0) });
        let mut threads = Vec::new();
        let mut sights = Vec::new();
        let beacons = Arc::new(Beacons::new(clock.start));
        for n in 0..EYES {
            let (sight, seen) = crossbeam_channel::bounded(SIGHT);
            let records = shared.records.clone();
            let beacons = beacons.clone();
            let watch = move || eye::watch(&seen, &records, &beacons);
            threads.push(std::thread::Builder::new().name(format!("load-eye-{n}")).spawn(watch)?);
            sights.push(sight);
        }

        let (requests, inbox) = mpsc::channel(REQUESTS);
        let mut studios = Vec::new();
        for n in 0..options.threads.max(1) {
            let (notices, asks) = (shared.clone(), requests.clone());
            let (sights, beacons) = (sights.clone(), beacons.clone());
            let seed = options.seed.wrapping_add(n as u64 * 7_919);
            let (handle, thread) = media::spawn(
                &format!("load-media-{n}"),
                options.urgent,
                move |_wake| Studio::new((clock.start, clock.wall), sights, beacons, seed),
                move |event| match event {
                    Event::Late(late) => {
                        let late = u64::try_from(late.as_micros()).unwrap_or(u64::MAX);
                        notices.late.fetch_max(late, Relaxed);
                    }
                    Event::Stats(phone, stats) => notices.with(phone, |r| r.stats = *stats),
                    Event::AskInfo(phone) => {
                        let _ = asks.try_send(Request::FastUpdate(phone));
                    }
                },
            )?;
            studios.push(handle);
            threads.push(thread);
        }
        drop(sights);

        let lines = FleetLines {
            shared: shared.clone(),
            studios: studios.clone(),
            allocator: ports::Allocator::new(options.ports.clone()),
        };
        let (signalling, sip) = signalling(options, lines, inbox)?;
        threads.push(signalling);
        Ok(Self { shared, requests, studios, threads, sip, next: 0 })
    }

    /// Makes a phone call.
    pub fn call(&mut self, plan: Plan) -> PhoneId {
        self.next += 1;
        let phone = PhoneId(self.next);
        self.shared.lock().insert(phone, Record::new(phone, plan.id));
        self.ask(Request::Dial(phone, Box::new(plan)));
        phone
    }

    /// A phone that waits for calls and takes them, one at a time; also the address to call it at. The target of `plan` is not called.
    pub fn answer(&mut self, plan: Plan) -> (PhoneId, cau_sip::Uri) {
        self.next += 1;
        let phone = PhoneId(self.next);
        let uri = cau_sip::Uri::sip(&plan.user, self.sip);
        self.shared.lock().insert(phone, Record::new(phone, plan.id));
        self.ask(Request::Await(phone, Box::new(plan)));
        (phone, uri)
    }

    /// Makes a phone hang up.
    pub fn hang_up(&self, phone: PhoneId) {
        self.ask(Request::HangUp(phone));
    }

    /// Makes a phone renew its call with these directions of sound and pictures: hold, resume, camera off and on.
    pub fn reoffer(&self, phone: PhoneId, audio: Direction, video: Direction) {
        self.ask(Request::Reoffer(phone, audio, video));
    }

    /// Makes a phone ask for a key frame by INFO.
    pub fn fast_update(&self, phone: PhoneId) {
        self.ask(Request::FastUpdate(phone));
    }

    /// Makes a phone press a key, told by INFO.
    pub fn press(&self, phone: PhoneId, digit: char) {
        self.ask(Request::Key(phone, digit));
    }

    /// A phone's record as of now.
    pub fn record(&self, phone: PhoneId) -> Option<Record> {
        self.shared.lock().get(&phone).cloned()
    }

    /// How late the phones themselves were at most since the last call, ms (10 and less is not told): what they measured meanwhile is no
    /// better.
    pub fn take_late_ms(&self) -> f64 {
        self.shared.late.swap(0, Relaxed) as f64 / 1000.0
    }

    /// Looks at all records without copying them.
    pub fn look<T>(&self, look: impl FnOnce(&Records) -> T) -> T {
        look(&self.shared.lock())
    }

    /// Waits until `done` gives something, at most `limit`; `None` when it never did.
    pub fn wait<T>(&self, limit: Duration, mut done: impl FnMut(&Records) -> Option<T>) -> Option<T> {
        let end = Clock::now() + limit;
        let mut records = self.shared.lock();
        loop {
            if let Some(found) = done(&records) {
                return Some(found);
            }
            let left = end.checked_duration_since(Clock::now())?;
            // Pictures come in without a notice: look at least every 20 ms.
            let pause = left.min(Duration::from_millis(20));
            records =
                self.shared.changed.wait_timeout(records, pause).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Hangs up everything, ends the threads and gives the records.
    pub fn stop(mut self) -> Records {
        self.shut_down();
        std::mem::take(&mut *self.shared.lock())
    }

    fn ask(&self, request: Request) {
        if self.requests.try_send(request).is_err() {
            tracing::warn!("the phones' signalling is overwhelmed; a request is lost");
        }
    }

    fn shut_down(&mut self) {
        if self.threads.is_empty() {
            return;
        }
        self.ask(Request::Stop);
        // Signalling ends when every BYE is answered or given up; the studios after it.
        if let Some(signalling) = self.threads.pop() {
            let _ = signalling.join();
        }
        for studio in &self.studios {
            studio.stop();
        }
        self.studios.clear();
        for thread in self.threads.drain(..).rev() {
            let _ = thread.join();
        }
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.shut_down();
    }
}

fn signalling(
    options: &Options,
    lines: FleetLines,
    inbox: mpsc::Receiver<Request>,
) -> Result<(JoinHandle<()>, SocketAddr), Error> {
    let (bind, focus, seed) = (SocketAddr::new(options.ip, 0), options.focus, options.seed);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let sockets = {
        let _in = runtime.enter();
        signal::Sockets::bind(&[bind])?
    };
    let local = sockets.addrs().first().copied().unwrap_or(bind);
    let thread = std::thread::Builder::new().name("load-signal".into()).spawn(move || {
        let mut desk = Desk::new(local, lines, focus, seed);
        runtime.block_on(signal::run(&mut desk, sockets, inbox));
    })?;
    Ok((thread, local))
}

struct FleetLines {
    shared: Arc<Shared>,
    studios: Vec<Handle<Studio>>,
    allocator: ports::Allocator,
}

impl FleetLines {
    fn studio(&self, phone: PhoneId) -> &Handle<Studio> {
        &self.studios[phone.0 as usize % self.studios.len()]
    }
}

impl Lines for FleetLines {
    fn open(&mut self, phone: PhoneId, plan: &Plan, ip: IpAddr) -> Result<Ports, ports::Error> {
        let audio = if plan.sound.is_empty() { None } else { Some(self.allocator.bind(ip)?) };
        let video = if plan.reel.is_none() { None } else { Some(self.allocator.bind(ip)?) };
        let port = |pair: &Option<ports::Pair>| pair.as_ref().map_or(0, |p| p.port);
        let given = Ports { addr: ip, audio: port(&audio), video: port(&video) };
        let studio = self.studio(phone);
        studio.command(Command::Open(phone, Box::new(plan.clone())));
        for (pair, video) in [(audio, false), (video, true)] {
            if let Some(pair) = pair {
                studio.add(Port { phone, video, rtcp: false }, pair.rtp);
                studio.add(Port { phone, video, rtcp: true }, pair.rtcp);
            }
        }
        Ok(given)
    }

    fn close(&mut self, phone: PhoneId) {
        let studio = self.studio(phone);
        studio.command(Command::Close(phone));
        for video in [false, true] {
            for rtcp in [false, true] {
                studio.remove(Port { phone, video, rtcp });
            }
        }
    }

    fn notice(&mut self, now: Instant, notice: Notice) {
        match notice {
            Notice::Invited(phone) => self.shared.with(phone, |r| {
                r.state = State::Calling;
                r.calls += 1;
                r.invited.get_or_insert(now);
            }),
            Notice::Ringing(phone) => self.shared.with(phone, |r| {
                r.ringing.get_or_insert(now);
            }),
            Notice::Agreed(phone, agreed) => {
                self.studio(phone).command(Command::Agreed(phone, agreed));
                self.shared.with(phone, |r| {
                    r.state = State::Connected;
                    r.answered.get_or_insert(now);
                });
            }
            Notice::FastUpdate(phone) => self.studio(phone).command(Command::KeyFrame(phone)),
            Notice::Over(phone, state) => self.shared.with(phone, |r| r.state = state),
        }
    }
}
