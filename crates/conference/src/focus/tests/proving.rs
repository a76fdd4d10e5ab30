//! Callers that never say ACK: no seat, no media, nobody's place; and not too many of them.

use cau_mixer::Command as Mix;
use cau_mixer::event::Statistics;
use cau_model::participant::State;
use cau_sip::Transport;

use super::bench::*;
use super::*;

const SECOND: Duration = Duration::from_secs(1);
const OFFER: &str =
    "v=0\r\no=- 1 1 IN IP4 10.0.0.9\r\ns=-\r\nc=IN IP4 10.0.0.9\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8\r\n";

/// An INVITE of somebody who says to be `user` at `ip`, and nothing after it.
fn invite(bench: &mut Bench, user: &str, ip: &str, call: usize) {
    let text = format!(
        "INVITE sip:8000@{MCU} SIP/2.0\r\nVia: SIP/2.0/UDP {ip}:5060;branch=z9hG4bK{user}{call}\r\nMax-Forwards: 70\r\n\
         From: <sip:{user}@{ip}>;tag={call}\r\nTo: <sip:8000@{MCU}>\r\nCall-ID: {user}-{call}\r\nCSeq: 1 INVITE\r\n\
         Contact: <sip:{user}@{ip}>\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{OFFER}",
        OFFER.len()
    );
    let (local, remote) = (MCU.parse().unwrap(), format!("{ip}:5060").parse().unwrap());
    let input = Input { transport: Transport::Udp, local, remote, bytes: text.as_bytes() };
    bench.focus.handle_input(bench.now, input);
    bench.settle();
}

fn statistics(bench: &mut Bench, participant: ParticipantId, rx_kbps: f32) {
    let statistics = Box::new(Statistics { rx_kbps, level_dbov: -60.0, ..Statistics::default() });
    bench.media(Mixed::Statistics { participant, statistics });
}

#[test]
fn who_never_says_ack_is_no_site_and_gets_no_media() {
    let mut bench = Bench::new();
    bench.commands();
    invite(&mut bench, "x", "10.0.0.9", 1);
    assert!(bench.sent("SIP/2.0 200").contains("m=audio 20004 "));
    assert_eq!((bench.sites().len(), bench.focus.totals().participants), (0, 0));
    let commands = bench.commands();
    assert!(!commands.iter().any(|(_, c)| matches!(c, Mix::Scenes { .. })), "nobody sees it");
    let legs = added(&commands);
    let audio = legs[0].2.audio.as_ref().unwrap();
    assert!(audio.stream.recv && !audio.stream.send, "it is listened for, and gets nothing");
    statistics(&mut bench, legs[0].1, 0.0);
    assert_eq!(bench.sites().len(), 0);
    bench.wait(SECOND * 40);
    assert_eq!((bench.focus.totals().calls, bench.open_ports(), bench.sites().len()), (0, 0, 0));
    assert_eq!(removed(&bench.commands()), [legs[0].1]);
    assert!(bench.notices.iter().all(|n| !matches!(n.body, crate::notice::Body::Participant { .. })));
}

#[test]
fn media_shows_as_well_that_a_caller_is_there() {
    let mut bench = Bench::new();
    invite(&mut bench, "x", "10.0.0.9", 1);
    bench.wait(SECOND);
    let commands = bench.commands();
    let id = added(&commands)[0].1;
    assert!(commands.iter().any(|(_, c)| matches!(c, Mix::Sound { muted: true, hidden: true, .. })));
    statistics(&mut bench, id, 64.0);
    let site = bench.sites().remove(0);
    assert_eq!((site.id, site.state), (id, State::Connected));
    let commands = bench.commands();
    assert!(updated(&commands)[0].audio.as_ref().unwrap().stream.send);
    assert!(commands.iter().any(|(_, c)| matches!(c, Mix::Sound { muted: false, hidden: false, .. })));
    // The dialog still needs its ACK (RFC 3261 13.3.1.4).
    bench.wait(SECOND * 40);
    assert_eq!((bench.sites()[0].state, bench.open_ports()), (State::Left, 0));
}

#[test]
fn of_one_address_two_hundred_and_fifty_six_callers_are_believed() {
    let mut bench = Bench::new();
    for call in 0..256 {
        invite(&mut bench, "x", "10.0.0.9", call);
    }
    assert_eq!(bench.focus.totals().calls, 256);
    invite(&mut bench, "x", "10.0.0.9", 256);
    let refused = bench.sent("SIP/2.0 503").to_owned();
    assert!(refused.contains("Retry-After: 5") && refused.contains("10.0.0.9 without ACK"), "{refused}");
    assert_eq!((bench.focus.totals().calls, bench.focus.totals().refused_unproven), (256, 1));
    // Others are not concerned.
    bench.dial(2, "8000");
    assert_eq!(bench.sites().len(), 1);
    bench.wait(SECOND * 40);
    assert_eq!(bench.focus.totals().calls, 1);
    invite(&mut bench, "x", "10.0.0.9", 257);
    assert_eq!(bench.focus.totals().calls, 2, "and the address is believed again");
}

#[test]
fn somebody_elses_name_on_an_invite_takes_no_seat_away() {
    let mut bench = Bench::new();
    let id = bench.call_out(2);
    bench.wait(SECOND);
    bench.commands();
    invite(&mut bench, "site2", "10.0.0.2", 1);
    bench.wait(SECOND * 40);
    assert_eq!((bench.sites().len(), bench.site(id).state), (1, State::Connected));
    assert!(!bench.phone(2).has_ended(), "its call stands");
    assert!(added(&bench.commands()).is_empty());
    assert_eq!((bench.focus.totals().calls, bench.open_ports()), (1, 1));
}

#[test]
fn a_site_whose_name_is_used_by_somebody_else_is_called_on() {
    let mut bench = Bench::new();
    bench.phone(2).manner = Manner::Ring;
    let id = bench.call_out(2);
    invite(&mut bench, "site2", "10.0.0.2", 1);
    assert_eq!(bench.site(id).state, State::Ringing);
    // Busy there, because it calls itself; but then it does not go through with it.
    let (now, call) = (bench.now, bench.phone(2).call.unwrap());
    bench.phone(2).sip.reject(now, call, 486, &[]).unwrap();
    bench.phone(2).manner = Manner::Answer;
    bench.settle();
    assert!(bench.site(id).state != State::Left, "its own call may come yet");
    bench.wait(SECOND * 60);
    assert_eq!((bench.site(id).state, bench.open_ports()), (State::Connected, 1));
}

#[test]
fn an_operator_who_hangs_up_ends_what_waits_for_its_ack_too() {
    let mut bench = Bench::new();
    let id = bench.call_out(2);
    invite(&mut bench, "site2", "10.0.0.2", 1);
    assert_eq!(bench.focus.totals().calls, 2);
    bench.ask(|answer| crate::request::Request::HangUp(ConferenceId(1), id, answer)).unwrap();
    bench.wait(SECOND * 40);
    assert_eq!((bench.site(id).state, bench.focus.totals().calls, bench.open_ports()), (State::Left, 0, 0));
}
