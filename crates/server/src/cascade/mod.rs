//! The cascade of this program: certificates, lines, the task that owns the node (docs/cascade.md, "Driving it").

mod client;
mod door;
mod driver;
mod facts;
mod line;
mod mirror;
mod port;
mod refusals;
mod standby;
#[cfg(test)]
mod tests;

use std::{path::Path as FilePath, sync::Arc};

use axum::Router;
use cau_cascade::{Node, Path, Policy};
use cau_conference::{Body, Handle, Notice};
use cau_control::{Events, cascade};
use cau_drive::Clock;
use cau_model::ConferenceId;
use cau_store::{Journal, Keeper, KeptConference, Store};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

pub use door::Shown;
pub use driver::Figures;
pub use facts::{Hook, Told};
pub use mirror::Mirror;
pub use port::{Conference, Port};
pub use refusals::{Refusals, Tell};

use crate::{data_dir, failure::Failure, tls::Authority};
use client::{Client, PeerClient};
use door::Door;
use driver::{Driver, Ears, Input, Ways};
use standby::Standby;

/// Questions of the API that wait.
const ASKS: usize = 1_024;

/// What this MCU is in the tree; see `[cascade]` in config/cau.toml.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Its place; empty for the root.
    pub path: Path,
    /// Its name for people.
    pub name: String,
    /// The room that spans MCUs.
    pub room: String,
    /// `host:port` of the masters, the best first; none: there is nothing above.
    pub masters: Vec<String>,
    /// SIP address of the room at each master, in the same order.
    pub sip: Vec<String>,
    /// Sites without a layout of their own see what the master sends.
    pub follow: bool,
    /// It takes slaves from the start; a standby master does not.
    pub commands: bool,
    /// `host:port` of the other master: the standby, or the one it stands by.
    pub peer: Option<String>,
    /// A standby takes command by itself when the master has been gone for so long; zero: never.
    pub take_over: std::time::Duration,
    /// File of the token it enrols with.
    pub token_file: Option<std::path::PathBuf>,
    /// Slots of its links.
    pub slots: u8,
    /// What it lets those above do.
    pub policy: Policy,
    /// Slaves at most.
    pub max_links: usize,
    /// Entries below one slave at most.
    pub max_sites: usize,
}

impl Config {
    fn node(&self) -> cau_cascade::node::Config {
        cau_cascade::node::Config {
            room: self.room.clone(),
            masters: self.masters.len(),
            commands: self.commands,
            peer: self.peer.is_some(),
            take_over: self.take_over,
            slots: self.slots,
            policy: self.policy.clone(),
            max_links: self.max_links,
            max_sites: self.max_sites,
            ..cau_cascade::node::Config::new(self.path.clone(), &self.name)
        }
    }
}

/// Where notices go in and what waits for the driver, made before anything else runs.
pub struct Entrance {
    /// Hears notices.
    pub hook: Arc<Hook>,
    told: mpsc::Receiver<Told>,
    back: mpsc::Sender<Told>,
}

impl Entrance {
    /// For the conference of this room.
    pub fn new(room: &str) -> Self {
        let (back, told) = mpsc::channel(facts::QUEUE);
        Self { hook: Arc::new(Hook::new(room.to_owned(), back.clone())), told, back }
    }

    /// Where facts go that no notice tells.
    pub fn back(&self) -> mpsc::Sender<Told> {
        self.back.clone()
    }
}

/// What the cascade needs of the rest.
pub struct Around<'a> {
    /// The data directory.
    pub data: &'a FilePath,
    /// Links.
    pub store: Store,
    /// Participants.
    pub focus: Handle,
    /// Events of the API.
    pub events: Events,
    /// What operators did.
    pub journal: Journal,
    /// Alarms.
    pub tell: Tell,
    /// Told who is refused.
    pub refusals: Refusals,
    /// Issues certificates; `None`: no slaves.
    pub authority: Option<Arc<Authority>>,
    /// What is kept of the meeting, for the other master.
    pub mirror: Mirror,
    /// What keeps it for a restart.
    pub keeper: Keeper,
    /// The meeting as it was before a restart, when there is another master that may have taken it over meanwhile.
    pub held: Option<(ConferenceId, KeptConference)>,
    /// Ends it.
    pub ended: CancellationToken,
}

/// A running cascade.
pub struct Running {
    /// For the API.
    pub handle: cascade::Handle,
    /// For other MCUs; `None`: no slaves.
    pub routes: Option<Router>,
    /// For `/metrics`.
    pub figures: Figures,
    /// Ends when it has ended.
    pub task: tokio::task::JoinHandle<()>,
}

/// Starts the driver.
///
/// # Errors
/// The data directory cannot be written.
pub fn start<P: Port>(
    config: &Config,
    entrance: Entrance,
    port: P,
    around: Around<'_>,
) -> Result<Running, Failure> {
    let dir = around.data.join("cascade");
    data_dir::private_folder(&dir).map_err(|source| Failure::DataDir { path: dir.clone(), source })?;
    let file = dir.join("node.json");
    let now = Clock::now();
    let mut node = Node::new(now, config.node(), rand::random());
    if let Some(kept) = driver::kept(&file) {
        node.restore(now, kept);
    }
    let replica = dir.join("replica.json");
    if config.peer.is_some() {
        node.restore_shelf(standby::records(&replica));
    }
    let client = (!config.masters.is_empty()).then(|| Client {
        masters: config.masters.clone(),
        dir,
        token_file: config.token_file.clone(),
        path: config.path.clone(),
    });
    let (own, inputs) = mpsc::channel::<Input>(driver::QUEUE);
    let authority = around.authority.as_ref().map(|authority| authority.fingerprint());
    let (handle, asks) = cascade::Handle::new(config.path.clone(), authority, ASKS);
    let Around { store, focus, events, journal, tell, refusals, mirror, keeper, held, .. } = around;
    let other = config.peer.clone().zip(around.authority.clone()).map(|(address, authority)| {
        let client =
            PeerClient { address, authority, path: config.path.clone(), dir: around.data.join("tls") };
        Standby::new(client, mirror, (store.clone(), keeper), held, replica, config.room.clone())
    });
    let routes = around
        .authority
        .map(|authority| door::routes(Door { store, authority, refusals, inputs: own.clone() }));
    let figures = Figures::default();
    let ears = Ears { events, journal, tell, figures: figures.clone() };
    let Entrance { hook, told, back } = entrance;
    find_conference(focus.clone(), hook.clone());
    let ways = Ways { inputs, own, told, back, asks };
    let driver = Driver::new(node, config.path.clone(), port, focus, hook, client, other, &ways, ears, file);
    let task = tokio::spawn(driver.run(ways, around.ended));
    Ok(Running { handle, routes, figures, task })
}

/// The conference may have been there before the hook was.
fn find_conference(focus: Handle, hook: Arc<Hook>) {
    tokio::spawn(async move {
        for conference in focus.list().await.unwrap_or_default() {
            hook.notice(&Notice {
                conference: Some(conference.id),
                body: Body::Conference(Box::new(conference)),
            });
        }
    });
}
