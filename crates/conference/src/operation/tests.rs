//! On a virtual clock: every way through, and every way to fail.

use super::*;

const SITE: ParticipantId = ParticipantId(1);
const CHAIR: ParticipantId = ParticipantId(2);
const OTHER: ParticipantId = ParticipantId(3);
const UP: Fact = Fact::Connected { picture: true, sound: true };

struct Run {
    operation: Operation,
    now: Instant,
}

impl Run {
    fn new(viewers: &[ParticipantId]) -> Run {
        // Tests may take an instant; from there on time is virtual.
        #[allow(clippy::disallowed_methods)]
        let now = Instant::now();
        let ids = (OperationId(1), ConferenceId(1), SITE);
        let deadline = Duration::from_secs(30);
        Run { operation: Operation::new(now, ids, viewers.to_vec(), deadline, ("an", "cau")), now }
    }

    fn then(&mut self, ms: u64, fact: Fact) -> Vec<Wish> {
        self.now += Duration::from_millis(ms);
        self.operation.handle(self.now, &fact)
    }

    fn wait(&mut self, seconds: u64) -> Vec<Wish> {
        let end = self.now + Duration::from_secs(seconds);
        let mut wishes = Vec::new();
        while let Some(at) = self.operation.poll_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            wishes.extend(self.operation.handle_timeout(self.now));
        }
        self.now = end;
        wishes
    }

    fn state(&self) -> State {
        self.operation.snapshot(self.now).state
    }

    fn error(&self) -> String {
        self.operation.snapshot(self.now).error_en.unwrap_or_default()
    }

    fn shown(viewers: &[ParticipantId]) -> Run {
        let mut run = Run::new(viewers);
        assert_eq!(run.operation.begin(run.now, Some(UP)), [Wish::Prepare]);
        assert_eq!(run.then(20, Fact::KeyFrame), [Wish::LayOut]);
        assert_eq!(run.then(0, Fact::LaidOut), []);
        run
    }
}

#[test]
fn a_connected_site_is_brought_up_and_every_step_has_its_time() {
    let mut run = Run::shown(&[CHAIR]);
    assert_eq!(run.then(30, Fact::Heard), []);
    assert_eq!(run.then(50, Fact::Sent(CHAIR, true)), []);
    assert_eq!(run.state(), State::Running, "sent is not received");
    assert_eq!(run.then(400, Fact::Covered(CHAIR)), [Wish::Stop]);
    let done = run.operation.snapshot(run.now + Duration::from_secs(9));
    assert_eq!((done.state, done.elapsed_ms, done.error), (State::Done, 500, None));
    let steps: Vec<(Step, u64)> = done.steps.iter().map(|s| (s.name, s.at_ms)).collect();
    let want = [
        (Step::Find, 0),
        (Step::Dial, 0),
        (Step::Route, 0),
        (Step::Keyframe, 20),
        (Step::Layout, 20),
        (Step::Sound, 50),
        (Step::Picture, 100),
    ];
    assert_eq!(steps, want);
    assert_eq!(run.then(0, Fact::SiteGone(Words::new("", ""))), [], "what comes later changes nothing");
    assert_eq!(run.operation.poll_timeout(), None);
}

#[test]
fn a_site_that_is_not_there_is_called_first() {
    let mut run = Run::new(&[CHAIR]);
    assert_eq!(run.operation.begin(run.now, None), [Wish::Dial]);
    assert_eq!(run.then(3_000, UP), [Wish::Prepare]);
    assert_eq!(run.then(1, UP), [], "once");
    let mut run = Run::new(&[CHAIR]);
    run.operation.begin(run.now, None);
    assert_eq!(run.then(900, Fact::SiteGone(Words::new("bận", "busy"))), [Wish::Stop]);
    assert_eq!((run.state(), run.error().as_str()), (State::Failed, "dial: busy"));
}

