//! Calls out: what the site does, what the operator is told, and what the others notice.

use std::collections::BTreeSet;

use cau_mixer::event::Event as Heard;
use cau_model::participant::State;
use cau_model::{Refusal, snapshot};
use cau_sip::{Event, Unlocated, Uri};

use super::bench::*;
use super::*;
use crate::notice::{Body, Change};
use crate::request::{Error, Request, Wanted};

const SECOND: Duration = Duration::from_secs(1);

fn ms(list: &[u64]) -> Vec<u128> {
    list.iter().map(|s| u128::from(*s) * 1_000).collect()
}

#[test]
fn a_site_that_is_called_is_in_the_list_at_once_and_sits_when_it_answers() {
    let mut bench = Bench::new();
    bench.phone(2).manner = Manner::Ring;
    bench.commands();
    let id = bench.call_out(2);
    let site = bench.site(id);
    assert_eq!((site.state, site.name.as_str()), (State::Ringing, "site2"));
    assert_eq!(serde_word(site.direction), "Out");
    assert!(added(&bench.commands()).is_empty(), "nobody is seen or heard before the answer");
    let invite = bench.sent("INVITE sip:site2@10.0.0.2");
    assert!(invite.contains("From: \"8000\" <sip:8000@10.0.0.1:5060>"), "the site can call back: {invite}");
    assert!(invite.contains("isfocus") && invite.contains("m=video 20006 "), "{invite}");
    let now = bench.now;
    bench.phone(2).pick_up(now);
    bench.settle();
    let site = bench.site(id);
    assert_eq!((site.state, site.reason), (State::Connected, None));
    let commands = bench.commands();
    assert_eq!(added(&commands).len(), 1);
    assert_eq!(scenes(&commands, 1).unwrap()[0].1, [id]);
    let joined = |notice: &&Notice| matches!(notice.body, Body::Participant { change: Change::Joined, .. });
    assert_eq!(bench.notices.iter().filter(joined).count(), 1, "joined is who is in the conference");
    assert_eq!(bench.focus.totals().dialled, 1);
}

fn serde_word(value: impl std::fmt::Debug) -> String {
    format!("{value:?}")
}

#[test]
fn what_refuses_says_why_in_plain_words() {
    for (status, headers, en) in [
        (486, vec![], "the site is busy (486 Busy Here)"),
        (600, vec![], "the site is busy everywhere (600 Busy Everywhere)"),
        (603, vec![], "the site declined the call (603 Decline)"),
        (404, vec![], "there is no such address there: check the address (404 Not Found)"),
        (410, vec![], "the address is no longer in use (410 Gone)"),
        (401, vec![], "the device asks for a password: check the SIP user and password (401 Unauthorized)"),
        (488, vec![("Warning", "305 x \"only G.729\"".to_owned())], "no codec in common (488 only G.729)"),
        (
            500,
            vec![("Reason", "Q.850;cause=27".to_owned())],
            "the device is out of order (500 Server Internal Error)",
        ),
    ] {
        let mut bench = Bench::new();
        bench.phone(2).manner = Manner::Refuse(status, headers);
        let id = bench.call_out(2);
        let site = bench.site(id);
        assert_eq!((site.state, site.reason_en.as_deref()), (State::Left, Some(en)), "{status}");
        assert_ne!(site.reason, site.reason_en);
        assert_eq!((bench.open_ports(), bench.focus.totals().calls), (0, 0));
        bench.wait(SECOND * 300);
        assert_eq!(
            bench.sent_at("INVITE", bench.now - SECOND * 299),
            [0; 0],
            "an operator decides what comes next"
        );
    }
}

