//! `/metrics` in the text format of Prometheus.

use std::fmt::Write as _;

use cau_conference::Totals;
use cau_mixer::event::{Dropped, Totals as MixerTotals};

/// One figure with its labels.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Name, `cau_…`; counters end in `_total`.
    pub name: &'static str,
    /// What it is, in one line.
    pub help: &'static str,
    /// Label names and values.
    pub labels: Vec<(&'static str, String)>,
    /// The value.
    pub value: f64,
}

impl Sample {
    /// A figure without labels.
    pub fn new(name: &'static str, help: &'static str, value: f64) -> Self {
        Self { name, help, labels: Vec::new(), value }
    }

    /// Adds a label.
    #[must_use]
    pub fn label(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.labels.push((name, value.into()));
        self
    }
}

/// The text; samples of one name must stand together.
pub(crate) fn render(samples: &[Sample]) -> String {
    let mut out = String::new();
    let mut last = "";
    for s in samples {
        if s.name != last {
            let kind = if s.name.ends_with("_total") { "counter" } else { "gauge" };
            let _ = writeln!(out, "# HELP {} {}\n# TYPE {} {kind}", s.name, s.help, s.name);
            last = s.name;
        }
        let _ = write!(out, "{}", s.name);
        for (i, (name, value)) in s.labels.iter().enumerate() {
            let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _ = write!(out, "{}{name}=\"{value}\"", if i == 0 { '{' } else { ',' });
        }
        let _ = writeln!(out, "{} {}", if s.labels.is_empty() { "" } else { "}" }, s.value);
    }
    out
}

