//! Sites that are wanted here, by a slot of the link above, a screen, or to be ready: one feed each, whoever wants it.

use std::time::{Duration, Instant};

use cau_model::Words;
use cau_model::snapshot::StepName;

use super::bringing::Screen;
use super::{Event, Node, Obstacle, Source};
use crate::operation::ms;
use crate::path::Path;
use crate::wire::{Body, MAX_SLOTS, Open};

/// Each MCU gives up that much earlier than the one above it, so that the one nearest to the fault tells.
const EARLIER: Duration = Duration::from_millis(250);
/// How long what was there before a loss may take to come back.
pub(super) const RESTORING: Duration = Duration::from_secs(30);
/// What is wanted and not to be found below – an MCU there has just begun – is asked for again so often …
const AGAIN: Duration = Duration::from_secs(2);
/// … and so long.
const MISSING: Duration = Duration::from_secs(60);

/// One site on its way here.
#[derive(Debug, Clone)]
pub(super) struct Feed {
    /// `None`: a site of this MCU.
    pub slot: Option<(Path, u8)>,
    /// The order it was asked for with, and when.
    pub order: u64,
    sent: Instant,
    /// A key frame of it has passed into the slot, as the slave says.
    pub ready: bool,
    pub sound: bool,
    by: String,
    /// The site whose slot it has taken, until that is for good, and the order that had brought it.
    took: Option<(Path, u64)>,
    /// It was there and is not to be found now: since when, and when it is asked for again.
    missing: Option<(Instant, Instant)>,
}

/// How a feed ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// It is not wanted any more: the slot goes back to its operator.
    Close,
    /// It failed here: the slave puts back what was in the slot.
    Abort,
    /// It failed below, and has been put back there.
    Failed,
}

/// What a feed is for.
#[derive(Debug, Clone)]
pub(super) struct Want<'a> {
    pub by: &'a str,
    pub sound: bool,
    pub deadline: Instant,
    /// What who wants it has now, whose slot may be taken when none is free.
    pub replacing: Option<&'a Path>,
}

impl Node {
    /// How many want a site.
    fn wanted_by(&self, site: &Path) -> usize {
        let ups = self.ups.iter().filter(|up| up.wants(site)).count();
        let screens = self.screens.iter().filter(|screen| screen.wants(site)).count();
        ups + screens + self.prepared.iter().filter(|(prepared, _)| prepared == site).count()
    }

    /// Where a site that has a feed comes from.
    pub(super) fn source_of(&self, site: &Path) -> Option<Source> {
        match &self.feeds.get(site)?.slot {
            Some((link, slot)) => Some(Source::Slot { link: link.clone(), slot: *slot }),
            None => self.roster.id_of(site).map(Source::Own),
        }
    }

    pub(super) fn obstacle(&self, step: StepName, vi: impl Into<String>, en: impl Into<String>) -> Obstacle {
        Obstacle { step, mcu: self.config.path.clone(), words: Words::new(vi, en) }
    }

    /// Has a site come here.
    pub(super) fn ensure(&mut self, now: Instant, site: &Path, want: &Want<'_>) -> Result<(), Obstacle> {
        if let Some(feed) = self.feeds.get_mut(site) {
            if want.sound && !feed.sound {
                feed.sound = true;
                feed.by = want.by.to_owned();
                self.ask(now, site, want.deadline);
            }
            return Ok(());
        }
        let (slot, took) = match self.roster.id_of(site) {
            Some(_) => (None, None),
            None => self.find_slot(now, site, want)?,
        };
        let (sound, by) = (want.sound, want.by.to_owned());
        self.feeds.insert(
            site.clone(),
            Feed { slot, order: 0, sent: now, ready: false, sound, by, took, missing: None },
        );
        self.ask(now, site, want.deadline);
        Ok(())
    }

    /// Asks the slave for a site, or asks again.
    fn ask(&mut self, now: Instant, site: &Path, deadline: Instant) {
        let order = self.next_order();
        let Some(feed) = self.feeds.get_mut(site) else { return };
        let Some((link, slot)) = feed.slot.clone() else { return };
        (feed.order, feed.sent) = (order, now);
        let left = deadline.saturating_duration_since(now).saturating_sub(EARLIER);
        let open = Open {
            order,
            slot,
            site: site.clone(),
            prepare: !feed.sound,
            by: feed.by.clone(),
            deadline_ms: ms(left),
        };
        self.say_below(now, &link, Body::Open(open));
    }