#[test]
fn all_viewers_have_to_have_it() {
    let mut run = Run::shown(&[CHAIR, OTHER]);
    run.then(0, Fact::Heard);
    run.then(0, Fact::Sent(CHAIR, true));
    run.then(0, Fact::Covered(CHAIR));
    assert_eq!(run.state(), State::Running);
    run.then(0, Fact::Sent(OTHER, true));
    run.then(0, Fact::Hurt(OTHER));
    assert_eq!(run.state(), State::Running);
    assert_eq!(run.then(0, Fact::Covered(OTHER)), [Wish::Stop]);
    assert_eq!(run.state(), State::Done);
    // One who leaves is not waited for; when all have left there is nobody to see it.
    let mut run = Run::shown(&[CHAIR, OTHER]);
    run.then(0, Fact::Heard);
    run.then(0, Fact::Sent(CHAIR, true));
    run.then(0, Fact::Covered(CHAIR));
    run.then(0, Fact::ViewerGone(OTHER));
    assert_eq!(run.state(), State::Done);
    let mut run = Run::shown(&[CHAIR]);
    assert_eq!(run.then(0, Fact::ViewerGone(CHAIR)), [Wish::Stop, Wish::PutBack]);
    assert!(run.error().contains("nobody"));
}

#[test]
fn who_never_reports_leaves_it_unconfirmed_but_is_waited_for_a_while() {
    let mut run = Run::shown(&[CHAIR, OTHER]);
    run.then(0, Fact::Heard);
    run.then(0, Fact::Sent(CHAIR, false));
    run.then(0, Fact::Sent(OTHER, true));
    run.then(0, Fact::Covered(OTHER));
    assert_eq!(run.wait(11), []);
    assert_eq!(run.state(), State::Running);
    assert_eq!(run.wait(2), [Wish::Stop]);
    assert_eq!((run.state(), run.error().as_str()), (State::Unconfirmed, ""));
    // Its first report comes in time.
    let mut run = Run::shown(&[CHAIR]);
    run.then(0, Fact::Heard);
    run.then(0, Fact::Sent(CHAIR, false));
    run.wait(5);
    run.then(0, Fact::Covered(CHAIR));
    assert_eq!(run.state(), State::Done);
}

#[test]
fn what_is_missing_at_the_deadline_is_named_and_the_picture_put_back() {
    let failed = |facts: &[Fact], step: &str, back: bool| {
        let mut run = Run::new(&[CHAIR]);
        run.operation.begin(run.now, None);
        for fact in facts {
            run.then(10, fact.clone());
        }
        let wishes = run.wait(31);
        assert_eq!(run.state(), State::Failed, "{facts:?}");
        assert!(run.error().starts_with(step), "{facts:?}: {}", run.error());
        assert_eq!(wishes.contains(&Wish::PutBack), back, "{facts:?}");
        assert!(run.operation.snapshot(run.now).elapsed_ms >= 30_000);
    };
    failed(&[], "dial: the site could not be reached", false);
    failed(&[UP], "keyframe: no key frame", false);
    failed(&[UP, Fact::KeyFrame, Fact::LaidOut, Fact::Heard], "picture: receivers have not", true);
    failed(
        &[UP, Fact::KeyFrame, Fact::LaidOut, Fact::Sent(CHAIR, true), Fact::Covered(CHAIR)],
        "sound: no sound",
        true,
    );
    failed(
        &[UP, Fact::KeyFrame, Fact::LaidOut, Fact::Heard, Fact::Sent(CHAIR, true), Fact::Hurt(CHAIR)],
        "picture: receivers report lost",
        true,
    );
}

#[test]
fn a_site_without_picture_or_sound_cannot_be_brought_up() {
    for (picture, sound, words) in [(false, true, "no picture"), (true, false, "no sound")] {
        let mut run = Run::new(&[CHAIR]);
        assert_eq!(run.operation.begin(run.now, Some(Fact::Connected { picture, sound })), [Wish::Stop]);
        assert!(run.error().starts_with("route:") && run.error().contains(words), "{}", run.error());
    }
}

#[test]
fn a_later_command_wins_and_its_picture_stays() {
    let mut run = Run::shown(&[CHAIR]);
    let words = Words::new("bình đưa điểm khác lên", "binh brought up another site");
    assert_eq!(run.then(5, Fact::Superseded(words)), [Wish::Stop]);
    assert_eq!((run.state(), run.error().as_str()), (State::Failed, "picture: binh brought up another site"));
}

#[test]
fn a_site_that_drops_gives_the_old_picture_back() {
    let mut run = Run::shown(&[CHAIR]);
    let wishes = run.then(5, Fact::SiteGone(Words::new("mất", "lost")));
    assert_eq!(wishes, [Wish::Stop, Wish::PutBack]);
}
