//! The conference event package (RFC 4575): who may watch, and what there is to see.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cau_model::participant::{Direction, State as Stands};
use cau_model::{ConferenceId, ParticipantId, snapshot};
use cau_sip::conference_info::{
    Description, Disconnection, Endpoint, Joining, Media, MediaStatus, State, Status, User,
};
use cau_sip::message::NameAddr;
use cau_sip::sdp::Stream;
use cau_sip::subscribe::Subscribe;
use cau_sip::{CallId, EndCause, Uri};

use super::{Call, Focus};
use crate::config::Roster;

/// Who left is shown as disconnected so long, then no more.
const SHOWN: Duration = Duration::from_secs(30);
/// Most of those who left lately.
const MOST: usize = 1024;

/// Those who left lately, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Left(VecDeque<Gone>);

#[derive(Debug)]
struct Gone {
    at: Instant,
    conference: ConferenceId,
    participant: ParticipantId,
    how: Disconnection,
}

impl Left {
    /// When the oldest of them is shown no more.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.0.front().map(|gone| gone.at + SHOWN)
    }
}

impl Focus {
    /// Somebody wants to watch a conference.
    pub(super) fn watch(&mut self, now: Instant, wanted: &Subscribe) {
        let conference = match wanted.call {
            Some(call) => self.calls.get(&call).map(|call| call.conference),
            None => self.registry.dialled(&wanted.uri.user()),
        };
        let status = match conference {
            None => 404,
            Some(conference) if !self.may_watch(conference, wanted) => 403,
            Some(conference) => {
                let state = Arc::new(self.roster(now, conference));
                let _ = self.sip.accept_subscription(now, wanted.id, &conference.to_string(), state);
                return;
            }
        };
        tracing::debug!(from = %wanted.from.uri, status, "a subscription is refused");
        let _ = self.sip.refuse_subscription(now, wanted.id, status);
    }

    fn may_watch(&self, conference: ConferenceId, wanted: &Subscribe) -> bool {
        match self.config.roster {
            Roster::Off => false,
            Roster::Anyone => true,
            Roster::Participants => {
                wanted.call.is_some()
                    || wanted.account.is_some()
                    || self.sender(conference, &wanted.from, wanted.remote.ip()).is_some()
            }
        }
    }

    /// The participant a request outside of his call comes from: the address he calls from, and the name he calls himself.
    pub(super) fn sender(
        &self,
        conference: ConferenceId,
        from: &NameAddr,
        remote: IpAddr,
    ) -> Option<ParticipantId> {
        let peer = remote.to_canonical();
        let from_there = |call: &&Call| call.conference == conference && call.peer == peer;
        called(self.calls.values().filter(from_there), &from.uri)
    }

    /// It is time to tell those who watch.
    pub(super) fn tell_watchers(&mut self, now: Instant, room: &str) {
        // Of a conference that is over the last word is said.
        let Some(conference) = room.parse().ok().filter(|id| self.rooms.contains_key(id)) else { return };
        let state = self.roster(now, conference);
        self.sip.publish(now, room, state);
    }

    /// Notes how a participant left, for those who watch.
    pub(super) fn note_left(&mut self, now: Instant, call: CallId, how: Disconnection) {
        let Some(call) = self.calls.get(&call) else { return };
        let (conference, participant) = (call.conference, call.participant);
        if self.sip.subscriptions() == 0 || !self.sip.is_watched(&conference.to_string()) {
            return;
        }
        if self.left.0.len() >= MOST {
            self.left.0.pop_front();
        }
        self.left.0.push_back(Gone { at: now, conference, participant, how });
    }

    /// Those who left a while ago are shown no more.
    pub(super) fn time_left(&mut self, now: Instant) {
        while self.left.0.front().is_some_and(|gone| gone.at + SHOWN <= now) {
            if let Some(gone) = self.left.0.pop_front() {
                self.sip.room_changed(now, &gone.conference.to_string());
            }
        }
    }