    /// A slot on the link that leads to a site, and the site whose slot is taken for it.
    #[allow(clippy::type_complexity)]
    fn find_slot(
        &mut self,
        now: Instant,
        site: &Path,
        want: &Want<'_>,
    ) -> Result<(Option<(Path, u8)>, Option<(Path, u64)>), Obstacle> {
        let unknown = |node: &Node| {
            node.obstacle(
                StepName::Find,
                format!("không có điểm cầu “{site}”"),
                format!("there is no site \"{site}\""),
            )
        };
        let link = site.step_below(&self.config.path).ok_or_else(|| unknown(self))?;
        let name = self.tree.get(&link).map(|entry| entry.name.clone()).unwrap_or_default();
        let Some(below) = self.below.get(&link) else { return Err(unknown(self)) };
        if !below.is_up() {
            return Err(self.obstacle(
                StepName::Find,
                format!("mất kết nối điều khiển với {name}"),
                format!("the control link with {name} is lost"),
            ));
        }
        if !below.media {
            return Err(self.obstacle(
                StepName::Find,
                format!("chưa có đường hình và tiếng với {name}"),
                format!("there is no media call with {name}"),
            ));
        }
        if let Some(words) = below.policy.forbids(site, want.sound) {
            return Err(Obstacle { step: StepName::Route, mcu: link, words });
        }
        let limit = usize::from(below.limit.min(below.policy.slots));
        let free = below.slots.iter().take(limit).position(Option::is_none);
        let place = |slot: usize| u8::try_from(slot).unwrap_or(MAX_SLOTS);
        if let Some(free) = free {
            self.hold(&link, free, Some(site.clone()));
            return Ok((Some((link, place(free))), None));
        }
        let held: Vec<Path> = below.slots.iter().take(limit).flatten().cloned().collect();
        let at = |path: &Path| below.slots.iter().position(|held| held.as_ref() == Some(path));
        let idle =
            self.prepared.iter().map(|(p, _)| p).find(|p| at(p).is_some() && self.wanted_by(p) == 1).cloned();
        if let Some(idle) = idle
            && let Some(slot) = at(&idle)
        {
            self.prepared.retain(|(prepared, _)| *prepared != idle);
            self.drop_feed(now, &idle, End::Close);
            self.hold(&link, slot, Some(site.clone()));
            return Ok((Some((link, place(slot))), None));
        }
        if let Some(old) = want.replacing.filter(|old| self.wanted_by(old) == 1)
            && let Some(slot) = at(old)
        {
            let old = old.clone();
            let order = self.feeds.remove(&old).map(|feed| feed.order).unwrap_or_default();
            self.hold(&link, slot, Some(site.clone()));
            return Ok((Some((link, place(slot))), Some((old, order))));
        }
        let held: Vec<&str> = held.iter().map(Path::as_str).collect();
        let held = if held.is_empty() { "–".to_owned() } else { held.join(", ") };
        Err(self.obstacle(
            StepName::Route,
            format!("hết khe hình của {name} ({held})"),
            format!("no slot of {name} is free ({held})"),
        ))
    }

    fn hold(&mut self, link: &Path, slot: usize, site: Option<Path>) {
        if let Some(held) = self.below.get_mut(link).and_then(|below| below.slots.get_mut(slot)) {
            *held = site;
        }
    }

    /// Ends a feed that nobody wants.
    pub(super) fn release(&mut self, now: Instant, site: &Path, end: End) {
        if self.wanted_by(site) == 0 {
            self.drop_feed(now, site, end);
        } else if !self.screens.iter().any(|s| s.wants(site)) && !self.ups.iter().any(|up| up.wants(site)) {
            // Only prepared from now on: nobody here hears it.
            if let Some(feed) = self.feeds.get_mut(site).filter(|feed| feed.sound) {
                feed.sound = false;
                self.ask(now, site, now + RESTORING);
            }
        }
    }

