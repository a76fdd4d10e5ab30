//! What a load run found, as JSON, as words and as a page.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{
    plan::PhoneId,
    plot,
    record::{Record, Records, State},
    studio::Stats,
};

/// The whole report.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Whom the phones called.
    pub target: String,
    /// Seconds since 1970.
    pub started: u64,
    /// Phones.
    pub endpoints: u32,
    /// Calls begun per second.
    pub rate: f64,
    /// Seconds from the first call to the end.
    pub seconds: f64,
    /// The figures that matter.
    pub summary: Summary,
    /// The target's CPU and memory, once a second.
    pub process: Vec<Sample>,
    /// One row per phone.
    pub phones: Vec<Phone>,
}

/// One second of the target.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Sample {
    /// Seconds since the first call.
    pub t: f64,
    /// Calls standing.
    pub connected: usize,
    /// Cores the target used in this second.
    pub cpu: Option<f64>,
    /// Its memory, MB.
    pub rss_mb: Option<f64>,
    /// Cores the phones used.
    pub own_cpu: f64,
    /// Packets all phones have received so far.
    pub packets: u64,
    /// Packets that were lost on the way to them so far.
    pub lost: i64,
    /// How late the phones themselves were at most, ms; 0: less than 10. What was measured in such a second is no better than this.
    pub late_ms: f64,
}

/// Over all phones.
#[derive(Debug, Default, Serialize)]
pub struct Summary {
    /// Phones whose call stood to the end.
    pub well: u32,
    /// Phones whose call was refused, dropped or never answered.
    pub failed: u32,
    /// Why, and how often.
    pub failures: BTreeMap<String, u32>,
    /// INVITE → 180, ms.
    pub ringing_ms: Spread,
    /// INVITE → 200, ms.
    pub answered_ms: Spread,
    /// INVITE → first packet of sound, ms.
    pub first_sound_ms: Spread,
    /// INVITE → first decodable picture, ms.
    pub first_picture_ms: Spread,
    /// Pictures per second received.
    pub fps: Spread,
    /// Longest stretch without a new picture, ms.
    pub longest_gap_ms: Spread,
    /// Stretches of more than 500 ms without a new picture, after the first one.
    pub freezes: u64,
    /// Pictures with parts missing.
    pub damaged: u64,
    /// Share of the time in which the picture stood for more than 200 ms, or was hurt for so long, per cent.
    pub stood_percent: Spread,
    /// Share of the sound that had to be made up, of endpoints that play it, per cent.
    pub made_up_percent: Spread,
    /// Longest stretch without sound, ms.
    pub longest_sound_gap_ms: Spread,
    /// Stretches of more than 60 ms without sound.
    pub sound_gaps: u64,
    /// Packets lost on the way to the phones, and packets received.
    pub lost: i64,
    /// Packets received.
    pub packets: u64,
    /// From a picture's leaving to its coming, ms: of endpoints with an identity of their own, as decoding ones see them.
    pub picture_delay_ms: Spread,
    /// The same of sound, ms, the codecs' own delay at both ends left out.
    pub sound_delay_ms: Spread,
    /// How much later than its sound a picture comes, ms; negative: earlier.
    pub lips_ms: Spread,
    /// Received by each endpoint, kbit/s of payload: sound, pictures.
    pub sound_kbps: Spread,
    /// Pictures.
    pub picture_kbps: Spread,
    /// Limits of the phones' rates that the target set (TMMBR).
    pub limits: u64,
    /// Key frames the target asked the phones for, and they it.
    pub key_frames_asked: (u64, u64),
    /// Seconds in which the phones themselves were late by 10 ms or more.
    pub late_seconds: usize,
    /// Cores the phones used.
    pub own_cpu: Spread,
    /// Pictures decoded and judged.
    pub judged: u64,
    /// Tiles seen in them, and those whose bar could not be read.
    pub tiles: (u64, u64),
    /// The target's CPU, cores, and memory, MB.
    pub cpu: Spread,
    /// The target's memory, MB.
    pub rss_mb: Spread,
}

