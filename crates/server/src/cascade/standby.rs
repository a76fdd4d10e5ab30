//! The other master, seen from the driver: what it is told, and what is done when the command comes or goes (docs/cascade.md, "Standby").

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use cau_cascade::{Drill, Standing};
use cau_conference::{Handle, Kept};
use cau_control::cascade::Standby as Shown;
use cau_model::{ConferenceId, ParticipantId, Settings, Words, kept::Room, participant::State};
use cau_store::{Keeper, KeptConference, Key, Store};
use serde_json::json;
use tokio::{
    sync::mpsc,
    task::{AbortHandle, JoinHandle},
};

use super::{
    client::PeerClient,
    driver::{Driver, Input},
    facts::Told,
    mirror::Mirror,
    port::Port,
};
use crate::{data_dir, restart};

/// How often rows of links and settings are looked at.
const LOOK: Duration = Duration::from_secs(2);

/// What the driver has for the other master.
pub struct Standby {
    /// The way to it.
    pub client: Arc<PeerClient>,
    /// What is kept of the meeting.
    pub mirror: Mirror,
    /// Rows of links, and the conference.
    pub store: Store,
    /// Told when the meeting of before is not taken up.
    pub keeper: Keeper,
    /// The meeting as it was before a restart; it goes on only when this one still commands.
    pub held: Option<(ConferenceId, KeptConference)>,
    /// Where the records are kept.
    pub file: PathBuf,
    /// The room that spans MCUs.
    pub room: String,
    pub(super) attempt: u64,
    pub(super) connecting: Option<AbortHandle>,
    pub(super) why_not: Option<Words>,
    changed: bool,
    links_changed: bool,
    settings_changed: bool,
    /// The meeting was taken up: what is on the shelf and not in it is of yesterday.
    settled: bool,
    looked: Option<Instant>,
    writing: Option<JoinHandle<()>>,
}

impl Standby {
    /// With nothing told yet.
    pub fn new(
        client: PeerClient,
        mirror: Mirror,
        (store, keeper): (Store, Keeper),
        held: Option<(ConferenceId, KeptConference)>,
        file: PathBuf,
        room: String,
    ) -> Self {
        Self {
            client: Arc::new(client),
            mirror,
            store,
            keeper,
            held,
            file,
            room,
            attempt: 0,
            connecting: None,
            why_not: None,
            changed: false,
            links_changed: false,
            settings_changed: false,
            settled: false,
            looked: None,
            writing: None,
        }
    }
}

/// The records a standby had before a restart.
pub fn records(file: &std::path::Path) -> Vec<(String, String)> {
    let Ok(text) = std::fs::read_to_string(file) else { return Vec::new() };
    serde_json::from_str(&text).unwrap_or_else(|e| {
        tracing::warn!("{} cannot be read: {e}", file.display());
        Vec::new()
    })
}

impl<P: Port> Driver<P> {
    pub(super) fn connect_peer(&mut self) {
        let Some(standby) = &mut self.standby else { return };
        if let Some(before) = standby.connecting.take() {
            before.abort();
        }
        standby.attempt += 1;
        let (attempt, client, own) = (standby.attempt, standby.client.clone(), self.own.clone());
        let task = tokio::spawn(async move {
            let connected = client.connect().await.map(Box::new);
            let _ = own.send(Input::PeerConnected(attempt, connected)).await;
        });
        standby.connecting = Some(task.abort_handle());
    }

    /// A record of the other master has come.
    pub(super) fn recorded(&mut self, key: &str) {
        let Some(standby) = &mut self.standby else { return };
        standby.changed = true;
        standby.links_changed |= key.starts_with("link/");
        standby.settings_changed |= key == "settings";
    }

