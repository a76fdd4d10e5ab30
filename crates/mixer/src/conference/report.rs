//! A conference's figures.

use std::{collections::BTreeMap, time::Instant};

use cau_model::ParticipantId;

use super::{Conference, Seen};
use crate::{
    event::{Event, Totals, VideoKind},
    leg::video::Video,
    out::Out,
};

impl Conference {
    /// Figures of every participant, and this conference's part of the worker's.
    pub fn report(&mut self, now: Instant, out: &mut Out) {
        for view in self.views.values() {
            out.totals.codec_errors += view.canvas().take_errors();
            for channel in view.channels.values() {
                for output in channel.outputs() {
                    out.totals.skipped_encode += output.take_skipped();
                    out.totals.codec_errors += output.take_errors();
                }
            }
        }
        let sizes: BTreeMap<ParticipantId, (VideoKind, (u32, u32))> = self
            .legs
            .iter()
            .filter_map(|(participant, leg)| Some((*participant, self.gets(leg.video.as_ref()?)?)))
            .collect();
        for (participant, leg) in &mut self.legs {
            let statistics = Box::new(leg.statistics(now, sizes.get(participant).copied()));
            out.events.push_back(Event::Statistics { participant: *participant, statistics });
        }
    }

    /// What a receiver gets at the moment: how it is made, and its size in pixels.
    fn gets(&self, video: &Video) -> Option<(VideoKind, (u32, u32))> {
        let place = video.place?;
        let channel = self.views.get(&place.view)?.channels.get(&place.stream)?;
        let relayed = channel.is_relayed() && video.watch.follows(&channel.main);
        let site =
            place.stream.from.filter(|_| relayed).and_then(|site| self.legs.get(&site)?.video.as_ref());
        match site.and_then(|v| v.source.size()) {
            Some(size) => Some((VideoKind::Forwarded, size)),
            None => Some((VideoKind::Encoded, (place.view.width, place.view.height))),
        }
    }

    /// Counts what all lines dropped since the last call.
    pub fn count_dropped(&mut self, out: &mut Out) {
        self.legs.values_mut().for_each(|leg| leg.count_dropped(out));
    }

    /// Adds the gauges.
    pub fn count(&self, totals: &mut Totals) {
        totals.conferences += 1;
        totals.legs += self.legs.len() as u32;
        totals.decoders += self.legs.values().filter(|l| l.is_decoded()).count() as u32;
        for channel in self.views.values().flat_map(|v| v.channels.values()) {
            totals.encoders += channel.outputs().count() as u32;
            totals.catch_up += u32::from(channel.is_catching_up());
        }
    }

    /// The last canvas a participant sees, or the site whose own pictures he gets.
    pub fn seen_by(&self, participant: ParticipantId) -> Option<Seen> {
        let place = self.legs.get(&participant)?.video.as_ref()?.place?;
        match place.stream.from {
            Some(site) => Some(Seen::Site(site)),
            None => self.views.get(&place.view)?.canvas().latest().map(Seen::Canvas),
        }
    }
}
