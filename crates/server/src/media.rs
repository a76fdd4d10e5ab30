//! The media threads: each runs one `mixer::Worker` over its sockets; work on pixels goes to the pool.

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use bytes::Bytes;
use cau_codec::video::encode;
use cau_conference::{NoPorts, Request};
use cau_drive::{Clock, load::Load, media, pool::Pool, ports::Allocator};
use cau_mixer::{Command, Event, Job, Media, Port, Spawner, Worker, command::Emblem};
use cau_model::{ConferenceId, ParticipantId};
use cau_sip::sdp::Ports;
use tokio::sync::mpsc;

use crate::config::{Config, Encoder};

/// `mixer::Worker` as the driver wants it.
struct Core(Worker);

impl media::Core for Core {
    type Port = Port;
    type Command = Command;
    type Event = Event;

    fn handle_packet(&mut self, now: Instant, at: Instant, port: Port, from: SocketAddr, data: Bytes) {
        self.0.handle_packet(now, at, port, from, data);
    }
    fn handle_command(&mut self, now: Instant, command: Command) {
        self.0.handle_command(now, command);
    }
    fn handle_timeout(&mut self, now: Instant) {
        self.0.handle_timeout(now);
    }
    fn handle_wake(&mut self, now: Instant) {
        self.0.wake(now);
    }
    fn poll_timeout(&self) -> Option<Instant> {
        self.0.poll_timeout()
    }
    fn poll_transmit(&mut self) -> Option<media::Transmit<Port>> {
        let cau_mixer::Transmit { port, to, data, segment } = self.0.poll_transmit()?;
        Some(media::Transmit { port, to, data, segment })
    }
    fn poll_event(&mut self) -> Option<Event> {
        self.0.poll_event()
    }
}

/// All media threads, as the focus sees them.
pub struct Threads {
    workers: Vec<media::Handle<Core>>,
    ports: Allocator,
    /// RTP is bound to every address where SIP is: then a call may come in on any of them.
    everywhere: (bool, bool),
    advertise: Option<IpAddr>,
    /// Where each participant's sockets are.
    legs: HashMap<ParticipantId, usize>,
    /// The thread of each conference, with its number of legs.
    homes: HashMap<ConferenceId, usize>,
}

impl Threads {
    /// Starts the threads; their reports go into `reports`, and those for which there is no room are counted in `lost`.
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub fn start(
        config: &Config,
        clock: Clock,
        pool: &Arc<Pool>,
        reports: &mpsc::Sender<Request>,
        emblem: Option<&Emblem>,
        lost: &Arc<AtomicU64>,
    ) -> io::Result<Self> {
        let mut workers = Vec::new();
        for n in 0..config.packet_threads {
            let (reports, lost) = (reports.clone(), lost.clone());
            let pool = pool.clone();
            let spawner: Spawner = Arc::new(move |job: Arc<dyn Job>| pool.spawn(move |now| job.run(now)));
            let build = |waker| {
                let mut settings = cau_mixer::Config::new(waker);
                settings.max_canvas = (config.video.width, config.video.height);
                settings.max_fps = config.video.fps;
                settings.max_kbps = config.video.kbps;
                settings.max_encodings = config.video.encodings;
                settings.thrift = config.video.thrift;
                settings.encoder = kind(config.video.encoder);
                settings.emblem = emblem.cloned();
                Core(Worker::new(settings, spawner, (clock.start, clock.wall), rand::random()))
            };
            let (handle, _) = media::spawn(&format!("media-{n}"), true, build, move |event| {
                // Never wait here: sound would stop. When signalling is a whole queue behind, newer figures make up for this one.
                if reports.try_send(Request::Media { worker: n, event }).is_err() {
                    lost.fetch_add(1, Ordering::Relaxed);
                }
            })?;
            workers.push(handle);
        }
        let bound = |v6: bool| config.sip.bind.iter().any(|a| a.is_ipv6() == v6 && a.ip().is_unspecified());
        let threads = Self {
            workers,
            ports: Allocator::new(config.rtp_ports.clone()),
            everywhere: (bound(false), bound(true)),
            advertise: config.sip.advertise,
            legs: HashMap::new(),
            homes: HashMap::new(),
        };
        Ok(threads)
    }

    /// How busy each thread is.
    pub fn loads(&self) -> Vec<Arc<Load>> {
        self.workers.iter().map(|worker| worker.load().clone()).collect()
    }

    /// The thread of a conference: a new one goes to the thread with the fewest legs.
    fn home(&mut self, conference: ConferenceId) -> usize {
        if let Some(home) = self.homes.get(&conference) {
            return *home;
        }
        let load = |n: usize| {
            (
                self.legs.values().filter(|w| **w == n).count(),
                self.homes.values().filter(|w| **w == n).count(),
            )
        };
        let home = (0..self.workers.len()).min_by_key(|n| load(*n)).unwrap_or(0);
        self.homes.insert(conference, home);
        home
    }
}

fn kind(encoder: Encoder) -> encode::Kind {
    match encoder {
        Encoder::Auto => encode::Kind::default(),
        Encoder::OpenH264 => encode::Kind::OpenH264,
        Encoder::X264 => encode::Kind::X264,
    }
}

fn ports_of(participant: ParticipantId) -> [Port; 4] {
    [(Media::Audio, false), (Media::Audio, true), (Media::Video, false), (Media::Video, true)]
        .map(|(media, rtcp)| Port { participant, media, rtcp })
}

impl cau_conference::Media for Threads {
    fn open(
        &mut self,
        conference: ConferenceId,
        participant: ParticipantId,
        local: IpAddr,
        wanted: Option<Ports>,
    ) -> Result<Ports, NoPorts> {
        let everywhere = if local.is_ipv6() { self.everywhere.1 } else { self.everywhere.0 };
        let bind = match local {
            IpAddr::V4(_) if everywhere => IpAddr::from([0; 4]),
            IpAddr::V6(_) if everywhere => IpAddr::from([0; 16]),
            exact => exact,
        };
        let open =
            |ports: &mut Allocator| Ok::<_, cau_drive::ports::Error>((ports.bind(bind)?, ports.bind(bind)?));
        let again = |ports: &mut Allocator| {
            let wanted = wanted?;
            Some((ports.bind_again(bind, wanted.audio)?, ports.bind_again(bind, wanted.video)?))
        };
        let (audio, video) =
            again(&mut self.ports).map_or_else(|| open(&mut self.ports), Ok).map_err(|e| {
                tracing::warn!("no RTP ports for a call: {e}");
                NoPorts
            })?;
        let home = self.home(conference);
        self.legs.insert(participant, home);
        let addr = self.advertise.filter(|a| a.is_ipv6() == local.is_ipv6()).unwrap_or(local);
        let ports = Ports { addr, audio: audio.port, video: video.port };
        if let Some(worker) = self.workers.get(home) {
            let sockets = [audio.rtp, audio.rtcp, video.rtp, video.rtcp];
            for (port, socket) in ports_of(participant).into_iter().zip(sockets) {
                worker.add(port, socket);
            }
        }
        Ok(ports)
    }

    fn close(&mut self, participant: ParticipantId) {
        let Some(worker) = self.legs.remove(&participant).and_then(|n| self.workers.get(n)) else { return };
        for port in ports_of(participant) {
            worker.remove(port);
        }
    }

    fn command(&mut self, conference: ConferenceId, command: Command) {
        let ends = matches!(command, Command::CloseConference { .. });
        let home = self.home(conference);
        if let Some(worker) = self.workers.get(home) {
            worker.command(command);
        }
        if ends {
            self.homes.remove(&conference);
        }
    }
}
