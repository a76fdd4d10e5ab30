//! Calls between MCUs: let in by their token, apart from the sites, each hearing what it is to hear.

use cau_mixer::Command as Mix;
use cau_mixer::command::Ear;
use cau_model::participant::{Link, State};
use cau_sip::sdp;

use super::bench::{Bench, scenes};
use super::*;
use crate::notice::Body;
use crate::request::{LinkOrder, Request, Upward};

const TOKEN: &str = "0123456789abcdef";

fn tell(bench: &mut Bench, order: LinkOrder) {
    bench.focus.handle_request(bench.now, Request::Link(ConferenceId(1), Box::new(order)));
    bench.settle();
}

fn expect(bench: &mut Bench, token: &str) {
    let (path, name, token) = ("dak-lak".into(), "Đắk Lắk".into(), token.into());
    tell(bench, LinkOrder::Expect { path, name, token, slots: 1 });
}

/// Phone `n` dials as an MCU that shows this.
fn dial_with(bench: &mut Bench, n: u8, shown: &str) {
    let phone = bench.phone(n);
    let offer = sdp::offer(&phone.caps, &phone.ports, &Origin::new(7, phone.ports.addr), None);
    let headers = vec![("Cau-Link-Token".to_owned(), shown.to_owned())];
    bench.invite_with(n, "8000", Some(offer.to_bytes()), headers);
}

fn links(bench: &mut Bench) -> Vec<(ParticipantId, State, Link)> {
    bench.sites().into_iter().filter_map(|p| Some((p.id, p.state, p.link?))).collect()
}

fn told(bench: &mut Bench) -> Vec<bool> {
    let notices = std::mem::take(&mut bench.notices);
    notices.iter().filter_map(|n| if let Body::Link { up, .. } = n.body { Some(up) } else { None }).collect()
}

/// The last word about somebody's ear.
fn ear(commands: &[(ConferenceId, Mix)], who: ParticipantId) -> Option<Ear> {
    commands.iter().rev().find_map(|(_, command)| match command {
        Mix::Ear { participant, ear } if *participant == who => Some(ear.clone()),
        _ => None,
    })
}

/// A slave's calls: told when all are there, the slot without a seat, and its trunk hears nothing of the slot.
#[test]
fn a_slave_is_let_in_by_its_token_once_for_each_call() {
    let mut bench = Bench::new();
    bench.dial(2, "8000");
    expect(&mut bench, TOKEN);
    dial_with(&mut bench, 3, "feedfeedfeedfeed");
    assert_eq!(bench.phone(3).refused(), Some(403), "a made-up token");
    dial_with(&mut bench, 4, &format!("{TOKEN};slot=1"));
    assert_eq!(bench.phone(4).refused(), Some(403), "there is one slot");
    bench.commands();
    dial_with(&mut bench, 5, TOKEN);
    assert!(told(&mut bench).is_empty(), "not whole yet");
    dial_with(&mut bench, 6, &format!("{TOKEN};slot=0"));
    assert_eq!(told(&mut bench), [true]);
    dial_with(&mut bench, 7, TOKEN);
    assert_eq!(bench.phone(7).refused(), Some(403), "used");
    let links = links(&mut bench);
    let (trunk, slot) = (links[0].0, links[1].0);
    assert_eq!(links[0].2, Link { path: "dak-lak".into(), slot: None, up: false });
    assert_eq!(links[1].2, Link { path: "dak-lak".into(), slot: Some(0), up: false });
    let commands = bench.commands();
    assert_eq!(ear(&commands, trunk), Some(Ear::Without(vec![slot])));
    let expects = commands
        .iter()
        .any(|(_, c)| matches!(c, Mix::Expect { participant, csrc: None } if *participant == slot));
    assert!(expects, "nothing may come in the slot before it was asked for");
    let shown = scenes(&commands, 1).unwrap();
    let seen: Vec<_> = shown.iter().flat_map(|(scene, _)| scene.pictures()).collect();
    assert!(seen.contains(&trunk) && !seen.contains(&slot), "{shown:?}");
    assert!(shown.iter().all(|(_, viewers)| !viewers.contains(&slot)), "nobody looks there");

    // One of its calls ends: the others are of no use.
    bench.hang_up(6);
    assert_eq!(told(&mut bench), [false]);
    assert!(bench.phone(5).has_ended());
    assert!(
        bench.kept.values().all(|kept| !kept.uri.contains("site5")),
        "made anew after a restart, with another token"
    );
}

