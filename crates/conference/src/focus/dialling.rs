//! Calls that go out: what an operator asks, the INVITE, and what comes back before the call stands.

use std::time::{Duration, Instant};

use cau_model::command::Join;
use cau_model::participant::{Direction, State};
use cau_model::{Command, ConferenceId, ParticipantId, Refusal, Words, name, snapshot};
use cau_sip::sdp::{self, Origin};
use cau_sip::{CallId, EndCause, Target, Told, Uri};
use rand::RngExt as _;

use super::sites::{Line, Route, Site, Way};
use super::{Basis, Call, Ending, Focus};
use crate::dial;
use crate::notice::Body;
use crate::request::{Error, Wanted};

/// Longest address of a site taken, characters.
const MAX_URI: usize = 256;
/// A device that was in a call before our restart has this long to say whether it still is.
const TAKEOVER: Duration = Duration::from_secs(8);

impl Focus {
    /// Calls sites into a conference, all or none. Who is there already, or is being called, is not called twice; who is lost is called
    /// at once; who has left is called under its old id.
    pub(super) fn invite(
        &mut self,
        now: Instant,
        conference: ConferenceId,
        wanted: &[Wanted],
    ) -> Result<Vec<snapshot::Participant>, Error> {
        self.room(conference)?;
        if self.drain.is_some() {
            return Err(Error::ended());
        }
        let targets: Vec<Uri> = wanted.iter().map(|site| self.callable(site)).collect::<Result<_, _>>()?;
        let new = targets.iter().filter(|target| self.dialled_before(conference, target).is_none()).count();
        self.seats_left(conference, new)?;
        let mut invited = Vec::with_capacity(wanted.len());
        for (site, target) in wanted.iter().zip(targets) {
            invited.push(self.invite_one(now, conference, site, target)?);
        }
        self.pump(now);
        let room = self.room(conference)?;
        Ok(invited.into_iter().filter_map(|id| room.conference.participant(id)).collect())
    }

    /// The address of a site, when it is one we can and may call.
    pub(super) fn callable(&self, wanted: &Wanted) -> Result<Uri, Refusal> {
        let field = || format!("{}uri", wanted.place);
        let wrong = |vi: &str, en: &str| Refusal::invalid(field(), vi, en);
        let text = wanted.uri.trim();
        if text.chars().count() > MAX_URI {
            return Err(wrong("địa chỉ quá dài", "the address is too long"));
        }
        let Ok(uri) = Uri::parse(text.as_bytes()) else {
            return Err(wrong(
                "không phải địa chỉ SIP (dạng sip:tên@máy hoặc sip:10.0.0.7)",
                "not a SIP address (such as sip:name@host or sip:10.0.0.7)",
            ));
        };
        match uri.scheme().as_str() {
            "sip" => {}
            "sips" => {
                return Err(wrong("gọi qua TLS (sips:) sẽ có sau", "calling over TLS (sips:) comes later"));
            }
            _ => return Err(wrong("địa chỉ phải bắt đầu bằng sip:", "the address must begin with sip:")),
        }
        if !self.config.dial.allow.fits(&uri) {
            return Err(wrong(
                "địa chỉ không nằm trong danh sách được gọi (dial.allow trong cấu hình)",
                "the address is not in the list of those that may be called (dial.allow in the configuration)",
            ));
        }
        Ok(uri)
    }

    /// The site of that conference with this address, one that has left included.
    pub(super) fn dialled_before(&self, conference: ConferenceId, target: &Uri) -> Option<ParticipantId> {
        let same = |site: &Site| site.conference == conference && site.target.as_ref() == Some(target);
        let room = self.rooms.get(&conference)?;
        let found = self
            .sites
            .all
            .iter()
            .rev()
            .filter(|(id, site)| same(site) && room.conference.find(**id).is_some());
        // Who is there counts before who was.
        found.map(|(id, site)| (site.line == Line::Idle, *id)).min_by_key(|(idle, _)| *idle).map(|(_, id)| id)
    }

