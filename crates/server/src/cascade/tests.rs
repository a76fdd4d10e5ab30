//! MCUs on loopback: real sockets, certificates and nodes; only calls and pictures are left out.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    path::{Path as FilePath, PathBuf},
    sync::Arc,
    time::Duration,
};

use axum::{Router, body::Body, http::Request};
use cau_cascade::{Act, Fact, Path, Policy, Site};
use cau_conference::Handle;
use cau_control::{About, Events, State};
use cau_drive::Clock;
use cau_model::{ParticipantId, Words, participant};
use cau_store::{Options, Store};
use futures_util::{SinkExt as _, StreamExt as _};
use http_body_util::BodyExt as _;
use rustls::{ClientConfig, RootCertStore, pki_types::ServerName};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite::Message;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::{
    Around, Config, Entrance, Figures, Mirror, Port, Refusals, Told, client::Client, line::Socket, start,
};
use crate::{
    places::Places,
    tls::{
        Authority, Tls,
        authority::{self, Request as Csr},
        provider,
    },
    web::{self, Counts, Limits, Over},
};

const PASSWORD: &str = "Cau-Long-Bien-1902";
/// Long enough for a machine that does something else besides.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the node wanted.
struct Recorder(mpsc::UnboundedSender<Act>);

impl Port for Recorder {
    fn act(&mut self, act: Act) {
        let _ = self.0.send(act);
    }

    fn admit(&mut self, _: &Path, _: u8, _: Option<u32>) {}

    fn master(&mut self, _: usize) {}
}

/// A running MCU without calls.
struct Station {
    addr: SocketAddr,
    api: Router,
    session: String,
    authority: Arc<Authority>,
    told: mpsc::Sender<Told>,
    acts: mpsc::UnboundedReceiver<Act>,
    refusals: Refusals,
    figures: Figures,
    tls: Arc<Tls>,
    ended: CancellationToken,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

fn config(path: &str, masters: &[SocketAddr], token_file: Option<PathBuf>) -> Config {
    let path: Path = path.parse().expect("path");
    Config {
        name: path.last().to_owned(),
        path,
        room: "8000".into(),
        masters: masters.iter().map(ToString::to_string).collect(),
        sip: Vec::new(),
        follow: true,
        commands: true,
        peer: None,
        take_over: Duration::ZERO,
        token_file,
        slots: 2,
        policy: Policy::default(),
        max_links: 8,
        max_sites: 100,
    }
}

impl Station {
    async fn start(dir: &FilePath, config: &Config, bind: &str) -> Self {
        let options = Options { admin_password: Some(PASSWORD.into()), ..Options::new(dir) };
        let store = Store::open(options, Clock::wall_now()).await.expect("store").store;
        let journal = store.journal();
        let events = Events::new(Clock::wall_now());
        // Nobody answers: this MCU has no conferences.
        let (focus, _) = Handle::new(1);
        let wall: cau_control::Clock = Arc::new(Clock::wall_now);
        let mut state =
            State::new(store.clone(), journal.clone(), focus.clone(), events.clone(), wall, About::default());
        let authority = Arc::new(Authority::open(dir, Clock::wall_now()).expect("authority"));
        let bind: SocketAddr = bind.parse().expect("address");
        let tls = Arc::new(Tls::new(authority.clone(), None, bind).expect("TLS"));
        let heard = events.clone();
        let tell: super::Tell = Arc::new(move |notice| drop(heard.notice(Clock::wall_now(), &notice)));
        let refusals = Refusals::new(tell.clone());
        let entrance = Entrance::new(&config.room);
        let told = entrance.back();
        let (acts_in, acts) = mpsc::unbounded_channel();
        let ended = CancellationToken::new();
        let keeper = store.keeper(Clock::wall_now);
        let around = Around {
            data: dir,
            store,
            focus,
            events,
            journal,
            tell,
            refusals: refusals.clone(),
            authority: Some(authority.clone()),
            mirror: Mirror::default(),
            keeper,
            held: None,
            ended: ended.clone(),
        };
        let running = start(config, entrance, Recorder(acts_in), around).expect("started");
        state = state.with_cascade(running.handle);
        let listener = TcpListener::bind(bind).await.expect("bound");
        let addr = listener.local_addr().expect("address");
        let api = cau_control::router(state);
        let over = Over::tls(tls.clone(), api.clone(), running.routes, refusals.clone());
        let places = Places::new(100, 100, Vec::new());
        let gone = ended.clone().cancelled_owned();
        let serve = web::serve(listener, over, places, Limits::default(), Counts::default(), gone);
        let tasks = vec![running.task, tokio::spawn(async move { drop(serve.await) })];
        let mut station = Self {
            addr,
            api,
            session: String::new(),
            authority,
            told,
            acts,
            refusals,
            figures: running.figures,
            tls,
            ended,
            tasks,
        };
        let signed = station.post("/sessions", json!({ "username": "admin", "password": PASSWORD })).await;
        station.session = signed.1["token"].as_str().expect("signed in").to_owned();
        station
    }

