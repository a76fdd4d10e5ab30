//! A site that calls in while it is being called, or after its line was lost, is one site: its later call counts.

use std::time::Instant;

use cau_model::participant::State;
use cau_model::{ConferenceId, ParticipantId, Refusal, Words};
use cau_sip::{CallId, IncomingInvite, Transport, Uri};

use super::sites::{Line, Site};
use super::{Call, Focus};
use crate::dial::{Caller, Known};
use crate::request::Error;

/// Told to the other side of a call that another one takes the place of.
pub(super) const REPLACED: &str = "the site is in the conference by another call";

impl Focus {
    /// The site of that conference that calls in here: one that is being called or was lost, else one we have called before.
    pub(super) fn known_caller(
        &self,
        conference: ConferenceId,
        request: &IncomingInvite,
    ) -> Option<ParticipantId> {
        let caller = Caller {
            from: &request.from.uri,
            contact: request.contact.as_ref().map(|contact| &contact.uri),
            source: request.remote,
        };
        let rank = |id: ParticipantId, site: &Site| {
            let lost = self.state_of(conference, id) == Some(State::Reconnecting);
            match site.line {
                Line::Queued | Line::Locating(_) | Line::Calling(_) | Line::Waiting(_) => Some(0),
                Line::Up(_) if lost => Some(1),
                // Devices that dial in may share an address and a name; those we have dialled do not.
                Line::Up(_) if site.dialled => Some(2),
                Line::Idle if site.dialled && self.state_of(conference, id).is_some() => Some(3),
                Line::Up(_) | Line::Idle => None,
            }
        };
        let own = Uri::parse;
        self.sites
            .all
            .iter()
            .rev()
            .filter(|(id, site)| site.conference == conference && self.links.part(**id).is_none())
            .filter_map(|(id, site)| Some((rank(*id, site)?, *id, site)))
            .filter(|(_, _, site)| {
                let shown;
                let address = match (&site.target, site.dialled) {
                    (Some(target), true) => target,
                    _ => {
                        let Ok(uri) = own(site.uri.as_bytes()) else { return false };
                        shown = uri;
                        &shown
                    }
                };
                caller.is(&Known { address, contact: site.contact.as_ref(), found: site.found })
            })
            .min_by_key(|(rank, ..)| *rank)
            .map(|(_, id, _)| id)
    }

    /// Notes who calls in, and where it could be called back.
    pub(super) fn note_caller(&mut self, participant: ParticipantId, call: &Call, request: &IncomingInvite) {
        let callback = self.callback(request);
        let site = self
            .sites
            .all
            .entry(participant)
            .or_insert_with(|| Site::new(call.conference, call.name.clone(), call.uri.clone()));
        site.contact = request.contact.as_ref().map(|contact| contact.uri.clone());
        site.found = Some(request.remote);
        if !site.dialled {
            (site.target, site.remote) = match callback {
                Some((target, remote)) => (Some(target), remote),
                None => (None, None),
            };
        }
    }

    /// Where a caller can be called back: at its Contact, and only where it really speaks from, so that nobody can make us ring
    /// somebody else.
    fn callback(&self, request: &IncomingInvite) -> Option<(Uri, Option<std::net::SocketAddr>)> {
        let contact = request.contact.as_ref().map(|contact| &contact.uri)?;
        if contact.scheme() != "sip" || !self.config.dial.allow.fits(contact) {
            return None;
        }
        let source = request.remote;
        let named = contact.socket_addr().map(|at| at.ip().to_canonical());
        if named == Some(source.ip().to_canonical()) {
            return Some((contact.clone(), None));
        }
        (request.transport == Transport::Udp).then(|| (contact.clone(), Some(source)))
    }

    /// Another call takes the place of this one, with its ports and its leg.
    pub(super) fn replace_call(&mut self, now: Instant, old: CallId) {
        let Some(call) = self.drop_call(old) else { return };
        self.by_participant.remove(&call.participant);
        // It may be over in SIP already.
        let _ = self.sip.hangup(now, old, Some(REPLACED));
    }

    /// A call ends for the sake of another one that cannot take its place.
    pub(super) fn give_up_call(&mut self, now: Instant, old: CallId) {
        self.end_heirs(now, old);
        let Some(call) = self.forget_call(old) else { return };
        let _ = self.sip.hangup(now, old, Some(REPLACED));
        // Should the new one come to nothing, it is called again.
        let words = Words::new("điểm cầu gọi lại qua mạng khác", "the site calls over another network");
        if self.state_of(call.conference, call.participant).is_some_and(State::present) {
            self.lost(now, call.participant, words);
        } else {
            self.sites.set_line(call.participant, Line::Queued);
        }
    }

    /// Sites of a conference that are there, or are being called.
    pub(super) fn counted(&self, conference: ConferenceId) -> usize {
        let counts = |site: &&Site| site.conference == conference && site.line != Line::Idle;
        self.sites.all.values().filter(counts).count()
    }

    /// Whether so many more sites fit.
    pub(super) fn seats_left(&self, conference: ConferenceId, new: usize) -> Result<(), Error> {
        let (here, most) = (self.counted(conference), self.config.max_per_conference);
        if here + new <= most {
            return Ok(());
        }
        Err(Error::Refused(Refusal::Conflict(Words::new(
            format!("phiên họp có {here} điểm cầu, nhiều nhất là {most}"),
            format!("the conference has {here} sites, at most {most} are allowed"),
        ))))
    }
}