/// How values spread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Spread {
    /// How many.
    pub n: usize,
    /// Smallest.
    pub min: f64,
    /// Median.
    pub p50: f64,
    /// 95 of 100 are below.
    pub p95: f64,
    /// 99 of 100 are below.
    pub p99: f64,
    /// Largest.
    pub max: f64,
}

impl Spread {
    /// Of these values; all zero when there are none.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = values.into_iter().filter(|v| v.is_finite()).collect();
        sorted.sort_by(f64::total_cmp);
        let Some(last) = sorted.len().checked_sub(1) else { return Self::default() };
        let at = |part: f64| round(sorted[(part * last as f64).round() as usize]);
        Self { n: sorted.len(), min: at(0.0), p50: at(0.5), p95: at(0.95), p99: at(0.99), max: at(1.0) }
    }
}

fn round(v: f64) -> f64 {
    (v * 100.0).round() / 100.0
}

/// One phone.
#[derive(Debug, Serialize)]
pub struct Phone {
    /// Which.
    pub phone: PhoneId,
    /// How its call stands.
    pub state: State,
    /// INVITE → 200, ms.
    pub answered_ms: Option<f64>,
    /// INVITE → first decodable picture, ms.
    pub first_picture_ms: Option<f64>,
    /// Its figures.
    #[serde(flatten)]
    pub stats: Stats,
}

impl Summary {
    /// Of these phones; `video`: pictures were agreed on.
    pub fn of(records: &Records, process: &[Sample]) -> Self {
        let all = || records.values();
        let times = |then: &dyn Fn(&Record) -> Option<std::time::Instant>| {
            Spread::of(all().filter_map(|r| r.since_invite(then(r))))
        };
        let mut failures = BTreeMap::new();
        for record in all() {
            if let Some(why) = failure(&record.state) {
                *failures.entry(why).or_insert(0) += 1;
            }
        }
        let failed = failures.values().sum();
        let seen = || all().filter(|r| r.stats.pictures > 0);
        let heard = || all().filter(|r| r.stats.audio.packets > 0);
        Self {
            well: records.len() as u32 - failed,
            failed,
            failures,
            ringing_ms: times(&|r| r.ringing),
            answered_ms: times(&|r| r.answered),
            first_sound_ms: times(&|r| r.stats.audio.first_packet),
            first_picture_ms: times(&|r| r.stats.first_decodable),
            fps: Spread::of(seen().map(|r| r.stats.fps)),
            longest_gap_ms: Spread::of(seen().map(|r| r.stats.longest_gap_ms)),
            freezes: all().map(|r| r.stats.freezes).sum(),
            damaged: all().map(|r| r.stats.damaged).sum(),
            stood_percent: Spread::of(seen().map(|r| percent(r.stats.stood_ms, r.stats.watched_ms))),
            made_up_percent: Spread::of(
                heard()
                    .filter(|r| r.stats.played > 0)
                    .map(|r| percent(r.stats.made_up as f64, r.stats.played as f64)),
            ),
            longest_sound_gap_ms: Spread::of(heard().map(|r| r.stats.longest_sound_gap_ms)),
            sound_gaps: all().map(|r| r.stats.sound_gaps).sum(),
            lost: all().map(|r| r.stats.audio.lost + r.stats.video.lost).sum(),
            packets: all().map(|r| r.stats.audio.packets + r.stats.video.packets).sum(),
            picture_delay_ms: delays(records, |d| &d.picture_ms),
            sound_delay_ms: delays(records, |d| &d.sound_ms),
            lips_ms: delays(records, |d| &d.lips_ms),
            sound_kbps: Spread::of(heard().filter_map(|r| kbps(&r.stats.audio))),
            picture_kbps: Spread::of(seen().filter_map(|r| kbps(&r.stats.video))),
            limits: all().map(|r| r.stats.limits).sum(),
            key_frames_asked: all().fold((0, 0), |(a, b), r| (a + r.stats.asked, b + r.stats.asks)),
            late_seconds: process.iter().filter(|s| s.late_ms > 0.0).count(),
            own_cpu: Spread::of(process.iter().map(|s| s.own_cpu)),
            judged: all().map(|r| r.sight.pictures).sum(),
            tiles: all().fold((0, 0), |(a, b), r| (a + r.sight.tiles.0, b + r.sight.tiles.1)),
            cpu: Spread::of(process.iter().filter_map(|s| s.cpu)),
            rss_mb: Spread::of(process.iter().filter_map(|s| s.rss_mb)),
        }
    }

