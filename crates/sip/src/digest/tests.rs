//! Both sides together.
#![expect(clippy::disallowed_methods, reason = "a clock has to begin somewhere")]

use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

use super::*;
use crate::message::{Headers, Name, Uri};

const SECOND: Duration = Duration::from_secs(1);

fn from() -> IpAddr {
    "192.0.2.1".parse().unwrap()
}

fn uri() -> Uri {
    "sip:8000@mcu.example".parse().unwrap()
}

fn guard(accounts: &[(&str, Secret)]) -> Guard {
    let all = accounts.iter().map(|(n, s)| (n.to_string(), s.clone()));
    Guard::new(Config::new("mcu.example", Accounts::new(all).unwrap()), [3; 32])
}

fn password(text: &str) -> Secret {
    Secret::Password(text.to_owned())
}

fn credentials(user: &str, secret: Secret) -> Credentials {
    Credentials { realm: "mcu.example".to_owned(), user: user.to_owned(), secret }
}

fn asked(challenges: &[String]) -> Headers {
    let mut headers = Headers::new();
    for c in challenges {
        headers.push(Name::WwwAuthenticate, c.clone());
    }
    headers
}

/// What a client says to these challenges.
fn said(challenges: &[String], who: &Credentials) -> Headers {
    let mut headers = Headers::new();
    let find = |realm: &[u8]| (realm == who.realm.as_bytes()).then_some(who);
    let answered = Tried::default().answer(&asked(challenges), "INVITE", &uri().to_bytes(), "c0ffee", find);
    answered.expect("an answer").apply(&mut headers);
    headers
}

fn check(guard: &mut Guard, now: Instant, headers: &Headers) -> Verdict {
    guard.check(now, from(), "INVITE", &uri(), headers)
}

const ASK: Verdict = Verdict::Ask { stale: false, wrong: false, md5_only: false };
const STALE: Verdict = Verdict::Ask { stale: true, wrong: false, md5_only: false };
const WRONG: Verdict = Verdict::Ask { stale: false, wrong: true, md5_only: false };

#[test]
fn who_knows_the_password_comes_in_once_per_nonce_and_count() {
    let (now, mut it) = (Instant::now(), guard(&[("hoa-phu", password("Mật khẩu 1"))]));
    assert_eq!(check(&mut it, now, &Headers::new()), ASK);
    let challenges = it.challenge(now, false, false);
    assert!(challenges[0].contains("algorithm=SHA-256") && challenges[1].contains("algorithm=MD5"));
    let headers = said(&challenges, &credentials("hoa-phu", password("Mật khẩu 1")));
    assert!(headers.text(&Name::Authorization).unwrap().contains("algorithm=SHA-256"), "the best one");
    assert_eq!(check(&mut it, now, &headers), Verdict::Known("hoa-phu".into()));
    assert_eq!(check(&mut it, now, &headers), STALE, "a replay");
    let md5_only = said(&challenges[1..], &credentials("hoa-phu", password("Mật khẩu 1")));
    let stale = Verdict::Ask { stale: true, wrong: false, md5_only: true };
    assert_eq!(check(&mut it, now, &md5_only), stale, "the same nonce and count; MD5 is what it knows");
    let md5_only =
        said(&it.challenge(now, true, false)[1..], &credentials("hoa-phu", password("Mật khẩu 1")));
    assert_eq!(check(&mut it, now, &md5_only), Verdict::Known("hoa-phu".into()));
}

#[test]
fn wrong_passwords_and_strangers_are_told_the_same() {
    let (now, mut it) = (Instant::now(), guard(&[("hoa-phu", password("right"))]));
    for who in [credentials("hoa-phu", password("wrong")), credentials("nobody", password("right"))] {
        let headers = said(&it.challenge(now, false, false), &who);
        assert_eq!(check(&mut it, now, &headers), WRONG);
    }
}

#[test]
fn an_old_nonce_is_stale_only_with_the_right_password() {
    let (now, mut it) = (Instant::now(), guard(&[("a", password("right"))]));
    let challenges = it.challenge(now, false, false);
    let later = now + 301 * SECOND;
    assert_eq!(check(&mut it, later, &said(&challenges, &credentials("a", password("right")))), STALE);
    assert_eq!(check(&mut it, later, &said(&challenges, &credentials("a", password("wrong")))), WRONG);
}

#[test]
fn who_guesses_has_to_wait_and_others_need_not() {
    let (now, mut it) = (Instant::now(), guard(&[("a", password("right")), ("b", password("right"))]));
    for _ in 0..10 {
        let headers = said(&it.challenge(now, false, false), &credentials("a", password("wrong")));
        assert_eq!(check(&mut it, now, &headers), WRONG);
    }
    let a =
        |it: &mut Guard, now| said(&it.challenge(now, false, false), &credentials("a", password("right")));
    let headers = a(&mut it, now);
    assert_eq!(check(&mut it, now, &headers), Verdict::Barred);
    let elsewhere = "192.0.2.7".parse().unwrap();
    assert_eq!(it.check(now, elsewhere, "INVITE", &uri(), &headers), Verdict::Known("a".into()));
    let b = said(&it.challenge(now, false, false), &credentials("b", password("right")));
    assert_eq!(check(&mut it, now, &b), Verdict::Known("b".into()));
    let later = now + 61 * SECOND;
    let headers = a(&mut it, later);
    assert_eq!(check(&mut it, later, &headers), Verdict::Known("a".into()));
}

