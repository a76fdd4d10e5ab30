//! What the API asks of the cascade, and what the cascade tells: the tree, the links, bring-ups by path (docs/cascade.md).

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use cau_cascade::{Command, Path, Policy, Viewers, tree};
use cau_model::{
    ConferenceId, OperationId, ParticipantId, Refusal, Words,
    snapshot::{OperationState, OperationStep},
};
use serde::Serialize;
use tokio::sync::{mpsc, oneshot};
use utoipa::ToSchema;

use crate::{Problem, focus};

/// Asks whoever runs the node. Cheap to clone. Questions wait in a bounded queue; a full one makes the asker wait.
#[derive(Debug, Clone)]
pub struct Handle {
    asks: mpsc::Sender<Ask>,
    authority: Option<Arc<[u8; 32]>>,
    own: Path,
}

/// A question, with the way back for its answer.
#[derive(Debug)]
pub enum Ask {
    /// Part of the tree, sorted by path.
    Tree(Part, oneshot::Sender<Vec<tree::Entry>>),
    /// How the links stand.
    Links(oneshot::Sender<Links>),
    /// Who of two masters commands; `None`: there is one only.
    Standby(oneshot::Sender<Option<Standby>>),
    /// What an operator wants; with the operation that has begun.
    Wish(Box<Wish>, oneshot::Sender<Result<Option<OperationId>, Refusal>>),
    /// The sites made ready, and whether each is.
    Prepared(oneshot::Sender<Vec<(Path, bool)>>),
    /// How far a bring-up is; `None`: there is no such one.
    Operation(OperationId, oneshot::Sender<Option<FarOperation>>),
    /// The certificate of the slave at this path is revoked: its connection is to be closed.
    Revoked(Path),
}

/// Of two masters: who commands, and how the other one stands.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Standby {
    /// This MCU is in command.
    pub commands: bool,
    /// It has just begun, and asks the other one whether it has taken command meanwhile.
    pub undecided: bool,
    /// Grows whenever the command goes to the other one. Whoever has the higher one is right.
    pub term: u64,
    /// Where the other one is.
    pub address: String,
    /// The other one can be spoken to.
    pub connected: bool,
    /// Why not, in Vietnamese.
    pub reason: Option<String>,
    /// The same in English.
    pub reason_en: Option<String>,
    /// The other one is in command.
    pub other_commands: bool,
    /// The one that does not command has everything that the other one has.
    pub in_step: bool,
    /// How long something has waited to get there, ms.
    pub behind_ms: u64,
    /// How long the other one cannot be spoken to, ms.
    pub lost_ms: Option<u64>,
    /// Records kept for the one that does not command, …
    pub records: usize,
    /// … and their bytes.
    pub bytes: usize,
    /// Slaves known, linked or not.
    pub slaves: usize,
    /// Those of them that wait here because their master is gone.
    pub waiting: usize,
    /// The drill under way, or the last one.
    pub drill: Option<DrillShown>,
}

/// The command given to the other master and taken back on purpose.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = Drill)]
pub struct DrillShown {
    /// It is under way.
    pub running: bool,
    /// Who wanted it.
    pub by: String,
    /// Slaves that had to go over.
    pub slaves: usize,
    /// Milliseconds until the other one was in command.
    pub command_ms: Option<u64>,
    /// Milliseconds until all slaves were there.
    pub over_ms: Option<u64>,
    /// Milliseconds, since it was asked back, until this one was in command again.
    pub return_ms: Option<u64>,
    /// Milliseconds, since then, until all slaves were back.
    pub back_ms: Option<u64>,
    /// Why it failed, in Vietnamese.
    pub error: Option<String>,
    /// The same in English.
    pub error_en: Option<String>,
}

impl From<&cau_cascade::Drill> for DrillShown {
    fn from(drill: &cau_cascade::Drill) -> Self {
        let (error, error_en) = drill.error.clone().map(|w| (w.vi, w.en)).unzip();
        Self {
            running: drill.is_running(),
            by: drill.by.clone(),
            slaves: drill.slaves,
            command_ms: drill.command_ms,
            over_ms: drill.over_ms,
            return_ms: drill.return_ms,
            back_ms: drill.back_ms,
            error,
            error_en,
        }
    }
}