/// A conference whose MCU is the registrar of two devices, whose user is `hoa-phu`.
fn with_devices() -> Bench {
    let secret = || cau_sip::digest::Secret::Password("Mat-Khau-1".to_owned());
    let mut bench = Bench::with(|config| {
        let accounts = cau_sip::digest::Accounts::new([("hoa-phu".to_owned(), secret())]).unwrap();
        config.sip.digest = Some(cau_sip::digest::Config::new("mcu.example".to_owned(), accounts));
        config.sip.registrar = Some(cau_sip::registrar::Config::default());
        config.dial.allow = crate::dial::Allow(vec!["mcu.example".parse().unwrap()]);
    });
    for n in [2, 3] {
        let now = bench.now;
        bench.phone(n).sip.register(
            now,
            cau_sip::register::Registration {
                registrar: format!("sip:{MCU}").parse().unwrap(),
                remote: None,
                protocol: None,
                user: "hoa-phu".to_owned(),
                auth_user: None,
                secret: secret(),
                contact: format!("phong-{n}"),
                expires: SECOND * 600,
            },
        );
        bench.settle();
        bench.now += SECOND;
    }
    assert_eq!(bench.focus.totals().devices, 2);
    bench
}

#[test]
fn a_device_of_an_account_is_called_where_it_has_registered() {
    let mut bench = with_devices();
    // The later one first, and the other one when that is gone.
    bench.phone(3).unplugged = true;
    let id = bench.invite_uri("sip:hoa-phu@mcu.example").unwrap();
    assert!(bench.sent("INVITE sip:phong-3@10.0.0.3").contains("To: <sip:phong-3@10.0.0.3"));
    bench.wait(SECOND * 33);
    assert_eq!(bench.site(id).state, State::Connected);
    assert!(bench.phone(2).call.is_some());
    assert_eq!(bench.site(id).uri, "sip:hoa-phu@mcu.example", "it is known by its account");
}

#[test]
fn an_account_without_a_device_is_told_so() {
    let mut bench = with_devices();
    let now = bench.now;
    for n in [2, 3] {
        bench.phone(n).sip.unregister_all(now);
    }
    bench.settle();
    let id = bench.invite_uri("sip:hoa-phu@mcu.example").unwrap();
    let site = bench.site(id);
    assert_eq!(site.state, State::Left);
    assert!(site.reason_en.unwrap().contains("not registered with the MCU"));
    assert!(site.reason.unwrap().contains("chưa đăng ký với MCU"));
    // Nobody of that name has an account: looked up as any other address.
    let id = bench.invite_uri("sip:ea-tu@mcu.example").unwrap();
    // Calls go out one after the other.
    bench.wait(SECOND);
    assert!(bench.site(id).reason_en.unwrap().contains("DNS"));
}

#[test]
fn nobody_answers_a_ringing_phone_for_ever() {
    let mut bench = Bench::new();
    bench.phone(2).manner = Manner::Ring;
    let id = bench.call_out(2);
    bench.wait(SECOND * 59);
    assert_eq!(bench.site(id).state, State::Ringing);
    bench.wait(SECOND * 2);
    assert!(bench.sent("CANCEL").contains("site2"));
    let site = bench.site(id);
    assert_eq!((site.state, site.reason_en.as_deref()), (State::Left, Some("nobody took the call")));
    assert_eq!(bench.open_ports(), 0);
}

#[test]
fn a_site_that_is_switched_off_does_not_answer() {
    let mut bench = Bench::new();
    bench.phone(2).unplugged = true;
    let id = bench.call_out(2);
    bench.wait(SECOND * 40);
    let site = bench.site(id);
    assert_eq!(site.state, State::Left);
    assert!(site.reason_en.unwrap().contains("does not answer"));
    assert_eq!((bench.open_ports(), bench.focus.totals().dial_failed), (0, 1));
}

#[test]
fn a_call_without_a_codec_in_common_fails_with_the_reason() {
    let mut bench = Bench::new();
    bench.phone(2).manner = Manner::Ring;
    let id = bench.call_out(2);
    let now = bench.now;
    let phone = bench.phone(2);
    let call = phone.call.unwrap();
    phone.sip.accept(now, call, "v=0\r\nthis is no SDP".into()).unwrap();
    bench.settle();
    assert!(bench.sent("BYE").contains("site2"));
    let site = bench.site(id);
    assert_eq!(site.state, State::Left);
    assert!(site.reason_en.as_deref().is_some_and(|r| r.contains("0 media lines")), "{site:?}");
    assert_eq!(bench.open_ports(), 0);
}

