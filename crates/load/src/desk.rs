//! Signalling of all phones: one SIP endpoint, calls going out and coming in.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use cau_drive::{ports, signal};
use cau_sip::{
    CallId, Config, ConnId, Endpoint, Event, InfoBody, Input, Target, Transmit,
    sdp::{self, Capabilities, Direction, Negotiated, Origin, Ports, Session},
};

use crate::{
    plan::{PhoneId, Plan},
    record::State,
};

/// How long a phone that was dropped or refused waits before it calls again.
const REDIAL: Duration = Duration::from_secs(2);

/// How long the other side has to answer the last BYEs.
const FAREWELL: Duration = Duration::from_secs(3);

/// What the desk is asked.
#[derive(Debug)]
pub enum Request {
    /// Call.
    Dial(PhoneId, Box<Plan>),
    /// Take calls to this plan's user; its target is not called.
    Await(PhoneId, Box<Plan>),
    /// Hang up.
    HangUp(PhoneId),
    /// Re-INVITE with these directions (hold, resume, camera off and on).
    Reoffer(PhoneId, Direction, Direction),
    /// Ask for a key frame by INFO.
    FastUpdate(PhoneId),
    /// Send a key press by INFO.
    Key(PhoneId, char),
    /// Hang up everything and end.
    Stop,
}

/// What the desk tells.
#[derive(Debug)]
pub enum Notice {
    /// The INVITE went out.
    Invited(PhoneId),
    /// 180.
    Ringing(PhoneId),
    /// 200 or a re-INVITE: this is agreed now.
    Agreed(PhoneId, Box<Negotiated>),
    /// The other side wants a key frame by INFO.
    FastUpdate(PhoneId),
    /// The call is over.
    Over(PhoneId, State),
}

/// Opens and closes the media ports of phones.
pub trait Lines {
    /// Binds RTP and RTCP for sound and pictures.
    fn open(&mut self, phone: PhoneId, plan: &Plan, ip: IpAddr) -> Result<Ports, ports::Error>;
    /// Closes them.
    fn close(&mut self, phone: PhoneId);
    /// Passes a notice on; must not block.
    fn notice(&mut self, now: Instant, notice: Notice);
}

struct Call {
    plan: Box<Plan>,
    capabilities: Capabilities,
    ports: Ports,
    origin: Origin,
    sent: Session,
    call: CallId,
    hanging_up: bool,
    confirmed: bool,
}

/// The signalling core of the phones.
pub struct Desk<L> {
    endpoint: Endpoint,
    lines: L,
    ip: IpAddr,
    calls: BTreeMap<PhoneId, Call>,
    phones: HashMap<CallId, PhoneId>,
    later: BTreeSet<(Instant, PhoneId)>,
    waiting: HashMap<PhoneId, Later>,
    /// Phones that take calls, by user.
    callees: HashMap<String, (PhoneId, Box<Plan>)>,
    next_origin: u64,
    stopping: bool,
    /// When stopping ends, answered or not.
    leave_at: Option<Instant>,
}

enum Later {
    Redial(Box<Plan>),
    Reinvite,
}

impl<L: Lines> Desk<L> {
    /// A desk that calls from `sip` (UDP and TCP bound there) and takes media on the same address.
    pub fn new(sip: SocketAddr, lines: L, focus: bool, seed: u64) -> Self {
        let config = Config {
            user_agent: "Cau-Load".into(),
            udp: vec![sip],
            tcp: vec![sip],
            // Devices send what is too large for a datagram in fragments all the same: so do these.
            tcp_for_large: false,
            focus,
            ..Config::default()
        };
        Self {
            endpoint: Endpoint::new(config, seed),
            lines,
            ip: sip.ip(),
            calls: BTreeMap::new(),
            phones: HashMap::new(),
            later: BTreeSet::new(),
            waiting: HashMap::new(),
            callees: HashMap::new(),
            next_origin: seed,
            stopping: false,
            leave_at: None,
        }
    }

