//! The slots of the link to the master: what is in them, what is coming, who holds them.

use std::time::{Duration, Instant};

use cau_model::snapshot::StepName;
use cau_model::{Refusal, Words};

use super::feeds::{End, RESTORING, Want};
use super::{Act, Event, Node, Obstacle, Source};
use crate::operation::ms;
use crate::path::Path;
use crate::tree::{Held, Line as State};
use crate::wire::{Body, Open};

/// A site on its way into a slot.
#[derive(Debug, Clone)]
pub(super) struct Next {
    pub site: Path,
    /// The master's order; `None`: the own operator's wish, or what was there before.
    pub order: Option<u64>,
    pub by: Option<String>,
    sound: bool,
    began: Instant,
    deadline: Instant,
    routed: bool,
    dialled: bool,
}

/// One slot.
#[derive(Debug, Clone, Default)]
pub(super) struct Up {
    /// What the own operator wants in it when no master holds it.
    pub offer: Option<Path>,
    pub current: Option<Path>,
    /// The operator above who holds it.
    pub by: Option<String>,
    pub sound: bool,
    /// The order that brought `current` and when it came; what was there and who held it before, should it fail above.
    pub order: Option<(u64, Instant)>,
    before: Option<Before>,
    pub next: Option<Next>,
}

impl Up {
    pub fn shown(&self) -> Held {
        Held { site: self.current.clone(), by: self.by.clone() }
    }

    /// Whether it has the site, or waits for it.
    pub fn wants(&self, site: &Path) -> bool {
        self.current.as_ref() == Some(site) || self.next.as_ref().is_some_and(|next| next.site == *site)
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        self.next.as_ref().map(|next| next.deadline)
    }
}

/// What was in a slot before.
#[derive(Debug, Clone)]
struct Before {
    site: Path,
    by: Option<String>,
    sound: bool,
    order: Option<u64>,
}

/// Who wants a site in a slot, and how.
struct Wish {
    order: Option<u64>,
    by: Option<String>,
    sound: bool,
    deadline: Instant,
}

impl Wish {
    /// The own operator's.
    fn own(now: Instant) -> Wish {
        Wish { order: None, by: None, sound: false, deadline: now + RESTORING }
    }
}

impl Node {
    fn up(&mut self, slot: u8) -> Option<&mut Up> {
        self.ups.get_mut(usize::from(slot))
    }

    /// The master wants a site in a slot.
    pub(super) fn opened(&mut self, now: Instant, open: Open) {
        let order = open.order;
        let deadline = now + Duration::from_millis(open.deadline_ms.min(600_000));
        let wish = Wish { order: Some(order), by: Some(open.by), sound: !open.prepare, deadline };
        let done = self
            .may_open(open.slot, &open.site, wish.sound)
            .and_then(|()| self.fill(now, open.slot, open.site, wish));
        if let Err(Obstacle { step, mcu, words }) = done {
            self.say_above(now, Body::Failed { order, step, mcu, words });
        }
    }

    /// A site into a slot; what is there stays until its key frame comes by.
    fn fill(&mut self, now: Instant, slot: u8, site: Path, wish: Wish) -> Result<(), Obstacle> {
        let Some(up) = self.up(slot) else { return Ok(()) };
        if let Some(next) = up.next.take_if(|next| next.site != site) {
            self.release(now, &next.site, End::Abort);
        }
        let Some(up) = self.up(slot) else { return Ok(()) };
        let current = up.current.clone();
        let by = wish.by.clone().unwrap_or_else(|| self.config.name.clone());
        let want = Want { by: &by, sound: wish.sound, deadline: wish.deadline, replacing: current.as_ref() };
        let ensured = self.ensure(now, &site, &want);
        if ensured.is_err() {
            // What was coming before is gone already: what is there goes on.
            self.route_again(slot);
            return ensured;
        }
        let Wish { order, by, sound, deadline } = wish;
        let there = current.as_ref() == Some(&site) && self.is_there(&site);
        let Some(up) = self.up(slot) else { return Ok(()) };
        if there {
            let changed = up.sound != sound;
            (up.by, up.sound, up.order) = (by, sound, order.map(|order| (order, now)));
            up.next = None;
            if changed {
                self.route_again(slot);
            }
            self.say_done(now, order, now, StepName::Route);
            self.arrived(now, slot, now);
            return Ok(());
        }
        up.next = Some(Next { site, order, by, sound, began: now, deadline, routed: false, dialled: false });
        self.try_route(now, slot);
        Ok(())
    }

