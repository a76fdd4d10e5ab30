//! Links with other MCUs: slots without a seat, the programme of a master.

use super::*;
use crate::ornament::Clock;

/// Two sites, the trunk of a link to the master (3), a slot (4).
fn linked(layout: &str) -> Meeting {
    let mut meeting = Meeting::new(layout, 2);
    for (n, slot) in [(3, None), (4, Some(0))] {
        meeting.join_as(n, &format!("Link {n}"), Some(Link { path: String::new(), slot, up: true }));
    }
    meeting
}

fn programme(meeting: &mut Meeting, participant: Option<u64>, seized: bool) {
    meeting.done(Command::Programme { participant: participant.map(p), seized });
}

fn looks(meeting: &Meeting, n: u64) -> bool {
    meeting.conference.scenes().iter().any(|(_, viewers)| viewers.contains(&p(n)))
}

#[test]
fn a_slot_has_no_seat_and_sees_what_is_laid_out_for_it() {
    let mut meeting = linked("grid");
    assert_eq!(meeting.sees(1), [1, 2, 3]);
    assert!(!looks(&meeting, 4));
    assert_eq!(meeting.conference.snapshot().connected, 3);
    let settings = Settings { clock: Some(Clock::default()), ..meeting.conference.settings().clone() };
    meeting.done(Command::Settings(settings));
    meeting.layout("full", &[(0, 2)], Some(&[4])).unwrap();
    assert_eq!(meeting.scene_of(4).single(), Some(p(2)), "with nothing written over it");
    assert!(!meeting.scene_of(1).ornaments.is_empty());
    meeting.done(Command::ClearLayout(vec![p(4)]));
    assert!(!looks(&meeting, 4));
}

#[test]
fn a_slot_is_seen_as_the_speaker() {
    let mut meeting = linked("1+5");
    assert!(!meeting.sees(1).contains(&4));
    meeting.done(Command::SetSpeaker(Some(p(4))));
    assert_eq!(meeting.sees(1)[0], 4);
    meeting.done(Command::SetSpeaker(None));
    meeting.speaks(2);
    assert!(!meeting.sees(1).contains(&4), "{:?}", meeting.sees(1));
}

#[test]
fn everybody_follows_the_programme_but_who_has_a_layout_of_his_own() {
    let mut meeting = linked("grid");
    programme(&mut meeting, Some(3), false);
    assert_eq!((meeting.sees(1), meeting.sees(2)), (vec![3], vec![3]));
    assert_eq!(meeting.scene_of(1).single(), Some(p(3)));
    meeting.layout("full", &[(0, 2)], Some(&[1])).unwrap();
    assert_eq!(meeting.sees(1), [2]);
    programme(&mut meeting, Some(3), true);
    assert_eq!(meeting.sees(1), [3], "the floor is the master's");
    programme(&mut meeting, Some(3), false);
    assert_eq!(meeting.sees(1), [2]);
    meeting.leave(3);
    assert_eq!((meeting.sees(1), meeting.sees(2)), (vec![2], vec![1, 2]));
}

#[test]
fn the_master_sees_who_speaks_here_and_never_itself() {
    for follows in [false, true] {
        let mut meeting = linked("grid");
        if follows {
            programme(&mut meeting, Some(3), false);
        }
        meeting.speaks(1);
        assert_eq!(meeting.sees(3), [1]);
        meeting.speaks(2);
        assert_eq!(meeting.sees(3), [2]);
        meeting.speaks(3);
        assert_eq!(meeting.sees(3), [2], "somebody above has the word");
    }
}
