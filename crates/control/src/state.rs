//! What the routes share.

use std::{
    collections::HashMap,
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use cau_conference::Handle;
use cau_model::{
    ConferenceId, ParticipantId,
    layout::{Equipment, Layouts},
};
use cau_store::{Journal, Store};
use ipnet::IpNet;
use tokio::sync::{Mutex, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::{Events, cascade, metrics::Sample};

/// Event streams open at a time.
const STREAMS: usize = 512;
/// Previews asked for at a time: each is a picture encoded by the machine that also runs the meeting.
const PREVIEWS: usize = 8;

/// The wall clock, given by the server.
pub type Clock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

/// Figures of the rest of the program (sockets, process, …) for `/metrics`.
pub type Figures = Arc<dyn Fn() -> Vec<Sample> + Send + Sync>;

/// What the API says about this machine.
#[derive(Debug, Clone, Default)]
pub struct About {
    /// Version of the program.
    pub version: String,
    /// Where endpoints dial in: `host:port` of each SIP listener as it is advertised, the one to be shown first.
    pub sip: Vec<String>,
    /// It has a logo to put on pictures.
    pub logo: bool,
}

/// What the routes share. Cheap to clone.
#[derive(Clone)]
pub struct State {
    pub(crate) store: Store,
    pub(crate) journal: Journal,
    pub(crate) focus: Handle,
    pub(crate) cascade: Option<cascade::Handle>,
    pub(crate) events: Events,
    pub(crate) clock: Clock,
    pub(crate) figures: Figures,
    pub(crate) about: Arc<About>,
    pub(crate) trusted_proxies: Arc<[IpNet]>,
    pub(crate) shutdown: CancellationToken,
    pub(crate) keep_alive: Duration,
    pub(crate) streams: Arc<Semaphore>,
    pub(crate) previews: Arc<Semaphore>,
    /// Whose picture is the common one of a conference, and since when that is known; see `api::picture`.
    pub(crate) common: Arc<std::sync::Mutex<HashMap<ConferenceId, (SystemTime, ParticipantId)>>>,
    /// The layouts of files, as they are now.
    pub(crate) layouts: Arc<std::sync::RwLock<Layouts>>,
    /// One change of stored settings at a time: each is read, changed, stored and handed on as one.
    pub(crate) changing: Arc<Mutex<()>>,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State")
            .field("about", &self.about)
            .field("events", &self.events)
            .finish_non_exhaustive()
    }
}

impl State {
    /// The state of an API on this store, journal, focus and hub.
    pub fn new(
        store: Store,
        journal: Journal,
        focus: Handle,
        events: Events,
        clock: Clock,
        about: About,
    ) -> Self {
        Self {
            store,
            journal,
            focus,
            cascade: None,
            events,
            clock,
            figures: Arc::new(Vec::new),
            about: Arc::new(about),
            trusted_proxies: Arc::default(),
            shutdown: CancellationToken::new(),
            keep_alive: Duration::from_secs(15),
            streams: Arc::new(Semaphore::new(STREAMS)),
            previews: Arc::new(Semaphore::new(PREVIEWS)),
            common: Arc::default(),
            layouts: Arc::default(),
            changing: Arc::default(),
        }
    }

    /// Adds the cascade.
    #[must_use]
    pub fn with_cascade(mut self, cascade: cascade::Handle) -> Self {
        self.cascade = Some(cascade);
        self
    }

    /// Adds figures to `/metrics`.
    #[must_use]
    pub fn with_figures(mut self, figures: Figures) -> Self {
        self.figures = figures;
        self
    }

    /// Proxies whose `X-Forwarded-For` and `Forwarded` are believed; none by default.
    #[must_use]
    pub fn with_trusted_proxies(mut self, networks: Vec<IpNet>) -> Self {
        self.trusted_proxies = networks.into();
        self
    }

    /// How often an event stream says that it is alive and the sign-in behind it is looked at again; 15 s by default.
    #[must_use]
    pub fn with_keep_alive(mut self, every: Duration) -> Self {
        self.keep_alive = every;
        self
    }

    /// The layouts there are by files, when they were read.
    pub fn set_layouts(&self, equipment: &Equipment) {
        *self.layouts.write().unwrap_or_else(std::sync::PoisonError::into_inner) = equipment.layouts.clone();
    }

    /// Ends every event stream when cancelled, so that the HTTP server can end.
    pub fn shutdown(&self) -> CancellationToken {
        self.shutdown.clone()
    }

    /// Writes to the journal who did what.
    pub(crate) fn note(
        &self,
        who: &str,
        what: &str,
        conference: Option<ConferenceId>,
        detail: serde_json::Value,
    ) {
        self.journal.append(cau_store::Entry {
            at: (self.clock)(),
            conference,
            who: who.to_owned(),
            what: what.to_owned(),
            detail,
        });
    }
}
