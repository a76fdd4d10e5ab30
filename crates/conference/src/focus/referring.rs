//! REFER to a conference: somebody asks us to call or to hang up somebody (RFC 4579 5.5, 5.11).

use std::collections::BTreeMap;
use std::time::Instant;

use cau_model::participant::State;
use cau_model::{ConferenceId, ParticipantId, Words};
use cau_sip::refer::{Refer, Wanted};
use cau_sip::subscribe::SubscriptionId;
use cau_sip::{CallId, Uri};

use super::Focus;
use super::watching::called;
use crate::config::Referrers;

/// Most sites whose way into a conference is reported on; of more the oldest have ended long ago.
const MOST_REPORTED: usize = 1024;

/// Why a REFER is not done: status, and words for the Warning.
struct No(u16, &'static str);

/// REFERs whose sites are on their way in.
#[derive(Debug, Default)]
pub(super) struct Reported(BTreeMap<SubscriptionId, OnTheWay>);

#[derive(Debug)]
struct OnTheWay {
    conference: ConferenceId,
    site: ParticipantId,
    /// What the site refused with last.
    refused: Option<u16>,
}

impl Focus {
    /// Does what is asked, if the asker may ask.
    pub(super) fn referred(&mut self, now: Instant, refer: &Refer) {
        let done = match refer.wanted {
            Wanted::Bye => self.refer_bye(now, refer),
            Wanted::Invite => self.refer_invite(now, refer),
        };
        if let Err(No(status, words)) = done {
            tracing::debug!(from = %refer.from.uri, to = %refer.target, status, "a REFER is refused: {words}");
            let warning = format!("399 {} \"{words}\"", self.config.agent);
            let _ = self.sip.refuse_refer(now, refer.id, status, &[("Warning", &warning)]);
        }
    }

    /// The conference it is about, and who of it asks.
    fn referrer(&self, refer: &Refer) -> Result<(ConferenceId, ParticipantId), No> {
        let who = match refer.call {
            Some(call) => self.calls.get(&call).map(|call| (call.conference, call.participant)),
            None => {
                let conference =
                    self.registry.dialled(&refer.uri.user()).ok_or(No(404, "there is no such room"))?;
                let remote = refer.remote.ip();
                self.sender(conference, &refer.from, remote).map(|who| (conference, who))
            }
        };
        who.ok_or(No(403, "only who is in the conference may ask for this"))
    }

    fn may_refer(&self, conference: ConferenceId, who: ParticipantId) -> Result<(), No> {
        let chair = self.rooms.get(&conference).and_then(|room| room.conference.chair());
        match self.config.refer {
            Referrers::Participants => Ok(()),
            Referrers::Chair if chair == Some(who) => Ok(()),
            Referrers::Chair => Err(No(403, "only the chair may ask for this")),
            Referrers::Off => Err(No(403, "the MCU does not take this from sites")),
        }
    }

    fn refer_bye(&mut self, now: Instant, refer: &Refer) -> Result<(), No> {
        let (conference, who) = self.referrer(refer)?;
        let gone = self.meant(conference, &refer.target);
        // Everybody may take himself away.
        if gone != Some(who) {
            self.may_refer(conference, who)?;
        }
        let gone = gone.ok_or(No(404, "that site is not in the conference"))?;
        let Some((call, _)) = self.call_of(gone) else {
            return Err(No(404, "that site is not in the conference"));
        };
        if self.sip.accept_refer(now, refer.id).is_ok() {
            self.hang_up(
                now,
                call,
                Words::new("được yêu cầu từ phiên họp (REFER)", "asked for in the conference (REFER)"),
            );
            self.sip.refer_result(now, refer.id, 200, "");
        }
        Ok(())
    }

    fn refer_invite(&mut self, now: Instant, refer: &Refer) -> Result<(), No> {
        let (conference, who) = self.referrer(refer)?;
        self.may_refer(conference, who)?;
        let site = self.bring_in(conference, refer)?;
        if self.sip.accept_refer(now, refer.id).is_ok() {
            if self.reported.0.len() >= MOST_REPORTED {
                self.reported.0.pop_first();
            }
            self.reported.0.insert(refer.id, OnTheWay { conference, site, refused: None });
            self.report_referred(now, conference, site);
        }
        Ok(())
    }

    /// The site a REFER wants in the conference; who is there already is not called twice.
    fn bring_in(&self, conference: ConferenceId, refer: &Refer) -> Result<ParticipantId, No> {
        self.meant(conference, &refer.target).ok_or(No(501, "the MCU does not call out yet"))
    }

    /// Notes the status a site refused our call with, for the report.
    pub(super) fn note_refused(&mut self, call: CallId, status: u16) {
        if self.reported.0.is_empty() {
            return;
        }
        let Some(participant) = self.calls.get(&call).map(|call| call.participant) else { return };
        for way in self.reported.0.values_mut().filter(|way| way.site == participant) {
            way.refused = Some(status);
        }
    }

    /// Tells those who wanted this site in the conference how far it is. A site that is lost and called again is still on its way.
    pub(super) fn report_referred(&mut self, now: Instant, conference: ConferenceId, site: ParticipantId) {
        if self.reported.0.is_empty() {
            return;
        }
        let state = self.rooms.get(&conference).and_then(|room| room.conference.find(site));
        let state = state.map_or(State::Left, |site| site.state);
        let Focus { reported, sip, .. } = self;
        reported.0.retain(|id, way| {
            if (way.conference, way.site) != (conference, site) {
                return true;
            }
            let status = match state {
                State::Calling | State::Reconnecting => return true,
                State::Ringing => 180,
                State::Connected => 200,
                State::Left => way.refused.unwrap_or(480),
            };
            sip.refer_result(now, *id, status, "");
            status < 200
        });
    }

    /// The participant of a conference with this address: as the roster names it, or as it calls itself.
    fn meant(&self, conference: ConferenceId, target: &Uri) -> Option<ParticipantId> {
        let mut calls = self.calls.values().filter(|call| call.conference == conference);
        match target.param("participant").and_then(|id| std::str::from_utf8(id).ok()?.parse().ok()) {
            Some(named) => calls.find(|call| call.participant == named).map(|call| call.participant),
            None => called(calls, target),
        }
    }
}
