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
    fn open(&mut self, _: ConferenceId, participant: ParticipantId, local: IpAddr) -> Result<Ports, NoPorts> {
        let mut log = self.0.lock().unwrap();
        if log.open.len() >= log.capacity {
            return Err(NoPorts);
        }
        assert!(log.open.insert(participant), "opened twice");
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

/// One endpoint with one call at a time.
pub(super) struct Phone {
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
    /// Everything the focus sent, as text.
    pub(super) wire: Vec<String>,
    pub(super) notices: Vec<Notice>,
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
        let log = Arc::new(Mutex::new(Log { capacity: 100, ..Log::default() }));
        // Tests may take an instant; from there on time is virtual.
        #[allow(clippy::disallowed_methods)]
        let now = Instant::now();
        let focus = Focus::new(config, Box::new(Recorder(log.clone())), 7);
        let mut bench =
            Bench { focus, log, now, phones: BTreeMap::new(), wire: Vec::new(), notices: Vec::new() };
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
        self.phones.entry(n).or_insert_with(|| {
            let config =
                cau_sip::Config { udp: vec![addr], tcp_for_large: false, ..cau_sip::Config::default() };
            Phone {
                sip: Endpoint::new(config, u64::from(n)),
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
        let now = self.now;
        let uri = if room.is_empty() { format!("sip:{MCU}") } else { format!("sip:{room}@{MCU}") };
        let target = Target {
            from: Some(Uri::parse(format!("sip:site{n}@10.0.0.{n}").as_bytes()).unwrap()),
            display: Some(format!("Điểm cầu {n}")),
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
            while let Some(notice) = self.focus.poll_notice() {
                self.notices.push(notice);
            }
            if !busy {
                return;
            }
        }
        panic!("messages go round in circles");
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