    /// Twice a second: what has changed is told to the other master, or what it has told is written.
    pub(super) fn look_at_standby(&mut self, now: Instant) {
        let standing = self.node.standing(now);
        let (Some(standby), Some(standing)) = (&mut self.standby, standing) else { return };
        if !standing.commands {
            standby.settled = false;
            standby.mirror.forget_changes();
            if standing.in_step && std::mem::take(&mut standby.links_changed) {
                let rows = self.node.shelf().within("link/").map(|(_, text)| text.to_owned()).collect();
                tokio::spawn(write_links(standby.store.clone(), rows));
            }
            if standing.in_step && std::mem::take(&mut standby.settings_changed) {
                // Open before it is needed: slaves that come are let in at once.
                let text = self.node.shelf().get("settings").unwrap_or_default();
                let settings = serde_json::from_str(text).ok();
                let (focus, store, room) = (self.focus.clone(), standby.store.clone(), standby.room.clone());
                tokio::spawn(async move { open(&focus, &store, &room, settings).await });
            }
            let busy = standby.writing.as_ref().is_some_and(|writing| !writing.is_finished());
            if standing.in_step && !busy && std::mem::take(&mut standby.changed) {
                let records: Vec<_> = self.node.shelf().within("").collect();
                let (file, text) =
                    (standby.file.clone(), serde_json::to_string(&records).unwrap_or_default());
                standby.writing = Some(tokio::task::spawn_blocking(move || {
                    if let Err(e) = data_dir::write_private(&file, &text) {
                        tracing::error!("{} cannot be written: {e}", file.display());
                    }
                }));
            }
            return;
        }
        let Some(conference) = self.hook.conference().filter(|_| standby.settled) else { return };
        let changed = standby.mirror.take(conference);
        let due = standby.looked.is_none_or(|at| now.saturating_duration_since(at) >= LOOK);
        if due {
            standby.looked = Some(now);
            tokio::spawn(read(self.focus.clone(), standby.store.clone(), conference, self.back.clone()));
        }
        for (key, text) in changed {
            self.node.record(now, &key, text.as_deref());
        }
    }

    /// What was read beside: settings, rows of links.
    pub(super) fn read_records(
        &mut self,
        now: Instant,
        settings: Option<String>,
        links: Vec<(String, String)>,
    ) {
        if self.node.standing(now).is_none_or(|standing| !standing.commands) {
            return;
        }
        if let Some(settings) = settings {
            self.node.record(now, "settings", Some(&settings));
        }
        let links: Vec<(String, String)> =
            links.into_iter().map(|(path, row)| (format!("link/{path}"), row)).collect();
        let known: Vec<String> = self.node.shelf().within("link/").map(|(key, _)| key.to_owned()).collect();
        for key in known.iter().filter(|key| links.iter().all(|(link, _)| link != *key)) {
            self.node.record(now, key, None);
        }
        for (key, row) in &links {
            self.node.record(now, key, Some(row));
        }
    }

    /// The meeting here is the one that goes on: what the shelf has beyond it is gone.
    pub(super) fn settled(&mut self, now: Instant) {
        let Some(standby) = &mut self.standby else { return };
        standby.settled = true;
        standby.looked = None;
        // When it is opened, this is done again.
        let Some(conference) = self.hook.conference() else { return };
        let all = standby.mirror.all(conference);
        let old = self.node.shelf().within("site/").chain(self.node.shelf().within("room/"));
        let old: Vec<String> =
            old.filter(|(key, _)| !all.contains_key(*key)).map(|(key, _)| key.to_owned()).collect();
        for key in old {
            self.node.record(now, &key, None);
        }
        for (key, text) in all {
            self.node.record(now, &key, Some(&text));
        }
    }

    /// The conference of the room is another one.
    pub(super) fn conference_opened(&mut self, now: Instant) {
        if self.standby.as_ref().is_some_and(|standby| standby.settled) {
            self.settled(now);
        }
    }

    /// The command has come or gone.
    pub(super) fn commanded(&mut self, now: Instant, commands: bool, restore: bool, words: &Words) {
        tracing::warn!(commands, why = words.en, "command of the tree");
        let term = self.node.kept().term;
        self.note(
            "",
            "cascade.command",
            self.hook.conference(),
            json!({ "commands": commands, "term": term, "why": words }),
        );
        self.publish(&json!({ "standby": self.shown_standby(now) }));
        let sites: Vec<(ParticipantId, Kept)> = self
            .node
            .shelf()
            .within("site/")
            .filter_map(|(key, text)| Some((key.get(5..)?.parse().ok()?, serde_json::from_str(text).ok()?)))
            .collect();
        let room: String = self.node.shelf().within("room/").map(|(_, text)| text).collect();
        let settings = self.node.shelf().get("settings").and_then(|text| serde_json::from_str(text).ok());
        let rows: Vec<String> = self.node.shelf().within("link/").map(|(_, text)| text.to_owned()).collect();
        let Some(standby) = &mut self.standby else { return };
        let (focus, back, store) = (self.focus.clone(), self.back.clone(), standby.store.clone());
        let held = standby.held.take();
        match (commands, restore) {
            (true, false) => {
                let keeper = standby.keeper.clone();
                tokio::spawn(async move {
                    if let Some((conference, kept)) = held {
                        restart::restore(&focus, &keeper, conference, kept).await;
                    }
                    let _ = back.send(Told::Restored).await;
                });
            }
            (true, true) => {
                if let Some((conference, _)) = held {
                    standby.keeper.keep(Key::Sites(conference), None);
                }
                let (wanted, room) =
                    (standby.room.clone(), serde_json::from_str::<Room>(&room).unwrap_or_default());
                tokio::spawn(async move {
                    // Nothing was ever told: what is here holds.
                    if !rows.is_empty() {
                        write_links(store.clone(), rows).await;
                    }
                    if let Some(conference) = open(&focus, &store, &wanted, settings).await {
                        take_up(&focus, conference, room, sites).await;
                    }
                    let _ = back.send(Told::Restored).await;
                });
            }
            (false, _) => {
                standby.settled = false;
                let called: Vec<ParticipantId> = sites.into_iter().map(|(id, _)| id).collect();
                let Some(conference) = self.hook.conference() else { return };
                tokio::spawn(async move {
                    // The other one calls them: a device that is in two meetings is in none.
                    for id in called {
                        let _ = focus.hang_up(conference, id).await;
                    }
                });
            }
        }
    }