    /// Whether a site's picture comes here.
    fn is_there(&self, site: &Path) -> bool {
        let connected = self.tree.get(site).is_some_and(|entry| entry.line == State::Connected);
        match self.source_of(site) {
            Some(Source::Own(_)) | Some(Source::Slot { .. }) => connected,
            None => false,
        }
    }

    /// Routes what is coming, as soon as its call stands.
    fn try_route(&mut self, now: Instant, slot: u8) {
        let Some(next) = self.ups.get(usize::from(slot)).and_then(|up| up.next.clone()) else { return };
        let Some(source) = self.source_of(&next.site).filter(|_| !next.routed) else { return };
        if let Source::Own(id) = source {
            let line = self.tree.get(&next.site).map(|entry| entry.line);
            if line != Some(State::Connected) {
                let dial = line == Some(State::Idle) && !next.dialled;
                if let Some(next) = self.up(slot).and_then(|up| up.next.as_mut()) {
                    next.dialled |= dial;
                }
                if dial {
                    self.acts.push_back(Act::Dial { site: id });
                }
                return;
            }
            self.say_done(now, next.order, next.began, StepName::Dial);
        }
        self.route(slot, &next.site, source, next.sound);
        if let Some(next) = self.up(slot).and_then(|up| up.next.as_mut()) {
            next.routed = true;
        }
        self.say_done(now, next.order, next.began, StepName::Route);
    }

    fn route(&mut self, slot: u8, site: &Path, source: Source, sound: bool) {
        self.acts.push_back(Act::Route { slot, site: site.clone(), csrc: site.csrc(), source, sound });
    }

    /// What is in a slot is routed once more: its source has come back, or its sound changes.
    fn route_again(&mut self, slot: u8) {
        let Some(up) = self.ups.get(usize::from(slot)) else { return };
        let (sound, current) = (up.sound, up.current.clone());
        let Some(site) = current else { return };
        if let Some(source) = self.source_of(&site).filter(|_| self.is_there(&site)) {
            self.route(slot, &site, source, sound);
        }
    }

    /// The media call to the master stands anew.
    pub(super) fn route_all(&mut self, now: Instant) {
        for slot in (0_u8..).zip(&self.ups).map(|(slot, _)| slot).collect::<Vec<_>>() {
            self.route_again(slot);
            if let Some(next) = self.up(slot).and_then(|up| up.next.as_mut()) {
                next.routed = false;
            }
            self.try_route(now, slot);
        }
    }

    /// A step of the master's order is done.
    fn say_done(&mut self, now: Instant, order: Option<u64>, began: Instant, name: StepName) {
        if let Some(order) = order {
            let after_ms = ms(now.saturating_duration_since(began));
            let mcu = self.config.path.clone();
            self.say_above(now, Body::Step { order, name, mcu, after_ms });
        }
    }

    fn arrived(&mut self, now: Instant, slot: u8, began: Instant) {
        let Some(up) = self.up(slot) else { return };
        let order = up.order;
        if let Some((order, _)) = order {
            self.say_done(now, Some(order), began, StepName::Keyframe);
            self.say_above(now, Body::Ready { order });
        }
        self.show_own();
    }

    /// A key frame has gone into a slot.
    pub(super) fn passed(&mut self, now: Instant, slot: u8, csrc: u32) {
        let Some(up) = self.up(slot) else { return };
        let Some(next) = up.next.take_if(|next| next.routed && next.site.csrc() == csrc) else { return };
        let old = up.current.replace(next.site.clone()).filter(|old| *old != next.site);
        up.before = old.clone().map(|site| {
            let order = up.order.map(|(order, _)| order);
            Before { site, by: up.by.clone(), sound: up.sound, order }
        });
        (up.by, up.sound, up.order) = (next.by, next.sound, next.order.map(|order| (order, next.began)));
        if let Some(old) = old {
            self.release(now, &old, End::Close);
        }
        if next.order.is_none() {
            self.settle(&next.site);
        }
        self.arrived(now, slot, next.began);
    }

    /// A step of something on its way into slots, told by a slave, goes on up.
    pub(super) fn slots_step(&mut self, now: Instant, site: &Path, name: StepName, mcu: &Path, at: Instant) {
        let waiting = self.ups.iter().filter_map(|up| {
            let next = up.next.as_ref().filter(|next| next.site == *site);
            let next = next.map(|next| next.order.map(|order| (order, next.began)));
            // The picture may be quicker than the word of it.
            next.unwrap_or_else(|| up.order.filter(|_| up.current.as_ref() == Some(site)))
        });
        let told: Vec<(u64, Instant)> = waiting.collect();
        for (order, began) in told {
            let after_ms = ms(at.saturating_duration_since(began));
            self.say_above(now, Body::Step { order, name, mcu: mcu.clone(), after_ms });
        }
    }

