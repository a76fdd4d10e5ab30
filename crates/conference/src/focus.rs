//! The core of the signalling thread.

mod bringing;
mod calls;
mod devices;
mod dialling;
mod keeping;
mod linking;
mod loading;
mod merging;
mod mixing;
mod notices;
mod proving;
mod referring;
mod registry;
mod requests;
mod rooms;
mod sites;
#[cfg(test)]
mod tests;
mod watching;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use cau_mixer::Event as Mixed;
use cau_model::layout::Equipment;
use cau_model::participant::Direction;
use cau_model::{ConferenceId, ParticipantId, Words};
use cau_sip::register::RegistrationId;
use cau_sip::sdp::{Negotiated, Origin, Ports, Session};
use cau_sip::{CallId, ConnId, EndCause, Endpoint, IncomingInvite, Input, Transmit};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use crate::capacity::Capacity;
use crate::config::Config;
use crate::media::Media;
use crate::notice::Notice;
use crate::request::{Lookup, Totals};
use bringing::Bringing;
use keeping::Keeping;
use notices::Notices;
use registry::Registry;
use rooms::Room;
use sites::Sites;

/// How long after the last BYE of a drain the sockets are still needed: for a repeated one.
const LAST_WORDS: Duration = Duration::from_millis(700);

/// Conferences, their rooms and the calls in them. Sans-IO: see the crate's documentation for who calls what.
pub struct Focus {
    config: Config,
    sip: Endpoint,
    media: Box<dyn Media + Send>,
    random: StdRng,
    /// Makes names of sessions out of those of conferences.
    session_key: u64,
    rooms: BTreeMap<ConferenceId, Room>,
    registry: Registry,
    calls: HashMap<CallId, Call>,
    by_participant: HashMap<ParticipantId, CallId>,
    /// Callers without ACK so far, by address.
    unproven: HashMap<IpAddr, usize>,
    /// Those whose media is with a mixer.
    legs: HashSet<ParticipantId>,
    sites: Sites,
    keep: Keeping,
    bringing: Bringing,
    links: linking::Links,
    /// For calls that only send: slots of links.
    one_way: cau_sip::sdp::Capabilities,
    next_participant: u64,
    notices: Notices,
    totals: Totals,
    /// How full the machine is.
    capacity: Capacity,
    /// When the calls still there are ended.
    drain: Option<Instant>,
    /// When the last of them has been told; `None` when nobody has to be.
    last_words: Option<Instant>,
    mixers: BTreeMap<usize, cau_mixer::event::Totals>,
    /// Who left lately, for those who watch.
    left: watching::Left,
    /// REFERs whose sites are on their way in.
    reported: referring::Reported,
    /// Registrations of ours that were told to have failed.
    unregistered: BTreeSet<RegistrationId>,
    /// Layouts of files, logo.
    equipment: Arc<Equipment>,
}

/// One call that was let in, or goes out.
struct Call {
    conference: ConferenceId,
    participant: ParticipantId,
    /// Display name and address of the site.
    name: String,
    uri: String,
    /// Who dialled.
    direction: Direction,
    /// Where its signalling comes from.
    peer: IpAddr,
    /// Our address on the network it came in by.
    local: IpAddr,
    ports: Ports,
    origin: Origin,
    cname: String,
    /// Our description as the other side has it; the base of the next one.
    ours: Option<Session>,
    /// Our offer that waits for its answer.
    offered: Option<Session>,
    /// What holds; `None` before the first answer (late offer, dial-out): no leg, not in the conference yet.
    negotiated: Option<Negotiated>,
    /// The descriptions it was negotiated from.
    basis: Option<Basis>,
    /// When it has rung too long, or a device should have said that it is still there.
    until: Option<Instant>,
    /// Why we end it, when we do.
    ending: Option<Ending>,
    /// Its INVITE, as long as the caller has not shown that it is there.
    unproven: Option<Box<IncomingInvite>>,
}

/// Offer and answer that hold: what was negotiated can be had from them again.
#[derive(Debug, Clone)]
struct Basis {
    theirs: Bytes,
    /// Our offer, when the offer was ours.
    our_offer: Option<Bytes>,
}

/// Why we end a call.
#[derive(Debug, Clone)]
enum Ending {
    /// The site is to leave, for this reason.
    Leave(Words),
    /// As if it had ended for this cause: the site may be called again.
    Lost(EndCause),
    /// The try has failed: no agreement on media.
    Failed(Words),
}

impl Focus {
    /// A focus without conferences. `seed` makes tags, ids and session numbers; take a random one, tests a fixed one.
    pub fn new(mut config: Config, media: Box<dyn Media + Send>, seed: u64) -> Focus {
        config.sip.focus = true;
        let one_way = cau_sip::sdp::Capabilities {
            audio_direction: cau_sip::sdp::Direction::SendOnly,
            video_direction: cau_sip::sdp::Direction::SendOnly,
            ..config.capabilities.clone()
        };
        let mut random = StdRng::seed_from_u64(seed);
        let sip = Endpoint::new(config.sip.clone(), random.random());
        // Ids of an earlier run stand in the journal: start somewhere else each time.
        let sites = Sites::new(&config.dial);
        let capacity = Capacity::new(config.capacity);
        let next_participant = u64::from(random.random::<u32>() >> 8) << 24 | 1;
        Focus {
            config,
            sip,
            media,
            session_key: random.random(),
            random,
            rooms: BTreeMap::new(),
            registry: Registry::default(),
            calls: HashMap::new(),
            by_participant: HashMap::new(),
            unproven: HashMap::new(),
            legs: HashSet::new(),
            sites,
            keep: Keeping::default(),
            bringing: Bringing::default(),
            links: linking::Links::default(),
            one_way,
            next_participant,
            notices: Notices::default(),
            totals: Totals::default(),
            capacity,
            drain: None,
            last_words: None,
            mixers: BTreeMap::new(),
            left: watching::Left::default(),
            reported: referring::Reported::default(),
            unregistered: BTreeSet::new(),
            equipment: Arc::default(),
        }
    }

