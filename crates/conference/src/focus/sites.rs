//! Sites and the way to them: queued, looked up, called, redirected, called again.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::Instant;

use bytes::Bytes;
use cau_model::participant::State;
use cau_model::{Command, ConferenceId, ParticipantId, Words};
use cau_sip::{CallId, Hop, Protocol, Target, Unlocated, Uri};

use super::Focus;
use crate::dial::{self, Dial, Pace};
use crate::request::Lookup;

/// Redirections, further addresses and looked-up names of one try.
#[derive(Debug, Default)]
pub(super) struct Route {
    /// Where the call goes now; another one than the site's address after a redirection.
    pub uri: Option<Uri>,
    /// Where it went before.
    pub tried: Vec<Uri>,
    /// Ways still to be tried.
    pub ways: VecDeque<Way>,
}

/// One way to a site.
#[derive(Debug, Clone)]
pub(super) struct Way {
    pub hop: Hop,
    /// To a device of our registrar: the address it named there, and the proxies on the way to it.
    pub device: Option<(Uri, Vec<Bytes>)>,
}

impl From<Hop> for Way {
    fn from(hop: Hop) -> Way {
        Way { hop, device: None }
    }
}

/// How far the call of a site is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Line {
    /// There is none, and none is wanted.
    Idle,
    /// Waits for its turn.
    Queued,
    /// Its name is being looked up.
    Locating(u64),
    /// Our INVITE is out.
    Calling(CallId),
    /// It stands, or was let in.
    Up(CallId),
    /// To be called again then.
    Waiting(Instant),
}

/// What the focus knows of a site beyond its call and what the model shows.
#[derive(Debug)]
pub(super) struct Site {
    pub conference: ConferenceId,
    pub name: String,
    /// Address as shown.
    pub uri: String,
    /// Where it can be called; `None`: nowhere.
    pub target: Option<Uri>,
    /// Where to send instead of the host of `target`: the way its own calls come.
    pub remote: Option<SocketAddr>,
    /// Contact of its last call.
    pub contact: Option<Uri>,
    /// Where it was found or spoke from last.
    pub found: Option<SocketAddr>,
    /// An operator had it called: called again without end. Who dialled in is given up after a while.
    pub dialled: bool,
    pub line: Line,
    pub route: Route,
    /// Tries since it was lost.
    pub round: usize,
    /// Since when it is lost.
    pub lost: Option<Instant>,
    /// Its place in the order of joining; 0: never joined.
    pub joined: u64,
}

impl Site {
    pub(super) fn new(conference: ConferenceId, name: String, uri: String) -> Site {
        Site {
            conference,
            name,
            uri,
            target: None,
            remote: None,
            contact: None,
            found: None,
            dialled: false,
            line: Line::Idle,
            route: Route::default(),
            round: 0,
            lost: None,
            joined: 0,
        }
    }
}

/// All sites, and what is due for them.
#[derive(Debug)]
pub(super) struct Sites {
    pub all: BTreeMap<ParticipantId, Site>,
    /// Whose turn comes: to be called, or to be asked whether they are still there.
    queue: VecDeque<ParticipantId>,
    pace: Pace,
    /// Those being looked up or called.
    under_way: BTreeSet<ParticipantId>,
    locating: HashMap<u64, ParticipantId>,
    last_lookup: u64,
    lookups: VecDeque<Lookup>,
    alarms: BTreeSet<(Instant, ParticipantId)>,
    last_joined: u64,
}

impl Sites {
    pub(super) fn new(dial: &Dial) -> Sites {
        Sites {
            all: BTreeMap::new(),
            queue: VecDeque::new(),
            pace: Pace::new(dial.per_second, dial.at_a_time),
            under_way: BTreeSet::new(),
            locating: HashMap::new(),
            last_lookup: 0,
            lookups: VecDeque::new(),
            alarms: BTreeSet::new(),
            last_joined: 0,
        }
    }

