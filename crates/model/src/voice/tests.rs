use super::*;

const TIMES: Times = Times { candidate_ms: 800, hold_ms: 2_000 };
const A: ParticipantId = ParticipantId(1);
const B: ParticipantId = ParticipantId(2);
const C: ParticipantId = ParticipantId(3);

/// A virtual clock in ms, and everybody's speech as on a time line.
struct Table {
    start: Instant,
    switch: Switch,
}

impl Table {
    fn new() -> Table {
        // The only Instant there is to be had without a clock would be none; tests may take one.
        #[allow(clippy::disallowed_methods)]
        Table { start: Instant::now(), switch: Switch::default() }
    }

    fn at(&self, ms: u64) -> Instant {
        self.start + Duration::from_millis(ms)
    }

    fn hear(&mut self, ms: u64, who: ParticipantId, speaking: bool) {
        self.run_until(ms);
        let now = self.at(ms);
        self.switch.hear(now, who, speaking);
        self.switch.evaluate(now, TIMES);
    }

    /// Serves every time-out before `ms`.
    fn run_until(&mut self, ms: u64) {
        let end = self.at(ms);
        for _ in 0..100 {
            match self.switch.poll_timeout(TIMES) {
                Some(due) if due <= end => {
                    self.switch.evaluate(due, TIMES);
                }
                _ => break,
            }
        }
        self.switch.evaluate(end, TIMES);
    }

    fn speaker(&mut self, ms: u64) -> Option<ParticipantId> {
        self.run_until(ms);
        self.switch.current()
    }
}

#[test]
fn a_cough_moves_nothing_and_speech_does() {
    let mut table = Table::new();
    table.hear(0, A, true);
    table.hear(300, A, false);
    assert_eq!(table.speaker(5_000), None);
    table.hear(6_000, A, true);
    assert_eq!(table.speaker(6_799), None);
    assert_eq!(table.speaker(6_800), Some(A));
}

#[test]
fn pauses_for_breath_belong_to_the_speech() {
    let mut table = Table::new();
    table.hear(0, A, true);
    table.hear(400, A, false);
    table.hear(600, A, true);
    assert_eq!(table.speaker(800), Some(A));
}

#[test]
fn the_speaker_is_held_before_another_takes_over() {
    let mut table = Table::new();
    table.hear(0, A, true);
    table.hear(900, A, false); // speaker since 800: held until 2,800
    table.hear(1_000, B, true); // a candidate from 1,800 on
    assert_eq!(table.speaker(2_799), Some(A));
    assert_eq!(table.speaker(2_800), Some(B));
}

#[test]
fn double_talk_keeps_the_speaker_as_long_as_he_speaks() {
    let mut table = Table::new();
    table.hear(0, A, true);
    table.hear(1_000, B, true);
    assert_eq!(table.speaker(60_000), Some(A));
    table.hear(60_000, A, false);
    assert_eq!(table.speaker(60_299), Some(A));
    assert_eq!(table.speaker(60_300), Some(B));
}

#[test]
fn of_two_candidates_the_first_to_begin_wins() {
    let mut table = Table::new();
    table.hear(0, A, true);
    table.hear(1_000, C, true);
    table.hear(1_100, B, true);
    table.hear(5_000, A, false);
    assert_eq!(table.speaker(6_000), Some(C));
}

#[test]
fn a_speaker_who_left_frees_the_floor_at_once() {
    let mut table = Table::new();
    table.hear(0, A, true);
    assert_eq!(table.speaker(900), Some(A));
    table.hear(1_000, B, true);
    table.switch.forget(A);
    assert_eq!(table.switch.current(), None);
    assert_eq!(table.speaker(1_800), Some(B));
}

#[test]
fn silence_moves_nothing() {
    let mut table = Table::new();
    table.hear(0, A, true);
    table.hear(2_000, A, false);
    assert_eq!(table.speaker(600_000), Some(A));
    assert_eq!(table.switch.poll_timeout(TIMES), None);
}

#[test]
fn times_out_of_range_are_refused() {
    assert!(Times::default().checked().is_ok());
    assert!(Times { candidate_ms: 0, ..TIMES }.checked().is_err());
    assert!(Times { hold_ms: 60_001, ..TIMES }.checked().is_err());
}
