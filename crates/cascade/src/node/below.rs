//! The links of the slaves.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use cau_model::Words;
use rand::RngExt as _;

use super::{Act, Event, Link, Node, Role, Transmit, refused};
use crate::ConnId;
use crate::channel::{Channel, KEEP_ALIVE, MASTER_KEEP_ALIVE};
use crate::path::Path;
use crate::rights::Policy;
use crate::tree::{Entry, Kind, Line as State};
use crate::wire::{Body, Frame, Have, Hello, MAX_SLOTS, Tree, VERSIONS, Welcome};

/// Changes of command a slave may have seen that this MCU has not: more is a lie, and would use up the terms.
const MOST_AHEAD: u64 = 1_000;
/// A slave that comes from another run is let in when the one before was not heard of for so long.
const STALE: Duration = Duration::from_secs(4);

/// One slave, linked or lost.
#[derive(Debug)]
pub(super) struct Below {
    channel: Option<Channel>,
    /// Which run of it.
    instance: u64,
    /// How far its tree is known.
    have: Option<Have>,
    /// A whole tree is coming: up to which version it is here, and what has not been said again yet.
    whole: Option<(u64, BTreeSet<Path>)>,
    resync: bool,
    /// Entries below it, itself included.
    pub known: usize,
    pub policy: Policy,
    pub media: bool,
    /// Usable slots.
    pub limit: u8,
    /// What is wanted in each.
    pub slots: [Option<Path>; MAX_SLOTS as usize],
}

impl Below {
    fn new() -> Below {
        Below {
            channel: None,
            instance: 0,
            have: None,
            whole: None,
            resync: false,
            known: 0,
            policy: Policy::default(),
            media: false,
            limit: 1,
            slots: Default::default(),
        }
    }

    pub fn is_up(&self) -> bool {
        self.channel.is_some()
    }

    /// Its connection.
    pub fn conn(&self) -> Option<ConnId> {
        self.channel.as_ref().map(|channel| channel.conn)
    }

    /// Half a round trip.
    pub fn one_way(&self) -> Duration {
        self.channel.as_ref().map(Channel::one_way).unwrap_or_default()
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        self.channel.as_ref().map(Channel::poll_timeout)
    }
}

impl Node {
    /// Says something to a slave, when it is linked.
    pub(super) fn say_below(&mut self, now: Instant, path: &Path, body: Body) {
        if let Some(channel) = self.below.get_mut(path).and_then(|below| below.channel.as_mut()) {
            let (conn, text) = (channel.conn, channel.write(now, body));
            self.transmits.push_back(Transmit::Message { conn, text });
        }
    }

    /// The first message of a connection.
    pub(super) fn greeted(&mut self, now: Instant, conn: ConnId, identity: Path, frame: Frame) {
        let mut channel = Channel::new(now, conn, 0, MASTER_KEEP_ALIVE);
        let seq = frame.seq;
        let refusal = match (channel.check(now, &frame), frame.body) {
            (Ok(()), Body::Hello(hello)) => match self.refuses(now, &identity, &hello) {
                None => return self.welcome(now, channel, hello),
                Some(("not-in-command", _)) if self.may_wait() => return self.park(now, channel, hello),
                Some(refusal) => refusal,
            },
            _ => ("hello", Words::new("cần lời chào trước", "a hello is needed first")),
        };
        let (code, words) = refusal;
        self.count("refused-link");
        self.alarm(now, "link-refused", &identity, words.clone());
        let text = channel.write(now, refused(seq, code, words));
        self.transmits.push_back(Transmit::Message { conn, text });
        self.close(conn);
    }

