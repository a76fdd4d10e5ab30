//! Bringing sites up, with the mixer's part played by the test.

use cau_mixer::Command as Mix;
use cau_mixer::event::{Event as Told, Progress};
use cau_model::participant::State;
use cau_model::snapshot::{Operation, OperationState, StepName};
use cau_model::{OperationId, Refusal, snapshot};

use super::bench::*;
use super::*;
use crate::notice::Body;
use crate::request::{Error, Order, Request};

const SECOND: Duration = Duration::from_secs(1);

/// Three sites in a grid; the chair is the first when `chair`.
fn meeting(chair: bool) -> (Bench, [ParticipantId; 3]) {
    let mut bench = Bench::new();
    for n in 2..5 {
        bench.dial(n, "8000");
    }
    if chair {
        let mut settings = bench.ask(|answer| Request::Settings(ConferenceId(1), answer)).unwrap();
        settings.chair = Some("Điểm cầu 2".into());
        bench
            .ask(|answer| Request::Change { id: ConferenceId(1), settings: Box::new(settings), answer })
            .unwrap();
    }
    bench.commands();
    let ids = [2, 3, 4].map(|n| bench.id(n));
    (bench, ids)
}

fn order(site: &str, viewers: Option<Vec<ParticipantId>>) -> Order {
    Order { site: site.into(), viewers, deadline: SECOND * 30, by: "an".into(), slot: None, tag: None }
}

fn begin(bench: &mut Bench, order: Order) -> Result<Operation, Error> {
    bench.ask(|answer| Request::BringUp { conference: ConferenceId(1), order: Box::new(order), answer })
}

fn tell(bench: &mut Bench, operation: OperationId, progress: Progress) {
    bench.media(Told::BringUp { operation: operation.0, progress });
}

fn look(bench: &mut Bench, id: OperationId) -> Operation {
    bench.ask(|answer| Request::Operation(id, answer)).unwrap()
}

fn steps(operation: &Operation) -> Vec<StepName> {
    operation.steps.iter().map(|step| step.name).collect()
}

fn layouts(bench: &mut Bench) -> Vec<snapshot::Scope> {
    bench.ask(|answer| Request::Conference(ConferenceId(1), answer)).unwrap().layouts
}

#[test]
fn the_chair_sees_the_site_and_the_site_the_chair_once_the_picture_is_there() {
    let (mut bench, [chair, site, _]) = meeting(true);
    let begun = begin(&mut bench, order(&site.to_string(), None)).unwrap();
    assert_eq!((begun.state, &begun.viewers), (OperationState::Running, &vec![chair]));
    assert_eq!(steps(&begun), [StepName::Find, StepName::Dial, StepName::Route]);
    let prepared = bench
        .commands()
        .into_iter()
        .any(|(_, c)| matches!(c, Mix::BringUp { site: s, viewers, .. } if s == site && viewers == [chair]));
    assert!(prepared && layouts(&mut bench).is_empty(), "the picture before stays");
    bench.wait(SECOND);
    tell(&mut bench, begun.id, Progress::KeyFrame);
    let scopes = layouts(&mut bench);
    let seen = |viewer| scopes.iter().find(|s| s.viewers == [viewer]).and_then(|s| s.seats[0].participant);
    assert_eq!((seen(chair), seen(site)), (Some(site), Some(chair)));
    tell(&mut bench, begun.id, Progress::Heard);
    tell(&mut bench, begun.id, Progress::Sent { viewer: chair, reports: true });
    assert_eq!(look(&mut bench, begun.id).state, OperationState::Running);
    tell(&mut bench, begun.id, Progress::Covered { viewer: chair });
    let done = look(&mut bench, begun.id);
    assert_eq!((done.state, done.elapsed_ms, done.error), (OperationState::Done, 1_000, None));
    let told: Vec<usize> = bench
        .notices
        .iter()
        .filter_map(|notice| match &notice.body {
            Body::Operation(operation) => Some(operation.steps.len()),
            _ => None,
        })
        .collect();
    assert_eq!(told, [3, 5, 6, 7, 7], "every step is told, and the end");
    assert!(bench.commands().iter().any(|(_, c)| matches!(c, Mix::EndBringUp { .. })));
}

