//! A conference: who is in it, who sees and hears what, and the commands that change it.

mod apply;
mod cycle;
mod discipline;
mod floor;
mod scenes;
mod seating;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::command::Event;
use crate::id::{ConferenceId, Map, ParticipantId, Set};
use crate::layout::Equipment;
use crate::name;
use crate::ornament::Message;
use crate::participant::{Participant, Rights, State};
use crate::scene::Scene;
use crate::settings::Settings;
use crate::snapshot;
use cycle::Ring;
use floor::Floor;
use scenes::{Scope, Stage};
use seating::Choice;

/// Who left stays in the list so long, with the reason …
pub const LEFT_FOR: Duration = Duration::from_secs(3600);
/// … but never more than this many of them; the oldest go first.
pub const LEFT_MAX: usize = 512;

/// The master's programme.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Programme {
    from: ParticipantId,
    /// Also for those who have a layout of their own.
    seized: bool,
}

/// One conference. Give it commands and time; it says what changed.
#[derive(Debug, Clone)]
pub struct Conference {
    id: ConferenceId,
    settings: Settings,
    chair: Option<ParticipantId>,
    /// Everybody, those who left included, in order of first appearance.
    participants: Vec<Participant>,
    index: Map<ParticipantId, usize>,
    /// Names of those who have not left.
    names: HashSet<Arc<str>>,
    /// Those present whose picture the operator hid.
    hidden: Set<ParticipantId>,
    /// Those present who have no seat of their own accord: slots of links.
    apart: Set<ParticipantId>,
    programme: Option<Programme>,
    /// Those whose picture somebody sees.
    visible: Set<ParticipantId>,
    /// Those present, in order of joining.
    seated: Vec<ParticipantId>,
    equipment: Arc<Equipment>,
    message: Option<Arc<Message>>,
    /// The speaker by voice when the scenes were made.
    talking: Option<ParticipantId>,
    base: Choice,
    scopes: Vec<Scope>,
    floor: Floor,
    stage: Stage,
}

impl Conference {
    /// An empty conference.
    pub fn new(id: ConferenceId, settings: Settings) -> Conference {
        let base = Choice::new(settings.layout.into(), settings.names);
        Conference {
            id,
            settings,
            chair: None,
            participants: Vec::new(),
            index: Map::default(),
            names: HashSet::new(),
            hidden: Set::default(),
            apart: Set::default(),
            programme: None,
            visible: Set::default(),
            seated: Vec::new(),
            equipment: Arc::default(),
            message: None,
            talking: None,
            base,
            scopes: Vec::new(),
            floor: Floor::default(),
            stage: Stage::default(),
        }
    }

    /// What the machine has, before anybody is there; later it is [`crate::Command::Equipment`].
    pub fn equip(&mut self, equipment: Arc<Equipment>) {
        self.take_equipment(equipment, &mut Vec::new());
    }

    /// Its id.
    pub fn id(&self) -> ConferenceId {
        self.id
    }

    /// Its settings as they are now: a layout set for everybody is among them.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The speaker: named by the operator, else by voice; `None` before anybody spoke.
    pub fn speaker(&self) -> Option<ParticipantId> {
        self.floor.speaker()
    }

    /// Those present (connected or being reconnected), in order of joining.
    pub fn present(&self) -> &[ParticipantId] {
        &self.seated
    }

    /// One participant, those who left lately included.
    pub fn find(&self, id: ParticipantId) -> Option<&Participant> {
        self.index.get(&id).and_then(|at| self.participants.get(*at))
    }

    /// The site a path of one word means: its key; who is there counts before who has left, the latest first.
    pub fn by_key(&self, key: &str) -> Option<ParticipantId> {
        let same = |site: &&Participant| site.key == key;
        let found = |left: bool| {
            self.participants.iter().rev().filter(same).find(|site| (site.state == State::Left) == left)
        };
        found(false).or_else(|| found(true)).map(|site| site.id)
    }

    /// What the operator set of one participant.
    pub fn rights(&self, id: ParticipantId) -> Option<Rights> {
        self.find(id).map(|participant| participant.rights)
    }

    /// Whether everybody without a layout of his own sees the programme of a master.
    pub fn follows(&self) -> bool {
        self.programme.is_some()
    }

    /// The chair, when present: the first who answers to what `chair` of the settings says.
    pub fn chair(&self) -> Option<ParticipantId> {
        self.chair
    }

    /// Whether the settings mean this site by `chair`.
    fn is_wanted_chair(&self, id: ParticipantId) -> bool {
        let wanted = self.settings.chair.as_deref().map(Wanted::new);
        wanted.zip(self.find(id)).is_some_and(|(wanted, site)| wanted.is(site))
    }

    /// Looks for the chair anew: after somebody came, went or was renamed, and after new settings.
    fn find_chair(&mut self) {
        let Some(wanted) = self.settings.chair.as_deref() else {
            self.chair = None;
            return;
        };
        let wanted = Wanted::new(wanted);
        self.chair =
            self.seated.iter().copied().find(|id| self.find(*id).is_some_and(|site| wanted.is(site)));
    }

    /// What everybody present sees. Viewers of one scene see exactly the same; each viewer stands in one scene.
    /// A scene that did not change is the same `Arc` as before.
    pub fn scenes(&self) -> Vec<(Arc<Scene>, Vec<ParticipantId>)> {
        self.stage.scenes.clone()
    }