    pub(super) fn get(&self, id: ParticipantId) -> Option<&Site> {
        self.all.get(&id)
    }

    pub(super) fn get_mut(&mut self, id: ParticipantId) -> Option<&mut Site> {
        self.all.get_mut(&id)
    }

    pub(super) fn set_line(&mut self, id: ParticipantId, line: Line) {
        let Some(site) = self.all.get_mut(&id) else { return };
        if let Line::Locating(token) = site.line {
            self.locating.remove(&token);
        }
        site.line = line;
        match line {
            Line::Locating(_) | Line::Calling(_) => self.under_way.insert(id),
            _ => self.under_way.remove(&id),
        };
        match line {
            Line::Queued => self.queue.push_back(id),
            Line::Waiting(at) => self.alarm(at, id),
            _ => {}
        }
    }

    pub(super) fn remove(&mut self, id: ParticipantId) {
        self.set_line(id, Line::Idle);
        self.all.remove(&id);
    }

    /// Wakes up for this site then.
    pub(super) fn alarm(&mut self, at: Instant, id: ParticipantId) {
        self.alarms.insert((at, id));
    }

    /// Lets a call that stands be asked for, at the pace of all others.
    pub(super) fn ask_in_turn(&mut self, id: ParticipantId) {
        self.queue.push_back(id);
    }

    /// Its place in the order of joining, given once.
    pub(super) fn join(&mut self, id: ParticipantId) {
        let Some(site) = self.all.get_mut(&id).filter(|site| site.joined == 0) else { return };
        self.last_joined += 1;
        site.joined = self.last_joined;
    }

    /// As [`Sites::join`], with the place it had before a restart.
    pub(super) fn joined_before(&mut self, id: ParticipantId, joined: u64) {
        if let Some(site) = self.all.get_mut(&id) {
            site.joined = joined;
        }
        self.last_joined = self.last_joined.max(joined);
    }

    pub(super) fn poll_lookup(&mut self) -> Option<Lookup> {
        self.lookups.pop_front()
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let turn = if self.queue.is_empty() { None } else { self.pace.next(self.under_way.len()) };
        [turn, self.alarms.first().map(|(at, _)| *at)].into_iter().flatten().min()
    }

    fn due(&mut self, now: Instant) -> Option<ParticipantId> {
        let (at, id) = self.alarms.first().copied()?;
        (at <= now).then(|| {
            self.alarms.pop_first();
            id
        })
    }

    /// The next one whose turn has come. Those who need none any more are left out.
    fn next_turn(&mut self, now: Instant) -> Option<ParticipantId> {
        while let Some(id) = self.queue.front().copied() {
            let wanted =
                self.all.get(&id).is_some_and(|site| matches!(site.line, Line::Queued | Line::Up(_)));
            if wanted && !self.pace.take(now, self.under_way.len()) {
                return None;
            }
            self.queue.pop_front();
            if wanted {
                return Some(id);
            }
        }
        None
    }

    fn look_up(&mut self, id: ParticipantId, uri: Uri) {
        self.last_lookup += 1;
        let token = self.last_lookup;
        self.set_line(id, Line::Locating(token));
        self.locating.insert(token, id);
        self.lookups.push_back(Lookup { token, uri });
    }
}

impl Focus {
    /// Everything that is due for sites: their turns, ringing that took too long, tries to call again.
    pub(super) fn time_sites(&mut self, now: Instant) {
        while let Some(id) = self.sites.due(now) {
            let Some(site) = self.sites.get(id) else { continue };
            match site.line {
                Line::Waiting(at) if at <= now => self.sites.set_line(id, Line::Queued),
                Line::Calling(call) | Line::Up(call) => {
                    self.waited_long(now, call);
                }
                _ => {}
            }
        }
    }

