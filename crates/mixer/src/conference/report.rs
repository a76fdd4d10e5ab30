//! A conference's figures.

use std::time::Instant;

use cau_model::ParticipantId;

use super::{Conference, Seen};
use crate::{
    event::{Event, Totals, VideoKind},
    leg::video::Video,
    out::Out,
};

/// A participant's figures come once in so many turns.
pub const TURNS: u64 = 10;

impl Conference {
    /// Figures of the participants whose turn it is, one of [`TURNS`], and what their lines dropped: those of a thousand at once would hold up the sound.
    pub fn report_some(&mut self, now: Instant, turn: u64, out: &mut Out) {
        let whose: Vec<_> = self
            .legs
            .iter()
            .filter(|(id, _)| id.0 % TURNS == turn)
            .map(|(id, leg)| (*id, leg.video.as_ref()))
            .collect();
        let sizes: Vec<_> =
            whose.into_iter().map(|(id, video)| (id, video.and_then(|v| self.gets(v)))).collect();
        for (participant, gets) in sizes {
            let Some(leg) = self.legs.get_mut(&participant) else { continue };
            leg.count_dropped(out);
            let statistics = Box::new(leg.statistics(now, gets));
            out.events.push_back(Event::Statistics { participant, statistics });
        }
    }

    /// This conference's part of the worker's figures.
    pub fn report(&mut self, out: &mut Out) {
        for view in self.views.values() {
            out.totals.codec_errors += view.canvas().take_errors();
            for channel in view.channels.values() {
                for output in channel.outputs() {
                    out.totals.skipped_encode += output.take_skipped();
                    out.totals.codec_errors += output.take_errors();
                }
            }
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
