//! Puts the MCU together and takes it apart: store, media threads, signalling thread, HTTP.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::{Arc, atomic::AtomicU64},
    thread,
    time::{Duration, SystemTime},
};

use cau_conference::{Focus, Handle, Notice, Request};
use cau_control::{About, Events, State};
use cau_drive::{Clock, pool::Pool, signal};
use cau_model::layout::Kind;
use cau_sip::{
    digest,
    message::Host,
    sdp::{Capabilities, h264::Receive},
};
use cau_store::{Journal, Keeper, Options, Store};
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};

use crate::{
    cascade::{self, Entrance, Hook, Mirror, Refusals, Tell},
    config::Config,
    data_dir, equipment,
    failure::Failure,
    figures, loading,
    media::Threads,
    places::Places,
    ports_file, registrations, restart,
    signalling::Signalling,
    tls::{Authority, Tls},
    web::{self, Counts, Limits, Over},
};

/// Requests and reports waiting for signalling.
const QUEUE: usize = 65_536;
/// How long HTTP may take to end, and signalling beyond the grace time of the drain.
const ENDING: Duration = Duration::from_secs(5);
/// How often certificates are made or read anew.
const DAY: Duration = Duration::from_secs(86_400);

/// A running MCU.
pub struct Bridge {
    /// Addresses of the SIP sockets.
    pub sip: Vec<SocketAddr>,
    /// `host:port` for people to dial, the most useful first.
    pub dial: Vec<String>,
    /// Address of the console.
    pub http: SocketAddr,
    /// Where the first password of `admin` was written, when it was made just now.
    pub admin_password_file: Option<PathBuf>,
    /// Address of the console over TLS.
    pub https: Option<SocketAddr>,
    /// Asks the focus.
    pub focus: Handle,
    /// Rooms and users.
    pub store: Store,
    state: State,
    signalling: oneshot::Receiver<()>,
    web: JoinHandle<std::io::Result<()>>,
    web_tls: Option<JoinHandle<std::io::Result<()>>>,
    tls: Option<Arc<Tls>>,
    cascade: Option<JoinHandle<()>>,
    journal: Journal,
    keeper: Keeper,
    grace: Duration,
    config: Config,
}