    /// The conference as it is told.
    fn roster(&self, now: Instant, id: ConferenceId) -> State {
        let Some(room) = self.rooms.get(&id) else { return State::default() };
        let settings = room.conference.settings();
        let entity = self.conference_uri(&settings.room);
        let lately: HashMap<_, _> = self
            .left
            .0
            .iter()
            .filter(|gone| gone.conference == id && now < gone.at + SHOWN)
            .map(|gone| (gone.participant, gone.how))
            .collect();
        let mut users: Vec<User> = Vec::new();
        let mut places: HashMap<String, usize> = HashMap::new();
        for site in room.conference.participants() {
            let how = lately.get(&site.id).copied().filter(|_| site.state == Stands::Left);
            if site.state == Stands::Left && how.is_none() {
                continue;
            }
            let endpoint = self.endpoint(&site, &entity, how);
            // One site may have several devices in the conference.
            let at = *places.entry(site.uri.clone()).or_insert(users.len());
            match users.get_mut(at) {
                Some(user) => user.endpoints.push(endpoint),
                None => users.push(User {
                    entity: site.uri,
                    display_text: site.name,
                    role: if site.chair { "chair" } else { "participant" },
                    endpoints: vec![endpoint],
                }),
            }
        }
        State {
            entity,
            description: Description {
                display_text: settings.name.clone(),
                maximum_user_count: u32::try_from(self.config.max_per_conference).ok(),
            },
            active: !room.conference.present().is_empty(),
            locked: false,
            users,
        }
    }

    fn endpoint(
        &self,
        site: &snapshot::Participant,
        conference: &str,
        disconnection: Option<Disconnection>,
    ) -> Endpoint {
        let negotiated = self.call_of(site.id).and_then(|(_, call)| call.negotiated.as_ref());
        let audio = negotiated.and_then(|n| n.audio.as_ref()).map(|audio| Media {
            id: 1,
            kind: "audio",
            status: status(&audio.stream, site.audio.muted, site.deafened),
        });
        let video = negotiated.and_then(|n| n.video.as_ref()).map(|video| Media {
            id: 2,
            kind: "video",
            status: status(&video.stream, site.video_hidden, false),
        });
        let media: Vec<Media> = audio.into_iter().chain(video).collect();
        let held = |media: &Media| media.status == MediaStatus::Inactive;
        Endpoint {
            entity: format!("{conference};participant={}", site.id),
            status: match site.state {
                Stands::Calling => Status::DialingOut,
                Stands::Ringing => Status::Alerting,
                Stands::Connected if !media.is_empty() && media.iter().all(held) => Status::OnHold,
                Stands::Connected if site.audio.muted => Status::MutedViaFocus,
                Stands::Connected => Status::Connected,
                Stands::Reconnecting => Status::Pending,
                Stands::Left => Status::Disconnected,
            },
            joining: match site.direction {
                Direction::In => Joining::DialedIn,
                Direction::Out => Joining::DialedOut,
            },
            disconnection,
            reason: disconnection.and_then(|_| site.reason.clone()),
            media,
        }
    }

    /// The address of a room, the same for everybody.
    fn conference_uri(&self, room: &str) -> String {
        let sip = &self.config.sip;
        let shown = sip.advertise.first().map(|shown| (shown.host.clone(), shown.port));
        let bound = || sip.udp.iter().find(|addr| !addr.ip().is_unspecified());
        match shown.or_else(|| bound().map(|addr| (addr.ip().into(), Some(addr.port())))) {
            Some((host, port)) => Uri::sip_host(room, host, port.filter(|port| *port != 5060)).to_string(),
            None => format!("sip:{room}@{}", self.config.agent),
        }
    }
}

/// Direction as the participant sees it; who is muted does not send (RFC 4575 5.8.5).
fn status(stream: &Stream, muted: bool, deafened: bool) -> MediaStatus {
    match (stream.recv && !muted, stream.send && !deafened) {
        (true, true) => MediaStatus::SendRecv,
        (true, false) => MediaStatus::SendOnly,
        (false, true) => MediaStatus::RecvOnly,
        (false, false) => MediaStatus::Inactive,
    }
}

/// How somebody left whose call ended for this cause.
pub(super) fn disconnection(cause: &EndCause) -> Disconnection {
    match cause {
        EndCause::RemoteHangUp { .. } | EndCause::Cancelled { .. } => Disconnection::Departed,
        EndCause::LocalHangUp => Disconnection::Booted,
        _ => Disconnection::Failed,
    }
}

/// Who of these calls himself so: user and host are the same, and of several, as behind one NAT, the port. `None` when that is not one.
pub(super) fn called<'a>(calls: impl Iterator<Item = &'a Call>, wanted: &Uri) -> Option<ParticipantId> {
    let bare = |uri: &Uri| (uri.user(), uri.host().map(|host| host.to_string().to_ascii_lowercase()));
    let port = |uri: &Uri| uri.as_sip().and_then(|uri| uri.port);
    let parsed = calls.filter_map(|call| Some((call.participant, Uri::parse(call.uri.as_bytes()).ok()?)));
    let mut same: Vec<_> = parsed.filter(|(_, uri)| bare(uri) == bare(wanted)).collect();
    if same.len() > 1 {
        same.retain(|(_, uri)| port(uri) == port(wanted));
    }
    match same.as_slice() {
        [(one, _)] => Some(*one),
        _ => None,
    }
}
