//! Synthetic endpoints around a worker with a virtual clock; jobs run inline, or when the test says.

pub mod endpoint;
pub mod speech;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use bytes::Bytes;
use cau_mixer::{
    Command, Config, Event, Job, LegConfig, Media, Port, Spawner, Worker,
    command::{AudioCodec, AudioLeg, Emblem, Feedback, Limits, Mode, Stream, Tools, VideoLeg},
    event::{Statistics, Totals},
};
use cau_model::{
    ConferenceId, ParticipantId,
    layout::Kind,
    ornament::Ornaments,
    scene::{Card, Fit, Scene, SceneId, Tile},
};
use cau_netem::Link;

pub use endpoint::Endpoint;

pub const ROOM: ConferenceId = ConferenceId(1);
pub const CANVAS: (u32, u32) = (640, 360);

pub fn p(n: u64) -> ParticipantId {
    ParticipantId(n)
}

pub fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

#[expect(clippy::disallowed_methods, reason = "an arbitrary origin of virtual time")]
pub fn origin() -> Instant {
    Instant::now()
}

/// Jobs waiting for [`World::run_jobs`].
pub type Queue = Arc<Mutex<Vec<Arc<dyn Job>>>>;

pub struct World {
    pub worker: Worker,
    pub start: Instant,
    pub now: Instant,
    pub endpoints: BTreeMap<ParticipantId, Endpoint>,
    pub events: Vec<(Instant, Event)>,
    pub statistics: BTreeMap<ParticipantId, Statistics>,
    pub totals: Totals,
    /// With `Some`, jobs wait until the test runs them.
    pub queue: Option<Queue>,
    pub transmits: u64,
    /// Time goes on in steps of this.
    pub grain: Duration,
    /// Lines of those who have one; the others are beside the worker.
    pub lines: BTreeMap<ParticipantId, Lines>,
    busy_until: Instant,
    /// What came while the machine stood still: when, where, from where.
    unread: Vec<(Instant, Port, SocketAddr, Bytes)>,
    woken: Arc<AtomicBool>,
    version: u64,
}

/// One site's line.
pub struct Lines {
    pub up: Link<(Media, bool, Bytes)>,
    pub down: Link<(Port, SocketAddr, Bytes)>,
}

impl World {
    /// Every view is encoded.
    pub fn new() -> Self {
        Self::with(false, CANVAS, 768, false)
    }

    pub fn sized(canvas: (u32, u32), kbps: u32) -> Self {
        Self::with(false, canvas, kbps, false)
    }

    /// Sites seen full screen are passed on.
    pub fn forwarding() -> Self {
        Self::with(false, CANVAS, 768, true)
    }

    /// Jobs are run by the test, not at once.
    pub fn deferred() -> Self {
        Self::with(true, CANVAS, 768, false)
    }

    /// With a logo.
    pub fn adorned(emblem: Emblem) -> Self {
        Self::build(false, |config| config.emblem = Some(emblem))
    }

    /// With settings of its own.
    pub fn configured(change: impl FnOnce(&mut Config)) -> Self {
        Self::build(false, change)
    }

    fn with(deferred: bool, canvas: (u32, u32), kbps: u32, forward: bool) -> Self {
        Self::build(deferred, |config| {
            config.max_canvas = canvas;
            config.max_kbps = kbps;
            config.forward = forward;
        })
    }

