use super::*;
use crate::tree::{Grade, Kind, Line};

fn read(text: &str) -> Result<Frame, Malformed> {
    Frame::read(text.as_bytes())
}

#[test]
fn an_order_looks_as_documented_and_reads_back() {
    let open = Open {
        order: 5,
        slot: 0,
        site: "dak-lak/hoa-phu".parse().unwrap(),
        prepare: false,
        by: "Lan".into(),
        deadline_ms: 29_500,
    };
    let frame = Frame { session: u64::MAX, seq: 17, body: Body::Open(open) };
    let text = String::from_utf8(frame.write()).unwrap();
    assert!(
        text.starts_with(r#"{"session":18446744073709551615,"seq":17,"type":"open","order":5,"slot":0"#),
        "{text}"
    );
    assert_eq!(read(&text), Ok(frame));
}

#[test]
fn unknown_fields_are_passed_over_and_unknown_types_are_known_as_such() {
    let frame = read(r#"{"session":1,"seq":2,"type":"ping","id":7,"colour":{"deep":[1,2]}}"#).unwrap();
    assert_eq!(frame.body, Body::Ping { id: 7 });
    let frame = read(r#"{"session":1,"seq":2,"type":"teleport","where":"hue"}"#).unwrap();
    assert_eq!(frame.body, Body::Unknown);
}

#[test]
fn what_is_no_message_is_refused_with_its_sort() {
    let deep =
        format!(r#"{{"session":1,"seq":1,"type":"ping","id":1,"x":{}{}}}"#, "[".repeat(40), "]".repeat(40));
    let many = format!(r#"{{"session":1,"seq":1,"type":"ping","id":1,"x":[{}1]}}"#, "1,".repeat(9_000));
    let long = format!(r#"{{"session":1,"seq":1,"type":"ping","id":1,"x":"{}"}}"#, "x".repeat(70_000));
    assert_eq!(read(&deep), Err(Malformed::TooDeep));
    assert_eq!(read(&many), Err(Malformed::TooMany));
    assert_eq!(read(&long), Err(Malformed::TooLong));
    for text in [
        "",
        "{",
        "[]",
        "null",
        "{}",
        r#"{"session":1,"seq":1}"#,
        r#"{"session":-1,"seq":1,"type":"ping","id":1}"#,
    ] {
        assert_eq!(read(text), Err(Malformed::Unreadable), "{text}");
    }
    let bad_path = r#"{"session":1,"seq":1,"type":"floor","mcu":"../etc"}"#;
    assert!(
        read(bad_path).is_ok_and(|f| matches!(f.body, Body::Floor { .. })),
        "dots are letters of a name here"
    );
    assert_eq!(read(&bad_path.replace("../etc", "A b")), Err(Malformed::Unreadable));
}

#[test]
fn lists_and_texts_are_bounded() {
    let entry = |n: usize| Entry {
        name: "Xã \u{202e}Hòa\nPhú".into(),
        line: Line::Connected,
        grade: Grade::Good,
        ..Entry::new(format!("a/s{n}").parse().unwrap(), Kind::Site)
    };
    let tree = |n: usize| Tree {
        base: None,
        version: 1,
        done: true,
        entries: (0..n).map(entry).collect(),
        gone: vec![],
    };
    let frame = |n| Frame { session: 1, seq: 1, body: Body::Tree(tree(n)) };
    let Body::Tree(read_back) = Frame::read(&frame(256).write()).unwrap().body else { panic!() };
    assert_eq!(read_back.entries[0].name, "Xã Hòa Phú", "what cannot be seen is taken out of names");
    assert_eq!(Frame::read(&frame(257).write()), Err(Malformed::TooMany));
    let refused = Refused { to: 1, code: "x".into(), words: Words::new("ệ".repeat(5_000), "e") };
    let Body::Refusal(back) =
        Frame::read(&Frame { session: 0, seq: 1, body: Body::Refusal(refused) }.write()).unwrap().body
    else {
        panic!()
    };
    assert_eq!(back.words.vi.chars().count(), MAX_TEXT);
}

#[test]
fn words_of_two_masters_are_bounded_too() {
    let record = |key: &str, text: &str| Record { key: key.into(), text: text.into() };
    let replica = |records: Vec<Record>, gone: Vec<String>| {
        let told = Replica { base: None, version: 1, done: true, records, gone };
        Frame::read(&Frame { session: 1, seq: 1, body: Body::Replica(told) }.write())
    };
    // What a machine reads stays as it is, whatever is in it.
    let odd = record("site/1", "{\"name\":\"Xã \u{202e}Hòa\\nPhú  \"}");
    let Ok(Frame { body: Body::Replica(back), .. }) = replica(vec![odd.clone()], vec![]) else { panic!() };
    assert_eq!(back.records, [odd]);
    let many: Vec<Record> = (0..257).map(|n| record(&n.to_string(), "")).collect();
    assert_eq!(replica(many, vec![]), Err(Malformed::TooMany));
    assert_eq!(replica(vec![], vec![String::new(); 257]), Err(Malformed::TooMany));
    assert_eq!(replica(vec![record(&"k".repeat(1_001), "")], vec![]), Err(Malformed::TooMany));
    assert_eq!(replica(vec![record("k", &"x".repeat(70_000))], vec![]), Err(Malformed::TooLong));
    let take = Body::Take { by: format!("Lan\n{}", "x".repeat(500)), force: false };
    let Body::Take { by, .. } = Frame::read(&Frame { session: 1, seq: 1, body: take }.write()).unwrap().body
    else {
        panic!()
    };
    assert!(by.starts_with("Lan x") && by.chars().count() == name::MAX_CHARS, "{by}");
    for text in [
        r#"{"session":1,"seq":1,"type":"replica","version":-1}"#,
        r#"{"session":1,"seq":1,"type":"replica","version":1,"records":[{"key":"x"}]}"#,
        r#"{"session":1,"seq":1,"type":"yield","by":"Lan"}"#,
        r#"{"session":1,"seq":1,"type":"peer","versions":[1],"instance":1,"path":"","name":"","room":"","term":1,"commands":true}"#,
        r#"{"session":1,"seq":1,"type":"peer","versions":[1,1],"instance":1,"path":"../x y","name":"","room":"","term":1,"commands":true}"#,
    ] {
        assert_eq!(read(text), Err(Malformed::Unreadable), "{text}");
    }
    assert_eq!(read(r#"{"session":1,"seq":1,"type":"wait"}"#).unwrap().body, Body::Wait);
}