#[test]
fn hashes_serve_in_place_of_passwords() {
    let ha1 = password("right").ha1(Algorithm::Md5, "a", b"mcu.example").unwrap();
    let (now, mut it) = (Instant::now(), guard(&[("a", Secret::Ha1(vec![(Algorithm::Md5, ha1)]))]));
    let challenges = it.challenge(now, false, false);
    assert_eq!(challenges.len(), 1, "nobody is asked for what cannot be checked");
    assert_eq!(
        check(&mut it, now, &said(&challenges, &credentials("a", password("right")))),
        Verdict::Known("a".into())
    );
}

#[test]
fn credentials_for_something_else_do_not_count() {
    let (now, mut it) = (Instant::now(), guard(&[("a", password("right"))]));
    let who = credentials("a", password("right"));
    let headers = said(&it.challenge(now, false, false), &who);
    let other: Uri = "sip:8001@mcu.example".parse().unwrap();
    assert_eq!(it.check(now, from(), "INVITE", &other, &headers), Verdict::Malformed);
    assert_eq!(it.check(now, from(), "REGISTER", &uri(), &headers), WRONG);
    let text = headers.text(&Name::Authorization).unwrap();
    let changed = |old: &str, new: &str| {
        let mut headers = Headers::new();
        headers.push(Name::Authorization, text.replace(old, new));
        headers
    };
    assert_eq!(check(&mut it, now, &changed("realm=\"mcu.example\"", "realm=\"other\"")), ASK);
    assert_eq!(check(&mut it, now, &changed("qop=auth, ", "")), ASK);
    assert_eq!(check(&mut it, now, &changed("algorithm=SHA-256", "algorithm=SHA-512-256")), ASK);
    assert_eq!(check(&mut it, now, &changed("nc=00000001", "nc=1")), ASK);
    assert_eq!(check(&mut it, now, &changed("nc=00000001", "nc=00000002")), WRONG);
    assert_eq!(check(&mut it, now, &changed("username=\"a\"", "username=\"a")), Verdict::Malformed);
    let mut basic = Headers::new();
    basic.push(Name::Authorization, "Basic YTpyaWdodA==");
    assert_eq!(check(&mut it, now, &basic), ASK);
}

#[test]
fn the_client_gives_up_when_it_is_not_believed() {
    let who = credentials("a", password("x"));
    let find = |realm: &[u8]| (realm == b"mcu.example").then_some(&who);
    let ask = |nonce: &str, more: &str| {
        asked(&[format!("Digest realm=\"mcu.example\", nonce=\"{nonce}\", qop=\"auth\"{more}")])
    };
    let mut tried = Tried::default();
    let mut answer = |headers: &Headers| tried.answer(headers, "BYE", b"sip:a@h", "c", find).is_some();
    assert!(answer(&ask("1", "")));
    assert!(!answer(&ask("2", "")), "said once is enough");
    assert!(answer(&ask("3", ", stale=true")));
    assert!(answer(&ask("4", ", stale=true")));
    assert!(answer(&ask("5", ", stale=true")));
    assert!(!answer(&ask("6", ", stale=true")), "four rounds are enough");
}

#[test]
fn the_client_answers_old_and_new_servers_and_nobody_elses_realm() {
    let who = credentials("Mufasa", password("Circle Of Life"));
    let find = |realm: &[u8]| (realm == b"mcu.example").then_some(&who);
    let answer = |challenge: &str| {
        let answered =
            Tried::default().answer(&asked(&[challenge.to_owned()]), "INVITE", b"sip:a@h", "c", find);
        answered.map(|a| a.0[0].2.clone())
    };
    let old = answer("Digest realm=\"mcu.example\", nonce=\"n\", opaque=\"o\"").unwrap();
    assert!(!old.contains("qop") && !old.contains("algorithm") && old.contains("opaque=\"o\""), "{old}");
    let session =
        answer("Digest realm=\"mcu.example\", nonce=\"n\", qop=\"auth-int,auth\", algorithm=MD5-sess")
            .unwrap();
    assert!(session.contains("qop=auth, nc=00000001") && session.contains("algorithm=MD5-sess"), "{session}");
    for never in [
        "Digest realm=\"evil\", nonce=\"n\"",
        "Digest realm=\"mcu.example\", nonce=\"n\", qop=\"auth-int\"",
        "Digest realm=\"mcu.example\", nonce=\"n\", algorithm=NEW-1",
        "Digest realm=\"mcu.example\"",
        "Basic realm=\"mcu.example\"",
    ] {
        assert_eq!(answer(never), None, "{never}");
    }
}

#[test]
fn several_proxies_each_get_their_answer() {
    let one = Credentials { realm: "one".into(), ..credentials("a", password("x")) };
    let two = Credentials { realm: "two".into(), ..credentials("b", password("y")) };
    let find = |realm: &[u8]| [&one, &two].into_iter().find(|c| c.realm.as_bytes() == realm);
    let ask = |realm: &str, nonce: &str| {
        let mut headers = Headers::new();
        headers.push(Name::ProxyAuthenticate, format!("Digest realm=\"{realm}\", nonce=\"{nonce}\""));
        headers
    };
    let (mut tried, mut headers) = (Tried::default(), Headers::new());
    let mut go = |realm, nonce, headers: &mut Headers| {
        let answered = tried.answer(&ask(realm, nonce), "INVITE", b"sip:a@h", "c", find);
        answered.map(|a| a.apply(headers)).is_some()
    };
    assert!(go("one", "1", &mut headers) && go("two", "2", &mut headers));
    assert_eq!(headers.count(&Name::ProxyAuthorization), 2);
    assert!(!go("one", "3", &mut headers));
}