    /// Why a slave is not let in.
    pub(super) fn refuses(
        &mut self,
        now: Instant,
        identity: &Path,
        hello: &Hello,
    ) -> Option<(&'static str, Words)> {
        let own = &self.config.path;
        let no = |code, vi: String, en: String| Some((code, Words::new(vi, en)));
        let ([least, most], [our_least, our_most]) = (hello.versions, VERSIONS);
        if most < our_least || least > our_most {
            return no(
                "version",
                format!("phiên bản giao thức {least}–{most} không hợp với {our_least}–{our_most} ở đây"),
                format!("protocol versions {least} to {most} do not meet {our_least} to {our_most} here"),
            );
        }
        if hello.path != *identity {
            return no(
                "wrong-path",
                format!("chứng thư cấp cho “{identity}”, không phải “{}”", hello.path),
                format!("the certificate is for \"{identity}\", not for \"{}\"", hello.path),
            );
        }
        if hello.path.parent().as_ref() != Some(own) {
            let (vi, en) = if hello.path == *own {
                ("chính MCU này", "this very MCU")
            } else if own.is_below(&hello.path) {
                ("MCU nằm trên MCU này: sẽ thành vòng lặp", "an MCU above this one: that would be a loop")
            } else {
                ("MCU không nằm ngay dưới MCU này", "not one level below this MCU")
            };
            return no(
                "topology",
                format!("“{}” là {vi}", hello.path),
                format!("\"{}\" is {en}", hello.path),
            );
        }
        if hello.term > self.term.saturating_add(MOST_AHEAD) {
            return no(
                "term",
                "số hiệu chỉ huy không thể có".into(),
                "no command has ever had that term".into(),
            );
        }
        if hello.term > self.term {
            self.superseded(now, hello.term);
        }
        if !self.commands {
            return no("not-in-command", "MCU này không chỉ huy".into(), "this MCU is not in command".into());
        }
        if hello.room != self.config.room {
            return no("room", "không có phiên họp đó ở đây".into(), "there is no such meeting here".into());
        }
        if !self.below.contains_key(identity) && self.below.len() >= self.config.max_links {
            return no(
                "too-many",
                "đã đủ số MCU cấp dưới".into(),
                "there are as many slaves as allowed".into(),
            );
        }
        let before =
            self.below.get(identity).and_then(|b| b.channel.as_ref().map(|c| (b.instance, c.heard())));
        match before {
            Some((instance, heard))
                if instance != hello.instance && now.saturating_duration_since(heard) < STALE =>
            {
                no(
                    "path-in-use",
                    format!("một MCU khác đang nối với tên “{identity}”"),
                    format!("another MCU is linked as \"{identity}\""),
                )
            }
            _ => None,
        }
    }

    pub(super) fn welcome(&mut self, now: Instant, mut channel: Channel, hello: Hello) {
        let path = hello.path;
        self.make_room(&path);
        let old = self.below.get_mut(&path).and_then(|below| below.channel.take());
        if let Some(old) = old {
            self.close(old.conn);
        }
        let (conn, session) = (channel.conn, self.random.random::<u64>() | 1);
        let below = self.below.entry(path.clone()).or_insert_with(Below::new);
        if below.instance != hello.instance {
            below.have = None;
        }
        below.instance = hello.instance;
        (below.whole, below.resync) = (None, false);
        below.limit = hello.slots.min(self.config.slots).clamp(1, MAX_SLOTS);
        let welcome = Welcome {
            version: VERSIONS
                .last()
                .copied()
                .unwrap_or_default()
                .min(hello.versions.last().copied().unwrap_or_default()),
            capabilities: Vec::new(),
            instance: self.instance,
            assigned: session,
            term: self.term,
            path: self.config.path.clone(),
            have: below.have,
            slots: below.limit,
            keep_alive_ms: u64::try_from(KEEP_ALIVE.as_millis()).unwrap_or_default(),
        };
        let text = channel.write(now, Body::Welcome(welcome));
        channel.session = session;
        below.channel = Some(channel);
        self.conns.insert(conn, Role::Below(path.clone()));
        self.transmits.push_back(Transmit::Message { conn, text });
        if self.tree.get(&path).is_none() {
            if let Some(below) = self.below.get_mut(&path) {
                below.known += 1;
            }
            let entry =
                Entry { name: hello.name, line: State::Connected, ..Entry::new(path.clone(), Kind::Mcu) };
            self.tree.put(entry);
        } else {
            self.tree.change(&path, |entry| entry.line = State::Connected);
        }
        self.shelve_slave(&path, true);
        self.event(Event::Link { link: Link::Below(path.clone()), up: true, words: None });
        self.say_floors(now, &path);
        self.call_again_below(now, &path);
        self.want_again(now, &path);
    }