    /// A datagram, or a read from a connection.
    pub fn handle_input(&mut self, now: Instant, input: Input<'_>) {
        self.sip.handle_input(now, input);
        self.pump(now);
    }

    /// A connection asked for by [`cau_sip::Transport::TcpConnect`] stands.
    pub fn handle_connected(&mut self, now: Instant, conn: ConnId, local: SocketAddr, remote: SocketAddr) {
        self.sip.handle_connected(now, conn, local, remote);
        self.pump(now);
    }

    /// A connection that was asked for cannot be made.
    pub fn handle_connect_failed(&mut self, now: Instant, remote: SocketAddr) {
        self.sip.handle_connect_failed(now, remote);
        self.pump(now);
    }

    /// A connection is gone.
    pub fn handle_closed(&mut self, now: Instant, conn: ConnId) {
        self.sip.handle_closed(now, conn);
        self.pump(now);
    }

    /// The time of [`Focus::poll_timeout`] has come; early or often does no harm.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.sip.handle_timeout(now);
        self.pump(now);
        self.time_rooms(now);
        self.time_left(now);
        self.time_operations(now);
        if self.drain.is_none() {
            self.time_sites(now);
            self.pump(now);
        }
        self.notices.handle_timeout(now, &self.rooms);
        if self.drain.is_some_and(|at| at <= now) && !self.calls.is_empty() {
            self.hang_up_all(now);
            self.last_words = Some(now + LAST_WORDS);
        }
        if self.last_words.is_some_and(|at| at <= now) {
            self.last_words = None;
        }
    }

    /// A report of the mixer on media thread number `worker`.
    pub fn handle_media(&mut self, now: Instant, worker: usize, event: Mixed) {
        match event {
            Mixed::Totals(totals) => {
                self.mixers.insert(worker, *totals);
            }
            event => self.mixed(now, event),
        }
        self.pump(now);
    }

    /// When [`Focus::handle_timeout`] wants to be called next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let rooms = self.rooms.values().filter_map(|room| room.conference.poll_timeout()).min();
        let drain = self.drain.filter(|_| !self.calls.is_empty());
        let sites = self.sites.poll_timeout().filter(|_| self.drain.is_none());
        let operations = self.bringing.poll_timeout();
        [
            self.sip.poll_timeout(),
            rooms,
            self.left.poll_timeout(),
            self.notices.poll_timeout(),
            sites,
            operations,
            drain,
            self.last_words,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// The next message to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.sip.poll_transmit()
    }

    /// The next address to be looked up; the answer goes to [`Focus::handle_lookup`].
    pub fn poll_lookup(&mut self) -> Option<Lookup> {
        self.sites.poll_lookup()
    }

    /// The next thing to tell the API's events and the journal. At most 65,536 wait; further ones are lost and counted.
    pub fn poll_notice(&mut self) -> Option<Notice> {
        self.notices.poll()
    }

    /// From now on new calls get 503; those there are ended after [`Config::drain_grace`].
    pub fn begin_drain(&mut self, now: Instant) {
        if self.drain.is_none() {
            self.drain = Some(now + self.config.drain_grace);
            if self.sip.registrations().next().is_some() {
                // The registrar asks who signs off there.
                self.sip.unregister_all(now);
                self.last_words = Some(now + LAST_WORDS);
            }
            self.pump(now);
        }
    }

    /// Whether everybody was told good-bye after [`Focus::begin_drain`].
    pub fn is_drained(&self) -> bool {
        self.drain.is_some() && self.calls.is_empty() && self.last_words.is_none()
    }

    /// Counters and gauges.
    pub fn totals(&self) -> Totals {
        Totals {
            conferences: self.rooms.len(),
            calls: self.calls.len(),
            participants: self.rooms.values().map(|room| room.conference.present().len()).sum(),
            lost_notices: self.notices.lost(),
            devices: self.sip.bindings(),
            subscriptions: self.sip.subscriptions(),
            dialogs: self.sip.calls(),
            transactions: self.sip.transactions(),
            registrations: self.registrations(),
            draining: self.drain.is_some(),
            overloaded: self.capacity.is_full(),
            fps: self.capacity.fps(),
            sip: *self.sip.counters(),
            mixer: self.mixers.values().copied().collect(),
            ..self.totals.clone()
        }
    }

    /// Takes in what SIP has to report, and lets those be called who waited for it.
    fn pump(&mut self, now: Instant) {
        while let Some(event) = self.sip.poll_event() {
            self.signalled(now, event);
        }
        self.take_turns(now);
    }

    fn hang_up_all(&mut self, now: Instant) {
        let words = Words::new("MCU dừng hoạt động", "the MCU is shutting down");
        self.freeze_kept();
        let calls: Vec<CallId> = self.calls.keys().copied().collect();
        for call in calls {
            self.hang_up(now, call, words.clone());
        }
        self.pump(now);
    }

    /// A name of ours for RTCP (SDES CNAME), the same for all streams of one call.
    fn new_cname(&mut self) -> String {
        format!("{:08x}@{}", self.random.random::<u32>(), self.config.agent)
    }

    fn new_participant(&mut self) -> ParticipantId {
        let id = ParticipantId(self.next_participant);
        self.next_participant += 1;
        id
    }
}
