//! What a stranger, a faulty slave or a slave that lies can do: nothing, and it is counted.

use std::time::{Duration, Instant};

use cau_model::participant::State as Call;
use cau_model::{ParticipantId, snapshot::StepName};

use super::*;
use crate::tree::Held;
use crate::wire::{self, Hello, Open, Tree, VERSIONS, Welcome};

fn path(text: &str) -> Path {
    text.parse().unwrap()
}

/// A centre, and the other end of connections to it, played by hand.
struct Stage {
    now: Instant,
    node: Node,
    conns: u64,
    events: Vec<Event>,
}

/// One connection of a slave that says what we want.
#[derive(Clone, Copy)]
struct Peer {
    conn: ConnId,
    session: u64,
    seq: u64,
}

impl Stage {
    #[allow(clippy::disallowed_methods)]
    fn new(own: &str) -> Stage {
        let now = Instant::now();
        let mut config = Config::new(path(own), "Trung ương");
        config.max_sites = 50;
        Stage { now, node: Node::new(now, config, [7; 32]), conns: 0, events: Vec::new() }
    }

    fn accept(&mut self, identity: &str) -> Peer {
        self.conns += 1;
        let conn = ConnId(self.conns);
        self.node.handle_accepted(self.now, conn, path(identity));
        Peer { conn, session: 0, seq: 0 }
    }

    fn say(&mut self, peer: &mut Peer, body: Body) -> Vec<Body> {
        peer.seq += 1;
        self.frame(peer, Frame { session: peer.session, seq: peer.seq, body })
    }

    fn frame(&mut self, peer: &Peer, frame: Frame) -> Vec<Body> {
        self.text(peer, &frame.write())
    }

    fn text(&mut self, peer: &Peer, text: &[u8]) -> Vec<Body> {
        self.node.handle_message(self.now, peer.conn, text);
        self.heard(peer)
    }

    fn heard(&mut self, peer: &Peer) -> Vec<Body> {
        let mut said = Vec::new();
        while let Some(transmit) = self.node.poll_transmit() {
            if let Transmit::Message { conn, text } = transmit
                && conn == peer.conn
            {
                said.push(Frame::read(&text).unwrap().body);
            }
        }
        while let Some(event) = self.node.poll_event() {
            self.events.push(event);
        }
        said
    }

    fn hello(&self, own: &str) -> Hello {
        Hello {
            versions: VERSIONS,
            capabilities: vec![],
            instance: 99,
            path: path(own),
            name: "Huế".into(),
            room: String::new(),
            term: 0,
            slots: 2,
        }
    }

    fn linked(&mut self, own: &str) -> Peer {
        let mut peer = self.accept(own);
        let hello = self.hello(own);
        let said = self.say(&mut peer, Body::Hello(hello));
        let Some(Body::Welcome(welcome)) = said.first() else { panic!("{said:?}") };
        peer.session = welcome.assigned;
        peer
    }

    fn refusal(&mut self, identity: &str, change: impl FnOnce(&mut Hello)) -> String {
        let mut peer = self.accept(identity);
        let mut hello = self.hello(identity);
        change(&mut hello);
        match self.say(&mut peer, Body::Hello(hello)).as_slice() {
            [Body::Refusal(refused)] => {
                assert!(!refused.words.vi.is_empty() && !refused.words.en.is_empty());
                refused.code.clone()
            }
            said => panic!("{said:?}"),
        }
    }

    fn alarms(&self) -> Vec<&'static str> {
        self.events
            .iter()
            .filter_map(|e| if let Event::Alarm { code, .. } = e { Some(*code) } else { None })
            .collect()
    }

    fn is_open(&self, peer: &Peer) -> bool {
        self.node.conns.contains_key(&peer.conn)
    }
}

fn entries(paths: &[&str]) -> Body {
    let entries =
        paths.iter().map(|text| Entry { name: "X".into(), ..Entry::new(path(text), Kind::Site) }).collect();
    Body::Tree(Tree { base: None, version: 5, done: true, entries, gone: vec![] })
}