impl Standby {
    /// What the API shows.
    pub fn of(
        standing: &cau_cascade::Standing,
        drill: Option<&cau_cascade::Drill>,
        address: String,
        words: Option<Words>,
    ) -> Self {
        let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let (reason, reason_en) = words.map(|w| (w.vi, w.en)).unzip();
        Self {
            commands: standing.commands,
            undecided: standing.undecided,
            term: standing.term,
            address,
            connected: standing.peer_up,
            reason,
            reason_en,
            other_commands: standing.peer_commands,
            in_step: standing.in_step,
            behind_ms: ms(standing.behind),
            lost_ms: standing.lost.map(ms),
            records: standing.records,
            bytes: standing.bytes,
            slaves: standing.slaves,
            waiting: standing.waiting,
            drill: drill.map(DrillShown::from),
        }
    }
}

/// Which part of the tree.
#[derive(Debug, Clone, Default)]
pub struct Part {
    /// This and what is below; `None`: everything.
    pub under: Option<Path>,
    /// Levels below that; `None`: all.
    pub depth: Option<usize>,
    /// Only what comes behind this path.
    pub after: Option<Path>,
    /// Entries at most.
    pub limit: usize,
}

/// What an operator wants of the node.
#[derive(Debug)]
pub struct Wish {
    /// In which conference; `None`: it is no matter of one.
    pub conference: Option<ConferenceId>,
    /// Who asks.
    pub by: String,
    /// What.
    pub command: Command,
}

/// How the links stand.
#[derive(Debug, Clone, Default)]
pub struct Links {
    /// To the master, when there is to be one.
    pub above: Option<Above>,
    /// Of slaves that have connected since the start, by path.
    pub below: BTreeMap<Path, Below>,
}

/// The link to the master.
#[derive(Debug, Clone)]
pub struct Above {
    /// The master's path.
    pub path: Path,
    /// Its address as configured; of the one tried last.
    pub address: String,
    /// It stands.
    pub up: bool,
    /// Why not.
    pub words: Option<Words>,
}

/// The link of a slave.
#[derive(Debug, Clone)]
pub struct Below {
    /// It stands.
    pub up: bool,
    /// Sites and MCUs below it.
    pub sites: usize,
    /// What its operator lets this one do.
    pub policy: Option<Policy>,
    /// Why it was lost or refused.
    pub words: Option<Words>,
}

/// A bring-up across MCUs; shaped like one of a single MCU, with paths in the place of ids.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct FarOperation {
    /// Its id.
    #[schema(value_type = String)]
    pub id: OperationId,
    /// Where.
    #[schema(value_type = String)]
    pub conference: ConferenceId,
    /// The path of the site.
    pub site: String,
    /// Before whom; empty: everybody.
    #[serde(rename = "for")]
    #[schema(value_type = Vec<String>)]
    pub viewers: Vec<ParticipantId>,
    /// Who asked for it.
    pub by: String,
    /// How far it is.
    pub state: OperationState,
    /// Milliseconds since it was asked for, or that it took.
    pub elapsed_ms: u64,
    /// The steps done, each with the path of its MCU.
    pub steps: Vec<OperationStep>,
    /// The step that failed, where and why, in Vietnamese; null otherwise.
    pub error: Option<String>,
    /// The same in English.
    pub error_en: Option<String>,
    /// What the operator has to know beside, in Vietnamese.
    pub note: Option<String>,
    /// The same in English.
    pub note_en: Option<String>,
}

impl FarOperation {
    /// What the API shows of an operation of the node; `running`: since when, for one under way.
    pub fn of(conference: ConferenceId, operation: &cau_cascade::Operation, running: Duration) -> Self {
        let words = |words: &Option<Words>| words.clone().map(|w| (w.vi, w.en)).unzip();
        let (error, error_en) = words(&operation.error);
        let (note, note_en) = words(&operation.note);
        let step =
            |s: &cau_cascade::Step| OperationStep { name: s.name, mcu: s.mcu.to_string(), at_ms: s.at_ms };
        let elapsed = u64::try_from(running.as_millis()).unwrap_or(u64::MAX);
        Self {
            id: operation.id,
            conference,
            site: operation.site.to_string(),
            viewers: match &operation.viewers {
                Viewers::All => Vec::new(),
                Viewers::Only(ids) => ids.iter().copied().collect(),
            },
            by: operation.by.clone(),
            state: operation.state,
            elapsed_ms: operation.took_ms.unwrap_or(elapsed),
            steps: operation.steps.iter().map(step).collect(),
            error,
            error_en,
            note,
            note_en,
        }
    }
}