/// What the cascade runs it tells of itself: here it is a part.
#[test]
fn what_is_part_of_the_cascades_is_told_as_a_part() {
    let (mut bench, [_, site, _]) = meeting(true);
    let tag = Some(OperationId(7));
    let begun = begin(&mut bench, Order { tag, ..order(&site.to_string(), None) }).unwrap();
    tell(&mut bench, begun.id, Progress::KeyFrame);
    let parts = |body: &Body| matches!(body, Body::Part(part) if part.id == begun.id);
    assert_eq!(bench.notices.iter().filter(|notice| parts(&notice.body)).count(), 2);
    assert!(!bench.notices.iter().any(|notice| matches!(notice.body, Body::Operation(_))));
}

#[test]
fn a_muted_site_is_opened_and_what_fails_is_put_back() {
    let (mut bench, [chair, site, other]) = meeting(true);
    let patch = cau_model::command::Patch { audio_muted: Some(true), ..Default::default() };
    let who = cau_model::command::Who::One(site);
    bench.ask(|answer| Request::Patch { conference: ConferenceId(1), who, patch, answer }).unwrap();
    let full = cau_model::command::SetLayout {
        seats: vec![(0, other)],
        viewers: Some(vec![chair]),
        ..cau_model::command::SetLayout::new("full".parse().unwrap())
    };
    bench.ask(|answer| Request::Layout { conference: ConferenceId(1), layout: full, answer }).unwrap();
    let before = layouts(&mut bench);
    let begun = begin(&mut bench, order("diem-cau-3", None)).unwrap();
    assert!(!bench.site(site).audio.muted);
    tell(&mut bench, begun.id, Progress::KeyFrame);
    assert_ne!(layouts(&mut bench), before);
    bench.wait(SECOND * 31);
    let failed = look(&mut bench, begun.id);
    assert_eq!(failed.state, OperationState::Failed);
    assert!(failed.error_en.as_deref().is_some_and(|e| e.starts_with("picture:")), "{failed:?}");
    assert_ne!(failed.error, failed.error_en);
    assert_eq!(layouts(&mut bench), before);
    assert!(bench.site(site).audio.muted);
}

#[test]
fn a_site_that_has_left_is_called_first_under_its_id() {
    let (mut bench, [chair, ..]) = meeting(true);
    bench.phone(7);
    let site = bench.call_out(7);
    bench.wait(SECOND);
    bench.hang_up(7);
    assert_eq!(bench.site(site).state, State::Left);
    let begun = begin(&mut bench, order(&site.to_string(), None)).unwrap();
    bench.wait(SECOND);
    assert_eq!(bench.site(site).state, State::Connected);
    let now = look(&mut bench, begun.id);
    assert_eq!(steps(&now), [StepName::Find, StepName::Dial, StepName::Route]);
    tell(&mut bench, begun.id, Progress::KeyFrame);
    tell(&mut bench, begun.id, Progress::Sent { viewer: chair, reports: false });
    tell(&mut bench, begun.id, Progress::Heard);
    bench.wait(SECOND * 13);
    assert_eq!(look(&mut bench, begun.id).state, OperationState::Unconfirmed);
    // One that does not take the call.
    bench.hang_up(7);
    bench.phone(7).manner = Manner::Refuse(486, vec![]);
    let begun = begin(&mut bench, order(&site.to_string(), None)).unwrap();
    bench.wait(SECOND);
    let failed = look(&mut bench, begun.id);
    assert_eq!(failed.error_en.as_deref(), Some("dial: the site is busy (486 Busy Here)"));
}

#[test]
fn the_last_command_wins() {
    let (mut bench, [chair, site, other]) = meeting(true);
    let first = begin(&mut bench, order(&site.to_string(), None)).unwrap();
    tell(&mut bench, first.id, Progress::KeyFrame);
    let second = begin(&mut bench, Order { by: "binh".into(), ..order(&other.to_string(), None) }).unwrap();
    let lost = look(&mut bench, first.id);
    assert_eq!(lost.state, OperationState::Failed);
    assert!(
        lost.error_en.as_deref().is_some_and(|e| e.contains("binh has brought up Điểm cầu 4")),
        "{lost:?}"
    );
    tell(&mut bench, second.id, Progress::KeyFrame);
    let scopes = layouts(&mut bench);
    let seen = scopes.iter().find(|s| s.viewers.contains(&chair)).and_then(|s| s.seats[0].participant);
    assert_eq!(seen, Some(other));
    // A late word about the first one changes nothing.
    tell(&mut bench, first.id, Progress::KeyFrame);
    assert_eq!(layouts(&mut bench), scopes);
    // And an operator's own layout wins as well.
    let grid = cau_model::command::SetLayout {
        seats: vec![],
        viewers: None,
        ..cau_model::command::SetLayout::new("grid".parse().unwrap())
    };
    bench.ask(|answer| Request::Layout { conference: ConferenceId(1), layout: grid, answer }).unwrap();
    assert_eq!(look(&mut bench, second.id).state, OperationState::Failed);
    assert!(layouts(&mut bench).is_empty());
    // For other screens two go on side by side.
    let one = begin(&mut bench, order(&site.to_string(), Some(vec![chair]))).unwrap();
    begin(&mut bench, order(&chair.to_string(), Some(vec![other]))).unwrap();
    assert_eq!(look(&mut bench, one.id).state, OperationState::Running);
}