    fn drop_feed(&mut self, now: Instant, site: &Path, end: End) {
        let Some(feed) = self.feeds.remove(site) else { return };
        let Some((link, slot)) = feed.slot else { return };
        let took = feed.took.is_some();
        // Somebody else may have had it brought by another slot meanwhile, or nobody wants it any more.
        let back = feed
            .took
            .filter(|(old, _)| end != End::Close && self.wanted_by(old) > 0 && !self.feeds.contains_key(old));
        if end == End::Abort && took {
            self.say_below(now, &link, Body::Abort { order: feed.order });
        }
        if back.is_none() {
            self.say_below(now, &link, Body::Close { slot });
        }
        self.hold(&link, usize::from(slot), back.as_ref().map(|(old, _)| old.clone()));
        if let Some((back, order)) = back {
            let again = Feed {
                slot: Some((link, slot)),
                order,
                sent: now,
                ready: true,
                took: None,
                missing: None,
                ..feed
            };
            self.feeds.insert(back, again);
        }
    }

    /// What took a slot keeps it.
    pub(super) fn settle(&mut self, site: &Path) {
        if let Some(feed) = self.feeds.get_mut(site) {
            feed.took = None;
        }
    }

    fn asked_with(&self, link: &Path, order: u64) -> Option<Path> {
        let is = |feed: &Feed| feed.order == order && feed.slot.as_ref().is_some_and(|(l, _)| l == link);
        let below = self.below.get(link)?;
        below.slots.iter().flatten().find(|site| self.feeds.get(*site).is_some_and(is)).cloned()
    }

    /// A slave has done a step.
    pub(super) fn step_below(
        &mut self,
        now: Instant,
        link: &Path,
        order: u64,
        name: StepName,
        mcu: &Path,
        after_ms: u64,
    ) {
        let Some(site) = self.asked_with(link, order) else { return self.count("unknown-order") };
        let Some(feed) = self.feeds.get(&site) else { return };
        let one_way = self.below.get(link).map(|below| below.one_way()).unwrap_or_default();
        let at = feed.sent + one_way + Duration::from_millis(after_ms.min(ms(RESTORING) * 10));
        self.step_of(now, &site, name, mcu, at.min(now));
    }

    /// A slave says that a key frame has passed into the slot.
    pub(super) fn ready_below(&mut self, link: &Path, order: u64) {
        let Some(site) = self.asked_with(link, order) else { return self.count("unknown-order") };
        if let Some(feed) = self.feeds.get_mut(&site) {
            (feed.ready, feed.missing) = (true, None);
        }
    }

    /// A slave could not do it; it has put back what was there.
    pub(super) fn failed_below(&mut self, now: Instant, link: &Path, order: u64, obstacle: Obstacle) {
        let Some(site) = self.asked_with(link, order) else { return self.count("unknown-order") };
        // Who has seen it already is not told of a failure as long as it may come back.
        let is_new = |s: &Screen| s.current.as_ref() != Some(&site);
        let waits = |s: &Screen| is_new(s) && s.next.as_ref().is_some_and(|(_, next)| *next == site);
        let waited_for = self.screens.iter().any(waits)
            || self.ups.iter().any(|up| up.next.as_ref().is_some_and(|next| next.site == site));
        if let Some(feed) =
            self.feeds.get_mut(&site).filter(|_| !waited_for && obstacle.step == StepName::Find)
        {
            let since = feed.missing.map_or(now, |(since, _)| since);
            if now.saturating_duration_since(since) < MISSING {
                (feed.ready, feed.missing) = (false, Some((since, now + AGAIN)));
                return;
            }
        }
        self.feed_failed(now, &site, &obstacle, End::Failed);
    }

    pub(super) fn feeds_timeout(&self) -> Option<Instant> {
        self.feeds.values().filter_map(|feed| feed.missing.map(|(_, again)| again)).min()
    }

    /// Asks again for what is wanted and was not to be found.
    pub(super) fn time_feeds(&mut self, now: Instant) {
        let due = |feed: &Feed| feed.missing.is_some_and(|(_, again)| again <= now);
        let sites: Vec<Path> =
            self.feeds.iter().filter(|(_, f)| due(f)).map(|(site, _)| site.clone()).collect();
        for site in sites {
            if let Some((_, again)) = self.feeds.get_mut(&site).and_then(|feed| feed.missing.as_mut()) {
                // The answer says whether once more.
                *again = now + RESTORING;
            }
            self.ask(now, &site, now + RESTORING);
        }
    }

