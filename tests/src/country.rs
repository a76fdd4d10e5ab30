//! A country of MCUs, each a real `cau serve` at a host of its own, linked as operators link them: a master, two provinces, a town below one of them;
//! a chair at the master, two communes at each of the others, every line as told.
//!
//! ```text
//!             chair 0 ── master ── lam-dong ── 3, 4
//!                          └────── dak-lak ─── 1, 2
//!                                     └─────── dak-lak/buon-ma-thuot ── 5, 6
//! ```

use std::{
    fs,
    time::{Duration, Instant},
};

use cau_load::{Fleet, Look, Options, PhoneId, Plan};
use serde_json::{Value, json};

use crate::{
    Server,
    hosts::{Host, Line},
    secs, wait_for,
};

/// The room that spans them.
pub const ROOM: &str = "8000";
/// Slots of a link, when nothing else is configured.
const SLOTS: usize = 2;
/// The slaves: path, name, place of the master among all.
const SLAVES: [(&str, &str, usize); 3] =
    [("lam-dong", "Lâm Đồng", 0), ("dak-lak", "Đắk Lắk", 0), ("dak-lak/buon-ma-thuot", "Buôn Ma Thuột", 2)];
/// The communes: identity, place of its MCU among all.
const COMMUNES: [(u8, usize); 6] = [(1, 2), (2, 2), (3, 1), (4, 1), (5, 3), (6, 3)];

/// One MCU.
pub struct Mcu {
    /// Its path; empty at the root.
    pub path: String,
    /// How many links it has below, and whether one above.
    links: (usize, bool),
    server: Server,
    host: Host,
}

/// One phone at a host of its own.
pub struct Site {
    /// Its identity.
    pub id: u8,
    /// Its path in the tree.
    pub path: String,
    /// Its only phone.
    pub phone: PhoneId,
    /// The phone's world.
    pub fleet: Fleet,
    host: Host,
}

/// All of them.
pub struct Country {
    /// At the master.
    pub chair: Site,
    /// All communes.
    pub communes: Vec<Site>,
    /// The MCUs, the master first.
    pub mcus: Vec<Mcu>,
}

impl Mcu {
    /// The root.
    pub fn master() -> Self {
        Self::start(Host::new(), "", &[("CAU_CASCADE__ROLE", "master"), ("CAU_CASCADE__NAME", "Trung tâm")])
    }

    /// A slave of this one, enrolled with a token.
    #[must_use]
    pub fn slave(&mut self, path: &str, name: &str, line: Line, extra: &[(&str, &str)]) -> Self {
        self.links.0 += 1;
        let token = self.ask(|master| {
            let (status, made) = master.api.post("/api/v1/cascade/links", &json!({ "path": path }));
            assert_eq!(status, 201, "{made}");
            let file = master.out.join(format!("token-{}", path.replace('/', "-")));
            fs::write(&file, made["token"].as_str().expect("a token")).expect("the token's file");
            file.display().to_string()
        });
        let masters = format!("https://{}:8443", self.host.address());
        let sip = self.server.uri(ROOM);
        let own = [
            ("CAU_CASCADE__ROLE", "slave"),
            ("CAU_CASCADE__PATH", path),
            ("CAU_CASCADE__NAME", name),
            ("CAU_CASCADE__MASTERS", &masters),
            ("CAU_CASCADE__SIP", &sip),
            ("CAU_CASCADE__TOKEN_FILE", &token),
        ];
        let mut slave = Self::start(self.host.join(line), path, &[&own, extra].concat());
        slave.links.1 = true;
        slave
    }

    fn start(host: Host, path: &str, variables: &[(&str, &str)]) -> Self {
        let tls = format!("{}:8443", host.address());
        let all = [&[("CAU_CONTROL__TLS_BIND", tls.as_str())], variables].concat();
        let server = host.inside(|| Server::start_at(host.address(), &all));
        Self { path: path.to_owned(), links: (0, false), server, host }
    }

    /// Asks it, at its own host: only there is its API without TLS.
    pub fn ask<T: Send>(&self, ask: impl FnOnce(&Server) -> T + Send) -> T {
        self.host.inside(|| ask(&self.server))
    }

    /// Kills it as a power cut would and starts it again. Gives the moment of the kill.
    pub fn kill_and_restart(&mut self) -> Instant {
        let Self { server, host, .. } = self;
        host.inside(|| server.kill_and_restart())
    }

    /// Its host; those below are joined to it.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.server.pid()
    }

    /// Its conference.
    pub fn conference(&self) -> String {
        self.ask(|s| s.api.get("/api/v1/conferences").1[0]["id"].as_str().expect("a conference").to_owned())
    }

    /// Whether the calls of all its links stand.
    pub fn is_linked(&self) -> bool {
        let conference = self.conference();
        let calls = self.ask(|s| s.api.connected(&conference));
        let calls = calls.iter().filter(|p| !p["link"].is_null()).count();
        calls == (self.links.0 + usize::from(self.links.1)) * (1 + SLOTS)
    }

    /// A path of its tree as it is there.
    pub fn node(&self, path: &str) -> Option<Value> {
        let (_, tree) = self.ask(|s| s.api.get("/api/v1/cascade/tree"));
        tree.as_array()?.iter().find(|node| node["path"] == path).cloned()
    }

    /// Panics when it is not well.
    pub fn assert_well(&mut self) {
        let Self { server, host, .. } = self;
        host.inside(|| server.assert_well());
    }
}