    /// In words, for a terminal.
    pub fn words(&self) -> String {
        let mut text = format!("calls: {} well, {} failed\n", self.well, self.failed);
        for (why, count) in &self.failures {
            text += &format!("  {count} × {why}\n");
        }
        let mut line = |what: &str, s: &Spread, unit: &str| {
            if s.n > 0 {
                text += &format!(
                    "{what:<34} median {:>8} {unit}, 95 % {:>8}, worst {:>8}\n",
                    s.p50, s.p95, s.max
                );
            }
        };
        line("INVITE → 200", &self.answered_ms, "ms");
        line("INVITE → first sound", &self.first_sound_ms, "ms");
        line("INVITE → first decodable picture", &self.first_picture_ms, "ms");
        line("longest gap between pictures", &self.longest_gap_ms, "ms");
        line("picture stands (over 200 ms)", &self.stood_percent, "%");
        line("sound made up", &self.made_up_percent, "%");
        line("longest gap of sound", &self.longest_sound_gap_ms, "ms");
        line("picture, from leaving to coming", &self.picture_delay_ms, "ms");
        line("sound, from leaving to coming", &self.sound_delay_ms, "ms");
        line("picture later than its sound", &self.lips_ms, "ms");
        line("received per endpoint: pictures", &self.picture_kbps, "kbit/s");
        line("CPU of the phones", &self.own_cpu, "cores");
        line("CPU of the target", &self.cpu, "cores");
        line("memory of the target", &self.rss_mb, "MB");
        if self.fps.n > 0 {
            text += &format!("pictures per second: median {}, slowest {}\n", self.fps.p50, self.fps.min);
        }
        text += &format!(
            "freezes over 500 ms: {}, pictures with parts missing: {}\n",
            self.freezes, self.damaged
        );
        text += &format!(
            "sound gaps over 60 ms: {}, packets lost: {} of {}\n",
            self.sound_gaps, self.lost, self.packets
        );
        if self.late_seconds > 0 {
            text += &format!(
                "in {} seconds the phones themselves were late by 10 ms or more: gaps and delays say little then\n",
                self.late_seconds
            );
        }
        if self.judged > 0 {
            text += &format!(
                "judged pictures: {}, tiles: {}, unreadable: {}\n",
                self.judged, self.tiles.0, self.tiles.1
            );
        }
        text
    }
}

fn delays(records: &Records, of: fn(&crate::Delays) -> &Vec<f32>) -> Spread {
    Spread::of(records.values().flat_map(|r| of(&r.sight.delays)).map(|ms| f64::from(*ms)))
}

/// Payload received over the time it came in.
fn kbps(line: &crate::Line) -> Option<f64> {
    let span = line.last_packet?.saturating_duration_since(line.first_packet?).as_secs_f64();
    (span > 1.0).then(|| round(line.octets as f64 * 8.0 / 1000.0 / span))
}

fn percent(part: f64, of: f64) -> f64 {
    if of > 0.0 { part / of * 100.0 } else { 0.0 }
}

fn failure(state: &State) -> Option<String> {
    match state {
        State::Refused(status, reason) => Some(format!("refused: {status} {reason}")),
        State::Dropped(why) => Some(format!("dropped: {why}")),
        State::Failed(why) => Some(format!("could not call: {why}")),
        State::Calling => Some("no answer".to_owned()),
        State::Idle => Some("not called".to_owned()),
        State::Connected | State::Done => None,
    }
}

impl Report {
    /// The rows of these phones.
    pub fn rows(records: &Records) -> Vec<Phone> {
        records
            .values()
            .map(|r| Phone {
                phone: r.phone,
                state: r.state.clone(),
                answered_ms: r.since_invite(r.answered).map(round),
                first_picture_ms: r.since_invite(r.stats.first_decodable).map(round),
                stats: r.stats.clone(),
            })
            .collect()
    }

