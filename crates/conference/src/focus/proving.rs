//! Callers that have not shown yet that they are where they say they are. Anybody can write somebody else's address on a datagram: until
//! the ACK of our 200 comes, or media, a caller takes no seat, is sent no media, and takes nobody's place.

use std::net::IpAddr;
use std::time::Instant;

use cau_mixer::Command as Mix;
use cau_mixer::command::{LegConfig, Stream};
use cau_model::ParticipantId;
use cau_sip::CallId;

use super::merging::REPLACED;
use super::sites::Line;
use super::{Call, Focus};
use crate::translate;

/// Callers of one address that are believed without proof: behind a gateway or proxy that stands still for a second hundreds call at once.
const MOST: usize = 256;

impl Focus {
    /// Whether one more caller of this address may be let in without proof.
    pub(super) fn may_believe(&self, peer: IpAddr) -> bool {
        self.unproven.get(&peer).is_none_or(|n| *n < MOST)
    }

    /// A call was let in; it counts when its ACK comes.
    pub(super) fn await_proof(&mut self, id: CallId, call: Call) {
        let participant = call.participant;
        *self.unproven.entry(call.peer).or_default() += 1;
        // Of another call of the same site nothing is touched yet.
        let first = !self.by_participant.contains_key(&participant);
        if first {
            if let Some(request) = &call.unproven {
                self.note_caller(participant, &call, request);
            }
            self.sites.set_line(participant, Line::Up(id));
            self.by_participant.insert(participant, id);
        }
        self.calls.insert(id, call);
        if first {
            self.listen(id);
        }
    }

    /// Takes a call out of the list.
    pub(super) fn drop_call(&mut self, id: CallId) -> Option<Call> {
        let call = self.calls.remove(&id)?;
        if call.unproven.is_some() {
            self.proven(call.peer);
        }
        Some(call)
    }

    fn proven(&mut self, peer: IpAddr) {
        if let Some(n) = self.unproven.get_mut(&peer) {
            *n -= 1;
            if *n == 0 {
                self.unproven.remove(&peer);
            }
        }
    }

    /// A caller is where it says it is. True when that was not known before.
    pub(super) fn prove(&mut self, now: Instant, id: CallId) -> bool {
        let Some(call) = self.calls.get_mut(&id) else { return false };
        let Some(request) = call.unproven.take() else { return false };
        let (participant, peer) = (call.participant, call.peer);
        self.proven(peer);
        if let Some(old) = self.by_participant.get(&participant).copied().filter(|old| *old != id) {
            self.replace_call(now, old);
            if let Some(call) = self.calls.remove(&id) {
                self.note_caller(participant, &call, &request);
                self.calls.insert(id, call);
            }
        }
        self.by_participant.insert(participant, id);
        self.sites.set_line(participant, Line::Up(id));
        true
    }

    /// The ACK of a call that came in was seen.
    pub(super) fn confirmed(&mut self, now: Instant, id: CallId) {
        let new = self.prove(now, id);
        let Some(call) = self.calls.get(&id) else { return };
        if new && call.negotiated.is_some() {
            self.join(now, id);
        } else {
            self.keep.touch_site(call.conference, call.participant);
        }
    }

    /// A leg that sends nothing takes what comes before the ACK: media may overtake it, with the only key frame some devices send, and where the
    /// ACK is lost media shows as well that the caller is there.
    fn listen(&mut self, id: CallId) {
        let Some(call) = self.calls.get(&id).filter(|call| call.unproven.is_some()) else { return };
        let (conference, participant) = (call.conference, call.participant);
        if call.negotiated.is_none() || !self.legs.insert(participant) {
            return;
        }
        let leg = translate::leg(call.negotiated.as_ref(), call.name.as_str().into(), &call.cname, call.peer);
        self.media.command(conference, Mix::AddLeg { conference, participant, leg: mute(leg) });
        // Nobody is to hear it before it has its seat.
        let sound = Mix::Sound { participant, muted: true, deafened: true, volume_db: 0.0, hidden: true };
        self.media.command(conference, sound);
    }

    /// Media came on the leg of a call; true when that was its proof, or its proof is still due.
    pub(super) fn media_proves(&mut self, now: Instant, id: CallId, came: bool) -> bool {
        if self.calls.get(&id).is_none_or(|call| call.unproven.is_none()) {
            return false;
        }
        if came && self.prove(now, id) {
            self.join(now, id);
        }
        true
    }

    /// The call that waits for its proof to take the place of this one.
    pub(super) fn heir(&self, participant: ParticipantId, old: CallId) -> Option<CallId> {
        let waits = |call: &Call| call.participant == participant && call.unproven.is_some();
        self.calls.iter().find(|(id, call)| **id != old && waits(call)).map(|(id, _)| *id)
    }

    /// What waits to take the place of a call ends with it.
    pub(super) fn end_heirs(&mut self, now: Instant, old: CallId) {
        let Some(participant) = self.calls.get(&old).map(|call| call.participant) else { return };
        if self.by_participant.get(&participant) != Some(&old) {
            return;
        }
        while let Some(heir) = self.heir(participant, old) {
            self.drop_call(heir);
            let _ = self.sip.hangup(now, heir, Some(REPLACED));
        }
    }
}

/// A leg that sends nothing.
fn mute(mut leg: LegConfig) -> LegConfig {
    let still = |stream: &mut Stream| stream.send = false;
    if let Some(audio) = &mut leg.audio {
        still(&mut audio.stream);
    }
    if let Some(video) = &mut leg.video {
        still(&mut video.stream);
    }
    leg
}
