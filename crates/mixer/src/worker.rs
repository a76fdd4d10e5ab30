//! The sans-IO core of one media thread.

use std::{
    mem,
    net::SocketAddr,
    time::{Duration, Instant, SystemTime},
};

use bytes::Bytes;
use cau_codec::video::Pool;
use cau_model::{ConferenceId, ParticipantId};
use cau_rtp::packet;
use rand::{Rng, SeedableRng, rngs::StdRng};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::{
    Config, Event, Port, Spawner, Transmit,
    command::Command,
    conference::{Conference, Seen, Shared, TURNS},
    leg::{Leg, Switches},
    out::Out,
    pressure::Pressure,
    preview::Previews,
    view::overlay::Decor,
};

/// Sound is mixed this often.
pub const TICK: Duration = Duration::from_millis(20);
/// Ticks caught up at most when the worker was called late; the rest is left out.
const CATCH_UP: u32 = 5;
/// Figures of one in [`TURNS`] participants are reported this often; all others once in that many turns.
const REPORT: Duration = Duration::from_millis(100);
/// Pictures of all views and scaled copies together hold this many bytes at most.
const PICTURES: usize = 1 << 30;

/// The core of one media thread: packets, commands and the time go in; datagrams, events and the next time-out come out.
pub struct Worker {
    shared: Shared,
    wall: (Instant, SystemTime),
    random: StdRng,
    conferences: FxHashMap<ConferenceId, Conference>,
    /// Which conference a participant is in.
    index: FxHashMap<ParticipantId, ConferenceId>,
    previews: Previews,
    next_tick: Instant,
    next_report: Instant,
    /// Whose figures come next.
    turn: u64,
    /// How late a tick was at most since the last report.
    late: Duration,
    out: Out,
    /// Sources of everything we send.
    own: FxHashSet<u32>,
}

/// SSRC of an RTP packet.
fn source_of(data: &[u8]) -> Option<u32> {
    // Reports come on the same port with some, and have the SSRC they report on there.
    let ssrc = data.get(8..12).filter(|_| packet::classify(data) == packet::Class::Rtp)?;
    Some(u32::from_be_bytes(ssrc.try_into().ok()?))
}

impl Worker {
    /// A worker without conferences. `wall` says what the wall clock showed at one moment (for sender reports); `seed` makes SSRCs
    /// and the like.
    pub fn new(config: Config, spawner: Spawner, wall: (Instant, SystemTime), seed: u64) -> Self {
        let epoch = wall.0;
        let pool = Pool::new(PICTURES);
        Self {
            shared: Shared {
                decor: Decor { wall, emblem: config.emblem.clone() },
                config,
                spawner,
                pool,
                epoch,
                pressure: Pressure::new(epoch),
            },
            wall,
            random: StdRng::seed_from_u64(seed),
            conferences: FxHashMap::default(),
            index: FxHashMap::default(),
            previews: Previews::default(),
            next_tick: epoch,
            next_report: epoch + REPORT,
            turn: 0,
            late: Duration::ZERO,
            out: Out::default(),
            own: FxHashSet::default(),
        }
    }

    /// A datagram that came to `port` `at` that time is read.
    pub fn handle_packet(&mut self, now: Instant, at: Instant, port: Port, from: SocketAddr, data: Bytes) {
        // Sound is played tick by tick, however late the ticks: what was read before one is there in time for it. What came while we were held up has
        // not come all at once.
        let heard = at.max(now.min(self.next_tick));
        let Self { index, conferences, out, own, .. } = self;
        if !port.rtcp && source_of(&data).is_some_and(|ssrc| own.contains(&ssrc)) {
            // RFC 3550 8.2: what we sent comes back to us.
            out.totals.dropped_loop += 1;
            return;
        }
        let conference = index.get(&port.participant).and_then(|c| conferences.get_mut(c));
        match conference {
            Some(conference) => conference.handle_packet((now, heard), port, from, data, out),
            None => out.totals.dropped_unexpected += 1,
        }
    }

    /// Signalling wants something.
    pub fn handle_command(&mut self, now: Instant, command: Command) {
        let legs_change = matches!(
            command,
            Command::AddLeg { .. }
                | Command::UpdateLeg { .. }
                | Command::RemoveLeg { .. }
                | Command::CloseConference { .. }
        );
        self.carry_out(now, command);
        if legs_change {
            self.own =
                self.conferences.values().flat_map(|c| c.legs.values()).flat_map(Leg::own_sources).collect();
        }
    }