#[test]
fn wrong_places_versions_and_meetings_are_refused_with_the_reason() {
    let mut it = Stage::new("a/b");
    assert_eq!(it.refusal("a/b/c", |hello| hello.versions = [2, 9]), "version");
    assert_eq!(it.refusal("a/b/c", |hello| hello.path = path("a/b/d")), "wrong-path");
    assert_eq!(it.refusal("a/b", |_| ()), "topology");
    assert_eq!(it.refusal("a", |_| ()), "topology");
    assert_eq!(it.refusal("a/b/c/d", |_| ()), "topology");
    assert_eq!(it.refusal("x/y/z", |_| ()), "topology");
    assert_eq!(it.refusal("a/b/c", |hello| hello.room = "8001".into()), "room");
    assert!(it.node.below.is_empty() && it.node.conns.is_empty());
    assert_eq!(it.refusal("a/b/c", |hello| hello.term = 9), "not-in-command");
    assert!(it.alarms().contains(&"superseded"));
}

#[test]
fn a_newer_slave_that_still_speaks_this_version_is_let_in() {
    let mut it = Stage::new("");
    let mut peer = it.accept("hue");
    let hello = Hello { versions: [1, 7], capabilities: vec!["teleport".into()], ..it.hello("hue") };
    assert!(matches!(
        it.say(&mut peer, Body::Hello(hello)).first(),
        Some(Body::Welcome(Welcome { version: 1, .. }))
    ));
}

#[test]
fn two_mcus_with_one_path_are_not_both_let_in() {
    let mut it = Stage::new("");
    let mut first = it.linked("hue");
    assert_eq!(it.refusal("hue", |hello| hello.instance = 1), "path-in-use");
    assert!(it.is_open(&first));
    // The same run over another line takes the place.
    let second = it.linked("hue");
    assert!(!it.is_open(&first) && it.is_open(&second));
    // Who has restarted gets in when the one before has been silent for a while.
    it.now += Duration::from_secs(5);
    let mut third = it.accept("hue");
    let hello = Hello { instance: 2, ..it.hello("hue") };
    assert!(matches!(it.say(&mut third, Body::Hello(hello)).first(), Some(Body::Welcome(_))));
    assert!(it.say(&mut first, Body::Ping { id: 1 }).is_empty(), "closed");
}

#[test]
fn a_replayed_message_has_no_effect() {
    let mut it = Stage::new("");
    let mut peer = it.linked("hue");
    let frame = Frame { session: peer.session, seq: 1, body: entries(&["hue", "hue/a"]) };
    peer.seq = 2;
    assert!(it.frame(&peer, frame.clone()).is_empty(), "the hello had that number");
    let frame = Frame { seq: 2, ..frame };
    assert!(matches!(it.frame(&peer, frame.clone()).as_slice(), [Body::TreeAck { version: 5 }]));
    assert!(it.frame(&peer, frame.clone()).is_empty());
    // Of an earlier connection.
    let again = it.linked("hue");
    assert_ne!(again.session, peer.session);
    assert!(it.frame(&again, Frame { seq: 2, ..frame }).is_empty());
    assert!(it.is_open(&again), "what is replayed is dropped, the link goes on");
    assert_eq!(it.node.dropped().find(|(cause, _)| *cause == "replay"), Some(("replay", 3)));
    assert!(it.alarms().contains(&"replay"));
}

#[test]
fn missing_messages_and_floods_end_the_connection() {
    let mut it = Stage::new("");
    let peer = it.linked("hue");
    it.frame(&peer, Frame { session: peer.session, seq: 9, body: Body::Ping { id: 1 } });
    assert!(!it.is_open(&peer) && it.alarms().contains(&"gap"));
    let mut peer = it.linked("hue");
    let answered = (0..1_000).filter(|_| !it.say(&mut peer, Body::Ping { id: 1 }).is_empty()).count();
    assert!(answered <= 400 && !it.is_open(&peer), "{answered}");
}