    /// As by kill -9, but that the sockets are closed: nothing is said.
    async fn kill(self) {
        for task in self.tasks {
            task.abort();
            let _ = task.await;
        }
        self.ended.cancel();
    }

    async fn ask(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value, Option<String>) {
        let mut request = Request::builder().method(method).uri(format!("/api/v1{path}"));
        request = request.header("content-type", "application/json").header("accept-language", "en");
        if !self.session.is_empty() {
            request = request.header("authorization", format!("Bearer {}", self.session));
        }
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        let answer = self.api.clone().oneshot(request.body(body).expect("request")).await.expect("answer");
        let status = answer.status().as_u16();
        let link = answer.headers().get("link").and_then(|link| link.to_str().ok()).map(str::to_owned);
        let bytes = answer.into_body().collect().await.expect("body").to_bytes();
        (status, serde_json::from_slice(&bytes).unwrap_or_default(), link)
    }

    async fn get(&self, path: &str) -> Value {
        self.ask("GET", path, None).await.1
    }

    async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        let (status, body, _) = self.ask("POST", path, Some(body)).await;
        (status, body)
    }

    /// Paths and states of the tree.
    async fn tree(&self, query: &str) -> Vec<(String, String)> {
        let tree = self.get(&format!("/cascade/tree{query}")).await;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        tree.as_array()
            .into_iter()
            .flatten()
            .map(|node| (text(&node["path"]), text(&node["state"])))
            .collect()
    }

    /// Waits until a path of the tree is in a state.
    async fn sees(&self, path: &str, state: &str) {
        self.until(&format!("{path} {state}"), async || {
            self.tree("").await.iter().any(|(p, s)| p == path && s == state)
        })
        .await;
    }

    async fn until(&self, what: &str, there: impl AsyncFn() -> bool) {
        let mut look = tokio::time::interval(Duration::from_millis(20));
        let waited = tokio::time::timeout(PATIENCE, async {
            loop {
                look.tick().await;
                if there().await {
                    return;
                }
            }
        });
        if waited.await.is_err() {
            panic!(
                "not seen: {what}; tree {:?}; links {}",
                self.tree("").await,
                self.get("/cascade/links").await
            );
        }
    }

    /// Makes a link; its id, and the token in a file.
    async fn link(&self, path: &str, file: &FilePath) -> String {
        let (status, made) = self.post("/cascade/links", json!({ "path": path, "name": path })).await;
        assert_eq!(status, 201, "{made}");
        std::fs::write(file, made["token"].as_str().expect("token")).expect("written");
        made["id"].as_str().expect("id").to_owned()
    }

    async fn site(&self, id: u64, name: &str) {
        let site =
            Site { name: name.into(), state: participant::State::Connected, hand: false, foreign: false };
        self.told.send(Told::Fact(Fact::Site(ParticipantId(id), site))).await.expect("told");
    }

    fn dropped(&self, reason: &str) -> f64 {
        let all = self.figures.samples();
        let of = |s: &&cau_control::Sample| s.labels.iter().any(|(_, value)| value == reason);
        all.iter().find(of).map_or(0.0, |s| s.value)
    }
}

fn temp() -> TempDir {
    tempfile::tempdir().expect("temp dir")
}

/// A client as slaves have it, with a directory of its own.
fn client(dir: &TempDir, master: SocketAddr, path: &str, token: Option<&FilePath>) -> Client {
    Client {
        masters: vec![master.to_string()],
        dir: dir.path().join("cascade"),
        token_file: token.map(FilePath::to_owned),
        path: path.parse().expect("path"),
    }
}

async fn refused(client: &Client) -> String {
    match client.connect(0).await {
        Ok(_) => panic!("connected"),
        Err(Words { vi, en }) => {
            assert!(!vi.is_empty());
            en
        }
    }
}