/// An MCU or a site of the tree.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Node {
    /// Where it stands, from the root.
    #[schema(example = "dak-lak/buon-ma-thuot/hoa-phu")]
    pub path: String,
    /// `site`, `mcu`, or `foreign`: an MCU that is a call and nothing more.
    #[schema(value_type = String)]
    pub kind: tree::Kind,
    /// Its name for people.
    pub name: String,
    /// `idle`, `calling`, `connected`, `lost`.
    #[schema(value_type = String)]
    pub state: tree::Line,
    /// `unknown`, `good`, `fair` (1 % loss and more), `poor` (5 % and more).
    #[schema(value_type = String)]
    pub quality: tree::Grade,
    /// Loudness, 0 silent – 3 loud.
    pub level: u8,
    /// It asks for the floor.
    pub hand: bool,
    /// Of an MCU: what its slots to the MCU above hold.
    pub slots: Vec<Slot>,
    /// Of an MCU: the operator above who has taken its floor.
    pub floor: Option<String>,
}

/// A slot of an MCU to the one above.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Slot {
    /// The site in it.
    pub site: Option<String>,
    /// The operator above who holds it; null: the MCU's own.
    pub by: Option<String>,
}

impl From<&tree::Entry> for Node {
    fn from(entry: &tree::Entry) -> Self {
        let slot =
            |held: &tree::Held| Slot { site: held.site.as_ref().map(Path::to_string), by: held.by.clone() };
        Self {
            path: entry.path.to_string(),
            kind: entry.kind,
            name: entry.name.clone(),
            state: entry.line,
            quality: entry.grade,
            level: entry.level,
            hand: entry.hand,
            slots: entry.slots.iter().map(slot).collect(),
            floor: entry.floor.clone(),
        }
    }
}

impl Part {
    /// The part of a tree.
    pub fn of(&self, tree: &tree::Tree) -> Vec<tree::Entry> {
        let root = Path::root();
        let under = self.under.as_ref().unwrap_or(&root);
        let level = |path: &Path| if path.is_root() { 0 } else { path.as_str().matches('/').count() + 1 };
        let deepest = self.depth.map_or(usize::MAX, |depth| level(under).saturating_add(depth));
        tree.within(under)
            .filter(|entry| level(&entry.path) <= deepest)
            .filter(|entry| self.after.as_ref().is_none_or(|after| entry.path > *after))
            .take(self.limit)
            .cloned()
            .collect()
    }
}

impl Handle {
    /// A handle and the queue its questions come out of. `own`: the path of this MCU; `authority`: SHA-256 of the certificate
    /// slaves are to know this MCU by, where it can take slaves.
    pub fn new(own: Path, authority: Option<[u8; 32]>, capacity: usize) -> (Self, mpsc::Receiver<Ask>) {
        let (asks, receiver) = mpsc::channel(capacity);
        (Self { asks, authority: authority.map(Arc::new), own }, receiver)
    }

    /// The path of this MCU.
    pub(crate) fn own(&self) -> &Path {
        &self.own
    }

    /// What a token has to carry.
    pub(crate) fn authority(&self) -> Option<&[u8; 32]> {
        self.authority.as_deref()
    }

    async fn ask<T>(&self, ask: impl FnOnce(oneshot::Sender<T>) -> Ask) -> Result<T, Problem> {
        let (answer, answered) = oneshot::channel();
        let asked = async {
            self.asks.send(ask(answer)).await.ok()?;
            answered.await.ok()
        };
        focus::patient(asked).await?.ok_or_else(ended)
    }

    pub(crate) async fn tree(&self, part: Part) -> Result<Vec<tree::Entry>, Problem> {
        self.ask(|answer| Ask::Tree(part, answer)).await
    }

    pub(crate) async fn links(&self) -> Result<Links, Problem> {
        self.ask(Ask::Links).await
    }

    pub(crate) async fn standby(&self) -> Result<Option<Standby>, Problem> {
        self.ask(Ask::Standby).await
    }

    pub(crate) async fn wish(&self, wish: Wish) -> Result<Option<OperationId>, Problem> {
        Ok(self.ask(|answer| Ask::Wish(Box::new(wish), answer)).await??)
    }

    pub(crate) async fn prepared(&self) -> Result<Vec<(Path, bool)>, Problem> {
        self.ask(Ask::Prepared).await
    }

    pub(crate) async fn operation(&self, id: OperationId) -> Result<Option<FarOperation>, Problem> {
        self.ask(|answer| Ask::Operation(id, answer)).await
    }

    pub(crate) async fn revoked(&self, path: Path) {
        // When the node has ended there is no connection to close.
        let _ = self.asks.send(Ask::Revoked(path)).await;
    }
}

fn ended() -> Problem {
    Problem::unavailable("MCU đang dừng.", "The MCU is shutting down.")
}
