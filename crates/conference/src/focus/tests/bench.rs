//! The test bench: phones, the wire between them and the focus, and what the mixer was told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use cau_mixer::Command as Mix;
use cau_mixer::command::LegConfig;
use cau_model::scene::Scene;
use cau_model::{Settings, snapshot};
use cau_sip::sdp::h264::Receive;
use cau_sip::sdp::{self, Capabilities};
use cau_sip::{Event, Target, Transport, Uri};
use tokio::sync::oneshot;

use super::*;
use crate::media::NoPorts;
use crate::request::{Answer, Error, Request};

pub(super) const MCU: &str = "10.0.0.1:5060";

/// What stands in for the media threads.
#[derive(Default)]
pub(super) struct Log {
    pub(super) commands: Vec<(ConferenceId, Mix)>,
    pub(super) open: BTreeSet<ParticipantId>,
    pub(super) capacity: usize,
    next_port: u16,
}

struct Recorder(Arc<Mutex<Log>>);

impl Media for Recorder {
    fn open(
        &mut self,
        _: ConferenceId,
        participant: ParticipantId,
        local: IpAddr,
        wanted: Option<Ports>,
    ) -> Result<Ports, NoPorts> {
        let mut log = self.0.lock().unwrap();
        if log.open.len() >= log.capacity {
            return Err(NoPorts);
        }
        assert!(log.open.insert(participant), "opened twice");
        if let Some(wanted) = wanted {
            return Ok(wanted);
        }
        log.next_port += 4;
        Ok(Ports { addr: local, audio: 20_000 + log.next_port, video: 20_002 + log.next_port })
    }

    fn close(&mut self, participant: ParticipantId) {
        assert!(self.0.lock().unwrap().open.remove(&participant), "closed what is not open");
    }

    fn command(&mut self, conference: ConferenceId, command: Mix) {
        self.0.lock().unwrap().commands.push((conference, command));
    }
}