    pub(super) fn invite_one(
        &mut self,
        now: Instant,
        conference: ConferenceId,
        wanted: &Wanted,
        target: Uri,
    ) -> Result<ParticipantId, Refusal> {
        if let Some(id) = self.dialled_before(conference, &target) {
            if let Some(site) = self.sites.get_mut(id) {
                site.dialled = true;
            }
            self.call_again(now, id)?;
            return Ok(id);
        }
        let id = self.new_participant();
        let shown = name::clean(wanted.name.as_deref().unwrap_or_default());
        let uri = String::from_utf8_lossy(&target.to_bytes()).into_owned();
        let join = Join {
            participant: id,
            name: shown.clone(),
            uri: uri.clone(),
            direction: Direction::Out,
            state: State::Calling,
            sends_video: false,
            link: None,
        };
        let mut site = Site::new(conference, shown, uri);
        site.target = Some(target);
        site.dialled = true;
        self.sites.all.insert(id, site);
        self.apply(now, conference, Command::Join(join))?;
        self.sites.set_line(id, Line::Queued);
        Ok(id)
    }

    /// Calls a site of a conference again, for whoever asks.
    pub(super) fn call_known(
        &mut self,
        now: Instant,
        conference: ConferenceId,
        id: ParticipantId,
    ) -> Result<(), Error> {
        if self.drain.is_some() {
            return Err(Error::ended());
        }
        let room = self.room(conference)?;
        if room.conference.find(id).is_none() {
            let words =
                Words::new("phiên họp không có điểm cầu này", "there is no such site in the conference");
            return Err(Refusal::NotFound(words).into());
        }
        let target = self.sites.get_mut(id).map(|site| {
            site.dialled |= site.target.is_some();
            site.target.is_some()
        });
        if target != Some(true) {
            let words = Words::new(
                "không rõ gọi lại điểm cầu ở địa chỉ nào",
                "it is not known where to call the site",
            );
            return Err(Refusal::Conflict(words).into());
        }
        Ok(self.call_again(now, id)?)
    }

    /// Calls a known site now: one that has left, or is waiting for its next try. Nothing when it is there or being called.
    pub(super) fn call_again(&mut self, now: Instant, id: ParticipantId) -> Result<(), Refusal> {
        let Some(site) = self.sites.get_mut(id) else { return Ok(()) };
        let conference = site.conference;
        match site.line {
            Line::Idle => {
                site.route = Route::default();
                self.apply(now, conference, Command::Recall(id))?;
                self.internal(now, conference, Command::Direction(id, Direction::Out));
            }
            Line::Waiting(_) => site.round = 0,
            Line::Queued | Line::Locating(_) | Line::Calling(_) | Line::Up(_) => return Ok(()),
        }
        self.sites.set_line(id, Line::Queued);
        Ok(())
    }

    /// Sends the INVITE.
    pub(super) fn call_site(&mut self, now: Instant, id: ParticipantId, way: Way) -> Result<(), Words> {
        let no_route = || dial::unlocated(cau_sip::Unlocated::NoRoute);
        let site = self.sites.get(id).ok_or_else(no_route)?;
        let address = || site.route.uri.clone().or_else(|| site.target.clone());
        let (uri, routes) = match way.device {
            Some(device) => device,
            None => (address().ok_or_else(no_route)?, Vec::new()),
        };
        let hop = way.hop;
        let (conference, name, shown) = (site.conference, site.name.clone(), site.uri.clone());
        let local = self.sip.local_toward(hop.protocol, hop.local, hop.remote).ok_or_else(no_route)?;
        let ip = local.ip().to_canonical();
        let Ok(ports) = self.media.open(conference, id, ip, None) else {
            self.no_ports(conference);
            return Err(Words::new("MCU hết cổng âm thanh, hình ảnh", "the MCU has no media ports left"));
        };
        let origin = Origin::new(self.random.random(), ports.addr);
        let offer = sdp::offer(self.capabilities(id), &ports, &origin, None);
        let settings = self.rooms.get(&conference).map(|room| room.conference.settings());
        let (room, title) = settings.map(|s| (s.room.clone(), s.name.clone())).unwrap_or_default();
        let target = Target {
            from: Some(self.sip.own_uri(&room, hop.protocol, local)),
            display: Some(title).filter(|t| !t.is_empty()),
            protocol: Some(hop.protocol),
            remote: Some(hop.remote),
            local: Some(local),
            routes,
            headers: self.links.header(id).into_iter().collect(),
            ..Target::new(uri)
        };
        let call = match self.sip.call(now, target, Some(offer.to_bytes())) {
            Ok(call) => call,
            Err(refused) => {
                tracing::debug!(participant = %id, "not called: {refused}");
                self.media.close(id);
                return Err(no_route());
            }
        };
        self.totals.dialled += 1;
        let cname = self.new_cname();
        let until = now + self.config.dial.ring;
        let ours = offer.clone();
        self.by_participant.insert(id, call);
        self.calls.insert(
            call,
            Call {
                conference,
                participant: id,
                name,
                uri: shown,
                direction: Direction::Out,
                peer: hop.remote.ip().to_canonical(),
                local: ip,
                ports,
                origin,
                cname,
                ours: Some(ours),
                offered: Some(offer),
                negotiated: None,
                basis: None,
                until: Some(until),
                ending: None,
                unproven: None,
            },
        );
        self.sites.set_line(id, Line::Calling(call));
        self.sites.alarm(until, id);
        Ok(())
    }