/// Builds and starts everything. When it returns, calls are taken and `ports.json` is written.
///
/// # Errors
/// [`Failure`] with the remedy; nothing is left running that matters.
pub async fn start(config: &Config, admin_password: Option<String>) -> Result<Bridge, Failure> {
    let equipment = equipment::read(config)?;
    let emblem = equipment::emblem(config)?;
    data_dir::prepare(&config.data_dir)?;
    match cau_drive::limits::raise_open_files() {
        Ok(files) if files < 4 * config.sip.max_calls as u64 => {
            tracing::warn!(
                "only {files} open files are allowed, enough for about {} calls: raise the limit (ulimit -n)",
                files / 4
            );
        }
        Ok(_) => {}
        Err(e) => tracing::warn!("the limit of open files cannot be raised: {e}"),
    }
    let clock = Clock::start();
    let mut options = Options::new(&config.data_dir);
    options.admin_password = admin_password;
    let opened = Store::open(options, clock.wall).await?;
    let store = opened.store;
    let journal = store.journal();

    let (focus, requests) = Handle::new(QUEUE);
    let pool = Arc::new(Pool::new(config.picture_threads).map_err(Failure::system("threads for pictures"))?);
    let lost_reports = Arc::new(AtomicU64::new(0));
    let threads = Threads::start(config, clock, &pool, focus.sender(), emblem.as_ref(), &lost_reports)
        .map_err(Failure::system("threads for sound"))?;
    let loads = threads.loads();
    tokio::spawn(loading::watch(loads.clone(), pool.clone(), focus.sender().clone()));
    let events = Events::new(clock.wall);
    let entrance = config.cascade.as_ref().map(|cascade| Entrance::new(&cascade.room));
    let hook = entrance.as_ref().map(|entrance| entrance.hook.clone());
    let notices = listener(events.clone(), journal.clone(), hook);
    // Read before the keeper begins to say that the program runs.
    let mut kept = restart::kept(&store, config.resume_within, Clock::wall_now()).await?;
    let keeper = store.keeper(Clock::wall_now);
    let mirror = Mirror::default();
    let other = config.cascade.as_ref().filter(|cascade| cascade.peer.is_some());
    let kept_by = (keeper.clone(), other.map(|_| mirror.clone()));
    let (sip, signalling) = start_signalling(config, threads, requests, notices, kept_by).await?;
    let mut held = None;

    focus.equip(equipment.clone()).await;
    for mut record in store.conferences().await? {
        if equipment.layouts.find(record.settings.layout).is_none() {
            let layout = record.settings.layout;
            tracing::warn!(conference = %record.id, "there is no layout {layout} any more; the conference begins with grid");
            record.settings.layout = Kind::Grid;
        }
        let shared = other.is_some_and(|cascade| cascade.room == record.settings.room);
        if let Err(e) = focus.create(record.id, record.settings).await {
            tracing::error!(conference = %record.id, "a stored conference cannot be opened: {}", e.words().en);
            continue;
        }
        let Some(kept) = kept.remove(&record.id) else { continue };
        if shared {
            // The other master may be in the middle of it.
            held = Some((record.id, kept));
        } else {
            restart::restore(&focus, &keeper, record.id, kept).await;
        }
    }

    for register in config.sip.register.iter().cloned() {
        tokio::spawn(registrations::begin(register, sip.clone(), focus.sender().clone()));
    }

    let dial = dial_addresses(&sip, config.sip.advertise);
    let listener = TcpListener::bind(config.control_bind)
        .await
        .map_err(|source| Failure::Control { addr: config.control_bind, source })?;
    let http = listener.local_addr().map_err(Failure::system("the console's address"))?;
    let tell = teller(events.clone(), journal.clone());
    let refusals = Refusals::new(tell.clone());
    let secure = Secure::bind(config).await?;
    let about =
        About { version: env!("CARGO_PKG_VERSION").to_owned(), sip: dial.clone(), logo: equipment.logo };
    let counts = Counts::default();
    let places = Places::new(
        config.control_max_connections,
        config.control_max_connections_per_address,
        config.trusted_proxies.clone(),
    );
    let mut state = State::new(
        store.clone(),
        journal.clone(),
        focus.clone(),
        events.clone(),
        Arc::new(Clock::wall_now),
        about,
    )
    .with_trusted_proxies(config.trusted_proxies.clone());
    let running = match (&config.cascade, entrance) {
        (Some(cascade), Some(entrance)) => {
            let (hook, back) = (entrance.hook.clone(), entrance.back());
            let port =
                cascade::Conference::new(focus.clone(), hook, back, cascade.sip.clone(), cascade.follow);
            let around = cascade::Around {
                data: &config.data_dir,
                store: store.clone(),
                focus: focus.clone(),
                events,
                journal: journal.clone(),
                tell,
                refusals: refusals.clone(),
                authority: secure.as_ref().map(|secure| secure.authority.clone()),
                mirror,
                keeper: keeper.clone(),
                held,
                ended: state.shutdown(),
            };
            Some(cascade::start(cascade, entrance, port, around)?)
        }
        _ => None,
    };
    let (mut links, mut cascade, mut link_figures) = (None, None, None);
    if let Some(running) = running {
        state = state.with_cascade(running.handle);
        (links, cascade, link_figures) = (running.routes, Some(running.task), Some(running.figures));
    }
    let tls = secure.as_ref().map(|secure| secure.tls.clone());
    let sampled = (counts.clone(), places.clone(), refusals.clone(), tls.clone());
    state = state.with_figures(Arc::new(move || {
        let mut all = sampled.0.samples(&sampled.1);
        all.extend(sampled.2.samples());
        all.extend(sampled.3.iter().flat_map(|tls| tls.samples()));
        all.extend(link_figures.iter().flat_map(cascade::Figures::samples));
        all.extend(figures::of(&pool, &loads, &lost_reports));
        all
    }));
    tokio::spawn(cau_control::watch_store(state.clone()));
    state.set_layouts(&equipment);
    let app = cau_control::router(state.clone());
    let https = secure.as_ref().map(|secure| secure.addr);
    let web_tls = secure.map(|secure| {
        let over = Over::tls(secure.tls, app.clone(), links, refusals);
        serve_web(secure.listener, over, &state, places.clone(), counts.clone())
    });
    let web = serve_web(listener, app.into(), &state, places, counts);
    let first = sip.first().copied().unwrap_or(config.control_bind);
    ports_file::write(&config.data_dir, first, http, https)
        .map_err(|source| Failure::DataDir { path: config.data_dir.clone(), source })?;
    let grace = config.drain_grace;
    Ok(Bridge {
        sip,
        dial,
        http,
        https,
        admin_password_file: opened.admin_password_file,
        focus,
        store,
        state,
        signalling,
        web,
        web_tls,
        tls,
        cascade,
        journal,
        keeper,
        grace,
        config: config.clone(),
    })
}