/// What a phone does when it is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Manner {
    /// Takes the call.
    Answer,
    /// Rings until the test does something.
    Ring,
    /// Says nothing at all.
    Silent,
    /// Refuses with this status and these headers.
    Refuse(u16, Vec<(&'static str, String)>),
}

/// One endpoint with one call at a time.
pub(super) struct Phone {
    pub(super) manner: Manner,
    pub(super) sip: Endpoint,
    addr: SocketAddr,
    pub(super) call: Option<CallId>,
    pub(super) caps: Capabilities,
    pub(super) ports: Ports,
    origin: Origin,
    pub(super) last: Option<Session>,
    pub(super) events: Vec<Event>,
    /// Nothing reaches it and nothing leaves it.
    pub(super) unplugged: bool,
    /// Answers offers with this, whatever it is.
    pub(super) answers_with: Option<&'static str>,
}

pub(super) struct Bench {
    pub(super) focus: Focus,
    pub(super) log: Arc<Mutex<Log>>,
    pub(super) now: Instant,
    pub(super) phones: BTreeMap<u8, Phone>,
    /// Everything the focus sent, as text, and when.
    pub(super) wire: Vec<String>,
    pub(super) times: Vec<Instant>,
    pub(super) notices: Vec<Notice>,
    /// What names stand for.
    pub(super) names: BTreeMap<&'static str, Result<Vec<SocketAddr>, cau_sip::Unlocated>>,
    /// What was kept, as a store would have it.
    pub(super) rooms: BTreeMap<ConferenceId, cau_model::kept::Room>,
    pub(super) kept: BTreeMap<ParticipantId, crate::Kept>,
    /// Phones and focuses made so far: what is made anew makes other tags and Call-IDs.
    made: u64,
}

impl Bench {
    /// A focus with conference `c1` in room 8000.
    pub(super) fn new() -> Bench {
        Bench::with(|_| {})
    }

    pub(super) fn with(set: impl FnOnce(&mut Config)) -> Bench {
        // Nobody listens on TCP here.
        let sip = cau_sip::Config {
            udp: vec![MCU.parse().unwrap()],
            tcp_for_large: false,
            ..cau_sip::Config::default()
        };
        let mut config = Config::new(sip, Capabilities::mcu(Receive::HD720, 2_000));
        set(&mut config);
        let log = Arc::new(Mutex::new(Log { capacity: 1000, ..Log::default() }));
        // Tests may take an instant; from there on time is virtual.
        #[allow(clippy::disallowed_methods)]
        let now = Instant::now();
        let focus = Focus::new(config, Box::new(Recorder(log.clone())), 7);
        let mut bench = Bench {
            focus,
            log,
            now,
            phones: BTreeMap::new(),
            wire: Vec::new(),
            times: Vec::new(),
            notices: Vec::new(),
            names: BTreeMap::new(),
            rooms: BTreeMap::new(),
            kept: BTreeMap::new(),
            made: 0,
        };
        bench.create(1, "8000").unwrap();
        bench
    }

    pub(super) fn create(&mut self, id: u64, room: &str) -> Result<snapshot::Conference, Error> {
        let settings = Box::new(Settings::new(room).unwrap());
        self.ask(|answer| Request::Create { id: ConferenceId(id), settings, answer })
    }

    /// Asks, and expects the answer at once.
    pub(super) fn ask<T>(&mut self, request: impl FnOnce(Answer<T>) -> Request) -> Result<T, Error> {
        let (answer, mut answered) = oneshot::channel();
        self.focus.handle_request(self.now, request(answer));
        self.settle();
        answered.try_recv().expect("an answer at once")
    }

    pub(super) fn media(&mut self, event: Mixed) {
        self.focus.handle_media(self.now, 0, event);
        self.settle();
    }

    pub(super) fn phone(&mut self, n: u8) -> &mut Phone {
        let addr: SocketAddr = format!("10.0.0.{n}:5060").parse().unwrap();
        self.made += 1;
        let seed = self.made << 8 | u64::from(n);
        self.phones.entry(n).or_insert_with(|| {
            let config =
                cau_sip::Config { udp: vec![addr], tcp_for_large: false, ..cau_sip::Config::default() };
            Phone {
                manner: Manner::Answer,
                sip: Endpoint::new(config, seed),
                addr,
                call: None,
                caps: Capabilities::mcu(Receive::HD720, 1_500),
                ports: Ports { addr: addr.ip(), audio: 4_000, video: 4_002 },
                origin: Origin::new(u64::from(n) << 20, addr.ip()),
                last: None,
                events: Vec::new(),
                unplugged: false,
                answers_with: None,
            }
        })
    }

    /// Phone `n` dials a room with an offer, and everything that follows at once has happened.
    pub(super) fn dial(&mut self, n: u8, room: &str) {
        let phone = self.phone(n);
        let offer = sdp::offer(&phone.caps, &phone.ports, &phone.origin, None);
        phone.last = Some(offer.clone());
        self.invite(n, room, Some(offer.to_bytes()));
    }

    /// Phone `n` dials with that description, or asks for an offer.
    pub(super) fn invite(&mut self, n: u8, room: &str, sdp: Option<Bytes>) {
        self.invite_with(n, room, sdp, Vec::new());
    }

    /// The same with further headers.
    pub(super) fn invite_with(
        &mut self,
        n: u8,
        room: &str,
        sdp: Option<Bytes>,
        headers: Vec<(String, String)>,
    ) {
        let now = self.now;
        let uri = if room.is_empty() { format!("sip:{MCU}") } else { format!("sip:{room}@{MCU}") };
        let target = Target {
            from: Some(Uri::parse(format!("sip:site{n}@10.0.0.{n}").as_bytes()).unwrap()),
            display: Some(format!("Điểm cầu {n}")),
            headers,
            ..Target::new(Uri::parse(uri.as_bytes()).unwrap())
        };
        let phone = self.phone(n);
        phone.call = Some(phone.sip.call(now, target, sdp).unwrap());
        self.settle();
    }

    /// Phone `n` offers anew within its call, after `change`.
    pub(super) fn reoffer(&mut self, n: u8, change: impl FnOnce(&mut Phone)) {
        let now = self.now;
        let phone = self.phone(n);
        change(phone);
        let mut offer = sdp::offer(&phone.caps, &phone.ports, &phone.origin, phone.last.as_ref());
        phone.origin.revise(&mut offer, phone.last.as_ref());
        phone.last = Some(offer.clone());
        phone.sip.reoffer(now, phone.call.unwrap(), Some(offer.to_bytes())).unwrap();
        self.settle();
    }

    pub(super) fn hang_up(&mut self, n: u8) {
        let now = self.now;
        let phone = self.phone(n);
        phone.sip.hangup(now, phone.call.unwrap(), None).unwrap();
        self.settle();
    }

    /// Carries messages to and fro until nobody has any.
    pub(super) fn settle(&mut self) {
        let mcu: SocketAddr = MCU.parse().unwrap();
        for _ in 0..1_000 {
            let mut busy = false;
            while let Some(transmit) = self.focus.poll_transmit() {
                busy = true;
                self.wire.push(String::from_utf8_lossy(&transmit.bytes).into_owned());
                self.times.push(self.now);
                let to = self.phones.values_mut().find(|phone| phone.addr == transmit.remote);
                if let Some(phone) = to.filter(|phone| !phone.unplugged) {
                    let input = Input {
                        transport: Transport::Udp,
                        local: phone.addr,
                        remote: mcu,
                        bytes: &transmit.bytes,
                    };
                    phone.sip.handle_input(self.now, input);
                }
            }
            for phone in self.phones.values_mut() {
                busy |= phone.react(self.now);
                while let Some(transmit) = phone.sip.poll_transmit() {
                    busy = true;
                    if !phone.unplugged {
                        let input = Input {
                            transport: Transport::Udp,
                            local: mcu,
                            remote: phone.addr,
                            bytes: &transmit.bytes,
                        };
                        self.focus.handle_input(self.now, input);
                    }
                }
            }
            while let Some(lookup) = self.focus.poll_lookup() {
                busy = true;
                let found = self.look_up(&lookup.uri);
                self.focus.handle_lookup(self.now, lookup.token, found);
            }
            while let Some(notice) = self.focus.poll_notice() {
                self.notices.push(notice);
            }
            while let Some(keep) = self.focus.poll_kept() {
                self.keep(keep);
            }
            if !busy {
                return;
            }
        }
        panic!("messages go round in circles");
    }

    fn look_up(&self, uri: &Uri) -> Result<Vec<cau_sip::Hop>, cau_sip::Unlocated> {
        let found = match uri.socket_addr() {
            Some(at) => vec![at],
            None => {
                let name = uri.host().map(ToString::to_string).unwrap_or_default();
                self.names.get(name.as_str()).cloned().unwrap_or(Err(cau_sip::Unlocated::NoSuchName))?
            }
        };
        let hop = |remote| cau_sip::Hop { protocol: cau_sip::Protocol::Udp, remote, local: None };
        Ok(found.into_iter().map(hop).collect())
    }

    fn keep(&mut self, keep: crate::Keep) {
        match keep {
            crate::Keep::Room(id, room) => drop(self.rooms.insert(id, room)),
            crate::Keep::RoomGone(id) => {
                self.rooms.remove(&id);
                self.kept.clear();
            }
            crate::Keep::Site(_, id, kept) => drop(self.kept.insert(id, *kept)),
            crate::Keep::SiteGone(_, id) => drop(self.kept.remove(&id)),
        }
    }

    /// Kills the focus and starts it again with what was kept.
    pub(super) fn restart(&mut self) {
        self.log.lock().unwrap().open.clear();
        let mut config = self.focus.config.clone();
        config.sip.focus = false;
        self.focus = Focus::new(config, Box::new(Recorder(self.log.clone())), self.made + 1_000);
        self.made += 1;
        let rooms = std::mem::take(&mut self.rooms);
        let kept: Vec<_> = std::mem::take(&mut self.kept).into_iter().collect();
        self.create(1, "8000").unwrap();
        let room = Box::new(rooms.get(&ConferenceId(1)).cloned().unwrap_or_default());
        self.ask(|answer| Request::Restore { conference: ConferenceId(1), room, sites: kept, answer })
            .unwrap();
    }

    /// Has phone `n` called into conference 1.
    pub(super) fn call_out(&mut self, n: u8) -> ParticipantId {
        self.phone(n);
        self.invite_uri(&format!("sip:site{n}@10.0.0.{n}")).unwrap()
    }

    /// Has this address called into conference 1.
    pub(super) fn invite_uri(&mut self, uri: &str) -> Result<ParticipantId, Error> {
        let sites = vec![crate::Wanted { uri: uri.to_owned(), name: None, place: String::new() }];
        let invited = self.ask(|answer| Request::Invite { conference: ConferenceId(1), sites, answer })?;
        Ok(invited[0].id)
    }

    /// One participant of conference 1.
    pub(super) fn site(&mut self, id: ParticipantId) -> snapshot::Participant {
        self.ask(|answer| Request::Participant(ConferenceId(1), id, answer)).unwrap()
    }

    /// When messages that begin so were sent, in ms after `from`.
    pub(super) fn sent_at(&self, start: &str, from: Instant) -> Vec<u128> {
        let all = self.wire.iter().zip(&self.times);
        all.filter(|(text, at)| text.starts_with(start) && **at >= from)
            .map(|(_, at)| at.duration_since(from).as_millis())
            .collect()
    }

    /// Lets time pass, serving every time-out on the way.
    pub(super) fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        for _ in 0..10_000 {
            let next = self
                .phones
                .values()
                .filter_map(|phone| phone.sip.poll_timeout())
                .chain(self.focus.poll_timeout())
                .min()
                .filter(|at| *at <= end);
            let Some(next) = next else {
                self.now = end;
                return;
            };
            self.now = self.now.max(next);
            self.focus.handle_timeout(self.now);
            for phone in self.phones.values_mut() {
                phone.sip.handle_timeout(self.now);
            }
            self.settle();
        }
        panic!("time-outs without end");
    }

    pub(super) fn sites(&mut self) -> Vec<snapshot::Participant> {
        self.ask(|answer| Request::Participants(ConferenceId(1), answer)).unwrap()
    }

    /// The id of the participant whose phone is `n`, the latest one.
    pub(super) fn id(&mut self, n: u8) -> ParticipantId {
        let uri = format!("sip:site{n}@10.0.0.{n}");
        self.sites().into_iter().rev().find(|site| site.uri == uri).expect("that site").id
    }

    /// Takes the mixer's commands so far.
    pub(super) fn commands(&self) -> Vec<(ConferenceId, Mix)> {
        std::mem::take(&mut self.log.lock().unwrap().commands)
    }

    pub(super) fn open_ports(&self) -> usize {
        self.log.lock().unwrap().open.len()
    }

    /// The last message the focus sent that begins like this.
    pub(super) fn sent(&self, start: &str) -> &str {
        self.wire.iter().rev().find(|text| text.starts_with(start)).unwrap_or_else(|| {
            panic!("no {start} in {:#?}", self.wire);
        })
    }
}