    /// It rings, or something plays before the answer. Early media (RFC 3960) comes to ports nobody listens to yet: nothing of it
    /// reaches the conference before the call is answered.
    pub(super) fn progressed(&mut self, now: Instant, id: CallId, status: u16) {
        let Some(call) = self.calls.get(&id).filter(|_| status >= 180) else { return };
        let (conference, participant) = (call.conference, call.participant);
        if self.state_of(conference, participant) == Some(State::Calling) {
            self.internal(now, conference, Command::State(participant, State::Ringing));
        }
    }

    /// A site has refused our call.
    pub(super) fn rejected(
        &mut self,
        now: Instant,
        id: CallId,
        (status, reason): (u16, &str),
        contacts: &[Uri],
        told: &Told,
    ) {
        let Some(call) = self.forget_call(id) else { return };
        let words = dial::refused(status, reason, told);
        if let Some(Ending::Leave(words)) = call.ending {
            return self.leave(now, call.participant, words);
        }
        let id = call.participant;
        if (300..400).contains(&status) && status != 305 && status != 380 && self.redirected(id, contacts) {
            return;
        }
        // Only here, not everywhere, the request failed: the next address may do (RFC 3263 4.3).
        let next = self.sites.get(id).is_some_and(|site| !site.route.ways.is_empty());
        if status == 503 && next {
            return self.try_ways(now, id, Some(words));
        }
        self.try_failed(now, id, words, matches!(status, 603 | 604 | 607));
    }

    /// Our call got no final answer.
    pub(super) fn unanswered(&mut self, now: Instant, id: ParticipantId, cause: &EndCause) {
        let words = dial::ended(cause);
        let elsewhere = matches!(cause, EndCause::NoResponse | EndCause::TransportFailed);
        if elsewhere && self.sites.get(id).is_some_and(|site| !site.route.ways.is_empty()) {
            return self.try_ways(now, id, Some(words));
        }
        self.try_failed(now, id, words, false);
    }

    /// The time of a call is up: it rang too long, or a device did not say whether it is still there.
    pub(super) fn waited_long(&mut self, now: Instant, id: CallId) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        if call.until.is_none_or(|until| until > now) {
            return;
        }
        call.until = None;
        let cause = if call.negotiated.is_some() { EndCause::NoResponse } else { EndCause::NoAnswer };
        call.ending = Some(Ending::Lost(cause));
        let words = if call.negotiated.is_some() { "no answer after a restart" } else { "no answer" };
        if self.sip.hangup(now, id, Some(words)).is_err() {
            self.ended(now, id, &EndCause::Forgotten);
        }
    }

    /// Gives a device this long to answer the question whether it is still there.
    pub(super) fn expect_word(&mut self, now: Instant, id: CallId) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        call.until = Some(now + TAKEOVER);
        self.sites.alarm(now + TAKEOVER, call.participant);
    }

    /// What the two descriptions that hold were, to be kept.
    pub(super) fn note_basis(&mut self, id: CallId, basis: Basis) {
        if let Some(call) = self.calls.get_mut(&id) {
            call.basis = Some(basis);
        }
    }

    pub(super) fn no_ports(&mut self, conference: ConferenceId) {
        self.totals.refused_full += 1;
        let words = Words::new(
            "hết cổng RTP: tăng rtp.ports trong cấu hình",
            "no RTP ports are left: widen rtp.ports in the configuration",
        );
        self.notices.push(Some(conference), Body::Alarm { participant: None, code: "no-ports", words });
    }
}