#[test]
fn an_operator_hangs_up_whatever_the_state() {
    for (manner, wait) in [(Manner::Ring, 0), (Manner::Answer, 0), (Manner::Silent, 1)] {
        let mut bench = Bench::new();
        bench.phone(2).manner = manner;
        let id = bench.call_out(2);
        bench.wait(SECOND * wait);
        bench.ask(|answer| Request::HangUp(ConferenceId(1), id, answer)).unwrap();
        let site = bench.site(id);
        assert_eq!((site.state, site.reason_en.as_deref()), (State::Left, Some("hung up by the operator")));
        bench.wait(SECOND * 120);
        assert_eq!((bench.open_ports(), bench.focus.totals().calls), (0, 0));
        assert_eq!(bench.site(id).state, State::Left);
        let again = bench.ask(|answer| Request::HangUp(ConferenceId(1), id, answer));
        assert!(matches!(again, Err(Error::Refused(Refusal::Conflict(_)))));
    }
}

#[test]
fn a_redirection_is_followed_but_not_in_circles_and_not_everywhere() {
    let to = |uri: &str| Manner::Refuse(302, vec![("Contact", format!("<{uri}>"))]);
    let mut bench = Bench::new();
    bench.phone(2).manner = to("sip:site3@10.0.0.3");
    bench.phone(3);
    let id = bench.call_out(2);
    bench.wait(SECOND);
    assert_eq!(bench.site(id).state, State::Connected);
    assert!(bench.phone(3).call.is_some());
    // In circles.
    let mut bench = Bench::new();
    bench.phone(2).manner = to("sip:site3@10.0.0.3");
    bench.phone(3).manner = to("sip:site2@10.0.0.2");
    let id = bench.call_out(2);
    bench.wait(SECOND);
    let site = bench.site(id);
    assert_eq!(site.state, State::Left);
    assert!(site.reason_en.unwrap().contains("where we cannot call"));
    assert_eq!(bench.wire.iter().filter(|text| text.starts_with("INVITE")).count(), 2);
    // For ever: five times are enough.
    let mut bench = Bench::new();
    for n in 2..20 {
        bench.phone(n).manner = to(&format!("sip:site{}@10.0.0.{}", n + 1, n + 1));
    }
    bench.call_out(2);
    bench.wait(SECOND);
    assert_eq!(bench.wire.iter().filter(|text| text.starts_with("INVITE")).count(), 6);
    // To where nobody may be called.
    let mut bench = Bench::with(|config| config.dial.allow.0 = vec!["10.0.0.2".parse().unwrap()]);
    bench.phone(2).manner = to("sip:expensive@203.0.113.7");
    let id = bench.call_out(2);
    bench.wait(SECOND);
    assert_eq!(bench.site(id).state, State::Left);
    assert!(!bench.wire.iter().any(|text| text.contains("INVITE sip:expensive")));
}