impl Site {
    /// A phone of this identity behind a line of this MCU; its plan is made for the MCU.
    pub fn join(mcu: &Mcu, line: Line, id: u8, plan: impl FnOnce(&Server) -> Plan) -> Self {
        let host = mcu.host.join(line);
        let ip = host.address();
        let options =
            Options { ip, ports: 30_000..=30_999, urgent: true, seed: u64::from(id), ..Options::default() };
        let mut fleet = host.inside(|| Fleet::start(&options).expect("phones"));
        let phone = fleet.call(plan(&mcu.server));
        let below = if mcu.path.is_empty() { String::new() } else { format!("{}/", mcu.path) };
        Self { id, path: format!("{below}diem-cau-{id}"), phone, fleet, host }
    }

    /// Its line from now on.
    pub fn lose(&self, share: f64) {
        self.host.lose(share);
    }

    /// When it first saw nothing but that identity, whole, after `since`; `None`: not within the limit.
    pub fn sees_alone(&self, id: u8, since: Instant, limit: Duration) -> Option<Instant> {
        self.fleet.wait(limit, |r| {
            let looks = &r[&self.phone].sight.looks;
            looks.iter().find(|look| look.at > since && shows_alone(look, id)).map(|look| look.at)
        })
    }
}

/// Whether a picture shows this identity and nobody else.
pub fn shows_alone(look: &Look, id: u8) -> bool {
    matches!(look.tiles.as_slice(), [tile] if tile.bar.is_some_and(|(bar, _)| bar == id))
}

impl Country {
    /// Builds it and waits until everybody is known at the master and all links stand. All lines lose what `line` says from then on only.
    pub fn new(line: Line, plan: impl Fn(&Server, u8) -> Plan) -> Self {
        let calm = Line { loss: 0.0, ..line };
        let mut mcus = vec![Mcu::master()];
        for (path, name, above) in SLAVES {
            let mcu = mcus[above].slave(path, name, calm, &[]);
            mcus.push(mcu);
        }
        let chair = json!({ "layout": "full", "chair": "Điểm cầu 0" });
        for (mcu, fields) in mcus.iter().zip([chair, json!({}), json!({}), json!({})]) {
            mcu.ask(|server| server.conference(ROOM, fields));
        }
        let site = |id: u8, at: usize| Site::join(&mcus[at], calm, id, |server| plan(server, id));
        let chair = site(0, 0);
        let communes = COMMUNES.map(|(id, at)| site(id, at)).into();
        let country = Self { chair, communes, mcus };
        wait_for("the country to be whole", secs(60.0), || country.is_whole().then_some(()));
        country.lose(line.loss);
        country
    }

    /// All lines lose this share from now on.
    pub fn lose(&self, share: f64) {
        let hosts = self.mcus.iter().skip(1).map(|mcu| &mcu.host);
        let sites = self.communes.iter().chain([&self.chair]).map(|site| &site.host);
        hosts.chain(sites).for_each(|host| host.lose(share));
    }

    /// Whether everybody is connected in the master's tree, and the calls of all links stand.
    pub fn is_whole(&self) -> bool {
        self.missing().is_empty()
    }

    /// What of that is missing.
    pub fn missing(&self) -> Vec<String> {
        let (_, tree) = self.mcus[0].ask(|s| s.api.get("/api/v1/cascade/tree"));
        let connected = |path: &str| {
            let all = tree.as_array().into_iter().flatten();
            all.filter(|node| node["state"] == "connected").any(|node| node["path"] == path)
        };
        let paths = self.mcus.iter().skip(1).map(|mcu| &mcu.path);
        let paths = paths.chain(self.communes.iter().map(|site| &site.path));
        let gone = paths.filter(|path| !connected(path)).cloned();
        let unlinked =
            self.mcus.iter().filter(|mcu| !mcu.is_linked()).map(|mcu| format!("calls of /{}", mcu.path));
        gone.chain(unlinked).collect()
    }

    /// Brings a site before the chair and gives the operation's id.
    pub fn begin(&self, site: &str) -> Result<String, Value> {
        let conference = self.mcus[0].conference();
        let path = format!("/api/v1/conferences/{conference}/bring-up");
        let (status, begun) = self.mcus[0].ask(|s| s.api.post(&path, &json!({ "site": site })));
        if status != 202 {
            return Err(begun);
        }
        Ok(begun["operation"].as_str().expect("an operation").to_owned())
    }

    /// Waits for the end of an operation.
    pub fn ended(&self, operation: &str) -> Value {
        let path = format!("/api/v1/operations/{operation}");
        self.mcus[0].ask(|s| {
            wait_for("the operation to end", secs(35.0), || {
                let (status, now) = s.api.get(&path);
                assert_eq!(status, 200, "{now}");
                (now["state"] != "running").then_some(now)
            })
        })
    }
}
