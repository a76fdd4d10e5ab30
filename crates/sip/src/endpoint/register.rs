//! REGISTERs of ours (RFC 3261 10.2).

use std::time::{Duration, Instant};

use bytes::Bytes;
use rand::RngExt;

use super::{Due, Endpoint};
use crate::{
    digest::Credentials,
    event::{Event, Target},
    message::{Headers, Method, Name, NameAddr, Params, Request, Response, Uri, scan},
    register::{Registration, RegistrationId, RegistrationState, Running},
    transaction::User,
    transport::Protocol,
};

impl Endpoint {
    /// Registers us, and keeps it so: refreshed in time, tried again with growing waits when it fails. What becomes of it is told
    /// by [`Event::Registration`].
    pub fn register(&mut self, now: Instant, plan: Registration) -> RegistrationId {
        self.registrations.last += 1;
        let id = RegistrationId(self.registrations.last);
        let running = Running {
            state: RegistrationState::Trying,
            credentials: Credentials {
                realm: String::new(),
                user: plan.auth_user.clone().unwrap_or_else(|| plan.user.clone()),
                secret: plan.secret.clone(),
            },
            flow: None,
            call_id: format!("{}{}", self.token(), self.token()).into(),
            tag: self.token().into(),
            cseq: self.first_cseq(),
            expires: plan.expires,
            failures: 0,
            alarm: None,
            under_way: false,
            bound: false,
            parting: false,
            plan,
        };
        self.registrations.all.insert(id, running);
        self.send_register(now, id);
        id
    }

    /// Signs us off everywhere; where a REGISTER is under way when it is answered (RFC 3261 10.2). Nothing is tried again.
    pub fn unregister_all(&mut self, now: Instant) {
        let all: Vec<_> = self.registrations.all.keys().copied().collect();
        for id in all {
            let Some(running) = self.registrations.all.get_mut(&id) else { continue };
            running.expires = Duration::ZERO;
            let under_way = running.under_way;
            self.timers.cancel(running.alarm.take());
            self.registration_is(id, RegistrationState::Ended);
            if !under_way {
                self.sign_off(now, id);
            }
        }
    }

    /// Tells the registrar that we go, once, when it has us; then it is forgotten.
    fn sign_off(&mut self, now: Instant, id: RegistrationId) {
        match self.registrations.all.get_mut(&id) {
            Some(running) if running.bound && !running.parting => {
                running.parting = true;
                self.send_register(now, id);
            }
            _ => drop(self.registrations.all.remove(&id)),
        }
    }

    /// Our registrations, and how they stand.
    pub fn registrations(&self) -> impl Iterator<Item = (RegistrationId, &Registration, &RegistrationState)> {
        self.registrations.all.iter().map(|(id, r)| (*id, &r.plan, &r.state))
    }

    /// It is time to refresh one, or to try it again.
    pub(super) fn send_register(&mut self, now: Instant, id: RegistrationId) {
        let Some(running) = self.registrations.all.get_mut(&id) else { return };
        self.timers.cancel(running.alarm.take());
        running.cseq = running.cseq.wrapping_add(1) & 0x7fff_ffff;
        if matches!(running.state, RegistrationState::Failed { .. }) {
            running.state = RegistrationState::Trying;
        }
        let plan = &running.plan;
        let target =
            Target { remote: plan.remote, protocol: plan.protocol, ..Target::new(plan.registrar.clone()) };
        let sent = self.flow_to(&target).ok().and_then(|flow| {
            let request = self.register_request(id, &flow)?;
            if let Some(running) = self.registrations.all.get_mut(&id) {
                (running.flow, running.under_way) = (Some(flow), true);
            }
            self.start_client(now, request, flow, User::Register(id))
        });
        if sent.is_none() {
            self.register_failed(now, id, None, None);
        }
    }