    /// What was coming cannot come; what is there stays.
    pub(super) fn slot_failed(&mut self, now: Instant, slot: u8, obstacle: &Obstacle) {
        let Some(next) = self.up(slot).and_then(|up| up.next.take()) else { return };
        self.release(now, &next.site, End::Abort);
        let Some(up) = self.up(slot) else { return };
        if up.current.is_some() {
            if next.routed {
                self.route_again(slot);
            }
        } else {
            self.acts.push_back(Act::Unroute { slot });
        }
        match next.order {
            Some(order) => {
                let Obstacle { step, mcu, words } = obstacle.clone();
                self.say_above(now, Body::Failed { order, step, mcu, words });
            }
            None => self.alarm(now, "slot-empty", &next.site, obstacle.words.clone()),
        }
    }

    /// A site that is in a slot cannot be had any more.
    pub(super) fn slot_emptied(&mut self, now: Instant, slot: u8, site: &Path, obstacle: &Obstacle) {
        let Some(up) = self.up(slot) else { return };
        if up.current.take_if(|current| current == site).is_some() {
            let order = up.order.take();
            self.acts.push_back(Act::Unroute { slot });
            if let Some((order, _)) = order {
                let Obstacle { step, mcu, words } = obstacle.clone();
                self.say_above(now, Body::Failed { order, step, mcu, words });
            }
            self.alarm(now, "slot-empty", site, obstacle.words.clone());
            self.show_own();
        }
    }

    /// An order failed above: back to what was there.
    pub(super) fn aborted(&mut self, now: Instant, order: u64) {
        let is = |up: &Up| {
            up.order.is_some_and(|(live, _)| live == order)
                || up.next.as_ref().is_some_and(|next| next.order == Some(order))
        };
        let Some(slot) = self.ups.iter().position(is).and_then(|slot| u8::try_from(slot).ok()) else {
            return;
        };
        let Some(up) = self.up(slot) else { return };
        if let Some(next) = up.next.take_if(|next| next.order == Some(order)) {
            self.release(now, &next.site, End::Abort);
            if next.routed {
                self.reroute_or_clear(slot);
            }
            return;
        }
        up.order = None;
        let Some(failed) = up.current.take() else { return };
        let before = up.before.take();
        // Before the feed is dropped: so that what it took comes back.
        up.current = before.as_ref().map(|before| before.site.clone());
        up.by = before.as_ref().and_then(|before| before.by.clone());
        up.sound = before.as_ref().is_some_and(|before| before.sound);
        up.order = before.as_ref().and_then(|before| before.order).map(|order| (order, now));
        self.release(now, &failed, End::Abort);
        match before {
            Some(before) if self.feeds.contains_key(&before.site) => self.route_again(slot),
            Some(before) => {
                if let Some(up) = self.up(slot) {
                    (up.current, up.by, up.order) = (None, None, None);
                }
                let Before { site, by, sound, order } = before;
                self.refill(now, slot, site, Wish { order, by, sound, deadline: now + RESTORING });
            }
            None => self.refill_own(now, slot),
        }
        self.show_own();
    }

    fn reroute_or_clear(&mut self, slot: u8) {
        if self.ups.get(usize::from(slot)).is_some_and(|up| up.current.is_some()) {
            self.route_again(slot);
        } else {
            self.acts.push_back(Act::Unroute { slot });
        }
    }

    /// The master gives a slot back.
    pub(super) fn closed(&mut self, now: Instant, slot: u8) {
        let Some(up) = self.up(slot) else { return };
        let coming = up.next.take_if(|next| next.by.is_some());
        if coming.is_none() && up.by.is_none() {
            return;
        }
        let held = up.by.take().is_some();
        (up.order, up.before) = (None, None);
        let offer = up.offer.clone();
        let left = if held { up.current.take() } else { None };
        if let Some(next) = coming {
            self.release(now, &next.site, End::Close);
        }
        if let Some(left) = left.filter(|left| offer.as_ref() != Some(left)) {
            self.release(now, &left, End::Close);
        }
        if held {
            self.refill_own(now, slot);
        } else {
            self.reroute_or_clear(slot);
        }
        self.show_own();
    }

