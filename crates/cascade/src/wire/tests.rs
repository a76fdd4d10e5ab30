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