    fn build(deferred: bool, change: impl FnOnce(&mut Config)) -> Self {
        let start = origin();
        let woken = Arc::new(AtomicBool::new(false));
        let waker = {
            let woken = woken.clone();
            Arc::new(move || woken.store(true, Ordering::SeqCst))
        };
        let queue: Queue = Arc::default();
        let clock = Arc::new(Mutex::new(start));
        let spawner: Spawner = if deferred {
            let queue = queue.clone();
            Arc::new(move |job| queue.lock().unwrap().push(job))
        } else {
            let clock = clock.clone();
            Arc::new(move |job: Arc<dyn Job>| {
                let now = *clock.lock().unwrap();
                job.run(now);
            })
        };
        let mut config = Config::new(waker);
        config.max_canvas = CANVAS;
        config.max_kbps = 768;
        config.forward = false;
        change(&mut config);
        let wall = (start, SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000));
        let mut worker = Worker::new(config, spawner, wall, 7);
        worker.handle_command(start, Command::OpenConference { id: ROOM });
        Self {
            worker,
            start,
            now: start,
            endpoints: BTreeMap::new(),
            events: Vec::new(),
            statistics: BTreeMap::new(),
            totals: Totals::default(),
            queue: deferred.then_some(queue),
            transmits: 0,
            grain: ms(10),
            lines: BTreeMap::new(),
            busy_until: start,
            unread: Vec::new(),
            woken,
            version: 0,
        }
    }

    /// A site dials in.
    pub fn join(&mut self, endpoint: Endpoint) {
        let participant = endpoint.participant;
        let leg = endpoint.leg();
        self.endpoints.insert(participant, endpoint);
        self.command(Command::AddLeg { conference: ROOM, participant, leg });
    }

    pub fn leave(&mut self, participant: ParticipantId) {
        self.endpoints.remove(&participant);
        self.command(Command::RemoveLeg { participant });
    }

    /// A re-INVITE with what the endpoint now says.
    pub fn reinvite(&mut self, participant: ParticipantId) {
        let leg = self.endpoints[&participant].leg();
        self.command(Command::UpdateLeg { participant, leg });
    }

    pub fn command(&mut self, command: Command) {
        self.worker.handle_command(self.now, command);
        self.collect();
    }

    /// One scene for all.
    pub fn show(&mut self, kind: Kind, sites: &[u64]) {
        let viewers: Vec<_> = self.endpoints.keys().copied().collect();
        self.show_to(vec![(1, kind, sites.to_vec(), viewers)]);
    }

    /// Scenes: id, layout, who is in it, who sees it.
    pub fn show_to(&mut self, scenes: Vec<(u64, Kind, Vec<u64>, Vec<ParticipantId>)>) {
        self.version += 1;
        let scenes = scenes
            .into_iter()
            .map(|(id, kind, sites, viewers)| {
                let tiles = sites.iter().enumerate().map(|(seat, site)| tile(seat as u16, *site)).collect();
                (Arc::new(self.scene(id, kind, tiles)), viewers)
            })
            .collect();
        self.command(Command::Scenes { conference: ROOM, scenes });
    }

    /// A scene without ornaments.
    pub fn scene(&self, id: u64, kind: Kind, tiles: Vec<Tile>) -> Scene {
        Scene {
            id: SceneId(id),
            version: self.version,
            kind,
            custom: None,
            tiles,
            prepare: Vec::new(),
            ornaments: Ornaments::default(),
        }
    }

    /// The scene everybody sees, changed.
    pub fn show_changed(&mut self, kind: Kind, sites: &[u64], change: impl FnOnce(&mut Scene)) {
        self.version += 1;
        let tiles = sites.iter().enumerate().map(|(seat, site)| tile(seat as u16, *site)).collect();
        let mut scene = self.scene(1, kind, tiles);
        change(&mut scene);
        let viewers = self.endpoints.keys().copied().collect();
        self.command(Command::Scenes { conference: ROOM, scenes: vec![(Arc::new(scene), viewers)] });
    }

    pub fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.step();
        }
    }

    /// Runs until `done`, at most `time`; whether it came.
    pub fn run_until(&mut self, time: Duration, mut done: impl FnMut(&Self) -> bool) -> bool {
        let end = self.now + time;
        while self.now < end {
            if done(self) {
                return true;
            }
            self.step();
        }
        done(self)
    }

    /// Puts a line between a site and the worker.
    pub fn line(&mut self, n: u64, up: cau_netem::Config, down: cau_netem::Config, seed: u64) {
        let lines = Lines { up: Link::new(up, seed), down: Link::new(down, seed ^ 0xd0) };
        self.lines.insert(p(n), lines);
    }

    /// One grain of time.
    pub fn step(&mut self) {
        self.now += self.grain;
        let participants: Vec<_> = self.endpoints.keys().copied().collect();
        for participant in participants {
            let endpoint = self.endpoints.get_mut(&participant).unwrap();
            let from = endpoint.addresses();
            let mut sent = endpoint.send(self.now);
            if let Some(lines) = self.lines.get_mut(&participant) {
                for datagram in std::mem::take(&mut sent) {
                    let size = datagram.2.len();
                    lines.up.insert_sized(self.now, datagram, size);
                }
                sent.extend(std::iter::from_fn(|| lines.up.poll(self.now)));
                while let Some((port, to, datagram)) = lines.down.poll(self.now) {
                    endpoint.receive(self.now, port, to, datagram);
                }
            }
            for (media, rtcp, data) in sent {
                let port = Port { participant, media, rtcp };
                let source = if media == Media::Audio { from.0 } else { from.1 };
                let source = if rtcp { SocketAddr::new(source.ip(), source.port() + 1) } else { source };
                self.unread.push((self.now, port, source, data));
            }
        }
        if self.now < self.busy_until {
            return;
        }
        for (at, port, source, data) in self.unread.drain(..) {
            self.worker.handle_packet(self.now, at, port, source, data);
        }
        if self.worker.poll_timeout().is_some_and(|at| at <= self.now) {
            self.worker.handle_timeout(self.now);
        }
        self.collect();
    }

    /// The machine does nothing for the worker for so long; what comes meanwhile is read afterwards.
    pub fn stand_still(&mut self, time: Duration) {
        self.busy_until = self.now + time;
        self.run(time);
    }

    /// Runs what waits; how many jobs.
    pub fn run_jobs(&mut self) -> usize {
        let Some(queue) = &self.queue else { return 0 };
        let jobs = std::mem::take(&mut *queue.lock().unwrap());
        let count = jobs.len();
        jobs.iter().for_each(|j| j.run(self.now));
        self.collect();
        count
    }

    pub fn collect(&mut self) {
        if self.woken.swap(false, Ordering::SeqCst) {
            self.worker.wake(self.now);
        }
        while let Some(t) = self.worker.poll_transmit() {
            self.transmits += 1;
            let Some(endpoint) = self.endpoints.get_mut(&t.port.participant) else { continue };
            let segment = t.segment.unwrap_or(t.data.len());
            for start in (0..t.data.len()).step_by(segment) {
                let datagram = t.data.slice(start..(start + segment).min(t.data.len()));
                if let Some(lines) = self.lines.get_mut(&t.port.participant) {
                    let size = datagram.len();
                    lines.down.insert_sized(self.now, (t.port, t.to, datagram), size);
                } else if !endpoint.misses(t.port) {
                    endpoint.receive(self.now, t.port, t.to, datagram);
                }
            }
        }
        while let Some(event) = self.worker.poll_event() {
            match event {
                Event::Statistics { participant, statistics } => {
                    self.statistics.insert(participant, *statistics);
                }
                Event::Totals(totals) => self.totals = *totals,
                event => self.events.push((self.now, event)),
            }
        }
    }

    pub fn at(&self, n: u64) -> &Endpoint {
        &self.endpoints[&p(n)]
    }

    pub fn at_mut(&mut self, n: u64) -> &mut Endpoint {
        self.endpoints.get_mut(&p(n)).unwrap()
    }
}