    fn carry_out(&mut self, now: Instant, command: Command) {
        match command {
            Command::OpenConference { id } => {
                self.conferences.entry(id).or_insert_with(|| Conference::new(now, id));
            }
            Command::CloseConference { id } => {
                if let Some(mut conference) = self.conferences.remove(&id) {
                    let gone: Vec<_> = conference.legs.keys().copied().collect();
                    for participant in gone {
                        conference.remove(now, participant, &mut self.out);
                        self.index.remove(&participant);
                    }
                }
            }
            Command::AddLeg { conference: id, participant, leg } => {
                if self.index.contains_key(&participant) {
                    return;
                }
                let Some(conference) = self.conferences.get_mut(&id) else { return };
                if self.index.is_empty() {
                    // The clock of the sound stood still while there was nobody.
                    self.next_tick = now;
                    self.next_report = now + REPORT;
                }
                let seed = self.random.next_u64();
                conference.add(participant, Leg::new(now, participant, leg, &self.shared, self.wall, seed));
                self.index.insert(participant, id);
                conference.handle_timeout(now, &self.shared, &mut self.out);
            }
            Command::UpdateLeg { participant, leg } => {
                self.with(participant, |c, shared, out| {
                    c.update(now, participant, leg, shared, out);
                    c.handle_timeout(now, shared, out);
                });
            }
            Command::RemoveLeg { participant } => {
                self.with(participant, |c, _, out| c.remove(now, participant, out));
                self.index.remove(&participant);
            }
            Command::Scenes { conference, scenes } => {
                if let Some(c) = self.conferences.get_mut(&conference) {
                    c.set_scenes(scenes);
                    c.handle_timeout(now, &self.shared, &mut self.out);
                }
            }
            Command::Floor { conference, participant } => {
                if let Some(c) = self.conferences.get_mut(&conference) {
                    c.set_floor(participant);
                }
            }
            Command::Discipline { conference, rules } => {
                if let Some(c) = self.conferences.get_mut(&conference) {
                    c.set_rules(rules);
                }
            }
            Command::Cadence { conference, fps } => {
                if let Some(c) = self.conferences.get_mut(&conference) {
                    c.set_cadence(fps);
                }
            }
            Command::Sound { participant, muted, deafened, volume_db, hidden } => {
                let switches = Switches { muted, deafened, volume_db, hidden };
                self.with(participant, |c, _, _| c.set_switches(participant, switches));
            }
            Command::FastUpdate { participant } => {
                self.with(participant, |c, _, _| {
                    if let Some(leg) = c.legs.get_mut(&participant) {
                        leg.fast_update(now);
                    }
                });
            }
            Command::BringUp { operation, conference, site, viewers, csrc } => {
                if let Some(c) = self.conferences.get_mut(&conference) {
                    c.bring_up(now, operation, site, viewers, csrc);
                }
            }
            Command::Ear { participant, ear } => self.with(participant, |c, _, _| {
                if let Some(leg) = c.legs.get_mut(&participant) {
                    leg.ear = ear;
                }
            }),
            Command::Name { participant, csrc } => {
                self.with(participant, |c, _, _| c.set_name(participant, csrc));
            }
            Command::Expect { participant, csrc } => self.with(participant, |c, _, _| {
                if let Some(video) = c.legs.get_mut(&participant).and_then(|leg| leg.video.as_mut()) {
                    video.source.expect(csrc);
                }
            }),
            Command::Await { participant, site, csrc } => {
                self.with(participant, |c, _, _| c.set_await(participant, site, csrc));
            }
            Command::EndBringUp { operation, conference } => {
                if let Some(c) = self.conferences.get_mut(&conference) {
                    c.end_bring_up(operation);
                }
            }
            Command::Preview { participant, seen, reply } => {
                let Some(conference) = self.index.get(&participant).and_then(|c| self.conferences.get_mut(c))
                else {
                    reply.send(None);
                    return;
                };
                if seen {
                    match conference.seen_by(participant) {
                        Some(Seen::Site(site)) => {
                            self.previews.ask(now, site, conference.legs.get_mut(&site), reply);
                        }
                        Some(Seen::Canvas(picture)) => {
                            self.previews.answer(&self.shared.spawner, Some(picture), reply);
                        }
                        None => self.previews.answer(&self.shared.spawner, None, reply),
                    }
                } else {
                    self.previews.ask(now, participant, conference.legs.get_mut(&participant), reply);
                }
            }
        }
    }