    /// A slave's connection is gone.
    pub(super) fn below_lost(&mut self, now: Instant, path: &Path, conn: ConnId) {
        let Some(below) = self.below.get_mut(path) else { return };
        if below.channel.take_if(|channel| channel.conn == conn).is_none() {
            return;
        }
        below.whole = None;
        self.tree.change(path, |entry| entry.line = State::Lost);
        self.shelve_slave(path, false);
        let words = Words::new("mất kết nối điều khiển", "the control link is lost");
        self.event(Event::Link { link: Link::Below(path.clone()), up: false, words: Some(words) });
        self.feeds_lost(now, path);
    }

    pub(super) fn time_below(&mut self, now: Instant) {
        let (mut silent, mut pings) = (Vec::new(), Vec::new());
        for (path, below) in &mut self.below {
            let Some(channel) = below.channel.as_mut().filter(|c| c.poll_timeout() <= now) else { continue };
            if channel.is_silent(now) {
                silent.push((path.clone(), channel.conn));
            } else if let Some(ping) = channel.ping_due(now) {
                pings.push((path.clone(), ping));
            }
        }
        for (path, conn) in silent {
            self.close(conn);
            self.below_lost(now, &path, conn);
        }
        for (path, ping) in pings {
            self.say_below(now, &path, ping);
        }
    }

    pub(super) fn heard_below(&mut self, now: Instant, path: &Path, frame: Frame) {
        let Some(channel) = self.below.get_mut(path).and_then(|below| below.channel.as_mut()) else { return };
        let conn = channel.conn;
        if let Err(fault) = channel.check(now, &frame) {
            self.faulty(now, conn, path, fault);
            return;
        }
        match frame.body {
            Body::Ping { id } => {
                self.say_below(now, path, Body::Pong { id });
                // The first round trip is measured when the link begins.
                let ping = self.below.get_mut(path).and_then(|b| b.channel.as_mut()?.ping_due(now));
                if let Some(ping) = ping {
                    self.say_below(now, path, ping);
                }
            }
            Body::Pong { id } => channel.pong(now, id),
            Body::Tree(tree) => self.grown(now, path, tree),
            Body::Policy(policy) => {
                if let Some(below) = self.below.get_mut(path) {
                    below.policy = policy;
                }
            }
            Body::TokenRequest => self.make_token(now, path),
            Body::Step { order, name, mcu, after_ms } => {
                if self.is_its_own(now, path, &mcu) {
                    self.step_below(now, path, order, name, &mcu, after_ms);
                }
            }
            Body::Ready { order } => self.ready_below(path, order),
            Body::Failed { order, step, mcu, words } => {
                if self.is_its_own(now, path, &mcu) {
                    self.failed_below(now, path, order, super::Obstacle { step, mcu, words });
                }
            }
            Body::Progress { order, progress } => self.progressed(now, path, order, progress),
            Body::Refusal(refused) => {
                self.count("refused-by-slave");
                self.alarm(now, "refused-by-slave", path, refused.words);
            }
            Body::Unknown => {
                let words = Words::new("bản tin không hiểu được", "this type of message is not known here");
                self.say_below(now, path, refused(frame.seq, "unknown-type", words));
            }
            _ => self.count("unexpected"),
        }
    }

    /// Whether a slave may speak of that path; if not it is counted and raised.
    fn is_its_own(&mut self, now: Instant, link: &Path, path: &Path) -> bool {
        let own = path.is_within(link);
        if !own {
            self.count("foreign-path");
            let words = Words::new(
                format!("báo tin về “{path}”, ngoài phạm vi của nó; đã bỏ"),
                format!("it told of \"{path}\", which is not its own; dropped"),
            );
            self.alarm(now, "foreign-path", link, words);
        }
        own
    }