#[test]
fn who_may_not_be_called_is_refused_with_the_place_in_the_list() {
    let mut bench = Bench::with(|config| config.dial.allow.0 = vec!["sip:10.0.0.0/24".parse().unwrap()]);
    let refused = |bench: &mut Bench, uri: &str| match bench.invite_uri(uri) {
        Err(Error::Refused(Refusal::Invalid { field, words })) => (field, words.en),
        other => panic!("{uri}: {other:?}"),
    };
    assert!(refused(&mut bench, "sip:a@192.0.2.1").1.contains("dial.allow"));
    assert!(refused(&mut bench, "sip:a@name.vn").1.contains("dial.allow"));
    assert!(refused(&mut bench, "hoa phu").1.contains("not a SIP address"));
    assert!(refused(&mut bench, "sips:a@10.0.0.2").1.contains("TLS"));
    assert!(refused(&mut bench, "tel:+84123").1.contains("sip:"));
    assert!(refused(&mut bench, &format!("sip:{}@10.0.0.2", "a".repeat(300))).1.contains("too long"));
    let wanted = |uri: &str, place: &str| Wanted { uri: uri.into(), name: None, place: place.into() };
    let sites = vec![wanted("sip:a@10.0.0.2", "[0]."), wanted("sip:a@192.0.2.1", "[1].")];
    let list = bench.ask(|answer| Request::Invite { conference: ConferenceId(1), sites, answer });
    assert!(matches!(list, Err(Error::Refused(Refusal::Invalid { field, .. })) if field == "[1].uri"));
    assert!(bench.sites().is_empty(), "all or none");
}

#[test]
fn a_list_is_called_evenly_and_only_so_many_ring_at_a_time() {
    let mut bench = Bench::with(|config| {
        config.dial.at_a_time = 10;
        config.dial.per_second = 20;
    });
    for n in 2..52 {
        bench.phone(n).manner = Manner::Ring;
    }
    let wanted = |n: u8| Wanted {
        uri: format!("sip:site{n}@10.0.0.{n}"),
        name: Some(format!("Xã {n}")),
        place: String::new(),
    };
    let start = bench.now;
    let sites = (2..52).map(wanted).collect();
    let invited = bench.ask(|answer| Request::Invite { conference: ConferenceId(1), sites, answer }).unwrap();
    assert_eq!(invited.len(), 50);
    assert_eq!(invited[7].name, "Xã 9");
    bench.wait(SECOND * 5);
    assert_eq!(bench.sent_at("INVITE", start), (0..10).map(|n| n * 50).collect::<Vec<_>>());
    let now = bench.now;
    for n in 2..7 {
        bench.phone(n).pick_up(now);
    }
    bench.settle();
    bench.wait(SECOND * 2);
    assert_eq!(bench.sent_at("INVITE", start).len(), 15, "five were taken, five more are called");
    // Twice the same list calls nobody twice.
    let sites = (2..52).map(wanted).collect();
    let again = bench.ask(|answer| Request::Invite { conference: ConferenceId(1), sites, answer }).unwrap();
    let ids = |list: &[snapshot::Participant]| list.iter().map(|site| site.id).collect::<BTreeSet<_>>();
    assert_eq!(ids(&again), ids(&invited));
    assert_eq!(bench.sites().len(), 50);
}

/// A site that answered once, and whose line is lost now: its device has forgotten the call.
fn lost(bench: &mut Bench, manner: Manner) -> ParticipantId {
    let id = bench.call_out(2);
    bench.wait(SECOND);
    assert_eq!(bench.site(id).state, State::Connected);
    bench.phones.remove(&2);
    bench.phone(2).manner = manner;
    bench.media(Heard::MediaTimeout { participant: id });
    id
}

#[test]
fn a_lost_site_keeps_its_seat_and_is_called_less_and_less_often() {
    let mut bench = Bench::new();
    bench.call_out(3);
    let id = lost(&mut bench, Manner::Refuse(480, vec![]));
    let start = bench.now;
    bench.wait(SECOND * 100);
    let site = bench.site(id);
    assert_eq!(site.state, State::Reconnecting);
    assert!(site.reason_en.unwrap().contains("cannot be reached now"));
    // The first INVITE is within the old dialog: whether the device is still there.
    assert_eq!(bench.sent_at("INVITE", start), ms(&[0, 0, 2, 7, 17, 37, 67, 97]));
    assert!(
        bench
            .commands()
            .iter()
            .any(|(_, c)| matches!(c, cau_mixer::Command::RemoveLeg { participant } if *participant == id))
    );
    // It answers at last: same site, same seat.
    bench.phone(2).manner = Manner::Answer;
    bench.wait(SECOND * 30);
    let site = bench.site(id);
    assert_eq!((site.state, site.reason), (State::Connected, None));
    let order: Vec<ParticipantId> = bench.focus.rooms[&ConferenceId(1)].conference.present().to_vec();
    assert_eq!(order[1], id, "it sits where it sat: after the other one that was called first");
    // Lost again, it is called at once again.
    let from = bench.now;
    bench.phones.remove(&2);
    bench.phone(2);
    bench.media(Heard::MediaTimeout { participant: id });
    assert_eq!(bench.site(id).state, State::Connected);
    assert_eq!(bench.sent_at("INVITE", from), [0, 0]);
}