    /// A slot gets what was there before; when that cannot be, who had ordered it is told.
    fn refill(&mut self, now: Instant, slot: u8, site: Path, wish: Wish) {
        let order = wish.order;
        if let Err(obstacle) = self.fill(now, slot, site.clone(), wish) {
            self.reroute_or_clear(slot);
            self.alarm(now, "slot-empty", &site, obstacle.words.clone());
            if let Some(order) = order {
                let Obstacle { step, mcu, words } = obstacle;
                self.say_above(now, Body::Failed { order, step, mcu, words });
            }
        }
    }

    /// A slot nobody has ordered gets what the own operator offers.
    fn refill_own(&mut self, now: Instant, slot: u8) {
        match self.up(slot).and_then(|up| up.offer.clone()) {
            Some(site) => self.refill(now, slot, site, Wish::own(now)),
            None => self.acts.push_back(Act::Unroute { slot }),
        }
    }

    /// The own operator says what stands in a slot.
    pub(super) fn offered(&mut self, now: Instant, slot: u8, site: Option<Path>) -> Result<(), Refusal> {
        if usize::from(slot) >= self.ups.len() {
            return Err(Refusal::invalid("slot", "không có khe hình đó", "there is no such slot"));
        }
        let known = |site: &Path| site.is_below(&self.config.path) && self.tree.get(site).is_some();
        if site.as_ref().is_some_and(|site| !known(site)) {
            return Err(Refusal::invalid("site", "không có điểm cầu đó", "there is no such site"));
        }
        self.offer(now, slot, site);
        self.event(Event::Keep);
        Ok(())
    }

    pub(super) fn offer(&mut self, now: Instant, slot: u8, site: Option<Path>) {
        let Some(up) = self.up(slot) else { return };
        up.offer.clone_from(&site);
        let masters = up.by.is_some() || up.next.as_ref().is_some_and(|next| next.by.is_some());
        if masters {
            // Kept, and shown when the master gives the slot back.
            return;
        }
        if site.is_none()
            && let Some(left) = up.current.take()
        {
            self.release(now, &left, End::Close);
        }
        // Known after a restart as soon as its call is there.
        if site.as_ref().is_none_or(|site| self.tree.get(site).is_some()) {
            self.refill_own(now, slot);
        }
        self.show_own();
    }

    /// A site of this MCU is connected.
    pub(super) fn slots_connected(&mut self, now: Instant, site: &Path) {
        for slot in (0_u8..).zip(&self.ups).map(|(slot, _)| slot).collect::<Vec<_>>() {
            let Some(up) = self.ups.get(usize::from(slot)) else { continue };
            let idle = up.current.is_none() && up.next.is_none() && up.offer.as_ref() == Some(site);
            if up.current.as_ref() == Some(site) {
                self.route_again(slot);
            } else if idle {
                self.refill_own(now, slot);
            }
            self.try_route(now, slot);
        }
    }

    /// A site of this MCU could not be called.
    pub(super) fn slots_not_dialled(&mut self, now: Instant, site: &Path, words: &Words) {
        let waits =
            self.ups.iter().any(|up| up.next.as_ref().is_some_and(|next| next.site == *site && !next.routed));
        if waits {
            let obstacle =
                Obstacle { step: StepName::Dial, mcu: self.config.path.clone(), words: words.clone() };
            self.feed_failed(now, site, &obstacle, End::Abort);
        }
    }

    pub(super) fn time_slots(&mut self, now: Instant) {
        for slot in (0_u8..).zip(&self.ups).map(|(slot, _)| slot).collect::<Vec<_>>() {
            let late =
                self.ups.get(usize::from(slot)).and_then(|up| up.next.as_ref()).filter(|n| n.deadline <= now);
            let Some(next) = late else { continue };
            let obstacle = if next.routed {
                self.obstacle(
                    StepName::Keyframe,
                    "không nhận được khung hình khóa của điểm cầu trong thời hạn",
                    "no key frame of the site came by in time",
                )
            } else {
                self.obstacle(
                    StepName::Dial,
                    "chưa gọi được điểm cầu trong thời hạn",
                    "the site could not be reached in time",
                )
            };
            self.slot_failed(now, slot, &obstacle);
        }
    }

    /// The master is gone: nobody waits for what it ordered. What is in the slots stays there until a master says otherwise.
    pub(super) fn forget_orders(&mut self, now: Instant) {
        for slot in (0_u8..).zip(&self.ups).map(|(slot, _)| slot).collect::<Vec<_>>() {
            let Some(up) = self.up(slot) else { continue };
            up.order = None;
            if let Some(next) = up.next.take_if(|next| next.order.is_some()) {
                self.release(now, &next.site, End::Abort);
                if next.routed {
                    self.reroute_or_clear(slot);
                }
            }
        }
    }
}