#[test]
fn without_a_chair_everybody_sees_it() {
    let (mut bench, [one, site, three]) = meeting(false);
    let begun = begin(&mut bench, order(&site.to_string(), None)).unwrap();
    assert_eq!(begun.viewers, [one, three]);
    tell(&mut bench, begun.id, Progress::KeyFrame);
    let scopes = layouts(&mut bench);
    assert_eq!((scopes.len(), scopes[0].viewers.len(), scopes[0].seats[0].participant), (1, 2, Some(site)));
    // One leaves: it is not waited for.
    bench.hang_up(4);
    tell(&mut bench, begun.id, Progress::Heard);
    tell(&mut bench, begun.id, Progress::Sent { viewer: one, reports: true });
    tell(&mut bench, begun.id, Progress::Covered { viewer: one });
    assert_eq!(look(&mut bench, begun.id).state, OperationState::Done);
    // Where the layout follows the speaker, the site becomes the speaker.
    let layout = cau_model::command::SetLayout {
        seats: vec![],
        viewers: None,
        ..cau_model::command::SetLayout::new("full".parse().unwrap())
    };
    bench.ask(|answer| Request::Layout { conference: ConferenceId(1), layout, answer }).unwrap();
    let begun = begin(&mut bench, order(&one.to_string(), None)).unwrap();
    tell(&mut bench, begun.id, Progress::KeyFrame);
    let shown = bench.ask(|answer| Request::Conference(ConferenceId(1), answer)).unwrap();
    assert_eq!((shown.speaker, shown.layouts.len()), (Some(one), 0));
}

#[test]
fn a_site_that_drops_on_the_way_gives_the_picture_back() {
    let (mut bench, [_, site, _]) = meeting(true);
    let begun = begin(&mut bench, order(&site.to_string(), None)).unwrap();
    tell(&mut bench, begun.id, Progress::KeyFrame);
    bench.hang_up(3);
    let failed = look(&mut bench, begun.id);
    assert!(failed.error_en.as_deref().is_some_and(|e| e == "picture: the site hung up"), "{failed:?}");
    assert!(layouts(&mut bench).is_empty());
}

#[test]
fn what_makes_no_sense_is_refused_with_its_field() {
    let (mut bench, [chair, site, _]) = meeting(true);
    let refused = |bench: &mut Bench, order: Order| match begin(bench, order) {
        Err(Error::Refused(Refusal::Invalid { field, .. })) => field,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(&mut bench, order("nobody", None)), "site");
    assert_eq!(refused(&mut bench, order("dak-lak/hoa-phu", None)), "site");
    assert_eq!(refused(&mut bench, order(&site.to_string(), Some(vec![chair, site]))), "for[1]");
    assert_eq!(refused(&mut bench, order(&site.to_string(), Some(vec![ParticipantId(5)]))), "for[0]");
    assert_eq!(refused(&mut bench, order(&site.to_string(), Some(vec![]))), "for");
    assert_eq!(
        refused(&mut bench, Order { deadline: SECOND * 301, ..order(&site.to_string(), None) }),
        "deadline_s"
    );
    bench.hang_up(3);
    assert_eq!(refused(&mut bench, order(&site.to_string(), None)), "site", "it dialled in, and is gone");
    let unknown = bench.ask(|answer| Request::Operation(OperationId(77), answer));
    assert!(matches!(unknown, Err(Error::Refused(Refusal::NotFound(_)))));
    // The chair brought up is for everybody else.
    let begun = begin(&mut bench, order(&chair.to_string(), None)).unwrap();
    assert_eq!(begun.viewers.len(), 1);
}