    fn register_request(&self, id: RegistrationId, flow: &crate::wire::Flow) -> Option<Request> {
        let running = self.registrations.all.get(&id)?;
        let plan = &running.plan;
        let host = plan.registrar.host()?.clone();
        let address = Uri::sip_host(&plan.user, host, plan.registrar.as_sip()?.port);
        let written = |tag: Option<&Bytes>| {
            let mut params = Params::default();
            if let Some(tag) = tag {
                params.set("tag", Some(String::from_utf8_lossy(tag).into_owned()));
            }
            let mut out = Vec::new();
            NameAddr { display: None, uri: address.clone(), params }.write(&mut out);
            out
        };
        let mut headers = Headers::new();
        headers.push(Name::MaxForwards, "70");
        headers.push(Name::From, written(Some(&running.tag)));
        headers.push(Name::To, written(None));
        headers.push(Name::CallId, running.call_id.clone());
        headers.push(Name::CSeq, format!("{} REGISTER", running.cseq));
        headers.push(Name::Contact, self.contact(&plan.contact, flow));
        headers.push(Name::Expires, running.expires.as_secs().to_string());
        headers.push(Name::UserAgent, self.config.user_agent.clone());
        headers.push(Name::Allow, self.allow());
        Some(Request { method: Method::Register, uri: plan.registrar.clone(), headers, body: Bytes::new() })
    }

    /// The final response to a REGISTER of ours.
    pub(super) fn register_heard(&mut self, now: Instant, id: RegistrationId, response: &Response) {
        let spread = self.rng.random_range(0.0..1.0);
        let Some(running) = self.registrations.all.get_mut(&id) else { return };
        running.under_way = false;
        if running.state == RegistrationState::Ended {
            // Granted just now, to one who is going.
            running.bound |= response.status < 300;
            return self.sign_off(now, id);
        }
        match response.status {
            200..300 => {
                (running.failures, running.bound) = (0, true);
                let contact = running.flow.map(|flow| self.contact_of(id, &flow));
                let Some(running) = self.registrations.all.get_mut(&id) else { return };
                let granted = match contact.flatten() {
                    Some(contact) => running.granted(&response.headers, &contact),
                    None => running.expires,
                };
                // Early enough for a few tries before it ends.
                let refresh = granted.mul_f64(0.75 + spread * 0.1);
                running.alarm = Some(self.timers.set(now + refresh, Due::Register(id)));
                self.registration_is(id, RegistrationState::Registered { until: now + granted });
            }
            423 => {
                let least = response.headers.value(&Name::MinExpires).and_then(|e| scan::number::<u32>(e));
                let least = least.map(|s| Duration::from_secs(s.into()));
                match least.filter(|l| *l > running.expires && l.as_secs() <= 7 * 86_400) {
                    Some(least) => {
                        running.expires = least;
                        self.send_register(now, id);
                    }
                    None => self.register_failed(now, id, Some(423), Some(&response.headers)),
                }
            }
            status => self.register_failed(now, id, Some(status), Some(&response.headers)),
        }
    }

    fn contact_of(&self, id: RegistrationId, flow: &crate::wire::Flow) -> Option<Uri> {
        let user = &self.registrations.all.get(&id)?.plan.contact;
        NameAddr::parse(&self.contact(user, flow)).ok().map(|c| c.uri)
    }

    /// It does not work now: later again.
    pub(super) fn register_failed(
        &mut self,
        now: Instant,
        id: RegistrationId,
        status: Option<u16>,
        headers: Option<&Headers>,
    ) {
        let spread = self.rng.random_range(0.0..1.0);
        let Some(running) = self.registrations.all.get_mut(&id) else { return };
        running.under_way = false;
        if running.state == RegistrationState::Ended {
            return self.sign_off(now, id);
        }
        let again = now + running.wait(status, headers, spread);
        running.alarm = Some(self.timers.set(again, Due::Register(id)));
        self.registration_is(id, RegistrationState::Failed { status, again });
    }

    /// A connection broke: registrations over one that is gone are made anew, lest nobody can call us.
    pub(super) fn registrations_cut(&mut self, now: Instant) {
        let wire = &self.wire;
        let cut = |r: &Running| {
            matches!(r.state, RegistrationState::Registered { .. })
                && r.flow.is_some_and(|f| f.protocol == Protocol::Tcp && !wire.reaches(f.remote))
        };
        let all: Vec<_> = self.registrations.all.iter().filter(|(_, r)| cut(r)).map(|(id, _)| *id).collect();
        for id in all {
            let wait = Duration::from_millis(self.rng.random_range(500..3000));
            let Some(running) = self.registrations.all.get_mut(&id) else { continue };
            // Once is enough, however many connections break until then.
            running.state = RegistrationState::Trying;
            self.timers.cancel(running.alarm.take());
            running.alarm = Some(self.timers.set(now + wait, Due::Register(id)));
        }
    }

    fn registration_is(&mut self, id: RegistrationId, state: RegistrationState) {
        let Some(running) = self.registrations.all.get_mut(&id) else { return };
        running.state = state.clone();
        self.tell(Event::Registration { id, state });
    }
}