    /// A site cannot be had: everybody who waits for it or had it is told.
    pub(super) fn feed_failed(&mut self, now: Instant, site: &Path, obstacle: &Obstacle, end: End) {
        let waiting: Vec<u8> = (0_u8..)
            .zip(&self.ups)
            .filter(|(_, up)| up.next.as_ref().is_some_and(|next| next.site == *site))
            .map(|(slot, _)| slot)
            .collect();
        self.drop_feed(now, site, end);
        for slot in waiting {
            self.slot_failed(now, slot, obstacle);
        }
        self.screens_failed(now, site, obstacle);
        for slot in 0_u8..MAX_SLOTS {
            self.slot_emptied(now, slot, site, obstacle);
        }
        let before = self.prepared.len();
        self.prepared.retain(|(prepared, _)| prepared != site);
        if self.prepared.len() != before {
            self.alarm(now, "not-prepared", site, obstacle.words.clone());
            self.event(Event::Keep);
        }
    }

    /// A link is lost: who waits for something over it has failed; what was there is wanted again when it is back.
    pub(super) fn feeds_lost(&mut self, now: Instant, link: &Path) {
        let name = self.tree.get(link).map(|entry| entry.name.clone()).unwrap_or_default();
        let vi = format!("mất kết nối điều khiển với {name}");
        let obstacle = self.obstacle(StepName::Route, vi, format!("the control link with {name} was lost"));
        let over = |feed: &Feed| feed.slot.as_ref().is_some_and(|(l, _)| l == link);
        let sites: Vec<Path> =
            self.feeds.iter().filter(|(_, f)| over(f)).map(|(site, _)| site.clone()).collect();
        for site in sites {
            let waits = self.screens.iter().any(|s| s.next.as_ref().is_some_and(|(_, next)| *next == site))
                || self.ups.iter().any(|up| up.next.as_ref().is_some_and(|next| next.site == site));
            if waits {
                self.waiting_failed(now, &site, &obstacle);
            }
        }
    }

    /// Who waits for a site has failed; who has it keeps it.
    fn waiting_failed(&mut self, now: Instant, site: &Path, obstacle: &Obstacle) {
        let waiting: Vec<u8> = (0_u8..)
            .zip(&self.ups)
            .filter(|(_, up)| up.next.as_ref().is_some_and(|next| next.site == *site))
            .map(|(slot, _)| slot)
            .collect();
        for slot in waiting {
            self.slot_failed(now, slot, obstacle);
        }
        self.screens_waiting_failed(now, site, obstacle);
        self.release(now, site, End::Abort);
    }

    /// A link stands, or its media does: everything wanted over it is said again, and what is not wanted given back.
    pub(super) fn want_again(&mut self, now: Instant, link: &Path) {
        let Some(below) = self.below.get(link).filter(|below| below.is_up()) else { return };
        let media = below.media;
        let before = below.slots.clone();
        // After a restart of ours nothing was in the slots.
        let screens = self.screens.iter().filter_map(|s| Some((s.current.clone()?, s.by.clone(), true)));
        let prepared = self.prepared.iter().map(|(site, by)| (site.clone(), by.clone(), false));
        let wanted: Vec<(Path, String, bool)> =
            screens.chain(prepared).filter(|(s, ..)| s.is_below(link)).collect();
        // What is in the slots stays until the media call stands and all of it can be said.
        let waits = !media && wanted.iter().any(|(site, ..)| !self.feeds.contains_key(site));
        for (site, by, sound) in wanted {
            if !media || self.feeds.contains_key(&site) {
                continue;
            }
            let want = Want { by: &by, sound, deadline: now + RESTORING, replacing: None };
            if let Err(obstacle) = self.ensure(now, &site, &want) {
                self.alarm(now, "not-restored", &site, obstacle.words);
            }
        }
        for (slot, held) in (0_u8..).zip(before) {
            match held {
                Some(site) => {
                    if let Some(feed) = self.feeds.get_mut(&site) {
                        feed.ready = false;
                    }
                    self.ask(now, &site, now + RESTORING);
                }
                None => {
                    let taken =
                        self.below.get(link).and_then(|b| b.slots.get(usize::from(slot)).cloned().flatten());
                    if taken.is_none() && !waits {
                        self.say_below(now, link, Body::Close { slot });
                    }
                }
            }
        }
    }
}
