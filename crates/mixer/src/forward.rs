//! Whether a receiver gets a site's own pictures instead of an encoded view (docs/forwarding.md).

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use cau_model::{ParticipantId, scene::Scene};

use crate::{
    command::{Config, Mode},
    leg::{Leg, video::Video},
    source::Wants,
    view::output,
};

/// A site that does not send a key frame when asked is not passed on for so long.
const UNWILLING: Duration = Duration::from_secs(10);
/// A receiver that needs repair more often than this …
const REPAIRS: u32 = 3;
/// … within this time …
const REPAIRS_IN: Duration = Duration::from_secs(10);
/// … gets the encoded view for so long: its repairs cost nobody else anything there.
const APART: Duration = Duration::from_secs(60);

/// Sites that are not passed on for a while.
#[derive(Debug, Default)]
pub struct Unwilling(BTreeMap<ParticipantId, Instant>);

impl Unwilling {
    /// It did not send a key frame when it was asked.
    pub fn note(&mut self, now: Instant, site: ParticipantId) {
        self.0.retain(|_, until| *until > now);
        self.0.insert(site, now + UNWILLING);
    }

    fn has(&self, now: Instant, site: ParticipantId) -> bool {
        self.0.get(&site).is_some_and(|until| *until > now)
    }
}

/// How often one receiver needed repair.
#[derive(Debug, Default)]
pub struct Repairs {
    since: Option<Instant>,
    count: u32,
    apart_until: Option<Instant>,
}

impl Repairs {
    /// It asked for a key frame. True when it has to be served apart from now on.
    pub fn note(&mut self, now: Instant) -> bool {
        if self.since.is_none_or(|at| now.saturating_duration_since(at) > REPAIRS_IN) {
            (self.since, self.count) = (Some(now), 0);
        }
        self.count += 1;
        let apart = self.count > REPAIRS;
        if apart {
            self.apart_until = Some(now + APART);
        }
        apart
    }

    fn is_apart(&self, now: Instant) -> bool {
        self.apart_until.is_some_and(|until| until > now)
    }
}

/// The site whose own pictures this receiver gets of this scene; `None`: it gets an encoded view.
pub fn source(
    now: Instant,
    scene: &Scene,
    viewer: (ParticipantId, &Video),
    legs: &BTreeMap<ParticipantId, Leg>,
    unwilling: &Unwilling,
    config: &Config,
) -> Option<ParticipantId> {
    let (participant, viewer) = viewer;
    let site = scene.single().filter(|site| config.forward && *site != participant)?;
    if unwilling.has(now, site) || viewer.repairs.is_apart(now) {
        return None;
    }
    let sender = legs.get(&site).filter(|leg| leg.shown().is_some())?.video.as_ref()?;
    let gets = viewer.place.is_some_and(|p| p.stream.from == Some(site));
    let suits = sender.source.is_live() && sender.source.traits.suits(&wants(viewer, config), gets);
    suits.then_some(site)
}

fn wants(viewer: &Video, config: &Config) -> Wants {
    let leg = viewer.config();
    Wants {
        limits: leg.limits,
        tools: leg.tools,
        max_kbps: viewer.line_kbps(),
        max_nal: (leg.mode == Mode::Single).then(|| output::max_payload(config)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_needs_repair_too_often_is_served_apart_for_a_minute() {
        #[expect(clippy::disallowed_methods, reason = "an arbitrary origin of virtual time")]
        let start = Instant::now();
        let at = |s| start + Duration::from_secs(s);
        let mut repairs = Repairs::default();
        for s in [0, 4, 9, 20, 24, 29] {
            assert!(!repairs.note(at(s)), "three in ten seconds are borne");
        }
        assert!(repairs.note(at(30)));
        assert!(repairs.is_apart(at(89)) && !repairs.is_apart(at(91)));
    }
}
