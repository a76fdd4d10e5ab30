//! A site brought before viewers, followed to the end: its picture decoded, a key frame with it sent, the viewer's reports covering
//! that key frame, its sound in the mix. See CONTRACT's meaning of *done* in docs/mixer.md.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use cau_model::ParticipantId;
use cau_rtp::stream::Sender;

use crate::{
    event::{Event, Progress},
    leg::Leg,
    out::Out,
    view::{self, View},
};

/// The picture is asked for again and kept decoded in steps of this length.
const WANT: Duration = Duration::from_millis(500);
/// A key frame that nobody asked for may be under way; after this time one is asked for, and then as often as an encoder makes one.
pub const KEY_AFTER: Duration = Duration::from_millis(200);
pub const KEY_AGAIN: Duration = Duration::from_millis(1_000);

/// What it looks at.
pub struct Ways<'a> {
    /// Legs of the conference.
    pub legs: &'a mut BTreeMap<ParticipantId, Leg>,
    /// Its views.
    pub views: &'a BTreeMap<view::Key, View>,
}

/// One site on its way.
pub struct BringUp {
    /// Names it.
    pub operation: u64,
    /// Whom.
    pub site: ParticipantId,
    /// Only pictures named so count.
    csrc: Option<u32>,
    /// What counts has begun to come.
    is_there: bool,
    began: Instant,
    has_picture: bool,
    is_heard: bool,
    viewers: BTreeMap<ParticipantId, Viewer>,
}

/// One viewer.
#[derive(Default)]
struct Viewer {
    /// When a key frame was last asked for.
    asked: Option<Instant>,
    sent: Option<Sent>,
    /// Sent to, in this or an earlier try.
    told: bool,
    done: bool,
}

/// A key frame that was sent.
#[derive(Clone, Copy)]
struct Sent {
    /// Sequence number of its last packet.
    last: u16,
    /// Packets lost before, by the viewer's reports; `None`: it had not reported yet.
    lost: Option<i32>,
    reports: bool,
}

impl BringUp {
    /// Begins. `is_there`: what counts comes already.
    pub fn new(
        now: Instant,
        operation: u64,
        site: ParticipantId,
        viewers: Vec<ParticipantId>,
        (csrc, is_there): (Option<u32>, bool),
    ) -> Self {
        let viewers = viewers.into_iter().map(|id| (id, Viewer::default())).collect();
        Self { operation, site, csrc, is_there, began: now, has_picture: false, is_heard: false, viewers }
    }

    /// A key frame of `time` went to a viewer, whose canvas has shown the site `since`; passed on, its picture is shown since it was made.
    /// `sender` has just sent its last packet.
    pub fn note_key(
        &mut self,
        viewer: ParticipantId,
        time: Instant,
        since: Option<Instant>,
        sender: &Sender,
    ) {
        let Some(viewer) = self.viewers.get_mut(&viewer).filter(|v| v.sent.is_none() && !v.done) else {
            return;
        };
        if self.is_there && since.is_some_and(|since| time >= since.max(self.began)) {
            let last = sender.next_seq().wrapping_sub(1);
            let report = sender.remote();
            viewer.sent = Some(Sent { last, lost: report.map(|r| r.lost), reports: report.is_some() });
        }
    }

    /// Looks how far it is; every 20 ms.
    pub fn attend(&mut self, now: Instant, ways: &mut Ways<'_>, out: &mut Out) {
        let operation = self.operation;
        let mut tell = |progress| out.events.push_back(Event::BringUp { operation, progress });
        let Some(site) = ways.legs.get_mut(&self.site) else { return };
        if let Some(csrc) = self.csrc {
            let Some(since) = site.carries(csrc) else { return };
            if !self.is_there {
                // All of it has come since the command, also a key frame that is replayed and a little older.
                self.began = since;
                self.is_there = true;
            }
        }
        if !self.has_picture {
            site.want_picture(now, now + WANT);
            self.has_picture = site.is_decoded() && site.picture().is_some();
            if self.has_picture {
                tell(Progress::KeyFrame);
            }
        }
        if !self.is_heard && site.audio.as_ref().is_some_and(|a| a.site.is_heard()) {
            self.is_heard = true;
            tell(Progress::Heard);
        }
        let Some(shown) = site.shown() else { return };
        for (id, viewer) in self.viewers.iter_mut().filter(|(_, viewer)| !viewer.done) {
            let Some(video) = ways.legs.get(id).and_then(|leg| leg.video.as_ref()) else { continue };
            let view = video.place.and_then(|place| Some((ways.views.get(&place.view)?, place.stream)));
            let Some((view, stream)) = view else { continue };
            match viewer.sent {
                None => {
                    let passed_on = stream.from == Some(self.site);
                    let since = if passed_on { Some(self.began) } else { view.canvas().shows_since(&shown) };
                    let Some(since) = since.map(|since| since.max(self.began)) else { continue };
                    let due = viewer.asked.map_or(since + KEY_AFTER, |at| at + KEY_AGAIN);
                    if now >= due
                        && let Some(channel) = view.channels.get(&stream)
                    {
                        viewer.asked = Some(now);
                        channel.main.request_key();
                    }
                }
                Some(sent) => {
                    if !viewer.told {
                        viewer.told = true;
                        tell(Progress::Sent { viewer: *id, reports: sent.reports });
                    }
                    let Some(report) = video.line.session.sender.remote() else { continue };
                    // The low half of the extended number is the sequence number (RFC 3550 A.1); half the circle is ahead.
                    let covers = (report.highest as u16).wrapping_sub(sent.last) < 0x8000;
                    if !covers {
                        continue;
                    }
                    let whole = sent.lost.map_or(report.fraction_lost == 0, |before| report.lost <= before);
                    if whole {
                        viewer.done = true;
                        tell(Progress::Covered { viewer: *id });
                    } else {
                        // One of the packets lost may have been of that key frame: the next one counts.
                        viewer.sent = None;
                        viewer.asked = None;
                        tell(Progress::Hurt { viewer: *id });
                    }
                }
            }
        }
    }
}