    /// A part of a slave's tree.
    fn grown(&mut self, now: Instant, link: &Path, told: Tree) {
        let present = told.base.is_none().then(|| {
            self.tree
                .within(link)
                .map(|entry| entry.path.clone())
                .filter(|path| path != link)
                .collect::<BTreeSet<_>>()
        });
        let Some(below) = self.below.get_mut(link) else { return };
        let instance = below.instance;
        let fits = match (told.base, &below.whole) {
            (None, _) => {
                below.whole = present.map(|present| (0, present));
                (below.have, below.resync) = (None, false);
                true
            }
            (Some(base), Some((partial, _))) => base == *partial,
            (Some(base), None) => below.have.is_some_and(|have| have.version == base),
        };
        if !fits {
            self.count("tree-gap");
            if let Some(below) = self.below.get_mut(link).filter(|below| !below.resync) {
                below.resync = true;
                below.whole = None;
                self.say_below(now, link, Body::Resync);
            }
            return;
        }
        for entry in told.entries {
            self.grown_one(now, link, entry);
        }
        for path in told.gone {
            if path != *link && self.is_its_own(now, link, &path) {
                self.withered(link, &path);
            }
        }
        let Some(below) = self.below.get_mut(link) else { return };
        let mut swept = BTreeSet::new();
        if told.done {
            if let Some((_, rest)) = below.whole.take() {
                swept = rest;
            }
            below.have = Some(Have { instance, version: told.version });
        } else if let Some((partial, _)) = &mut below.whole {
            *partial = told.version;
        }
        for path in swept {
            self.withered(link, &path);
        }
        self.say_below(now, link, Body::TreeAck { version: told.version });
    }

    fn grown_one(&mut self, now: Instant, link: &Path, mut entry: Entry) {
        if !self.is_its_own(now, link, &entry.path) {
            return;
        }
        let strange =
            entry.slots.iter().filter_map(|held| held.site.clone()).find(|site| !site.is_below(link));
        if let Some(site) = strange {
            self.is_its_own(now, link, &site);
            entry
                .slots
                .iter_mut()
                .for_each(|held| held.site = held.site.take().filter(|site| site.is_below(link)));
        }
        if entry.path == *link {
            // Whether it is linked is ours to say.
            (entry.kind, entry.line) = (Kind::Mcu, State::Connected);
        }
        let new = self.tree.get(&entry.path).is_none();
        let most = self.config.max_sites;
        let Some(below) = self.below.get_mut(link) else { return };
        if new && below.known >= most {
            self.count("too-many-sites");
            let words = Words::new(
                format!("báo nhiều hơn {most} điểm cầu; phần thừa bị bỏ"),
                format!("it tells of more than {most} sites; the surplus is dropped"),
            );
            self.alarm(now, "too-many-sites", link, words);
            return;
        }
        below.known += usize::from(new);
        if let Some((_, rest)) = &mut below.whole {
            rest.remove(&entry.path);
        }
        self.tree.put(entry);
    }

    fn withered(&mut self, link: &Path, path: &Path) {
        if self.tree.remove(path)
            && let Some(below) = self.below.get_mut(link)
        {
            below.known = below.known.saturating_sub(1);
        }
    }

    fn make_token(&mut self, now: Instant, link: &Path) {
        let token = format!("{:016x}{:016x}", self.random.random::<u64>(), self.random.random::<u64>());
        let name = self.tree.get(link).map(|entry| entry.name.clone()).unwrap_or_default();
        if let Some(slots) = self.below.get(link).map(|below| below.limit) {
            self.acts.push_back(Act::Expect { link: link.clone(), name, token: token.clone(), slots });
            self.say_below(now, link, Body::Token { token });
        }
    }

    pub(super) fn below_media(&mut self, now: Instant, link: &Path, up: bool) {
        let Some(below) = self.below.get_mut(link) else { return };
        if std::mem::replace(&mut below.media, up) != up && up {
            self.want_again(now, link);
            self.show_again(now, link);
        }
    }
}