impl Bridge {
    /// Waits until the system asks for an end (SIGTERM, SIGINT), then drains: no new calls, BYE to all after the grace
    /// time, everything stored.
    ///
    /// # Errors
    /// [`Failure`] when signalling or the console end by themselves.
    pub async fn run(mut self) -> Result<(), Failure> {
        let end = tokio::select! {
            end = asked_to_end() => end,
            end = read_anew(&self.config, &self.focus, &self.state, self.tls.as_deref()) => end,
            _ = &mut self.signalling => Err(Failure::Internal("signalling has ended unexpectedly".into())),
            _ = &mut self.web => Err(Failure::Internal("the console has ended unexpectedly".into())),
        };
        tracing::info!("draining: no new calls, BYE to all in {} s", self.grace.as_secs());
        let _ = self.focus.sender().send(Request::Drain).await;
        if tokio::time::timeout(self.grace + ENDING, self.signalling).await.is_err() {
            tracing::warn!("some calls did not end in time");
        }
        self.state.shutdown().cancel();
        let _ = tokio::time::timeout(ENDING, self.web).await;
        if let Some(ending) = self.web_tls {
            let _ = tokio::time::timeout(ENDING, ending).await;
        }
        if let Some(ending) = self.cascade {
            let _ = tokio::time::timeout(ENDING, ending).await;
        }
        self.journal.flush().await;
        self.keeper.flush().await;
        self.store.close().await;
        tracing::info!("ended");
        end
    }
}

async fn asked_to_end() -> Result<(), Failure> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut term = signal(SignalKind::terminate()).map_err(Failure::system("signals"))?;
    let mut int = signal(SignalKind::interrupt()).map_err(Failure::system("signals"))?;
    tokio::select! { _ = term.recv() => {}, _ = int.recv() => {} }
    Ok(())
}

/// On SIGHUP layouts and certificates are read anew; when a file is wrong the old ones stay, and the log says which and why.
/// Certificates also once a day: whatever renews them need not tell.
async fn read_anew(config: &Config, focus: &Handle, state: &State, tls: Option<&Tls>) -> Result<(), Failure> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut hangup = signal(SignalKind::hangup()).map_err(Failure::system("signals"))?;
    loop {
        let asked = tokio::select! {
            asked = hangup.recv() => asked,
            () = tokio::time::sleep(DAY) => {
                renew(tls);
                continue;
            }
        };
        if asked.is_none() {
            return std::future::pending().await;
        }
        renew(tls);
        match equipment::read(config) {
            Ok(equipment) => {
                tracing::info!("{} layouts read anew", equipment.layouts.iter().count());
                focus.equip(equipment.clone()).await;
                state.set_layouts(&equipment);
            }
            Err(e) => tracing::error!("the layouts stay as they were: {e}"),
        }
    }
}

fn renew(tls: Option<&Tls>) {
    match tls.map(Tls::renew) {
        Some(Ok(())) => tracing::info!("the certificates are made or read anew"),
        Some(Err(e)) => tracing::error!("the certificates stay as they were: {e}"),
        None => {}
    }
}

/// HTTPS, bound and with its certificates.
struct Secure {
    listener: TcpListener,
    addr: SocketAddr,
    authority: Arc<Authority>,
    tls: Arc<Tls>,
}

impl Secure {
    async fn bind(config: &Config) -> Result<Option<Self>, Failure> {
        let Some(wanted) = &config.control_tls else { return Ok(None) };
        let now: SystemTime = Clock::wall_now();
        let authority = Arc::new(Authority::open(&config.data_dir, now).map_err(crate::tls::Error::from)?);
        let tls = Arc::new(Tls::new(authority.clone(), wanted.files.clone(), wanted.bind)?);
        let listener = TcpListener::bind(wanted.bind)
            .await
            .map_err(|source| Failure::ControlTls { addr: wanted.bind, source })?;
        let addr = listener.local_addr().map_err(Failure::system("the address for HTTPS"))?;
        Ok(Some(Self { listener, addr, authority, tls }))
    }
}

/// What is told beside the focus goes the same way.
fn teller(events: Events, journal: Journal) -> Tell {
    Arc::new(move |notice| {
        if let Some(entry) = events.notice(Clock::wall_now(), &notice) {
            journal.append(entry);
        }
    })
}

fn listener(
    events: Events,
    journal: Journal,
    hook: Option<Arc<Hook>>,
) -> impl FnMut(Notice) + Send + 'static {
    move |notice| {
        if let Some(hook) = &hook {
            hook.notice(&notice);
        }
        if let Some(entry) = events.notice(Clock::wall_now(), &notice) {
            journal.append(entry);
        }
    }
}

