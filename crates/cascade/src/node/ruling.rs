//! Who may do what: the policy of this MCU's operator, and the floor.

use std::time::Instant;

use cau_model::snapshot::StepName;
use cau_model::{Refusal, Words};

use super::{Act, Event, Node, Obstacle};
use crate::path::Path;
use crate::rights::Policy;
use crate::tree::{Kind, Line as State};
use crate::wire::Body;

/// Floors taken at a time.
const MOST_FLOORS: usize = 256;

impl Node {
    pub(super) fn set_policy(&mut self, now: Instant, policy: Policy) {
        self.policy = policy;
        self.tell_policy(now);
        self.event(Event::Keep);
        // What is forbidden now ends now.
        for slot in (0_u8..).zip(&self.ups).map(|(slot, _)| slot).collect::<Vec<_>>() {
            self.check_slot(now, slot);
        }
        if !self.policy.floor && self.floor.is_some() {
            self.hold_floor(None);
        }
    }

    /// The floor of an MCU below.
    pub(super) fn seize_floor(
        &mut self,
        now: Instant,
        mcu: &Path,
        by: Option<String>,
    ) -> Result<(), Refusal> {
        let known = self.tree.get(mcu).is_some_and(|entry| entry.kind == Kind::Mcu);
        let link = mcu.step_below(&self.config.path).filter(|_| known);
        let Some(below) = link.as_ref().and_then(|link| self.below.get(link)).filter(|below| below.is_up())
        else {
            let vi = format!("không có MCU “{mcu}” đang nối");
            return Err(Refusal::invalid("mcu", vi, format!("no MCU \"{mcu}\" is linked")));
        };
        if by.is_some() && link.as_ref() == Some(mcu) && !below.policy.floor {
            return Err(Refusal::Conflict(Words::new(
                "người điều khiển tại đó không cho lấy quyền điều khiển",
                "its own operator does not let the floor be taken",
            )));
        }
        if let Some(link) = link {
            self.want_floor(mcu, by.clone());
            self.say_below(now, &link, Body::Floor { mcu: mcu.clone(), by });
            self.event(Event::Keep);
        }
        Ok(())
    }

    /// The master takes a floor or gives it back: ours, or that of an MCU below.
    pub(super) fn floor_taken(&mut self, now: Instant, mcu: &Path, by: Option<String>) {
        if *mcu != self.config.path {
            if let Some(link) = mcu.step_below(&self.config.path) {
                self.want_floor(mcu, by.clone());
                self.say_below(now, &link, Body::Floor { mcu: mcu.clone(), by });
            }
            return;
        }
        if by.is_some() && !self.policy.floor {
            let words = Words::new(
                "người điều khiển tại đó không cho lấy quyền điều khiển",
                "its own operator does not let the floor be taken",
            );
            self.say_above(now, super::refused(0, "policy", words));
            return;
        }
        self.hold_floor(by);
    }

    /// Remembers whose floor is to be taken, for when a link comes back.
    fn want_floor(&mut self, mcu: &Path, by: Option<String>) {
        match by {
            Some(by) if self.floors.len() < MOST_FLOORS => {
                self.floors.insert(mcu.clone(), by);
            }
            Some(_) => self.count("too-many-floors"),
            None => {
                self.floors.remove(mcu);
            }
        }
    }

    /// A slave is linked: whose floors are taken below, and that its own is not.
    pub(super) fn say_floors(&mut self, now: Instant, link: &Path) {
        let deeper: Vec<(Path, Option<String>)> = self
            .floors
            .iter()
            .filter(|(mcu, _)| mcu.is_below(link))
            .map(|(mcu, by)| (mcu.clone(), Some(by.clone())))
            .collect();
        let own = self.floors.get(link).cloned();
        for (mcu, by) in std::iter::once((link.clone(), own)).chain(deeper) {
            self.say_below(now, link, Body::Floor { mcu, by });
        }
    }

    fn hold_floor(&mut self, by: Option<String>) {
        if self.floor != by {
            self.floor.clone_from(&by);
            self.acts.push_back(Act::Floor { by });
            self.show_own();
        }
    }

    /// Whether the master may have a site in a slot.
    pub(super) fn may_open(&self, slot: u8, site: &Path, sound: bool) -> Result<(), Obstacle> {
        let no = |vi: &str, en: &str| Err(self.obstacle(StepName::Route, vi, en));
        let Some(up) = self.ups.get(usize::from(slot)).filter(|_| slot < self.policy.slots) else {
            return no("không có khe hình đó", "there is no such slot");
        };
        if self.tree.get(site).is_none() || !site.is_below(&self.config.path) {
            let vi = format!("không có điểm cầu “{site}”");
            return Err(self.obstacle(StepName::Find, vi, format!("there is no site \"{site}\"")));
        }
        if let Some(words) = self.policy.forbids(site, sound) {
            return Err(Obstacle { step: StepName::Route, mcu: self.config.path.clone(), words });
        }
        if up.by.is_none() && up.offer.is_some() && !self.policy.seize {
            return no(
                "người điều khiển tại đó đang dùng khe hình này và không cho lấy",
                "its own operator uses this slot and does not let it be taken",
            );
        }
        let away = self.roster.id_of(site).is_some()
            && self.tree.get(site).is_some_and(|entry| entry.line != State::Connected);
        if away && !self.policy.dial {
            return Err(self.obstacle(
                StepName::Dial,
                "điểm cầu không có mặt, và tại đó không cho gọi từ cấp trên",
                "the site is not in the meeting, and may not be called from above",
            ));
        }
        Ok(())
    }

    /// The policy has changed: what a master holds and may not have any more goes back.
    fn check_slot(&mut self, now: Instant, slot: u8) {
        let Some(up) = self.ups.get(usize::from(slot)) else { return };
        let masters = up.by.is_some() || up.next.as_ref().is_some_and(|next| next.by.is_some());
        let mut sites = up.current.iter().chain(up.next.as_ref().map(|next| &next.site));
        let forbidden =
            slot >= self.policy.slots || sites.any(|site| self.policy.forbids(site, up.sound).is_some());
        if masters && forbidden {
            let coming = up.next.as_ref().and_then(|next| next.order);
            // What was coming first: above, that brings back what is there, which fails then.
            let orders: Vec<u64> = coming.into_iter().chain(up.order.map(|(order, _)| order)).collect();
            let obstacle = self.obstacle(
                StepName::Route,
                "người điều khiển tại đó đã rút lại quyền",
                "its own operator has withdrawn the right",
            );
            self.closed(now, slot);
            for order in orders {
                let Obstacle { step, mcu, words } = obstacle.clone();
                self.say_above(now, Body::Failed { order, step, mcu, words });
            }
        }
    }
}