pub fn tile(seat: u16, site: u64) -> Tile {
    Tile {
        seat,
        participant: Some(p(site)),
        name: None,
        site: Some(format!("Site {site}").into()),
        border: false,
        card: Card::Picture,
        fit: Fit::Fit,
    }
}

pub fn stream(port: u16) -> Stream {
    Stream {
        remote: SocketAddr::from(([127, 0, 0, 1], port)),
        remote_rtcp: SocketAddr::from(([127, 0, 0, 1], port + 1)),
        peer: [203, 0, 113, 9].into(),
        rtcp_mux: false,
        send: true,
        recv: true,
    }
}

pub fn audio_leg(n: u64, codec: AudioCodec, pt: u8) -> AudioLeg {
    AudioLeg {
        stream: stream(10_000 + 10 * n as u16),
        codec,
        pt_send: pt,
        pt_recv: vec![(pt, codec)],
        dtmf: vec![(101, 8_000), (102, 48_000)],
        comfort_noise: Some(13),
        max_kbps: None,
    }
}

pub fn video_leg(n: u64, mode: Mode) -> VideoLeg {
    VideoLeg {
        stream: stream(10_004 + 10 * n as u16),
        pt_send: 96,
        mode,
        tools: Tools::Baseline,
        limits: Limits { max_fs: 3600, max_mbps: 108_000, max_kbps: 14_000 },
        pt_recv: vec![(96, mode)],
        feedback: Feedback { pli: true, fir: true, ..Feedback::default() },
        rtx: None,
        max_kbps: None,
    }
}

pub fn leg(audio: Option<AudioLeg>, video: Option<VideoLeg>) -> LegConfig {
    LegConfig { name: "site".into(), cname: None, audio, video }
}