    pub(super) fn drilled(&mut self, drill: &Drill) {
        if !drill.is_running() {
            self.note(
                &drill.by.clone(),
                "cascade.drill",
                self.hook.conference(),
                json!(cau_control::cascade::DrillShown::from(drill)),
            );
        }
        self.publish(&json!({ "drill": cau_control::cascade::DrillShown::from(drill) }));
    }

    /// For the API.
    pub(super) fn shown_standby(&self, now: Instant) -> Option<Shown> {
        let standing: Standing = self.node.standing(now)?;
        let address = self.standby.as_ref().map(|standby| standby.client.address.clone()).unwrap_or_default();
        let words = self.standby.as_ref().and_then(|standby| standby.why_not.clone());
        Some(Shown::of(&standing, self.node.drill(), address, words.filter(|_| !standing.peer_up)))
    }
}

async fn read(focus: Handle, store: Store, conference: ConferenceId, back: mpsc::Sender<Told>) {
    let settings = focus.settings(conference).await.ok();
    let settings = settings.and_then(|settings| serde_json::to_string(&settings).ok());
    match store.link_rows().await {
        Ok(links) => drop(back.send(Told::Records(settings, links)).await),
        Err(e) => tracing::error!("the links cannot be read: {e}"),
    }
}

async fn write_links(store: Store, rows: Vec<String>) {
    if let Err(e) = store.replace_links(&rows).await {
        tracing::error!("the links of the master cannot be written: {e}");
    }
}

/// The conference of the room with the settings of the other master; made when there is none.
async fn open(focus: &Handle, store: &Store, room: &str, settings: Option<Settings>) -> Option<ConferenceId> {
    let all = focus.list().await.unwrap_or_default();
    let found = all.into_iter().find(|conference| conference.room == room).map(|conference| conference.id);
    let Some(settings) = settings.filter(|settings| settings.room == room) else { return found };
    let now = cau_drive::Clock::wall_now();
    let opened = match found {
        Some(id) => {
            if let Err(e) = store.update_conference(id, &settings, now).await {
                tracing::error!("the conference cannot be stored: {e}");
            }
            focus.change(id, settings).await.map(|_| id)
        }
        None => match store.create_conference(&settings, now).await {
            Ok(record) => focus.create(record.id, settings).await.map(|_| record.id),
            Err(e) => {
                tracing::error!("the conference cannot be stored: {e}");
                return None;
            }
        },
    };
    opened.map_err(|e| tracing::error!("the conference cannot be opened: {}", e.words().en)).ok().or(found)
}

/// Everybody sits where he sat; who is not here is called.
async fn take_up(focus: &Handle, conference: ConferenceId, room: Room, sites: Vec<(ParticipantId, Kept)>) {
    let here = focus.participants(conference).await.unwrap_or_default();
    let count = sites.len();
    let (known, new): (Vec<_>, Vec<_>) =
        sites.into_iter().partition(|(id, _)| here.iter().any(|site| site.id == *id));
    for (id, kept) in known {
        let left = here.iter().any(|site| site.id == id && site.state == State::Left);
        if left && let Err(e) = focus.call_again(conference, id).await {
            tracing::warn!("{} cannot be called: {}", kept.name, e.words().en);
        }
    }
    match focus.restore(conference, room, new).await {
        Ok(()) => tracing::info!(%conference, sites = count, "the meeting of the other master goes on here"),
        Err(e) => tracing::error!(%conference, "the meeting cannot be taken up: {}", e.words().en),
    }
}
