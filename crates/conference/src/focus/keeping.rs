//! Keeping what a restart needs, and bringing it back.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::Instant;

use bytes::Bytes;
use cau_model::command::{Join, Patch, Who};
use cau_model::participant::State;
use cau_model::{Command, ConferenceId, ParticipantId, Words, kept};
use cau_sip::sdp::{self, Negotiated, Origin, Ports, Session};
use cau_sip::{CallId, Uri};

use super::sites::{Line, Site};
use super::{Basis, Call, Focus};
use crate::kept::{Keep, Kept, KeptCall};
use crate::request::Error;

/// What is to be kept, and what was.
#[derive(Debug, Default)]
pub(super) struct Keeping {
    rooms: BTreeSet<ConferenceId>,
    sites: BTreeSet<(ConferenceId, ParticipantId)>,
    ended: BTreeSet<ConferenceId>,
    /// What was handed out last: what has not changed is not written again.
    known_rooms: HashMap<ConferenceId, kept::Room>,
    known_sites: HashMap<ParticipantId, Kept>,
    /// The program ends: what is kept is how it was before.
    frozen: bool,
    /// What was to be kept at that moment.
    last: VecDeque<Keep>,
}

impl Keeping {
    pub(super) fn touch_room(&mut self, id: ConferenceId) {
        if !self.frozen {
            self.rooms.insert(id);
        }
    }

    pub(super) fn touch_site(&mut self, conference: ConferenceId, id: ParticipantId) {
        if !self.frozen {
            self.sites.insert((conference, id));
        }
    }

    pub(super) fn end_room(&mut self, id: ConferenceId) {
        if self.frozen {
            return;
        }
        self.rooms.remove(&id);
        let gone: Vec<_> = self.sites.iter().filter(|(conference, _)| *conference == id).copied().collect();
        for (conference, site) in gone {
            self.sites.remove(&(conference, site));
            self.known_sites.remove(&site);
        }
        self.known_rooms.remove(&id);
        self.ended.insert(id);
    }
}

impl Focus {
    /// The next thing to be kept for after a restart. Bounded by the number of conferences and sites: what changes again before it is
    /// taken is given once, as it is then.
    pub fn poll_kept(&mut self) -> Option<Keep> {
        if let Some(keep) = self.keep.last.pop_front() {
            return Some(keep);
        }
        if let Some(id) = self.keep.ended.pop_first() {
            return Some(Keep::RoomGone(id));
        }
        while let Some(id) = self.keep.rooms.pop_first() {
            let Some(room) = self.rooms.get(&id) else { continue };
            let now = kept::Room::of(&room.conference.snapshot());
            if self.keep.known_rooms.get(&id) != Some(&now) {
                self.keep.known_rooms.insert(id, now.clone());
                return Some(Keep::Room(id, now));
            }
        }
        while let Some((conference, id)) = self.keep.sites.pop_first() {
            match self.kept_site(conference, id) {
                Some(now) if self.keep.known_sites.get(&id) != Some(&now) => {
                    self.keep.known_sites.insert(id, now.clone());
                    return Some(Keep::Site(conference, id, Box::new(now)));
                }
                Some(_) => {}
                // Told also of one that was never handed out by this run: the store may know it from the last one.
                None => {
                    self.keep.known_sites.remove(&id);
                    return Some(Keep::SiteGone(conference, id));
                }
            }
        }
        None
    }

    /// A site as it is to be kept; `None` when it has left.
    fn kept_site(&self, conference: ConferenceId, id: ParticipantId) -> Option<Kept> {
        if self.links.part(id).is_some() {
            // Its token is spent: the cascade makes it anew.
            return None;
        }
        let shown = self.rooms.get(&conference)?.conference.find(id)?;
        let site = self.sites.get(id).filter(|_| shown.state != State::Left)?;
        let target = site.target.as_ref().map(|uri| String::from_utf8_lossy(&uri.to_bytes()).into_owned());
        let call = match site.line {
            Line::Up(call) if !self.keep.frozen => self.kept_call(call),
            _ => None,
        };
        // Neither a call to go on with nor an address to call: nothing could be done with it.
        (call.is_some() || target.is_some()).then(|| Kept {
            name: shown.name.to_string(),
            uri: shown.uri.clone(),
            direction: shown.direction,
            rights: shown.rights,
            joined: site.joined,
            dialled: site.dialled,
            target,
            remote: site.remote,
            call,
        })
    }

    fn kept_call(&self, id: CallId) -> Option<KeptCall> {
        let call = self.calls.get(&id)?;
        let basis = call.basis.as_ref()?;
        let text = |bytes: &[u8]| std::str::from_utf8(bytes).ok().map(str::to_owned);
        Some(KeptCall {
            dialog: self.sip.saved(id)?,
            local: call.local,
            addr: call.ports.addr,
            audio: call.ports.audio,
            video: call.ports.video,
            cname: call.cname.clone(),
            peer: call.peer,
            ours: text(&call.ours.as_ref()?.to_bytes())?,
            theirs: text(&basis.theirs)?,
            our_offer: match &basis.our_offer {
                Some(offer) => Some(text(offer)?),
                None => None,
            },
        })
    }

    /// The program ends in good order: everybody is hung up, but the meeting is not over. What is kept is who was there, to be called
    /// again by the next run.
    pub(super) fn freeze_kept(&mut self) {
        if self.keep.frozen {
            return;
        }
        for (id, site) in &self.sites.all {
            self.keep.touch_site(site.conference, *id);
        }
        self.keep.frozen = true;
        let mut last = VecDeque::new();
        while let Some(keep) = self.poll_kept() {
            last.push_back(keep);
        }
        self.keep.last = last;
    }