/// A slave calls: the trunk both ways, the slot to send only; its sites follow the programme; one of them goes up apart from the others.
#[test]
fn a_slave_calls_its_master_and_sends_a_site_up() {
    let mut bench = Bench::new();
    bench.phone(9);
    for n in [2, 3] {
        bench.dial(n, "8000");
    }
    let (two, three) = (bench.id(2), bench.id(3));
    let call = |token: &str| LinkOrder::Call {
        path: String::new(),
        name: "Trung tâm".into(),
        uri: "sip:8000@10.0.0.9".into(),
        token: token.into(),
        slots: 1,
        follow: true,
    };
    tell(&mut bench, call(TOKEN));
    bench.wait(Duration::from_secs(1));
    assert_eq!(told(&mut bench), [true]);
    let invites: Vec<_> = bench.wire.iter().filter(|text| text.starts_with("INVITE")).cloned().collect();
    let [trunk, slot] = invites.as_slice() else { panic!("{invites:#?}") };
    assert!(
        trunk.contains(&format!("Cau-Link-Token: {TOKEN}\r\n")) && trunk.contains("a=sendrecv"),
        "{trunk}"
    );
    assert!(slot.contains(&format!("Cau-Link-Token: {TOKEN};slot=0\r\n")), "{slot}");
    assert!(slot.contains("a=sendonly") && !slot.contains("a=sendrecv"), "{slot}");
    let found = links(&mut bench);
    let (trunk, slot) = (found[0].0, found[1].0);
    let shown = scenes(&bench.commands(), 1).unwrap();
    let programme = shown.iter().find(|(_, viewers)| viewers.contains(&two)).unwrap();
    assert_eq!((programme.0.single(), programme.1.contains(&three)), (Some(trunk), true));
    let up = shown.iter().find(|(_, viewers)| viewers.contains(&trunk)).unwrap();
    assert!(up.0.pictures().all(|who| who != trunk), "its own programme does not go back up");

    tell(&mut bench, LinkOrder::Route { slot: 0, from: Upward::Site(three), csrc: 77, sound: true });
    let commands = bench.commands();
    let shown = scenes(&commands, 1).unwrap();
    let seen = shown.iter().find(|(_, viewers)| viewers.contains(&slot)).unwrap();
    assert_eq!(seen.0.single(), Some(three));
    assert_eq!(ear(&commands, slot), Some(Ear::Only(vec![three])));
    assert_eq!(ear(&commands, trunk), Some(Ear::Without(vec![slot, three])));
    let waits = |c: &Mix| matches!(c, Mix::Await { participant, site, csrc: 77 } if (*participant, *site) == (slot, three));
    assert!(commands.iter().any(|(_, c)| waits(c)));
    bench.media(cau_mixer::Event::Passed { participant: slot, csrc: 77 });
    assert!(bench.notices.iter().any(|n| n.body == Body::Passed { slot: 0, csrc: 77 }));

    // Prepared only: its sound goes up with everybody's.
    tell(&mut bench, LinkOrder::Route { slot: 0, from: Upward::Site(three), csrc: 77, sound: false });
    let commands = bench.commands();
    assert_eq!(ear(&commands, slot), Some(Ear::Only(vec![])));
    assert_eq!(ear(&commands, trunk), Some(Ear::Without(vec![slot])));
    tell(&mut bench, LinkOrder::Unroute(0));
    let shown = scenes(&bench.commands(), 1).unwrap();
    assert!(shown.iter().all(|(_, viewers)| !viewers.contains(&slot)));

    // Called anew: the old calls end without a word, the new ones stand.
    tell(&mut bench, call("another"));
    bench.wait(Duration::from_secs(1));
    assert_eq!(told(&mut bench), [true]);
    let here = links(&mut bench).into_iter().filter(|(_, state, _)| *state == State::Connected).count();
    assert_eq!(here, 2);

    // The other end hangs up the call it took last: all of it is told to be gone, and nobody follows any more.
    bench.hang_up(9);
    assert_eq!(told(&mut bench), [false]);
    let shown = scenes(&bench.commands(), 1).unwrap();
    assert!(
        shown.iter().any(|(scene, viewers)| viewers.contains(&two) && scene.pictures().count() == 2),
        "{shown:?}"
    );
}

/// Between two others: what is to go up comes from a slave whose calls come later, go, and come anew, as after a restart here.
#[test]
fn what_a_slave_sends_goes_on_up_whenever_its_calls_come() {
    let mut bench = Bench::new();
    bench.phone(9);
    bench.dial(2, "8000");
    let (path, name, uri) = (String::new(), "Trung tâm".into(), "sip:8000@10.0.0.9".into());
    tell(&mut bench, LinkOrder::Call { path, name, uri, token: "up".into(), slots: 1, follow: true });
    bench.wait(Duration::from_secs(1));
    let up = links(&mut bench).into_iter().find(|(.., link)| link.slot == Some(0)).unwrap().0;
    let from = Upward::Slot { link: "dak-lak".into(), slot: 0 };
    tell(&mut bench, LinkOrder::Route { slot: 0, from, csrc: 77, sound: true });
    let seen = |bench: &mut Bench| {
        let shown = scenes(&bench.commands(), 1)?;
        shown.iter().find(|(_, viewers)| viewers.contains(&up)).map(|(scene, _)| scene.single())
    };
    assert_eq!(seen(&mut bench), None, "nothing to send yet");
    for (n, token) in [(4, TOKEN), (6, "feedfeedfeedfeed")] {
        expect(&mut bench, token);
        dial_with(&mut bench, n, token);
        dial_with(&mut bench, n + 1, &format!("{token};slot=0"));
        let slot = bench.id(n + 1);
        assert_eq!(seen(&mut bench), Some(Some(slot)), "what comes goes on");
        bench.hang_up(n);
        assert_eq!(seen(&mut bench), None, "nobody else's picture in its place");
    }
}