    /// When [`Conference::handle_timeout`] wants to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let voice = self.floor.voice.poll_timeout(self.settings.voice);
        let left = self.participants.iter().filter_map(|site| site.left_at).min().map(|at| at + LEFT_FOR);
        let choices = std::iter::once(&self.base).chain(self.scopes.iter().map(|scope| &scope.choice));
        let turn = choices.flat_map(|choice| &choice.rings).filter_map(|ring| ring.poll_timeout()).min();
        [voice, left, turn].into_iter().flatten().min()
    }

    /// Time passed: the voice may switch, seats may turn, who left long ago is forgotten.
    pub fn handle_timeout(&mut self, now: Instant) -> Vec<Event> {
        let mut events = Vec::new();
        self.forget_left(now);
        self.listen(now, &mut events);
        let mut turned = false;
        for ring in self.choices_mut().flat_map(|choice| &mut choice.rings) {
            turned |= ring.handle_timeout(now);
        }
        self.settle(now, events, turned)
    }

    /// What the API shows of the conference.
    pub fn snapshot(&self) -> snapshot::Conference {
        let settings = self.settings.clone();
        snapshot::Conference {
            id: self.id,
            room: settings.room,
            name: settings.name,
            pin: settings.pin,
            layout: settings.layout,
            seats: seats(&self.base),
            names: settings.names,
            join_muted: settings.join_muted,
            encryption: settings.encryption,
            chair: settings.chair,
            chair_participant: self.chair(),
            voice: settings.voice,
            fit: settings.fit,
            logo: settings.logo,
            clock: settings.clock,
            message: self.message.clone(),
            sound: settings.sound,
            cycle: common_cycle(&self.base),
            speaker: self.floor.speaker(),
            speaker_named: self.floor.named.is_some(),
            layouts: self.scopes.iter().map(scope).collect(),
            connected: self.seated.iter().filter(|who| !self.apart.contains(who)).count(),
        }
    }

    /// What the API shows of everybody, in order of first appearance, those who left lately included.
    pub fn participants(&self) -> Vec<snapshot::Participant> {
        let chair = self.chair();
        self.participants.iter().map(|site| shown(site, chair)).collect()
    }

    /// What the API shows of one participant.
    pub fn participant(&self, id: ParticipantId) -> Option<snapshot::Participant> {
        self.find(id).map(|site| shown(site, self.chair()))
    }

    fn find_mut(&mut self, id: ParticipantId) -> Option<&mut Participant> {
        self.index.get(&id).and_then(|at| self.participants.get_mut(*at))
    }
}

/// A site as the settings name it.
struct Wanted<'a> {
    text: &'a str,
    key: String,
    address: String,
}

impl Wanted<'_> {
    fn new(text: &str) -> Wanted<'_> {
        Wanted { text, key: name::slug(text), address: bare(text) }
    }

    fn is(&self, site: &Participant) -> bool {
        let address = bare(&site.uri);
        let user = address.split_once('@').map(|(user, _)| user);
        *site.name == *self.text
            || (!self.key.is_empty() && site.key == self.key)
            || address == self.address
            || user == Some(&*self.address)
            || site.id.to_string() == self.text
    }
}

/// A SIP address without scheme and parameters, in lower case.
fn bare(uri: &str) -> String {
    let rest = uri.split_once(':').map_or(uri, |(scheme, rest)| match scheme {
        "sip" | "sips" | "tel" => rest,
        _ => uri,
    });
    rest.split([';', '?']).next().unwrap_or(rest).to_ascii_lowercase()
}

fn shown(site: &Participant, chair: Option<ParticipantId>) -> snapshot::Participant {
    let mut audio = site.audio.clone();
    audio.muted = site.rights.audio_muted;
    let gone = site.state == State::Left;
    snapshot::Participant {
        id: site.id,
        name: site.name.to_string(),
        uri: site.uri.clone(),
        state: site.state,
        reason: site.reason.as_ref().map(|words| words.vi.clone()),
        reason_en: site.reason.as_ref().map(|words| words.en.clone()),
        direction: site.direction,
        audio,
        video: site.video.clone(),
        quality: site.quality,
        send: if gone { snapshot::Send::default() } else { site.send },
        deafened: site.rights.deafened,
        video_hidden: site.rights.video_hidden,
        volume_db: site.rights.volume_db,
        chair: chair == Some(site.id),
        troubles: site.troubles.iter().map(|(trouble, muted)| trouble.shown(*muted)).collect(),
        link: site.link.clone(),
    }
}

fn seats(choice: &Choice) -> Vec<snapshot::Seat> {
    let pinned =
        |&(seat, who): &(u16, ParticipantId)| snapshot::Seat { seat, participant: Some(who), cycle: None };
    let turning = |ring: &Ring| {
        ring.seat.map(|seat| snapshot::Seat { seat, participant: None, cycle: Some(cycle(ring)) })
    };
    let mut seats: Vec<snapshot::Seat> = choice.pins.iter().map(pinned).collect();
    seats.extend(choice.rings.iter().filter_map(turning));
    seats.sort_by_key(|seat| seat.seat);
    seats
}

fn common_cycle(choice: &Choice) -> Option<snapshot::Cycle> {
    choice.rings.iter().find(|ring| ring.seat.is_none()).map(cycle)
}

fn cycle(ring: &Ring) -> snapshot::Cycle {
    let who = &ring.cycle.who;
    snapshot::Cycle {
        period_s: u32::try_from(ring.cycle.period.as_secs()).unwrap_or(u32::MAX),
        participants: (!who.is_empty()).then(|| who.clone()),
    }
}

fn scope(scope: &Scope) -> snapshot::Scope {
    snapshot::Scope {
        layout: scope.choice.layout.kind,
        seats: seats(&scope.choice),
        names: scope.choice.names,
        fit: scope.choice.fit,
        cycle: common_cycle(&scope.choice),
        viewers: scope.viewers.iter().copied().collect(),
    }
}