#[test]
fn what_cannot_be_read_ends_the_connection_and_only_that() {
    let mut it = Stage::new("");
    let other = it.linked("hue");
    for text in [&b"\xff\xfe"[..], b"{}", b"[[[[[[[[[[[[[[[[", &[b' '; 70_000]] {
        let peer = it.linked("da-nang");
        it.text(&peer, text);
        assert!(!it.is_open(&peer));
    }
    assert!(it.is_open(&other));
    let stranger = it.accept("lao-cai");
    it.text(&stranger, b"GET / HTTP/1.1");
    assert!(!it.is_open(&stranger));
}

#[test]
fn an_unknown_type_is_answered_and_the_link_goes_on() {
    let mut it = Stage::new("");
    let peer = it.linked("hue");
    let text = format!(r#"{{"session":{},"seq":2,"type":"teleport","to":"hanoi"}}"#, peer.session);
    let said = it.text(&peer, text.as_bytes());
    assert!(
        matches!(said.as_slice(), [Body::Refusal(refused)] if refused.code == "unknown-type" && refused.to == 2)
    );
    assert!(it.is_open(&peer));
}

#[test]
fn who_says_nothing_is_closed() {
    let mut it = Stage::new("");
    let silent = it.accept("hue");
    let linked = it.linked("da-nang");
    let mut steps = 0;
    while let Some(next) = it.node.poll_timeout() {
        it.now = next;
        it.node.handle_timeout(next);
        it.heard(&linked);
        steps += 1;
        assert!(steps < 20, "time-outs without end");
    }
    assert!(!it.is_open(&silent) && !it.is_open(&linked));
    assert_eq!(it.node.tree().get(&path("da-nang")).unwrap().line, State::Lost);
}

#[test]
fn a_slave_can_speak_of_its_own_part_only() {
    let mut it = Stage::new("");
    let mut peer = it.linked("hue");
    it.linked("da-nang");
    it.say(&mut peer, entries(&["hue", "hue/a", "da-nang", "da-nang/x", "hue-2/y", ""]));
    assert!(it.node.tree().get(&path("hue/a")).is_some());
    for foreign in ["da-nang/x", "hue-2/y"] {
        assert!(it.node.tree().get(&path(foreign)).is_none(), "{foreign}");
    }
    assert_eq!(it.node.tree().get(&path("da-nang")).unwrap().kind, Kind::Mcu, "untouched");
    assert_eq!(it.node.tree().get(&Path::root()).unwrap().name, "Trung ương");
    assert_eq!(it.node.dropped().find(|(cause, _)| *cause == "foreign-path"), Some(("foreign-path", 4)));
    assert_eq!(it.alarms().iter().filter(|code| **code == "foreign-path").count(), 1, "one alarm, not four");
    let gone = Tree {
        base: Some(5),
        version: 6,
        done: true,
        entries: vec![],
        gone: vec![path("da-nang"), path("hue")],
    };
    it.say(&mut peer, Body::Tree(gone));
    assert!(it.node.tree().get(&path("da-nang")).is_some() && it.node.tree().get(&path("hue")).is_some());
    let held = Held { site: Some(path("da-nang/x")), by: None };
    let own = Entry {
        slots: vec![held],
        line: State::Lost,
        kind: Kind::Site,
        ..Entry::new(path("hue"), Kind::Mcu)
    };
    it.say(
        &mut peer,
        Body::Tree(Tree { base: Some(6), version: 7, done: true, entries: vec![own], gone: vec![] }),
    );
    let shown = it.node.tree().get(&path("hue")).unwrap();
    assert_eq!((shown.kind, shown.line, shown.slots[0].site.clone()), (Kind::Mcu, State::Connected, None));
}

#[test]
fn a_slave_cannot_answer_what_it_was_not_asked() {
    let mut it = Stage::new("");
    let mut peer = it.linked("hue");
    it.say(&mut peer, entries(&["hue", "hue/a"]));
    it.node.fact(it.now, Fact::Media { link: Link::Below(path("hue")), up: true });
    let viewers = Viewers::Only([ParticipantId(1)].into());
    let command = Command::BringUp { site: path("hue/a"), viewers, deadline: Duration::from_secs(30) };
    let id = it.node.command(it.now, "Lan", command).unwrap().unwrap();
    let said = it.heard(&peer);
    let order = said
        .iter()
        .find_map(|body| if let Body::Open(Open { order, .. }) = body { Some(*order) } else { None });
    let order = order.unwrap();
    for wrong in [0, order + 1, u64::MAX] {
        it.say(&mut peer, Body::Ready { order: wrong });
        let words = Words::new("x", "x");
        it.say(&mut peer, Body::Failed { order: wrong, step: StepName::Dial, mcu: path("hue"), words });
    }
    let step = |mcu: &str, after_ms| Body::Step { order, name: StepName::Picture, mcu: path(mcu), after_ms };
    it.say(&mut peer, step("da-nang", 1));
    for n in 0..300 {
        it.say(&mut peer, step(&format!("hue/m{n}"), u64::MAX));
    }
    let operation = it.node.operation(id).unwrap();
    assert!(operation.is_running() && operation.steps.len() <= 84, "{}", operation.steps.len());
    assert!(operation.steps.iter().all(|step| step.mcu.is_within(&path("hue")) || step.mcu.is_root()));
    assert!(operation.steps.iter().all(|step| step.at_ms < 1_000), "nothing happens in the future");
    assert_eq!(it.node.dropped().find(|(cause, _)| *cause == "unknown-order"), Some(("unknown-order", 6)));
}

#[test]
fn one_slave_cannot_fill_the_tree() {
    let mut it = Stage::new("");
    let mut peer = it.linked("hue");
    let names: Vec<String> = (0..200).map(|n| format!("hue/s{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    it.say(&mut peer, entries(&names));
    assert_eq!(it.node.tree().len(), 1 + 50);
    assert!(it.alarms().contains(&"too-many-sites"));
}

#[test]
fn a_tree_with_a_gap_is_asked_for_anew_once() {
    let mut it = Stage::new("");
    let mut peer = it.linked("hue");
    it.say(&mut peer, entries(&["hue", "hue/a", "hue/b"]));
    let change = |base, version, names: &[&str]| {
        let Body::Tree(tree) = entries(names) else { panic!() };
        Body::Tree(Tree { base, version, ..tree })
    };
    assert!(matches!(it.say(&mut peer, change(Some(9), 10, &["hue/c"])).as_slice(), [Body::Resync]));
    assert!(it.say(&mut peer, change(Some(10), 11, &["hue/d"])).is_empty());
    assert!(it.node.tree().get(&path("hue/c")).is_none());
    assert!(matches!(
        it.say(&mut peer, change(None, 12, &["hue", "hue/b", "hue/e"])).as_slice(),
        [Body::TreeAck { version: 12 }]
    ));
    let below: Vec<&str> = it.node.tree().within(&path("hue")).map(|entry| entry.path.as_str()).collect();
    assert_eq!(below, ["hue", "hue/b", "hue/e"], "what was not said again is gone");
}

#[test]
fn a_site_makes_room_for_an_mcu_of_its_name() {
    let mut it = Stage::new("");
    let site = Site { name: "Huế".into(), state: Call::Connected, hand: false, foreign: false };
    it.node.fact(it.now, Fact::Site(ParticipantId(1), site));
    assert_eq!(it.node.tree().get(&path("hue")).unwrap().kind, Kind::Site);
    it.linked("hue");
    assert_eq!(it.node.tree().get(&path("hue")).unwrap().kind, Kind::Mcu);
    assert_eq!(it.node.tree().get(&path("hue-2")).unwrap().kind, Kind::Site);
}

#[test]
fn a_slave_is_told_what_to_wait_for_and_no_other_picture_counts() {
    let mut it = Stage::new("");
    let mut peer = it.linked("hue");
    it.say(&mut peer, entries(&["hue", "hue/a"]));
    it.node.fact(it.now, Fact::Media { link: Link::Below(path("hue")), up: true });
    let command =
        Command::BringUp { site: path("hue/a"), viewers: Viewers::All, deadline: Duration::from_secs(30) };
    it.node.command(it.now, "Lan", command).unwrap();
    assert_eq!(it.node.expected().collect::<Vec<_>>(), [(&path("hue"), 0, &path("hue/a"))]);
}

/// A standby whose master is played by hand.
struct Pair {
    stage: Stage,
    master: Peer,
}

impl Pair {
    #[allow(clippy::disallowed_methods)]
    fn new() -> Pair {
        let now = Instant::now();
        let mut config = Config::new(Path::root(), "Dự phòng");
        (config.commands, config.peer) = (false, true);
        let node = Node::new(now, config, [7; 32]);
        let stage = Stage { now, node, conns: 0, events: Vec::new() };
        let mut it = Pair { stage, master: Peer { conn: ConnId(0), session: 0, seq: 0 } };
        let said = it.meet(|_| ());
        let [Body::Peer(word), Body::Ping { .. }] = said.as_slice() else { panic!("{said:?}") };
        assert!(!word.commands && word.assigned != 0);
        it
    }

    fn word() -> wire::Peer {
        wire::Peer {
            versions: VERSIONS,
            instance: 5,
            path: Path::root(),
            name: "Trung tâm".into(),
            room: String::new(),
            term: 1,
            commands: true,
            assigned: 0,
            have: None,
        }
    }

    /// The master calls.
    fn meet(&mut self, change: impl FnOnce(&mut wire::Peer)) -> Vec<Body> {
        self.stage.conns += 1;
        let conn = ConnId(self.stage.conns);
        self.stage.node.handle_peer_accepted(self.stage.now, conn);
        let mut word = Pair::word();
        change(&mut word);
        let mut master = Peer { conn, session: 0, seq: 0 };
        let said = self.stage.say(&mut master, Body::Peer(word));
        if let Some(Body::Peer(word)) = said.first() {
            master.session = word.assigned;
            self.master = master;
        }
        said
    }

    fn say(&mut self, body: Body) -> Vec<Body> {
        let mut master = self.master;
        let said = self.stage.say(&mut master, body);
        self.master = master;
        said
    }

    fn tell(&mut self, base: Option<u64>, version: u64, done: bool, keys: &[&str]) -> Vec<Body> {
        let record = |key: &&str| wire::Record { key: (*key).to_owned(), text: "up".into() };
        let records = keys.iter().map(record).collect();
        self.say(Body::Replica(wire::Replica { base, version, done, records, gone: vec![] }))
    }

    fn keys(&self) -> Vec<&str> {
        self.stage.node.shelf().within("").map(|(key, _)| key).collect()
    }
}

#[test]
fn another_master_of_another_place_room_or_version_is_refused() {
    let mut it = Pair::new();
    let own = it.stage.node.instance;
    let mut code = |change: &dyn Fn(&mut wire::Peer)| match it.meet(change).as_slice() {
        [Body::Refusal(refused)] => refused.code.clone(),
        said => panic!("{said:?}"),
    };
    assert_eq!(code(&|word| word.versions = [2, 3]), "version");
    assert_eq!(code(&|word| word.path = path("hue")), "topology");
    assert_eq!(code(&|word| word.instance = own), "topology", "itself");
    assert_eq!(code(&|word| word.room = "9000".into()), "room");
    // A slave's hello is no word of a master, and a master's word no hello.
    it.stage.conns += 1;
    let mut stranger = Peer { conn: ConnId(it.stage.conns), session: 0, seq: 0 };
    it.stage.node.handle_peer_accepted(it.stage.now, stranger.conn);
    let hello = it.stage.hello("hue");
    let said = it.stage.say(&mut stranger, Body::Hello(hello));
    assert!(matches!(said.as_slice(), [Body::Refusal(refused)] if refused.code == "hello"), "{said:?}");
    let mut slave = it.stage.accept("hue");
    let said = it.stage.say(&mut slave, Body::Peer(Pair::word()));
    assert!(matches!(said.as_slice(), [Body::Refusal(refused)] if refused.code == "hello"), "{said:?}");
    // At most four say nothing for five seconds.
    for n in 0..6 {
        it.stage.node.handle_peer_accepted(it.stage.now, ConnId(100 + n));
    }
    let open = it.stage.node.conns.values().filter(|role| matches!(role, Role::Caller(_))).count();
    assert_eq!(open, 4);
    assert!(it.stage.node.standing(it.stage.now).unwrap().peer_up, "the one that was there is");
}

#[test]
fn a_replica_with_a_gap_is_asked_for_anew_and_what_is_not_said_again_is_gone() {
    let mut it = Pair::new();
    assert_eq!(it.tell(Some(3), 4, true, &["a"]), [Body::ReplicaResync]);
    assert_eq!(it.tell(Some(4), 5, true, &["a"]), [], "once");
    assert_eq!(it.tell(None, 2, false, &["a", "b"]), [Body::ReplicaAck { version: 2 }]);
    assert!(!it.stage.node.standing(it.stage.now).unwrap().in_step);
    assert_eq!(it.tell(Some(2), 3, true, &["slave/hue"]), [Body::ReplicaAck { version: 3 }]);
    assert_eq!(it.keys(), ["a", "b", "slave/hue"]);
    assert!(it.stage.node.standing(it.stage.now).unwrap().in_step);
    assert_eq!(it.tell(None, 9, true, &["b"]), [Body::ReplicaAck { version: 9 }]);
    assert_eq!(it.keys(), ["b"]);
    // Replayed, or from who does not command.
    let again = Frame { session: it.master.session, seq: 2, body: Body::ReplicaAck { version: 1 } };
    let master = it.master;
    assert_eq!(it.stage.frame(&master, again), []);
    it.say(Body::Peer(wire::Peer { commands: false, ..Pair::word() }));
    assert_eq!(it.tell(Some(9), 10, true, &["c"]), []);
    assert_eq!(it.keys(), ["b"]);
}

#[test]
fn an_old_yield_gives_no_command_and_slaves_of_nobody_take_none() {
    let mut it = Pair::new();
    it.say(Body::Peer(wire::Peer { term: 7, ..Pair::word() }));
    it.say(Body::Yield { term: 6, by: "Lan".into() });
    assert!(!it.stage.node.commands);
    it.tell(None, 1, true, &["slave/hue", "slave/ca-mau", "slave/dak-lak"]);
    it.stage.node.handle_closed(it.stage.now, it.master.conn);
    it.stage.now += Duration::from_secs(11);
    it.stage.node.handle_timeout(it.stage.now);
    // Two whom the master has never seen, and one that it has: no majority.
    for slave in ["la", "lb", "hue", "hue"] {
        let mut peer = it.stage.accept(slave);
        let hello = it.stage.hello(slave);
        assert_eq!(it.stage.say(&mut peer, Body::Hello(hello)), [Body::Wait]);
    }
    assert!(!it.stage.node.commands);
    assert_eq!(it.stage.node.standing(it.stage.now).unwrap().waiting, 1);
    let mut peer = it.stage.accept("ca-mau");
    let hello = it.stage.hello("ca-mau");
    let said = it.stage.say(&mut peer, Body::Hello(hello));
    assert!(
        matches!(said.as_slice(), [Body::Wait, Body::Welcome(welcome), ..] if welcome.term == 8),
        "{said:?}"
    );
}