    fn dial(&mut self, now: Instant, phone: PhoneId, plan: Box<Plan>) {
        let ports = match self.lines.open(phone, &plan, self.ip) {
            Ok(ports) => ports,
            Err(e) => return self.lines.notice(now, Notice::Over(phone, State::Failed(e.to_string()))),
        };
        self.next_origin = self.next_origin.wrapping_add(1 << 8);
        let origin = Origin::new(self.next_origin, self.ip);
        let capabilities = plan.capabilities();
        let offer = sdp::offer(&capabilities, &ports, &origin, None);
        let mut bytes = offer.to_bytes().to_vec();
        pad(&mut bytes, plan.persona.invite_bytes);
        let mut from = cau_sip::Uri::sip(&plan.user, SocketAddr::new(self.ip, 5060));
        if let cau_sip::Uri::Sip(uri) = &mut from {
            uri.port = None;
        }
        let target = Target {
            from: Some(from),
            display: plan.name.clone(),
            remote: plan.remote,
            ..Target::new(plan.target.clone())
        };
        let offered = (!plan.persona.late_offer).then(|| bytes::Bytes::from(bytes));
        match self.endpoint.call(now, target, offered) {
            Ok(call) => {
                self.phones.insert(call, phone);
                let call = Call {
                    plan,
                    capabilities,
                    ports,
                    origin,
                    sent: offer,
                    call,
                    hanging_up: false,
                    confirmed: false,
                };
                self.calls.insert(phone, call);
                self.lines.notice(now, Notice::Invited(phone));
            }
            Err(e) => {
                self.lines.close(phone);
                self.lines.notice(now, Notice::Over(phone, State::Failed(e.to_string())));
            }
        }
    }

    /// Somebody calls: the phone of that user takes the call, unless it is in one.
    fn called(&mut self, now: Instant, call: CallId, user: &str, offer: Option<&[u8]>) {
        let free = self.callees.get(user).filter(|(phone, _)| !self.calls.contains_key(phone));
        let Some((phone, plan)) = free.cloned() else {
            let status = if self.callees.contains_key(user) { 486 } else { 404 };
            let _ = self.endpoint.reject(now, call, status, &[]);
            return;
        };
        if let Err(why) = self.take(now, phone, plan, call, offer) {
            let _ = self.endpoint.reject(now, call, 488, &[]);
            self.lines.notice(now, Notice::Over(phone, State::Failed(why)));
        }
    }

    fn take(
        &mut self,
        now: Instant,
        phone: PhoneId,
        plan: Box<Plan>,
        call: CallId,
        offer: Option<&[u8]>,
    ) -> Result<(), String> {
        let offer = Session::parse(offer.ok_or("no offer")?).map_err(|e| e.to_string())?;
        let ports = self.lines.open(phone, &plan, self.ip).map_err(|e| e.to_string())?;
        self.next_origin = self.next_origin.wrapping_add(1 << 8);
        let origin = Origin::new(self.next_origin, self.ip);
        let capabilities = plan.capabilities();
        let taken = sdp::answer(&offer, &capabilities, &ports, &origin).map_err(|e| e.words_en());
        let taken = taken.and_then(|(answer, agreed)| {
            let bytes = answer.to_bytes();
            self.endpoint.accept(now, call, bytes).map_err(|e| e.to_string()).map(|()| (answer, agreed))
        });
        let (sent, agreed) = match taken {
            Ok(taken) => taken,
            Err(why) => {
                self.lines.close(phone);
                return Err(why);
            }
        };
        self.phones.insert(call, phone);
        let call =
            Call { plan, capabilities, ports, origin, sent, call, hanging_up: false, confirmed: false };
        self.calls.insert(phone, call);
        self.lines.notice(now, Notice::Invited(phone));
        self.lines.notice(now, Notice::Agreed(phone, Box::new(agreed)));
        Ok(())
    }

    fn hang_up(&mut self, now: Instant, phone: PhoneId) {
        if let Some(Later::Redial(_)) = self.waiting.remove(&phone) {
            return self.lines.notice(now, Notice::Over(phone, State::Done));
        }
        if let Some(call) = self.calls.get_mut(&phone) {
            call.hanging_up = true;
            let id = call.call;
            if self.endpoint.hangup(now, id, None).is_err() {
                self.over(now, phone, State::Done);
            }
        }
    }

    fn over(&mut self, now: Instant, phone: PhoneId, state: State) {
        let Some(call) = self.calls.remove(&phone) else { return };
        self.phones.remove(&call.call);
        self.lines.close(phone);
        let again = call.plan.redials && !call.hanging_up && !self.stopping;
        self.lines.notice(now, Notice::Over(phone, if call.hanging_up { State::Done } else { state }));
        if again {
            self.later(now + REDIAL, phone, Later::Redial(call.plan));
        }
    }

    fn later(&mut self, at: Instant, phone: PhoneId, what: Later) {
        self.later.insert((at, phone));
        self.waiting.insert(phone, what);
    }

