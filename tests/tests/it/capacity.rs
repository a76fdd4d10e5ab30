//! A full machine: new calls are refused in words, and nobody who is there hears or sees anything of it.

use std::time::{Duration, Instant};

use cau_load::{Codec, Persona, PhoneId, State};
use cau_tests::{
    Server,
    phones::{fleet, plan, wait_until_all_see},
};
use serde_json::json;

#[test]
fn over_capacity_new_calls_get_503_with_the_reason_and_the_meeting_goes_on_whole() {
    // One per cent of a core is what six sites need in any case.
    let mut server =
        Server::start_with(&[("CAU_CAPACITY__REFUSE", "true"), ("CAU_CAPACITY__SOUND_BUSY_PERCENT", "1")]);
    let conference = server.conference("9000", json!({ "layout": "grid" }));
    let mut fleet = fleet();
    let here: Vec<PhoneId> =
        (0..6).map(|id| fleet.call(plan(&server, "9000", id, Codec::Pcma, Persona::default()))).collect();
    wait_until_all_see(&fleet, &here, &[0, 1, 2, 3, 4, 5], Duration::from_secs(30));

    let deadline = Instant::now() + Duration::from_secs(20);
    let refused = loop {
        let caller = fleet.call(plan(&server, "9000", 6, Codec::Pcma, Persona::default()));
        let state = fleet.wait(Duration::from_secs(5), |r| {
            let state = &r[&caller].state;
            (!matches!(state, State::Idle | State::Calling)).then(|| state.clone())
        });
        match state.expect("an answer") {
            State::Refused(status, reason) => break (status, reason),
            _ => fleet.hang_up(caller),
        }
        assert!(Instant::now() < deadline, "never refused: {}", server.log());
        std::thread::sleep(Duration::from_millis(500));
    };
    assert_eq!(refused.0, 503, "{refused:?}");

    let sound = |fleet: &cau_load::Fleet| {
        let of = |p: &PhoneId, r: &cau_load::Records| (r[p].stats.audio.packets, r[p].stats.audio.lost);
        fleet.look(|r| here.iter().map(|p| of(p, r)).collect::<Vec<_>>())
    };
    let before = sound(&fleet);
    std::thread::sleep(Duration::from_secs(5));
    for (then, now) in before.into_iter().zip(sound(&fleet)) {
        // Figures come once a second: four to six seconds of them.
        assert!(now.0 - then.0 >= 195 && now.1 == then.1, "sound stays whole: {then:?} {now:?}");
    }
    assert_eq!(server.api.connected(&conference).len(), 6);
    assert!(fleet.look(|r| here.iter().all(|p| r[p].state == State::Connected)));
    server.assert_well();
}