#[test]
fn hanging_up_stops_the_calls_to_a_lost_site() {
    let mut bench = Bench::new();
    let id = lost(&mut bench, Manner::Refuse(480, vec![]));
    bench.wait(SECOND * 10);
    bench.ask(|answer| Request::HangUp(ConferenceId(1), id, answer)).unwrap();
    let from = bench.now;
    bench.wait(SECOND * 300);
    assert_eq!(bench.site(id).state, State::Left);
    assert!(bench.sent_at("INVITE", from).is_empty());
}

#[test]
fn a_site_that_has_left_is_called_again_when_it_is_asked_for() {
    let mut bench = Bench::new();
    let id = bench.call_out(2);
    bench.wait(SECOND);
    bench.hang_up(2);
    bench.wait(SECOND);
    assert_eq!(bench.site(id).state, State::Left);
    let again = |bench: &mut Bench, id| bench.ask(|answer| Request::CallAgain(ConferenceId(1), id, answer));
    again(&mut bench, id).unwrap();
    bench.wait(SECOND);
    assert_eq!(bench.site(id).state, State::Connected);
    let from = bench.now;
    again(&mut bench, id).unwrap();
    bench.wait(SECOND);
    assert!(bench.sent_at("INVITE", from).is_empty(), "it is there");
    let nobody = again(&mut bench, ParticipantId(0xdead));
    assert!(matches!(nobody, Err(Error::Refused(Refusal::NotFound(_)))));
}

#[test]
fn a_person_who_declines_is_not_called_again_and_who_hangs_up_neither() {
    let mut bench = Bench::new();
    let id = lost(&mut bench, Manner::Refuse(603, vec![]));
    bench.wait(SECOND);
    assert_eq!(bench.site(id).state, State::Left);
    let mut bench = Bench::new();
    let id = bench.call_out(2);
    bench.wait(SECOND);
    bench.hang_up(2);
    let from = bench.now;
    bench.wait(SECOND * 60);
    assert_eq!((bench.site(id).state, bench.sent_at("INVITE", from).len()), (State::Left, 0));
    // But when it is wanted so, they are.
    let mut bench = Bench::with(|config| config.dial.redial = crate::dial::When::Always);
    let id = bench.call_out(2);
    bench.hang_up(2);
    bench.wait(SECOND);
    assert_eq!(bench.site(id).state, State::Connected);
}

#[test]
fn a_site_that_dialled_in_and_was_lost_is_called_back_for_a_while() {
    let mut bench = Bench::new();
    bench.dial(2, "8000");
    let id = bench.id(2);
    bench.phones.remove(&2);
    bench.phone(2).manner = Manner::Refuse(480, vec![]);
    bench.media(Heard::MediaTimeout { participant: id });
    bench.wait(SECOND * 60);
    assert_eq!(bench.site(id).state, State::Reconnecting);
    assert!(bench.wire.iter().any(|text| text.starts_with("INVITE sip:site2@10.0.0.2")), "{:#?}", bench.wire);
    bench.wait(SECOND * 300);
    assert_eq!(bench.site(id).state, State::Left, "five minutes are enough");
    // And one that answers is back.
    let mut bench = Bench::new();
    bench.dial(2, "8000");
    let id = bench.id(2);
    bench.phones.remove(&2);
    bench.phone(2);
    bench.media(Heard::MediaTimeout { participant: id });
    assert_eq!(bench.site(id).state, State::Connected);
}