    fn reoffer(&mut self, now: Instant, phone: PhoneId, audio: Direction, video: Direction) {
        let Some(call) = self.calls.get_mut(&phone) else { return };
        call.capabilities.audio_direction = audio;
        call.capabilities.video_direction = video;
        let mut offer = sdp::offer(&call.capabilities, &call.ports, &call.origin, Some(&call.sent));
        call.origin.revise(&mut offer, Some(&call.sent));
        let bytes = offer.to_bytes();
        call.sent = offer;
        if let Err(e) = self.endpoint.reoffer(now, call.call, Some(bytes)) {
            tracing::debug!(phone = phone.0, "re-INVITE not sent: {e}");
        }
    }

    fn events(&mut self, now: Instant) {
        while let Some(event) = self.endpoint.poll_event() {
            self.event(now, event);
        }
    }

    fn event(&mut self, now: Instant, event: Event) {
        match event {
            Event::Incoming { call, request } => {
                self.called(now, call, &request.uri.user(), request.offer.as_deref())
            }
            Event::Progress { call, status, .. } => {
                if let Some(phone) = self.phones.get(&call).copied().filter(|_| status >= 180) {
                    self.lines.notice(now, Notice::Ringing(phone));
                }
            }
            Event::Answer { call, sdp } => self.answered(now, call, &sdp),
            Event::Offer { call, sdp } => self.offered(now, call, Some(&sdp), true),
            Event::Reoffer { call, offer } => self.offered(now, call, offer.as_deref(), false),
            Event::Confirmed { call } => self.confirmed(now, call),
            Event::Info { call, body: InfoBody::FastUpdate } => {
                if let Some(phone) = self.phones.get(&call) {
                    self.lines.notice(now, Notice::FastUpdate(*phone));
                }
            }
            Event::Rejected { call, status, reason, .. } => {
                if let Some(phone) = self.phones.get(&call).copied() {
                    self.over(now, phone, State::Refused(status, reason));
                }
            }
            Event::Ended { call, cause } => {
                if let Some(phone) = self.phones.get(&call).copied() {
                    self.over(now, phone, State::Dropped(cause.to_string()));
                }
            }
            // A phone is watched by nobody and calls nobody on behalf of others.
            Event::Subscribe(subscribe) => {
                let _ = self.endpoint.refuse_subscription(now, subscribe.id, 489);
            }
            Event::Refer(refer) => {
                let _ = self.endpoint.refuse_refer(now, refer.id, 603, &[]);
            }
            Event::Info { .. }
            | Event::ReofferCancelled { .. }
            | Event::ReofferRejected { .. }
            | Event::StateWanted { .. }
            | Event::Registrar(_)
            | Event::Registration { .. } => {}
        }
    }

    fn confirmed(&mut self, now: Instant, call: CallId) {
        let Some(phone) = self.phones.get(&call).copied() else { return };
        let Some(state) = self.calls.get_mut(&phone).filter(|c| !c.confirmed) else { return };
        state.confirmed = true;
        match state.plan.persona.reinvite_after {
            Some(after) if after.is_zero() => {
                self.reoffer(now, phone, Direction::SendRecv, Direction::SendRecv)
            }
            Some(after) => self.later(now + after, phone, Later::Reinvite),
            None => {}
        }
    }

    fn answered(&mut self, now: Instant, call: CallId, answer: &[u8]) {
        let Some(phone) = self.phones.get(&call).copied() else { return };
        let Some(state) = self.calls.get_mut(&phone) else { return };
        let agreed = Session::parse(answer).map_err(|e| e.to_string()).and_then(|answer| {
            let agreed =
                sdp::accept_answer(&state.sent, &answer, &state.capabilities).map_err(|e| e.words_en())?;
            state.sent = sdp::settle(&state.sent, &answer);
            Ok(agreed)
        });
        match agreed {
            Ok(agreed) => self.lines.notice(now, Notice::Agreed(phone, Box::new(agreed))),
            Err(e) => self.fail(now, phone, format!("the answer: {e}")),
        }
    }