impl Phone {
    /// Answers what wants an answer; true when something happened.
    fn react(&mut self, now: Instant) -> bool {
        let mut busy = false;
        while let Some(event) = self.sip.poll_event() {
            busy = true;
            match &event {
                Event::Incoming { call, request } => self.called(now, *call, &request.offer.clone()),
                Event::Offer { call, sdp } => {
                    let answer = self.answer(sdp);
                    self.sip.answer(now, *call, answer).unwrap();
                }
                Event::Reoffer { call, offer: Some(offer) } => {
                    let answer = self.answer(offer);
                    self.sip.answer_reoffer(now, *call, answer).unwrap();
                }
                _ => {}
            }
            self.events.push(event);
        }
        busy
    }

    fn called(&mut self, now: Instant, call: CallId, offer: &Option<Bytes>) {
        match self.manner.clone() {
            Manner::Silent => {}
            Manner::Ring => {
                self.call = Some(call);
                self.sip.ring(now, call).unwrap();
            }
            Manner::Answer => {
                self.call = Some(call);
                self.last = None;
                let answer = self.answer(offer.as_ref().expect("the MCU offers"));
                self.sip.accept(now, call, answer).unwrap();
            }
            Manner::Refuse(status, headers) => {
                let headers: Vec<(&str, &str)> = headers.iter().map(|(n, v)| (*n, v.as_str())).collect();
                self.sip.reject(now, call, status, &headers).unwrap();
            }
        }
    }