/// Connects and says hello as a slave does.
async fn greeted(client: &Client, path: &str) -> Socket {
    let mut socket = client.connect(0).await.unwrap_or_else(|words| panic!("{}", words.en));
    let hello = json!({ "session": 0, "seq": 1, "type": "hello", "versions": [1, 1], "capabilities": [], "instance": 7,
        "path": path, "name": path, "room": "8000", "term": 0, "slots": 1 });
    socket.send(Message::text(hello.to_string())).await.expect("sent");
    socket
}

/// What comes next that is text; `None`: the line was closed.
async fn heard(socket: &mut Socket) -> Option<Value> {
    loop {
        match tokio::time::timeout(PATIENCE, socket.next()).await.expect("something comes") {
            Some(Ok(Message::Text(text))) => return serde_json::from_str(&text).ok(),
            Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
            Some(Ok(_)) => {}
        }
    }
}

async fn is_closed(mut socket: Socket) {
    while heard(&mut socket).await.is_some() {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slaves_enrol_and_the_tree_of_three_levels_appears_at_the_master() {
    let (root, dak_lak, ha_noi, sub) = (temp(), temp(), temp(), temp());
    let master = Station::start(root.path(), &config("", &[], None), "127.0.0.1:0").await;
    let (a, b, c) = (dak_lak.path().join("token"), ha_noi.path().join("token"), sub.path().join("token"));
    master.link("dak-lak", &a).await;
    master.link("ha-noi", &b).await;
    let first =
        Station::start(dak_lak.path(), &config("dak-lak", &[master.addr], Some(a)), "127.0.0.1:0").await;
    first.link("dak-lak/buon-ma-thuot", &c).await;
    let second =
        Station::start(ha_noi.path(), &config("ha-noi", &[master.addr], Some(b)), "127.0.0.1:0").await;
    let below = config("dak-lak/buon-ma-thuot", &[first.addr], Some(c));
    let third = Station::start(sub.path(), &below, "127.0.0.1:0").await;
    third.site(1, "Hòa Phú").await;
    third.site(2, "Ea Kao").await;
    second.site(1, "Ba Đình").await;
    master.sees("dak-lak/buon-ma-thuot/hoa-phu", "connected").await;
    master.sees("dak-lak/buon-ma-thuot/ea-kao", "connected").await;
    master.sees("ha-noi/ba-dinh", "connected").await;

    let paths = |tree: Vec<(String, String)>| tree.into_iter().map(|(path, _)| path).collect::<Vec<_>>();
    assert_eq!(paths(master.tree("?under=dak-lak&depth=1").await), ["dak-lak", "dak-lak/buon-ma-thuot"]);
    assert_eq!(paths(master.tree("?depth=1").await), ["", "dak-lak", "ha-noi"]);
    let mut seen = Vec::new();
    let mut next = Some("/cascade/tree?limit=2".to_owned());
    while let Some(path) = next {
        let (status, page, link) = master.ask("GET", &path, None).await;
        assert_eq!(status, 200);
        seen.extend(
            page.as_array().expect("list").iter().map(|n| n["path"].as_str().expect("path").to_owned()),
        );
        next = link.map(|l| l.trim_start_matches("</api/v1").split('>').next().expect("address").to_owned());
    }
    assert_eq!(seen, paths(master.tree("").await), "page by page it is the same");

    let links = master.get("/cascade/links").await;
    assert_eq!(links.as_array().map(Vec::len), Some(2));
    assert!(
        links.as_array().expect("list").iter().all(|l| l["state"] == "connected" && l["direction"] == "down")
    );
    assert_eq!((&links[0]["sites"], &links[0]["policy"]["sound"]), (&json!(4), &json!(true)));
    let up = third.get("/cascade/links").await;
    assert_eq!(
        (&up[0]["direction"], &up[0]["path"], &up[0]["state"]),
        (&json!("up"), &json!("dak-lak"), &json!("connected"))
    );
    assert_eq!(master.refusals.count("token") + master.refusals.count("certificate"), 0);
    let key = std::fs::metadata(dak_lak.path().join("cascade/key.pem")).expect("there");
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&key.permissions()) & 0o777, 0o600);
    for station in [master, first, second, third] {
        station.kill().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn either_end_comes_back_after_being_killed() {
    let (root, slave) = (temp(), temp());
    let token = slave.path().join("token");
    let top = config("", &[], None);
    let master = Station::start(root.path(), &top, "127.0.0.1:0").await;
    let addr = master.addr;
    master.link("dak-lak", &token).await;
    let below = config("dak-lak", &[addr], Some(token.clone()));
    let province = Station::start(slave.path(), &below, "127.0.0.1:0").await;
    province.site(1, "Hòa Phú").await;
    master.sees("dak-lak/hoa-phu", "connected").await;
    // From now on the certificate is what counts.
    std::fs::remove_file(&token).expect("removed");

    province.kill().await;
    master.sees("dak-lak", "lost").await;
    let province = Station::start(slave.path(), &below, "127.0.0.1:0").await;
    province.site(1, "Ea Kao").await;
    master.sees("dak-lak", "connected").await;
    master.sees("dak-lak/ea-kao", "connected").await;
    let gone = async || master.tree("").await.iter().all(|(path, _)| path != "dak-lak/hoa-phu");
    master.until("no hoa-phu", gone).await;

    master.kill().await;
    let master = Station::start(root.path(), &top, &addr.to_string()).await;
    master.sees("dak-lak/ea-kao", "connected").await;
    assert_eq!(master.get("/cascade/links").await[0]["state"], "connected");
    for station in [master, province] {
        station.kill().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_no_right_token_gets_no_certificate() {
    let root = temp();
    let master = Station::start(root.path(), &config("", &[], None), "127.0.0.1:0").await;
    let token = root.path().join("token");
    master.link("dak-lak", &token).await;
    let right = std::fs::read_to_string(&token).expect("token");

    let dir = temp();
    assert!(refused(&client(&dir, master.addr, "dak-lak", None)).await.contains("cascade.token_file"));
    // Another secret, the right authority.
    let wrong = root.path().join("wrong");
    std::fs::write(&wrong, format!("cau1-{}{}", "00".repeat(32), &right[right.len() - 64..]))
        .expect("written");
    assert!(
        refused(&client(&dir, master.addr, "dak-lak", Some(&wrong)))
            .await
            .contains("wrong, expired or spent")
    );
    assert_eq!(master.refusals.count("token"), 1);
    // The right secret, another authority: it is not even said.
    std::fs::write(&wrong, format!("{}{}", &right[..right.len() - 64], "00".repeat(32))).expect("written");
    assert!(refused(&client(&dir, master.addr, "dak-lak", Some(&wrong))).await.contains("is not the one"));
    std::fs::write(&wrong, "cau1-nonsense").expect("written");
    assert!(refused(&client(&dir, master.addr, "dak-lak", Some(&wrong))).await.contains("not a token"));

    let slave = client(&dir, master.addr, "dak-lak", Some(&token));
    let socket = slave.connect(0).await.expect("enrolled");
    drop(socket);
    // Spent: another slave's key gets nothing.
    let other = temp();
    assert!(refused(&client(&other, master.addr, "dak-lak", Some(&token))).await.contains("spent"));
    // Whose answer was lost asks again with its own key.
    std::fs::remove_file(dir.path().join("cascade/certificate.pem")).expect("removed");
    drop(slave.connect(0).await.expect("the same again"));
    // Configured for another path than the certificate is for.
    assert!(refused(&client(&dir, master.addr, "ha-noi", None)).await.contains("is for \"dak-lak\""));
    let token = root.path().join("token2");
    master.link("ha-noi", &token).await;
    assert!(refused(&client(&other, master.addr, "hue", Some(&token))).await.contains("is for \"ha-noi\""));

    let before = master.refusals.count("token");
    let (status, _) = master.post("/cascade/links", json!({ "path": "dak-lak" })).await;
    assert_eq!(status, 409, "there is a link already");
    for (body, field) in [
        (json!({}), "path"),
        (json!({ "path": "a/b" }), "path"),
        (json!({ "name": "x", "expires_s": 1 }), "expires_s"),
    ] {
        let (status, problem) = master.post("/cascade/links", body).await;
        assert_eq!((status, &problem["field"]), (422, &json!(field)));
    }
    assert_eq!(master.refusals.count("token"), before);
    assert!(master.tree("").await.iter().all(|(path, _)| path.is_empty()), "no hello, no effect");
    master.kill().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_of_another_authority_or_a_revoked_one_is_refused() {
    let (root, dir, other) = (temp(), temp(), temp());
    let master = Station::start(root.path(), &config("", &[], None), "127.0.0.1:0").await;
    let token = root.path().join("token");
    let id = master.link("dak-lak", &token).await;
    let slave = client(&dir, master.addr, "dak-lak", Some(&token));
    let mut socket = greeted(&slave, "dak-lak").await;
    assert_eq!(heard(&mut socket).await.expect("said")["type"], "welcome");
    master.sees("dak-lak", "connected").await;

    // A certificate for the same path, of an authority of its own.
    let forger = Authority::open(other.path(), Clock::wall_now()).expect("made");
    let folder = other.path().join("cascade");
    std::fs::create_dir_all(&folder).expect("made");
    let key = rcgen::KeyPair::generate().expect("key");
    let request = Csr::read(&authority::request(&key).expect("request")).expect("signed");
    let forged = forger.link(&"dak-lak".parse().expect("path"), &request, Clock::wall_now()).expect("forged");
    std::fs::write(folder.join("certificate.pem"), &forged).expect("written");
    std::fs::write(folder.join("key.pem"), key.serialize_pem()).expect("written");
    std::fs::write(folder.join("ca.pem"), master.authority.pem()).expect("written");
    let thief = client(&other, master.addr, "dak-lak", None);
    refused(&thief).await;
    master.until("counted", async || master.refusals.count("certificate") == 1).await;
    assert!(
        master
            .tls
            .samples()
            .iter()
            .any(|s| s.value == 1.0 && s.labels.iter().any(|(_, v)| v == "certificate"))
    );
    // A master that is not the one enrolled at.
    std::fs::write(folder.join("ca.pem"), forger.pem()).expect("written");
    assert!(refused(&thief).await.contains("is not the one"));
    // No certificate at all.
    let (status, said) = bare(&master, "GET /link HTTP/1.1\r\nhost: x\r\n").await;
    assert_eq!(status, 403, "{said}");
    assert_eq!(master.refusals.count("no-certificate"), 1);
    // The first one still stands.
    socket.send(Message::text("{\"session\":1,\"seq\":9,\"type\":\"ping\",\"id\":1}")).await.expect("open");
    drop(socket);

    let socket = greeted(&slave, "dak-lak").await;
    assert_eq!(master.ask("DELETE", &format!("/cascade/links/{id}"), None).await.0, 204);
    is_closed(socket).await;
    assert!(refused(&slave).await.contains("revoked"));
    assert_eq!(master.refusals.count("revoked"), 1);
    master.sees("dak-lak", "lost").await;
    assert_eq!(master.get("/cascade/links").await, json!([]));
    assert_eq!(master.ask("DELETE", &format!("/cascade/links/{id}"), None).await.0, 404);
    master.kill().await;
}

/// Says something on a link's TLS without a certificate; the status and everything.
async fn bare(station: &Station, head: &str) -> (u16, String) {
    let mut stream = tls(station, crate::tls::LINK_NAME).await;
    stream.write_all(format!("{head}connection: close\r\n\r\n").as_bytes()).await.expect("sent");
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer).await;
    let status = answer.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or_default();
    (status, answer)
}

async fn tls(station: &Station, name: &'static str) -> tokio_rustls::client::TlsStream<TcpStream> {
    let mut roots = RootCertStore::empty();
    roots.add(station.authority.certificate().clone()).expect("root");
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(station.addr).await.expect("connected");
    let name = ServerName::try_from(name).expect("name");
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.expect("handshake")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_console_is_served_over_tls_and_the_two_faces_do_not_mix() {
    let root = temp();
    let master = Station::start(root.path(), &config("", &[], None), "127.0.0.1:0").await;
    let mut stream = tls(&master, "localhost").await;
    stream
        .write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        .await
        .expect("sent");
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("ok\n"), "{answer}");
    assert!(answer.contains("strict-transport-security"), "{answer}");
    assert_eq!(bare(&master, "GET /healthz HTTP/1.1\r\nhost: x\r\n").await.0, 404, "a link has no console");
    // After a renewal the authority is the same.
    master.tls.renew().expect("renewed");
    drop(tls(&master, "localhost").await);
    // No TLS.
    let mut plain = TcpStream::connect(master.addr).await.expect("connected");
    plain.write_all(b"GET / HTTP/1.1\r\n\r\n").await.expect("sent");
    let mut rest = Vec::new();
    let _ = plain.read_to_end(&mut rest).await;
    assert!(!rest.starts_with(b"HTTP"));
    let count = || {
        master.tls.samples().iter().find(|s| s.labels.iter().any(|(_, v)| v == "handshake")).map(|s| s.value)
    };
    master.until("counted", async || count() == Some(1.0)).await;
    master.kill().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_mcu_sends_cuts_its_own_link_and_nothing_else() {
    let (root, good, bad) = (temp(), temp(), temp());
    let master = Station::start(root.path(), &config("", &[], None), "127.0.0.1:0").await;
    let (token, other) = (good.path().join("token"), bad.path().join("token"));
    master.link("dak-lak", &token).await;
    master.link("ha-noi", &other).await;
    let province =
        Station::start(good.path(), &config("dak-lak", &[master.addr], Some(token)), "127.0.0.1:0").await;
    province.site(1, "Hòa Phú").await;
    master.sees("dak-lak/hoa-phu", "connected").await;
    let hostile = client(&bad, master.addr, "ha-noi", Some(&other));

    // A path that is not the certificate's: refused in words.
    let mut socket = greeted(&hostile, "dak-lak").await;
    let said = heard(&mut socket).await.expect("said");
    assert_eq!((&said["type"], &said["code"]), (&json!("refusal"), &json!("wrong-path")));
    is_closed(socket).await;

    let oversized = Message::text("x".repeat(cau_cascade::wire::MAX_BYTES + 1));
    let cases = [("oversized", oversized), ("binary", Message::binary(vec![1, 2, 3]))];
    for (reason, message) in cases {
        let mut socket = greeted(&hostile, "ha-noi").await;
        assert_eq!(heard(&mut socket).await.expect("said")["type"], "welcome", "{reason}");
        let _ = socket.send(message).await;
        is_closed(socket).await;
        master.until(reason, async || master.dropped(reason) == 1.0).await;
    }
    // What is no JSON is the node's to judge.
    let mut socket = greeted(&hostile, "ha-noi").await;
    assert_eq!(heard(&mut socket).await.expect("said")["type"], "welcome");
    let _ = socket.send(Message::text("nonsense")).await;
    is_closed(socket).await;
    // A tree that claims somebody else's sites: dropped, the link goes on.
    let mut socket = greeted(&hostile, "ha-noi").await;
    let welcome = heard(&mut socket).await.expect("said");
    let session = welcome["assigned"].as_u64().expect("session");
    let lie = json!({ "session": session, "seq": 2, "type": "tree", "base": null, "version": 3, "done": true, "gone": [],
        "entries": [{ "path": "dak-lak/false", "kind": "site" }, { "path": "ha-noi/true", "kind": "site", "line": "connected" }] });
    socket.send(Message::text(lie.to_string())).await.expect("sent");
    master.sees("ha-noi/true", "connected").await;
    let paths: BTreeSet<String> = master.tree("").await.into_iter().map(|(path, _)| path).collect();
    assert!(!paths.contains("dak-lak/false") && paths.contains("dak-lak/hoa-phu"), "{paths:?}");
    assert_eq!(master.get("/cascade/links").await[0]["state"], "connected");
    for station in [master, province] {
        station.kill().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slave_asks_for_its_media_call_and_the_tree_is_told_as_events() {
    let (root, slave) = (temp(), temp());
    let token = slave.path().join("token");
    let master = Station::start(root.path(), &config("", &[], None), "127.0.0.1:0").await;
    master.link("dak-lak", &token).await;
    let request =
        Request::get("/api/v1/events").header("authorization", format!("Bearer {}", master.session));
    let answer =
        master.api.clone().oneshot(request.body(Body::empty()).expect("request")).await.expect("answer");
    let mut stream = answer.into_body().into_data_stream();
    let below = config("dak-lak", &[master.addr], Some(token));
    let mut province = Station::start(slave.path(), &below, "127.0.0.1:0").await;
    province.site(1, "Hòa Phú").await;
    let mut text = String::new();
    while !(text.contains("event: cascade") && text.contains("\"path\":\"dak-lak/hoa-phu\"")) {
        let frame = tokio::time::timeout(PATIENCE, stream.next()).await.expect("events").expect("open");
        text.push_str(std::str::from_utf8(&frame.expect("frame")).expect("text"));
    }
    let act = tokio::time::timeout(PATIENCE, province.acts.recv()).await.expect("an act").expect("open");
    assert!(matches!(act, Act::CallMaster { token, .. } if token.len() == 32));
    // There is no media call: a bring-up down there is refused with the reason, at once.
    let (status, problem) =
        master.post("/conferences/c1/bring-up", json!({ "site": "dak-lak/hoa-phu", "for": ["p1"] })).await;
    assert_eq!(status, 422, "no conference of the cascade's room is open: {problem}");
    for station in [master, province] {
        station.kill().await;
    }
}