    /// Calls those whose turn has come.
    pub(super) fn take_turns(&mut self, now: Instant) {
        if self.drain.is_some() {
            return;
        }
        while let Some(id) = self.sites.next_turn(now) {
            let Some(site) = self.sites.get_mut(id) else { continue };
            if let Line::Up(call) = site.line {
                self.ask_after_restart(now, call);
                continue;
            }
            let Some(uri) = site.route.uri.clone().or_else(|| site.target.clone()) else {
                self.sites.set_line(id, Line::Idle);
                continue;
            };
            let redirected = site.route.uri.is_some();
            if let Some(remote) = site.remote.filter(|_| !redirected) {
                let hop = Hop { protocol: Protocol::Udp, remote, local: None };
                site.route.ways = [Way::from(hop)].into();
                self.try_ways(now, id, None);
            } else if let Some(devices) = self.sip.locate(&uri) {
                self.call_devices(now, id, devices);
            } else {
                self.sites.look_up(id, uri);
            }
        }
    }

    /// Calls the devices an account of ours is registered with, one after the other. One that named an address of somebody else is called
    /// there only when that is allowed anyway.
    fn call_devices(&mut self, now: Instant, id: ParticipantId, devices: Vec<(Target, SocketAddr)>) {
        let allow = &self.config.dial.allow;
        let way = |(device, seen): (Target, SocketAddr)| {
            let remote = device.remote?;
            let hop = Hop {
                protocol: device.protocol.unwrap_or(Protocol::Udp),
                remote,
                local: device.local.map(|local| local.ip()),
            };
            let may = remote.ip() == seen.ip() || allow.fits(&device.uri);
            may.then_some(Way { hop, device: Some((device.uri, device.routes)) })
        };
        let ways: VecDeque<Way> = devices.into_iter().filter_map(way).collect();
        if let Some(site) = self.sites.get_mut(id) {
            site.found = ways.front().map(|way| way.hop.remote);
            site.route.ways = ways;
        }
        self.try_ways(now, id, Some(dial::unregistered()));
    }

    /// The answer to a [`Lookup`]. One that nobody waits for any more is dropped.
    pub fn handle_lookup(&mut self, now: Instant, token: u64, found: Result<Vec<Hop>, Unlocated>) {
        let Some(id) = self.sites.locating.get(&token).copied() else { return };
        match found {
            Ok(hops) => {
                if let Some(site) = self.sites.get_mut(id) {
                    site.found = hops.first().map(|hop| hop.remote);
                    site.route.ways = hops.into_iter().map(Way::from).collect();
                }
                self.try_ways(now, id, Some(dial::unlocated(Unlocated::NoSuchName)));
            }
            Err(why) => self.try_failed(now, id, dial::unlocated(why), false),
        }
        self.pump(now);
    }

    /// Calls a site on the next way; when none is left the try has failed, for `words` or for what the last one said.
    pub(super) fn try_ways(&mut self, now: Instant, id: ParticipantId, words: Option<Words>) {
        let mut words = words;
        loop {
            let Some(site) = self.sites.get_mut(id) else { return };
            let Some(way) = site.route.ways.pop_front() else { break };
            match self.call_site(now, id, way) {
                Ok(()) => return,
                Err(failed) => words = Some(failed),
            }
        }
        let words = words.unwrap_or_else(|| dial::unlocated(Unlocated::NoRoute));
        self.try_failed(now, id, words, false);
    }

    /// A site sends its calls on (RFC 3261 8.1.3.4). False when nowhere where we may call, or have not called yet.
    pub(super) fn redirected(&mut self, id: ParticipantId, contacts: &[Uri]) -> bool {
        let allow = &self.config.dial.allow;
        let Some(site) = self.sites.get_mut(id) else { return false };
        let now_at = site.route.uri.clone().or_else(|| site.target.clone());
        site.route.tried.extend(now_at);
        let tried = &site.route.tried;
        let usable =
            |uri: &&Uri| uri.scheme() == "sip" && allow.fits(uri) && !tried.iter().any(|other| other == *uri);
        let next = contacts.iter().find(usable).filter(|_| tried.len() <= dial::MOST_REDIRECTIONS).cloned();
        let Some(next) = next else { return false };
        site.route.uri = Some(next);
        site.route.ways.clear();
        self.sites.set_line(id, Line::Queued);
        true
    }