    /// An offer of the other side: in the 2xx to our INVITE without one (`late`), or a re-INVITE.
    fn offered(&mut self, now: Instant, call: CallId, offer: Option<&[u8]>, late: bool) {
        let Some(phone) = self.phones.get(&call).copied() else { return };
        let Some(state) = self.calls.get_mut(&phone) else { return };
        let Some(offer) = offer else {
            // The other side wants our offer in the 200; its answer comes in the ACK.
            let mut again = sdp::offer(&state.capabilities, &state.ports, &state.origin, Some(&state.sent));
            state.origin.revise(&mut again, Some(&state.sent));
            let bytes = again.to_bytes();
            state.sent = again;
            let _ = self.endpoint.answer_reoffer(now, call, bytes);
            return;
        };
        let answered = Session::parse(offer).map_err(|e| e.to_string()).and_then(|offer| {
            sdp::answer(&offer, &state.capabilities, &state.ports, &state.origin).map_err(|e| e.words_en())
        });
        match answered {
            Ok((mut answer, agreed)) => {
                state.origin.revise(&mut answer, Some(&state.sent).filter(|_| !late));
                let bytes = answer.to_bytes();
                state.sent = answer;
                let _ = if late {
                    self.endpoint.answer(now, call, bytes)
                } else {
                    self.endpoint.answer_reoffer(now, call, bytes)
                };
                self.lines.notice(now, Notice::Agreed(phone, Box::new(agreed)));
            }
            Err(e) if late => self.fail(now, phone, format!("the offer in the 200: {e}")),
            Err(_) => {
                let _ = self.endpoint.reject_reoffer(now, call, 488, &[]);
            }
        }
    }

    fn fail(&mut self, now: Instant, phone: PhoneId, why: String) {
        if let Some(call) = self.calls.get(&phone) {
            let id = call.call;
            self.over(now, phone, State::Failed(why));
            let _ = self.endpoint.hangup(now, id, None);
        }
    }
}

/// Adds attributes nobody knows, as chatty devices do.
fn pad(sdp: &mut Vec<u8>, to: usize) {
    let mut n = 0;
    while sdp.len() < to {
        sdp.extend_from_slice(
            format!("a=x-cau-feature-{n}:nobody needs to understand this line of a description\r\n")
                .as_bytes(),
        );
        n += 1;
    }
}

impl<L: Lines> signal::Core for Desk<L> {
    type Request = Request;

    fn handle_input(&mut self, now: Instant, input: Input<'_>) {
        self.endpoint.handle_input(now, input);
        self.events(now);
    }

    fn handle_connected(&mut self, now: Instant, conn: ConnId, local: SocketAddr, remote: SocketAddr) {
        self.endpoint.handle_connected(now, conn, local, remote);
        self.events(now);
    }

    fn handle_connect_failed(&mut self, now: Instant, remote: SocketAddr) {
        self.endpoint.handle_connect_failed(now, remote);
        self.events(now);
    }

    fn handle_closed(&mut self, now: Instant, conn: ConnId) {
        self.endpoint.handle_closed(now, conn);
        self.events(now);
    }

    fn handle_request(&mut self, now: Instant, request: Request) {
        match request {
            Request::Dial(phone, plan) => self.dial(now, phone, plan),
            Request::Await(phone, plan) => drop(self.callees.insert(plan.user.clone(), (phone, plan))),
            Request::HangUp(phone) => self.hang_up(now, phone),
            Request::Reoffer(phone, audio, video) => self.reoffer(now, phone, audio, video),
            Request::FastUpdate(phone) => {
                if let Some(call) = self.calls.get(&phone) {
                    let _ = self.endpoint.fast_update(now, call.call);
                }
            }
            Request::Key(phone, digit) => {
                if let Some(call) = self.calls.get(&phone) {
                    let body = format!("Signal={digit}\r\nDuration=160\r\n");
                    let _ = self.endpoint.info(now, call.call, "application/dtmf-relay", body.into());
                }
            }
            Request::Stop => {
                self.stopping = true;
                self.leave_at = Some(now + FAREWELL);
                self.callees.clear();
                self.later.clear();
                self.waiting.clear();
                let phones: Vec<PhoneId> = self.calls.keys().copied().collect();
                for phone in phones {
                    self.hang_up(now, phone);
                }
            }
        }
        self.events(now);
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.leave_at.is_some_and(|at| at <= now) {
            self.leave_at = None;
        }
        while let Some((at, phone)) = self.later.first().copied().filter(|(at, _)| *at <= now) {
            self.later.remove(&(at, phone));
            match self.waiting.remove(&phone) {
                Some(Later::Redial(plan)) => self.dial(now, phone, plan),
                Some(Later::Reinvite) => self.reoffer(now, phone, Direction::SendRecv, Direction::SendRecv),
                None => {}
            }
        }
        self.endpoint.handle_timeout(now);
        self.events(now);
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let ours = self.later.first().map(|(at, _)| *at);
        [ours, self.leave_at, self.endpoint.poll_timeout()].into_iter().flatten().min()
    }

    fn poll_transmit(&mut self) -> Option<Transmit> {
        self.endpoint.poll_transmit()
    }

    fn is_finished(&self) -> bool {
        self.stopping && (self.leave_at.is_none() || (self.calls.is_empty() && self.endpoint.calls() == 0))
    }
}