    /// Brings a meeting back. Sites sit where they sat; those whose calls stood are asked in their dialogs whether they still do, the
    /// others are called.
    pub(super) fn restore(
        &mut self,
        now: Instant,
        conference: ConferenceId,
        room: &kept::Room,
        mut sites: Vec<(ParticipantId, Kept)>,
    ) -> Result<(), Error> {
        self.room(conference)?;
        sites.sort_by_key(|(id, kept)| (kept.joined, *id));
        sites.retain(|(id, _)| self.sites.get(*id).is_none());
        for (id, kept) in &sites {
            self.restore_site(now, conference, *id, kept);
        }
        let settings = self.room(conference)?.conference.settings().clone();
        let here = |id: ParticipantId| self.state_of(conference, id).is_some();
        for command in room.commands(&settings, here) {
            self.internal(now, conference, command);
        }
        for (id, kept) in sites {
            self.restore_call(now, id, kept);
        }
        self.pump(now);
        Ok(())
    }

    fn restore_site(&mut self, now: Instant, conference: ConferenceId, id: ParticipantId, kept: &Kept) {
        let state = if kept.joined > 0 { State::Reconnecting } else { State::Calling };
        let join = Join {
            participant: id,
            name: kept.name.clone(),
            uri: kept.uri.clone(),
            direction: kept.direction,
            state,
            sends_video: true,
            link: None,
        };
        let mut site = Site::new(conference, kept.name.clone(), kept.uri.clone());
        site.target = kept.target.as_ref().and_then(|target| Uri::parse(target.as_bytes()).ok());
        (site.remote, site.dialled) = (kept.remote, kept.dialled);
        site.lost = (kept.joined > 0).then_some(now);
        self.sites.all.insert(id, site);
        self.sites.joined_before(id, kept.joined);
        self.internal(now, conference, Command::Join(join));
        let rights = kept.rights;
        let patch = Patch {
            audio_muted: Some(rights.audio_muted),
            deafened: Some(rights.deafened),
            video_hidden: Some(rights.video_hidden),
            volume_db: Some(rights.volume_db),
            name: None,
        };
        self.internal(now, conference, Command::Patch { who: Who::One(id), patch });
    }

    fn restore_call(&mut self, now: Instant, id: ParticipantId, kept: Kept) {
        let resumed = kept.call.as_ref().is_some_and(|call| self.resume(now, id, &kept, call));
        if resumed {
            self.totals.resumed += 1;
            return self.sites.ask_in_turn(id);
        }
        if self.sites.get(id).is_some_and(|site| site.target.is_some()) {
            self.sites.set_line(id, Line::Queued);
        } else {
            let words = Words::new("mất kết nối khi MCU khởi động lại", "lost when the MCU was restarted");
            self.leave(now, id, words);
        }
    }

    /// Takes a call up where it was: the same dialog, the same ports, the same media, before a word is said.
    fn resume(&mut self, now: Instant, participant: ParticipantId, kept: &Kept, call: &KeptCall) -> bool {
        let Some(conference) = self.sites.get(participant).map(|site| site.conference) else { return false };
        let Ok(ours) = Session::parse(call.ours.as_bytes()) else { return false };
        let wanted = Ports { addr: call.addr, audio: call.audio, video: call.video };
        let Ok(ports) = self.media.open(conference, participant, call.local, Some(wanted)) else {
            return false;
        };
        let origin = ours.origin.clone();
        let Some(negotiated) = self.negotiated_again(call, &ports, &origin) else {
            self.media.close(participant);
            return false;
        };
        let id = match self.sip.resume(&call.dialog) {
            Ok(id) => id,
            Err(refused) => {
                tracing::debug!(%participant, "a call cannot be taken up again: {refused}");
                self.media.close(participant);
                return false;
            }
        };
        let our_offer = call.our_offer.clone().map(Bytes::from);
        self.by_participant.insert(participant, id);
        self.calls.insert(
            id,
            Call {
                conference,
                participant,
                name: kept.name.clone(),
                uri: kept.uri.clone(),
                direction: kept.direction,
                peer: call.peer,
                local: call.local,
                ports,
                origin,
                cname: call.cname.clone(),
                ours: Some(ours),
                offered: None,
                negotiated: Some(negotiated),
                basis: Some(Basis { theirs: call.theirs.clone().into(), our_offer }),
                until: None,
                ending: None,
                unproven: None,
            },
        );
        if let Some(site) = self.sites.get_mut(participant) {
            site.contact = Uri::parse(call.dialog.target.as_bytes()).ok();
            site.found = Some(call.dialog.remote_addr);
        }
        self.sites.set_line(participant, Line::Up(id));
        self.take_up(now, id);
        true
    }

    /// What was agreed, from the descriptions it was agreed by.
    fn negotiated_again(&self, call: &KeptCall, ports: &Ports, origin: &Origin) -> Option<Negotiated> {
        let theirs = Session::parse(call.theirs.as_bytes()).ok()?;
        let ours = &self.config.capabilities;
        match &call.our_offer {
            Some(offer) => {
                let offer = Session::parse(offer.as_bytes()).ok()?;
                sdp::accept_answer(&offer, &theirs, ours).ok()
            }
            None => sdp::answer(&theirs, ours, ports, origin).ok().map(|(_, negotiated)| negotiated),
        }
    }
}