    /// One try has failed. A site that had a seat is tried again, unless it declined (`final_`).
    pub(super) fn try_failed(&mut self, now: Instant, id: ParticipantId, words: Words, final_: bool) {
        self.totals.dial_failed += 1;
        let Some(site) = self.sites.get_mut(id) else { return };
        site.route = Route::default();
        let conference = site.conference;
        let given_up = !site.dialled
            && site.lost.is_none_or(|at| now.saturating_duration_since(at) >= self.config.dial.keep_callers);
        let lost = self.state_of(conference, id) == Some(State::Reconnecting);
        if !lost || final_ || given_up {
            return self.leave(now, id, words);
        }
        self.again(now, id, words);
    }

    /// Calls a site again that keeps its seat, when it is time.
    pub(super) fn again(&mut self, now: Instant, id: ParticipantId, words: Words) {
        if self.links.part(id).is_some() {
            // Called again with another token, when there is one.
            return self.leave(now, id, words);
        }
        let Some(site) = self.sites.get_mut(id) else { return };
        site.route = Route::default();
        let wait = self.config.dial.wait(site.round);
        site.round += 1;
        let conference = site.conference;
        let line = if wait.is_zero() { Line::Queued } else { Line::Waiting(now + wait) };
        self.sites.set_line(id, line);
        self.internal(now, conference, Command::Reason(id, Some(words)));
    }

    /// The call of a site that was in the conference is lost: its seat is kept while it is called again.
    pub(super) fn lost(&mut self, now: Instant, id: ParticipantId, words: Words) {
        if self.links.part(id).is_some() {
            return self.leave(now, id, words);
        }
        let Some(site) = self.sites.get_mut(id) else { return };
        site.lost.get_or_insert(now);
        site.round = 0;
        let conference = site.conference;
        self.internal(now, conference, Command::State(id, State::Reconnecting));
        self.site_lost(now, id, &words, true);
        self.again(now, id, words);
    }

    /// A site is gone for good: out of the conference, kept in mind only when it can be called.
    pub(super) fn leave(&mut self, now: Instant, id: ParticipantId, words: Words) {
        let Some(site) = self.sites.get_mut(id) else { return };
        (site.round, site.lost) = (0, None);
        let conference = site.conference;
        self.sites.set_line(id, Line::Idle);
        self.site_lost(now, id, &words, false);
        let state = self.state_of(conference, id);
        if state.is_some_and(|state| state != State::Left) {
            self.internal(now, conference, Command::Leave { participant: id, reason: words });
        }
        // Whom an operator had called may call in, or be called again, under its name.
        if state.is_none() || self.sites.get(id).is_some_and(|site| !site.dialled) {
            self.sites.remove(id);
        }
        self.forget_sites();
        self.keep.touch_site(conference, id);
        self.link_left(now, id);
    }

    /// Those who have left long ago are forgotten with the list that shows them.
    pub(super) fn forget_sites(&mut self) {
        let Focus { rooms, sites, .. } = self;
        // Looked through now and then only.
        let present: usize = rooms.values().map(|room| room.conference.present().len()).sum();
        if sites.all.len() <= 2 * (present + cau_model::conference::LEFT_MAX) {
            return;
        }
        let shown = |id: &ParticipantId, site: &Site| {
            rooms.get(&site.conference).is_some_and(|room| room.conference.find(*id).is_some())
        };
        sites.all.retain(|id, site| site.line != Line::Idle || shown(id, site));
    }

    pub(super) fn state_of(&self, conference: ConferenceId, id: ParticipantId) -> Option<State> {
        self.rooms.get(&conference)?.conference.find(id).map(|site| site.state)
    }
}