    /// The time of [`Self::poll_timeout`] has come, or is near.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.out.next_due().is_some_and(|at| at <= now) {
            self.out.release(now);
            // The rest of a picture is all there is to do, mostly.
            if self.next_work().is_some_and(|at| at > now) {
                return;
            }
        }
        self.tick(now);
        for conference in self.conferences.values_mut() {
            conference.handle_timeout(now, &self.shared, &mut self.out);
        }
        let (index, conferences) = (&self.index, &mut self.conferences);
        self.previews.handle_timeout(now, &self.shared.spawner, |p| {
            index.get(&p).and_then(|c| conferences.get(c)).and_then(|c| c.legs.get(&p))
        });
        if now >= self.next_report {
            if self.index.is_empty() {
                // There is nobody to take turns.
                self.turn = TURNS - 1;
            }
            self.report(now);
            self.next_report = now + if self.index.is_empty() { REPORT * TURNS as u32 } else { REPORT };
        }
    }

    /// A job has finished a picture ([`Config::waker`]).
    pub fn wake(&mut self, now: Instant) {
        for conference in self.conferences.values_mut() {
            conference.drain(now, &mut self.out);
        }
    }

    /// When [`Self::handle_timeout`] wants to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        [self.next_work(), self.out.next_due()].into_iter().flatten().min()
    }

    /// When conferences, sound or reports are due.
    fn next_work(&self) -> Option<Instant> {
        let view = self.conferences.values().filter_map(Conference::poll_timeout).min();
        let tick = (!self.index.is_empty()).then_some(self.next_tick);
        [view, tick, Some(self.next_report)].into_iter().flatten().min()
    }

    /// The next datagrams to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.out.transmits.pop_front()
    }

    /// The next report.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.out.events.pop_front()
    }

    fn with(&mut self, participant: ParticipantId, f: impl FnOnce(&mut Conference, &Shared, &mut Out)) {
        if let Some(conference) = self.index.get(&participant).and_then(|c| self.conferences.get_mut(c)) {
            f(conference, &self.shared, &mut self.out);
        }
    }

    /// Sound goes by the clock, not by the packets that come.
    fn tick(&mut self, now: Instant) {
        if self.index.is_empty() {
            // There is nobody to encode for, and no tick to count in.
            self.out.totals.audio_encoders = 0;
        } else {
            let late = now.saturating_duration_since(self.next_tick);
            self.late = self.late.max(late);
            if now >= self.next_tick {
                self.shared.pressure.note(now, late, self.out.totals.skipped_compose);
            }
        }
        let mut done = 0;
        while now >= self.next_tick && !self.index.is_empty() {
            if done == CATCH_UP {
                let late = now.saturating_duration_since(self.next_tick).as_nanos() / TICK.as_nanos() + 1;
                let late = u32::try_from(late).unwrap_or(u32::MAX);
                self.out.totals.skipped_ticks += u64::from(late);
                self.next_tick += TICK * late;
                for conference in self.conferences.values_mut() {
                    conference.skip_ticks(late);
                }
                break;
            }
            self.out.totals.audio_encoders = 0;
            let at = self.next_tick;
            for conference in self.conferences.values_mut() {
                // Each tick at its own time, so that jitter buffers see an even clock also when the call came late.
                conference.tick(at, &self.shared, &mut self.out);
            }
            self.next_tick += TICK;
            done += 1;
        }
    }

    fn report(&mut self, now: Instant) {
        self.conferences.values_mut().for_each(|c| c.report_some(now, self.turn, &mut self.out));
        self.turn = (self.turn + 1) % TURNS;
        if self.turn > 0 {
            return;
        }
        let mut totals = self.out.totals;
        (totals.conferences, totals.legs, totals.decoders, totals.encoders, totals.catch_up) =
            (0, 0, 0, 0, 0);
        for conference in self.conferences.values_mut() {
            conference.report(&mut self.out);
            conference.count(&mut totals);
        }
        let counters = self.out.totals;
        totals.skipped_encode = counters.skipped_encode;
        totals.codec_errors = counters.codec_errors;
        totals.tick_late_us = u32::try_from(mem::take(&mut self.late).as_micros()).unwrap_or(u32::MAX);
        self.out.events.push_back(Event::Totals(Box::new(totals)));
    }
}