/// The signalling thread has a runtime of its own: nothing the console does can hold up a call.
async fn start_signalling(
    config: &Config,
    threads: Threads,
    requests: tokio::sync::mpsc::Receiver<Request>,
    notices: impl FnMut(Notice) + Send + 'static,
    (keeper, mirror): (Keeper, Option<Mirror>),
) -> Result<(Vec<SocketAddr>, oneshot::Receiver<()>), Failure> {
    let (bound, is_bound) = oneshot::channel();
    let (end, ended) = oneshot::channel();
    let config = config.clone();
    let run = move || {
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(source) => {
                let _ = bound.send(Err(Failure::System { what: "the signalling loop", source }));
                return;
            }
        };
        runtime.block_on(async move {
            let sockets = match signal::Sockets::bind(&config.sip.bind) {
                Ok(sockets) => sockets.with_name_servers(config.dial.name_servers.clone()),
                Err(e) => {
                    let _ = bound.send(Err(e.into()));
                    return;
                }
            };
            let addrs = sockets.addrs();
            let focus = Focus::new(focus_config(&config, &addrs), Box::new(threads), rand::random());
            let _ = bound.send(Ok(addrs));
            signal::run(&mut Signalling::new(focus, notices, keeper, mirror), sockets, requests).await;
        });
        let _ = end.send(());
    };
    thread::Builder::new()
        .name("signalling".into())
        .spawn(run)
        .map_err(Failure::system("the signalling thread"))?;
    let addrs = is_bound.await.map_err(|_| Failure::Internal("signalling did not start".into()))??;
    Ok((addrs, ended))
}

fn focus_config(config: &Config, addrs: &[SocketAddr]) -> cau_conference::Config {
    let mut sip = cau_sip::Config {
        user_agent: concat!("Cau/", env!("CARGO_PKG_VERSION")).to_owned(),
        udp: addrs.to_vec(),
        tcp: addrs.to_vec(),
        max_calls: config.sip.max_calls,
        tcp_for_large: config.sip.large_by_tcp,
        session_timers: config
            .sip
            .session_timer
            .map(|interval| cau_sip::SessionTimers { interval, ..cau_sip::SessionTimers::default() }),
        ..cau_sip::Config::default()
    };
    sip.limits.body = config.sip.max_body;
    let registrar = &config.registrar;
    if !registrar.accounts.is_empty() {
        sip.digest = Some(digest::Config::new(registrar.realm.clone(), registrar.accounts.clone()));
    }
    sip.registrar = registrar.enabled.then(|| cau_sip::registrar::Config {
        domains: registrar.domains.clone(),
        min_expires: *registrar.expires.start(),
        max_expires: *registrar.expires.end(),
        max_per_account: registrar.max_devices,
        ..cau_sip::registrar::Config::default()
    });
    sip.authenticate_calls = config.sip.authenticate_calls;
    sip.credentials.clone_from(&config.sip.credentials);
    sip.advertise = config
        .sip
        .advertise
        .map(|ip| cau_sip::Advertise { host: Host::Ip(ip), port: None })
        .into_iter()
        .collect();
    // One line profile for everybody: what sites are asked to send is what they are sent, so that sources suit receivers.
    let large = config.video.width * config.video.height > 1280 * 720;
    let receive = if large { Receive::HD1080 } else { Receive::HD720 };
    let capabilities = Capabilities::mcu(receive, config.video.kbps.max(2_000));
    let mut focus = cau_conference::Config::new(sip, capabilities);
    focus.max_participants = config.sip.max_calls;
    focus.max_per_conference = config.max_participants;
    focus.capacity = config.capacity;
    focus.roster = config.roster;
    focus.refer = config.refer;
    focus.drain_grace = config.drain_grace;
    focus.dial = config.dial.site.clone();
    focus
}

/// Where people dial: the advertised address, else the bound one, else every address of the machine.
fn dial_addresses(sip: &[SocketAddr], advertise: Option<IpAddr>) -> Vec<String> {
    let mut all: Vec<SocketAddr> = Vec::new();
    for bound in sip {
        match advertise.filter(|ip| ip.is_ipv6() == bound.is_ipv6()) {
            Some(ip) => all.push(SocketAddr::new(ip, bound.port())),
            None if bound.ip().is_unspecified() => all.extend(
                cau_drive::addresses::local()
                    .into_iter()
                    .filter(|ip| ip.is_ipv6() == bound.is_ipv6())
                    .map(|ip| SocketAddr::new(ip, bound.port())),
            ),
            None => all.push(*bound),
        }
    }
    all.sort_by_key(|a| (a.ip().is_loopback(), a.is_ipv6()));
    all.dedup();
    all.iter().map(ToString::to_string).collect()
}

fn serve_web(
    listener: TcpListener,
    over: Over,
    state: &State,
    places: Places,
    counts: Counts,
) -> JoinHandle<std::io::Result<()>> {
    let ended = state.shutdown().cancelled_owned();
    tokio::spawn(web::serve(listener, over, places, Limits::default(), counts, ended))
}