/// The figures of focus, SIP and mixers.
pub(crate) fn of_totals(t: &Totals) -> Vec<Sample> {
    let mut out = vec![
        Sample::new("cau_conferences", "Conferences open now.", t.conferences as f64),
        Sample::new("cau_calls", "Calls now, those being set up included.", t.calls as f64),
        Sample::new("cau_participants", "Participants in a conference now.", t.participants as f64),
        Sample::new("cau_draining", "1 while the program is ending.", f64::from(u8::from(t.draining))),
        Sample::new("cau_calls_accepted_total", "Calls let in.", t.accepted as f64),
        Sample::new(
            "cau_overloaded",
            "1 while new calls are refused because the machine is too busy.",
            f64::from(u8::from(t.overloaded)),
        ),
        Sample::new(
            "cau_view_fps",
            "Pictures per second of encoded views at most, by load.",
            f64::from(t.fps),
        ),
        Sample::new(
            "cau_sound_late_seconds",
            "How late a tick of sound was at most in the last second.",
            t.mixer.iter().map(|m| f64::from(m.tick_late_us)).fold(0.0, f64::max) / 1e6,
        ),
    ];
    out.push(Sample::new("cau_calls_dialled_total", "Calls that went out.", t.dialled as f64));
    out.push(Sample::new(
        "cau_calls_dial_failed_total",
        "Tries to call out that failed.",
        t.dial_failed as f64,
    ));
    out.push(Sample::new(
        "cau_calls_resumed_total",
        "Calls that went on after a restart of the program.",
        t.resumed as f64,
    ));
    for (reason, n) in [
        ("room", t.refused_room),
        ("media", t.refused_media),
        ("full", t.refused_full),
        ("unconfirmed", t.refused_unproven),
        ("link-token", t.refused_link),
        ("overload", t.refused_overload),
        ("draining", t.refused_draining),
    ] {
        out.push(
            Sample::new("cau_calls_refused_total", "Calls refused, by reason.", n as f64)
                .label("reason", reason),
        );
    }
    out.push(Sample::new(
        "cau_notices_lost_total",
        "Notices lost because nobody took them.",
        t.lost_notices as f64,
    ));
    let s = &t.sip;
    for (kind, n) in [
        ("request-in", s.requests),
        ("response-in", s.responses),
        ("out", s.sent),
        ("retransmitted-out", s.retransmitted),
        ("repeated-in", s.repeated),
        ("keep-alive-in", s.keep_alives),
        ("large-by-udp-out", s.fallbacks),
    ] {
        out.push(
            Sample::new("cau_sip_messages_total", "SIP messages, by kind.", n as f64).label("kind", kind),
        );
    }
    out.push(Sample::new(
        "cau_sip_dialogs",
        "SIP calls now, those included that are being ended.",
        t.dialogs as f64,
    ));
    out.push(Sample::new(
        "cau_sip_transactions",
        "SIP transactions now, the finished ones included that wait for repetitions.",
        t.transactions as f64,
    ));
    out.push(Sample::new(
        "cau_sip_transactions_timed_out_total",
        "SIP transactions that ended without an answer.",
        s.timeouts as f64,
    ));
    out.push(Sample::new(
        "cau_sip_sessions_expired_total",
        "Calls ended because nobody refreshed their session.",
        s.expired_sessions as f64,
    ));
    for (reason, n) in s.dropped() {
        out.push(
            Sample::new(
                "cau_sip_dropped_total",
                "SIP messages and connections dropped or refused, by reason.",
                n as f64,
            )
            .label("reason", reason),
        );
    }
    for (kind, n) in [
        ("challenged", s.challenged),
        ("wrong", s.wrong_credentials),
        ("barred", s.barred),
        ("answered", s.answered_challenges),
    ] {
        out.push(
            Sample::new(
                "cau_sip_credentials_total",
                "Requests with or without credentials, by what became of them.",
                n as f64,
            )
            .label("kind", kind),
        );
    }
    out.push(Sample::new("cau_sip_notifies_total", "NOTIFYs sent.", s.notifies as f64));
    out.push(Sample::new("cau_sip_devices", "Devices at our registrar now.", t.devices as f64));
    out.push(Sample::new(
        "cau_sip_subscriptions",
        "Subscriptions to conferences now.",
        t.subscriptions as f64,
    ));
    for registration in &t.registrations {
        let up = f64::from(u8::from(registration.state == "registered"));
        out.push(
            Sample::new(
                "cau_sip_registration",
                "1 while the MCU is registered elsewhere under this address.",
                up,
            )
            .label("address", registration.address.clone())
            .label("state", registration.state),
        );
    }
    let sum = |f: fn(&MixerTotals) -> u64| t.mixer.iter().map(f).sum::<u64>() as f64;
    for (kind, n) in [
        ("video-decoder", sum(|m| m.decoders.into())),
        ("video-encoder", sum(|m| m.encoders.into())),
        ("catch-up-encoder", sum(|m| m.catch_up.into())),
        ("audio-encoder", sum(|m| m.audio_encoders.into())),
    ] {
        out.push(Sample::new("cau_codecs", "Codecs running now, by kind.", n).label("kind", kind));
    }
    out.push(Sample::new("cau_rtp_packets_in_total", "RTP packets taken.", sum(|m| m.packets_in)));
    out.push(Sample::new("cau_rtp_packets_out_total", "RTP packets sent.", sum(|m| m.packets_out)));
    out.push(Sample::new(
        "cau_rtp_packets_repeated_total",
        "RTP packets sent again on request.",
        sum(|m| m.repeated),
    ));
    out.push(Sample::new(
        "cau_rtp_packets_copies_total",
        "RTP packets sent twice or three times because the line loses packets: the copies.",
        sum(|m| m.copies),
    ));
    out.push(Sample::new(
        "cau_rtp_packets_asked_again_total",
        "RTP packets asked for again.",
        sum(|m| m.asked_again),
    ));
    for (reason, n) in [
        ("malformed", sum(|m| m.dropped_malformed)),
        ("payload-type", sum(|m| m.dropped_payload_type)),
        ("unexpected", sum(|m| m.dropped_unexpected)),
        ("source", sum(|m| m.dropped_source)),
        ("loop", sum(|m| m.dropped_loop)),
    ]
    .into_iter()
    .chain(behind_the_edge(&t.mixer))
    {
        out.push(
            Sample::new(
                "cau_rtp_dropped_total",
                "RTP and RTCP packets, or parts of them, dropped, by reason.",
                n,
            )
            .label("reason", reason),
        );
    }
    for (reason, n) in [
        ("decoder-behind", sum(|m| m.dropped_decode)),
        ("compose-behind", sum(|m| m.skipped_compose)),
        ("encoder-behind", sum(|m| m.skipped_encode)),
        ("lagged", sum(|m| m.lagged)),
        ("stranded", sum(|m| m.stranded)),
        ("sound-tick", sum(|m| m.skipped_ticks)),
        ("codec-error", sum(|m| m.codec_errors)),
    ] {
        out.push(
            Sample::new("cau_media_skipped_total", "Pictures and ticks left out, by reason.", n)
                .label("reason", reason),
        );
    }
    out
}

/// What sessions, jitter buffers and the assembly of pictures dropped.
fn behind_the_edge(mixers: &[MixerTotals]) -> Vec<(&'static str, f64)> {
    let mut all = Dropped::default();
    mixers.iter().for_each(|m| all += m.dropped);
    all.causes().map(|(reason, n)| (reason, n as f64)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_become_lines_with_one_head_per_name() {
        let text = render(&[
            Sample::new("cau_calls", "Calls now.", 3.0),
            Sample::new("cau_x_total", "X.", 1.0).label("why", "a\"b"),
            Sample::new("cau_x_total", "X.", 2.0).label("why", "c").label("z", "d"),
        ]);
        assert_eq!(
            text,
            "# HELP cau_calls Calls now.\n# TYPE cau_calls gauge\ncau_calls 3\n# HELP cau_x_total X.\n\
             # TYPE cau_x_total counter\ncau_x_total{why=\"a\\\"b\"} 1\ncau_x_total{why=\"c\",z=\"d\"} 2\n"
        );
    }

    #[test]
    fn names_stand_together() {
        let samples = of_totals(&Totals::default());
        let mut names: Vec<_> = samples.iter().map(|s| s.name).collect();
        names.dedup();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
    }
}