    /// Takes the call that rings.
    pub(super) fn pick_up(&mut self, now: Instant) {
        let call = self.call.unwrap();
        let offer = self.events.iter().rev().find_map(|event| match event {
            Event::Incoming { request, .. } => request.offer.clone(),
            _ => None,
        });
        let answer = self.answer(&offer.unwrap());
        self.sip.accept(now, call, answer).unwrap();
    }

    fn answer(&mut self, offer: &[u8]) -> Bytes {
        if let Some(answer) = self.answers_with {
            return Bytes::from_static(answer.as_bytes());
        }
        let offer = Session::parse(offer).unwrap();
        let (mut answer, _) = sdp::answer(&offer, &self.caps, &self.ports, &self.origin).unwrap();
        self.origin.revise(&mut answer, self.last.as_ref());
        self.last = Some(answer.clone());
        answer.to_bytes()
    }

    /// The status its call was refused with.
    pub(super) fn refused(&self) -> Option<u16> {
        self.events.iter().rev().find_map(|event| match event {
            Event::Rejected { status, .. } => Some(*status),
            _ => None,
        })
    }

    pub(super) fn has_ended(&self) -> bool {
        self.events.iter().any(|event| matches!(event, Event::Ended { .. }))
    }
}

/// The legs added, in order.
pub(super) fn added(commands: &[(ConferenceId, Mix)]) -> Vec<(ConferenceId, ParticipantId, LegConfig)> {
    commands
        .iter()
        .filter_map(|(id, command)| match command {
            Mix::AddLeg { conference, participant, leg } => {
                assert_eq!(id, conference);
                Some((*id, *participant, leg.clone()))
            }
            _ => None,
        })
        .collect()
}

pub(super) fn updated(commands: &[(ConferenceId, Mix)]) -> Vec<LegConfig> {
    commands
        .iter()
        .filter_map(|(_, command)| match command {
            Mix::UpdateLeg { leg, .. } => Some(leg.clone()),
            _ => None,
        })
        .collect()
}

pub(super) fn removed(commands: &[(ConferenceId, Mix)]) -> Vec<ParticipantId> {
    commands
        .iter()
        .filter_map(|(_, command)| match command {
            Mix::RemoveLeg { participant } => Some(*participant),
            _ => None,
        })
        .collect()
}

pub(super) type Scenes = Vec<(Arc<Scene>, Vec<ParticipantId>)>;

/// The last scenes of a conference.
pub(super) fn scenes(commands: &[(ConferenceId, Mix)], id: u64) -> Option<Scenes> {
    commands.iter().rev().find_map(|(conference, command)| match command {
        Mix::Scenes { scenes, .. } if conference.0 == id => Some(scenes.clone()),
        _ => None,
    })
}