#[test]
fn a_site_that_calls_in_while_it_is_called_is_one_site() {
    for (what, manner) in [
        ("it rings there", Manner::Ring),
        ("nothing has come back", Manner::Silent),
        ("it has answered just now", Manner::Answer),
    ] {
        let mut bench = Bench::new();
        bench.phone(3);
        bench.call_out(3);
        bench.phone(2).manner = manner;
        let sites = vec![Wanted {
            uri: "sip:site2@10.0.0.2".into(),
            name: Some("Xã Hòa Phú".into()),
            place: String::new(),
        }];
        let id =
            bench.ask(|answer| Request::Invite { conference: ConferenceId(1), sites, answer }).unwrap()[0].id;
        bench.wait(Duration::from_millis(100));
        bench.dial(2, "8000");
        bench.wait(SECOND);
        assert_eq!(bench.sites().len(), 2, "{what}");
        let site = bench.site(id);
        assert_eq!((site.state, site.name.as_str()), (State::Connected, "Xã Hòa Phú"), "{what}");
        assert_eq!(serde_word(site.direction), "In", "{what}");
        assert_eq!((bench.open_ports(), bench.focus.totals().calls), (2, 2), "{what}");
        bench.wait(SECOND * 60);
        assert_eq!(bench.site(id).state, State::Connected, "{what}: the other call's end disturbs nobody");
        let ended = bench.phone(2).events.iter().any(|e| matches!(e, Event::Ended { .. }));
        assert!(ended, "{what}: the other call was ended");
    }
}

#[test]
fn a_lost_site_that_calls_in_takes_its_seat() {
    let mut bench = Bench::new();
    let id = lost(&mut bench, Manner::Refuse(480, vec![]));
    bench.wait(SECOND * 3);
    bench.dial(2, "8000");
    assert_eq!((bench.sites().len(), bench.site(id).state), (1, State::Connected));
    let from = bench.now;
    bench.wait(SECOND * 120);
    assert!(bench.sent_at("INVITE", from).is_empty(), "no further try");
    // One that dialled in before, as well.
    let mut bench = Bench::new();
    bench.dial(2, "8000");
    let id = bench.id(2);
    bench.phones.remove(&2);
    bench.phone(2).unplugged = true;
    bench.media(Heard::MediaTimeout { participant: id });
    bench.phone(2).unplugged = false;
    bench.phone(2).manner = Manner::Silent;
    bench.dial(2, "8000");
    assert_eq!((bench.sites().len(), bench.site(id).state), (1, State::Connected));
}

#[test]
fn callers_that_are_not_the_one_who_is_called_stay_themselves() {
    let mut bench = Bench::new();
    bench.phone(2).manner = Manner::Ring;
    let id = bench.call_out(2);
    bench.dial(3, "8000");
    assert_eq!((bench.sites().len(), bench.site(id).state), (2, State::Ringing));
}

