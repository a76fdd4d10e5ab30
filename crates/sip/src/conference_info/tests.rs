//! Documents, and what a subscriber makes of them.

use std::collections::BTreeMap;

use quick_xml::{Reader, events::Event};

use super::*;

fn user(name: &str, status: Status) -> User {
    User {
        entity: format!("sip:{name}@10.0.0.2"),
        display_text: "Xã Hòa Phú – \"đường dây\" <1> & nặng ẵ".to_owned(),
        role: "participant",
        endpoints: vec![Endpoint {
            entity: format!("sip:8000@192.0.2.2;participant={name}"),
            status,
            joining: Joining::DialedIn,
            disconnection: (status == Status::Disconnected).then_some(Disconnection::Departed),
            reason: None,
            media: vec![
                Media { id: 1, kind: "audio", status: MediaStatus::SendRecv },
                Media { id: 2, kind: "video", status: MediaStatus::RecvOnly },
            ],
        }],
    }
}

fn state(users: Vec<User>) -> State {
    State {
        entity: "sip:8000@192.0.2.2".to_owned(),
        description: Description { display_text: "Giao ban".to_owned(), maximum_user_count: Some(500) },
        active: true,
        locked: false,
        users,
    }
}

fn text(state: &State, before: Option<&State>, version: u32) -> String {
    String::from_utf8(write(state, before, version, Detail::All).unwrap().unwrap()).unwrap()
}

/// Elements with their attributes and text, one per line, indented: what a reader of XML sees.
fn outline(xml: &str) -> String {
    let mut reader = Reader::from_str(xml);
    let (mut out, mut depth) = (String::new(), 0_usize);
    loop {
        let event = reader.read_event().unwrap();
        let (start, empty) = match &event {
            Event::Start(e) => (Some(e), false),
            Event::Empty(e) => (Some(e), true),
            Event::End(_) => {
                depth -= 1;
                (None, false)
            }
            Event::Text(t) => {
                out += &format!("={}", t.decode().unwrap());
                (None, false)
            }
            Event::GeneralRef(r) => {
                out += &format!("&{};", r.decode().unwrap());
                (None, false)
            }
            Event::Eof => return out.trim_start().to_owned(),
            _ => (None, false),
        };
        if let Some(e) = start {
            out += &format!("\n{:depth$}{}", "", String::from_utf8_lossy(e.name().as_ref()));
            for a in e.attributes().map(|a| a.unwrap()).filter(|a| a.key.as_ref() != b"xmlns") {
                let (key, value) =
                    (String::from_utf8_lossy(a.key.as_ref()), String::from_utf8_lossy(&a.value));
                out += &format!(" {key}={value}");
            }
            depth += usize::from(!empty);
        }
    }
}

#[test]
fn a_full_document_has_everything_in_the_order_of_the_schema() {
    let xml = text(&state(vec![user("a", Status::Connected)]), None, 0);
    assert!(xml.starts_with("<?xml version=\"1.0\" encoding=\"UTF-8\"?><conference-info xmlns=\"urn:ietf:params:xml:ns:conference-info\""));
    let want = "conference-info entity=sip:8000@192.0.2.2 state=full version=0
 conference-description
  display-text=Giao ban
  conf-uris
   entry
    uri=sip:8000@192.0.2.2
    purpose=participation
  maximum-user-count=500
 conference-state
  user-count=1
  active=true
  locked=false
 users state=full
  user entity=sip:a@10.0.0.2 state=full
   display-text=Xã Hòa Phú – &quot;=đường dây&quot;= &lt;=1&gt;= &amp;= nặng ẵ
   roles
    entry=participant
   endpoint entity=sip:8000@192.0.2.2;participant=a state=full
    status=connected
    joining-method=dialed-in
    media id=1
     type=audio
     status=sendrecv
    media id=2
     type=video
     status=recvonly";
    assert_eq!(outline(&xml), want);
}

#[test]
fn only_what_changed_is_told() {
    let before =
        state(vec![user("a", Status::Connected), user("b", Status::Connected), user("c", Status::Connected)]);
    let now = state(vec![
        user("a", Status::Connected),
        user("b", Status::Disconnected),
        user("d", Status::Connected),
    ]);
    let seen = outline(&text(&now, Some(&before), 7));
    let lines: Vec<_> = seen.lines().map(str::trim).collect();
    assert!(lines[0].ends_with("state=partial version=7"));
    assert!(!seen.contains("conference-description") && !seen.contains("sip:a@"));
    let users: Vec<_> = lines.iter().filter(|l| l.starts_with("user ")).collect();
    assert_eq!(
        users,
        [
            &"user entity=sip:c@10.0.0.2 state=deleted",
            &"user entity=sip:b@10.0.0.2 state=full",
            &"user entity=sip:d@10.0.0.2 state=full"
        ]
    );
    assert!(lines.contains(&"disconnection-method=departed") && lines.contains(&"user-count=2"));
    assert_eq!(write(&now, Some(&now), 8, Detail::All).unwrap(), None);
}

#[test]
fn less_is_told_of_very_many() {
    let many = state((0..500).map(|n| user(&n.to_string(), Status::Connected)).collect());
    let size = |detail| write(&many, None, 0, detail).unwrap().unwrap().len();
    assert!(size(Detail::All) > size(Detail::Users) && size(Detail::Counts) < 700);
    let mut muted = many.clone();
    muted.users[3].endpoints[0].status = Status::MutedViaFocus;
    assert_eq!(write(&muted, Some(&many), 1, Detail::Users).unwrap(), None);
    assert!(write(&muted, Some(&many), 1, Detail::All).unwrap().is_some());
}

/// RFC 4575 4.6, for the parts we write: a subscriber that follows the differences has what is in the full document.
#[test]
fn following_the_differences_gives_the_same_as_everything() {
    let statuses = [Status::Connected, Status::MutedViaFocus, Status::Disconnected, Status::Pending];
    let mut have: BTreeMap<String, String> = BTreeMap::new();
    let mut before: Option<State> = None;
    for round in 0_u32..40 {
        let users = (0..9).filter(|n| (round * 7 + n * n) % 4 != 1);
        let users = users.map(|n| user(&n.to_string(), statuses[((round / 3 + n) % 4) as usize])).collect();
        let now = state(users);
        if let Some(xml) = write(&now, before.as_ref(), round, Detail::All).unwrap() {
            apply(&mut have, &outline(&String::from_utf8(xml).unwrap()));
        }
        let mut all = BTreeMap::new();
        apply(&mut all, &outline(&text(&now, None, 0)));
        assert_eq!(have, all, "round {round}");
        before = Some(now);
    }
}

fn apply(have: &mut BTreeMap<String, String>, outline: &str) {
    if outline.lines().next().unwrap().contains("state=full") {
        have.clear();
    }
    let mut current = None;
    for line in outline.lines().filter(|l| l.starts_with("  ")) {
        if let Some(rest) = line.strip_prefix("  user entity=") {
            let (entity, kind) = rest.split_once(" state=").unwrap();
            have.remove(entity);
            current = (kind == "full").then(|| entity.to_owned());
        } else if !line.starts_with("   ") {
            current = None;
        } else if let Some(entity) = &current {
            have.entry(entity.clone()).or_default().push_str(line);
        }
    }
}