    /// A page with the course of the run, without anything from elsewhere.
    pub fn page(&self) -> String {
        let course = |of: &dyn Fn(&Sample) -> Option<f64>| -> Vec<(f64, f64)> {
            self.process.iter().filter_map(|s| Some((s.t, of(s)?))).collect()
        };
        let per_second = |of: &dyn Fn(&Sample) -> f64| -> Vec<(f64, f64)> {
            let pairs = self.process.iter().zip(self.process.iter().skip(1));
            pairs.map(|(a, b)| (b.t, (of(b) - of(a)) / (b.t - a.t).max(0.1))).collect()
        };
        let of_phones = |of: &dyn Fn(&Phone) -> Option<f64>| -> Vec<(f64, f64)> {
            self.phones.iter().filter_map(|p| Some((0.0, of(p)?))).collect()
        };
        let plots = [
            plot::lines("Calls standing", "s", &[("", course(&|s| Some(s.connected as f64)))]),
            plot::lines(
                "CPU, cores",
                "s",
                &[("target", course(&|s| s.cpu)), ("phones", course(&|s| Some(s.own_cpu)))],
            ),
            plot::lines("Memory of the target, MB", "s", &[("", course(&|s| s.rss_mb))]),
            plot::lines(
                "Packets received by all phones, per second",
                "s",
                &[("", per_second(&|s| s.packets as f64))],
            ),
            plot::lines(
                "Trouble",
                "s",
                &[
                    ("packets lost, per second", per_second(&|s| s.lost as f64)),
                    ("phones late themselves, ms", course(&|s| Some(s.late_ms))),
                ],
            ),
            plot::spread(
                "Setting up",
                "ms from INVITE",
                &[
                    ("200", of_phones(&|p| p.answered_ms)),
                    ("first decodable picture", of_phones(&|p| p.first_picture_ms)),
                ],
            ),
            plot::spread(
                "Longest stretch without",
                "ms",
                &[
                    (
                        "a picture",
                        of_phones(&|p| Some(p.stats.longest_gap_ms).filter(|_| p.stats.pictures > 0)),
                    ),
                    ("sound", of_phones(&|p| Some(p.stats.longest_sound_gap_ms))),
                ],
            ),
            plot::spread(
                "Pictures per second at each phone",
                "1/s",
                &[("", of_phones(&|p| Some(p.stats.fps).filter(|_| p.stats.pictures > 0)))],
            ),
        ];
        format!(
            "<!doctype html><html lang=en><meta charset=utf-8><title>cau load</title><style>body{{font:15px sans-serif;margin:2em;\
             max-width:60em}}svg{{max-width:100%;height:auto;margin:.5em 0}}pre{{background:#f6f6f4;padding:1em;overflow:auto}}</style>\
             <h1>{} endpoints → {}</h1><p>{} calls begun per second, {:.0} s in all.</p><pre>{}</pre>{}</html>",
            self.endpoints,
            escape(&self.target),
            self.rate,
            self.seconds,
            escape(&self.summary.words()),
            plots.concat()
        )
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_by_rank() {
        let spread = Spread::of((1..=101).map(f64::from));
        assert_eq!(
            (spread.min, spread.p50, spread.p95, spread.p99, spread.max),
            (1.0, 51.0, 96.0, 100.0, 101.0)
        );
        assert_eq!(Spread::of([]), Spread::default());
    }

    #[test]
    fn failures_are_counted_by_cause_and_the_page_escapes_them() {
        let mut records = Records::new();
        let states = [
            State::Done,
            State::Refused(503, "No <ports>".into()),
            State::Refused(503, "No <ports>".into()),
            State::Calling,
        ];
        for (k, state) in (1..).zip(states) {
            let record = Record { state, ..Record::new(PhoneId(k), 0) };
            records.insert(PhoneId(k), record);
        }
        let summary = Summary::of(&records, &[]);
        assert_eq!((summary.well, summary.failed), (1, 3));
        assert_eq!(summary.failures["refused: 503 No <ports>"], 2);
        let report = Report {
            target: "sip:8000@127.0.0.1".into(),
            started: 0,
            endpoints: 4,
            rate: 1.0,
            seconds: 1.0,
            phones: Report::rows(&records),
            summary,
            process: Vec::new(),
        };
        assert!(report.page().contains("No &lt;ports&gt;"));
    }
}