#[test]
fn early_media_changes_nothing_before_the_answer() {
    let mut bench = Bench::new();
    bench.phone(2).manner = Manner::Silent;
    let id = bench.call_out(2);
    bench.commands();
    // 183 with a description, by hand: our own phones do not do that.
    let invite = bench.sent("INVITE").to_owned();
    let copied = ["Via: ", "From: ", "To: ", "Call-ID: ", "CSeq: "];
    let mut text = String::from("SIP/2.0 183 Session Progress\r\n");
    for line in invite.lines().filter(|line| copied.iter().any(|name| line.starts_with(name))) {
        text.push_str(line);
        text.push_str(if line.starts_with("To: ") { ";tag=early\r\n" } else { "\r\n" });
    }
    let body =
        "v=0\r\no=- 1 1 IN IP4 10.0.0.2\r\ns=-\r\nc=IN IP4 10.0.0.2\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n";
    text.push_str(&format!(
        "Contact: <sip:site2@10.0.0.2>\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    let (local, remote) = (MCU.parse().unwrap(), "10.0.0.2:5060".parse().unwrap());
    let input = Input { transport: cau_sip::Transport::Udp, local, remote, bytes: text.as_bytes() };
    bench.focus.handle_input(bench.now, input);
    bench.settle();
    assert_eq!(bench.site(id).state, State::Ringing);
    assert!(bench.commands().is_empty());
}

#[test]
fn names_are_looked_up_and_every_address_is_tried() {
    let at = |text: &str| -> SocketAddr { text.parse().unwrap() };
    let mut bench = Bench::new();
    bench.names.insert("daklak.vn", Ok(vec![at("10.0.0.3:5060"), at("10.0.0.4:5060")]));
    bench.phone(3).manner = Manner::Refuse(503, vec![]);
    bench.phone(4);
    let id = bench.invite_uri("sip:hoaphu@daklak.vn").unwrap();
    assert_eq!(bench.site(id).state, State::Connected);
    assert!(bench.phone(4).call.is_some());
    assert!(bench.sent("INVITE sip:hoaphu@daklak.vn").contains("To: <sip:hoaphu@daklak.vn>"));
    for (name, found, words) in [
        ("nowhere.vn", Err(Unlocated::NoSuchName), "not in the DNS"),
        ("silent.vn", Err(Unlocated::NoAnswer), "does not answer"),
        ("empty.vn", Ok(vec![]), "not in the DNS"),
    ] {
        bench.names.insert(name, found);
        let id = bench.invite_uri(&format!("sip:a@{name}")).unwrap();
        // The pace of calls.
        bench.wait(SECOND);
        let site = bench.site(id);
        assert_eq!(site.state, State::Left);
        assert!(site.reason_en.as_deref().unwrap().contains(words), "{site:?}");
    }
}

#[test]
fn a_site_that_has_left_is_called_again_under_its_old_id() {
    let mut bench = Bench::new();
    bench.phone(2).manner = Manner::Refuse(486, vec![]);
    let id = bench.call_out(2);
    assert_eq!(bench.site(id).state, State::Left);
    bench.phone(2).manner = Manner::Answer;
    assert_eq!(bench.call_out(2), id);
    bench.wait(SECOND);
    assert_eq!((bench.site(id).state, bench.sites().len()), (State::Connected, 1));
    assert_eq!(bench.site(id).reason, None);
}

#[test]
fn a_conference_that_ends_ends_every_try() {
    let mut bench = Bench::new();
    bench.phone(2).manner = Manner::Ring;
    bench.call_out(2);
    let lost = lost_other(&mut bench);
    assert_eq!(bench.site(lost).state, State::Reconnecting);
    bench.ask(|answer| Request::End(ConferenceId(1), answer)).unwrap();
    let from = bench.now;
    bench.wait(SECOND * 120);
    assert!(bench.sent_at("INVITE", from + SECOND).is_empty());
    assert_eq!((bench.open_ports(), bench.focus.totals().calls), (0, 0));
    assert!(bench.kept.is_empty() && bench.rooms.is_empty());
}

fn lost_other(bench: &mut Bench) -> ParticipantId {
    bench.phone(5);
    let id = bench.call_out(5);
    bench.wait(SECOND);
    bench.phones.remove(&5);
    bench.phone(5).manner = Manner::Refuse(480, vec![]);
    bench.media(Heard::MediaTimeout { participant: id });
    id
}

#[test]
fn a_full_conference_takes_no_more_sites() {
    let mut bench = Bench::with(|config| config.max_per_conference = 2);
    for n in 2..5 {
        bench.phone(n);
    }
    bench.call_out(2);
    bench.call_out(3);
    let third = bench.invite_uri("sip:site4@10.0.0.4");
    assert!(matches!(third, Err(Error::Refused(Refusal::Conflict(_)))));
    assert_eq!(Uri::parse(b"sip:site4@10.0.0.4").unwrap().user(), "site4");
}
