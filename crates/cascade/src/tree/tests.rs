use super::*;

fn path(text: &str) -> Path {
    text.parse().unwrap()
}

fn site(text: &str) -> Entry {
    Entry { name: text.into(), ..Entry::new(path(text), Kind::Site) }
}

/// What a reader has after it was told everything since its version.
fn follow(tree: &Tree, copy: &mut Tree, mut from: u64, whole: bool) -> (u64, usize) {
    let mut messages = 0;
    loop {
        let told = tree.changes_since(from, whole);
        assert!(told.entries.len() <= wire::MAX_ENTRIES && told.gone.len() <= wire::MAX_ENTRIES);
        from = told.version;
        messages += 1;
        for entry in told.entries {
            copy.put(entry);
        }
        for path in told.gone {
            copy.remove(&path);
        }
        if from == tree.version() {
            return (from, messages);
        }
    }
}

fn same(a: &Tree, b: &Tree) -> bool {
    a.iter().eq(b.iter())
}

#[test]
fn what_changed_ten_times_is_told_once() {
    let mut tree = Tree::default();
    tree.put(site("a/x"));
    tree.put(site("a/y"));
    let mut copy = Tree::default();
    let (version, _) = follow(&tree, &mut copy, 0, true);
    for level in (0..10).map(|n| n % 4) {
        tree.change(&path("a/x"), |entry| entry.level = level);
    }
    let told = tree.changes_since(version, false);
    assert_eq!((told.entries.len(), told.entries[0].level), (1, 1));
    assert!(!tree.change(&path("a/x"), |entry| entry.level = 1), "no change is no version");
}

#[test]
fn a_reader_that_missed_anything_catches_up() {
    let mut tree = Tree::default();
    for n in 0..1_000 {
        tree.put(site(&format!("a/s{n}")));
    }
    let mut copy = Tree::default();
    let (version, messages) = follow(&tree, &mut copy, 0, true);
    assert!(same(&tree, &copy) && messages >= 4, "{messages}");
    for n in 0..500 {
        tree.remove(&path(&format!("a/s{n}")));
    }
    tree.put(site("a/s7"));
    let (_, messages) = follow(&tree, &mut copy, version, false);
    assert!(same(&tree, &copy) && copy.len() == 501);
    assert!(messages <= 4, "{messages}");
}

#[test]
fn removals_are_remembered_within_bounds() {
    let mut tree = Tree::default();
    for n in 0..6_000 {
        tree.put(site(&format!("s{n}")));
        tree.remove(&path(&format!("s{n}")));
    }
    assert!(!tree.reaches_back_to(0) && tree.reaches_back_to(tree.version()));
    assert_eq!(tree.gone.len(), REMEMBERED);
    assert!(tree.changes.len() == REMEMBERED && !tree.reaches_back_to(tree.version() + 1));
}

#[test]
fn below_is_below_and_not_beside() {
    let mut tree = Tree::default();
    for text in ["", "a", "a/x", "a/x/1", "a-b", "a-b/y", "a.c", "b"] {
        tree.put(site(text));
    }
    let within = |text: &str| tree.within(&path(text)).map(|e| e.path.to_string()).collect::<Vec<_>>();
    assert_eq!(within("a"), ["a", "a/x", "a/x/1"]);
    assert_eq!(within("").len(), 8);
    assert_eq!(within("a/x/1"), ["a/x/1"]);
    assert!(within("c").is_empty());
}

#[test]
fn long_names_do_not_make_long_messages() {
    let mut tree = Tree::default();
    for n in 0..500 {
        tree.put(Entry { name: "ệ".repeat(80), ..site(&format!("a/{}{n}", "x".repeat(70))) });
    }
    let mut from = 0;
    while from < tree.version() {
        let told = tree.changes_since(from, true);
        from = told.version;
        let frame = wire::Frame { session: u64::MAX, seq: u64::MAX, body: wire::Body::Tree(told) };
        assert!(frame.write().len() <= wire::MAX_BYTES, "{}", frame.write().len());
        assert!(wire::Frame::read(&frame.write()).is_ok());
    }
}
