//! What a site's stream is, measured: whether it can be passed on to a receiver as it is.

use std::time::{Duration, Instant};

use cau_rtp::h264::{
    Unit,
    nal::{self, SliceHead},
    pps::Pps,
    sps::Sps,
};

use crate::command::{Limits, Tools};

/// Length of one measurement.
const WINDOW: Duration = Duration::from_secs(1);
/// Measurements before something is said, and that are looked at.
const WINDOWS: usize = 2;
/// A receiver that gets the stream already keeps it while the rate is at most this many per cent of its limit.
const STAY_PERCENT: u32 = 115;

/// The stream of one site.
#[derive(Debug, Default)]
pub struct Traits {
    begun: Option<Instant>,
    current: Sum,
    past: [Option<Sum>; WINDOWS],
    tools: Option<Tools>,
    /// Macroblocks of a picture.
    macroblocks: u32,
    /// Pictures that are not in order, fields, flexible or arbitrary order: few receivers take that.
    odd: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    bytes: usize,
    units: u32,
    largest_nal: usize,
}

/// A receiver, as far as it matters here.
#[derive(Clone, Copy, Debug)]
pub struct Wants {
    /// What its decoder takes.
    pub limits: Limits,
    /// Which tools its decoder knows.
    pub tools: Tools,
    /// What its line takes, kbit/s.
    pub max_kbps: u32,
    /// Largest NAL unit it takes in one packet, when it takes no fragments (packetization mode 0).
    pub max_nal: Option<usize>,
}

impl Traits {
    /// Looks at a picture.
    pub fn insert(&mut self, unit: &Unit) {
        let begun = *self.begun.get_or_insert(unit.arrived);
        let age = unit.arrived.saturating_duration_since(begun);
        if age >= WINDOW * 3 {
            // A pause: what was measured before says nothing.
            *self = Self {
                begun: Some(unit.arrived),
                tools: self.tools,
                macroblocks: self.macroblocks,
                odd: self.odd,
                ..Self::default()
            };
        } else if age >= WINDOW {
            self.past = [Some(std::mem::take(&mut self.current)), self.past[0]];
            self.begun = Some(begun + WINDOW);
        }
        self.current.bytes += unit.len();
        self.current.units += 1;
        let largest = unit.nals.iter().map(|n| n.len()).max().unwrap_or(0);
        self.current.largest_nal = self.current.largest_nal.max(largest);
        if unit.key {
            self.learn(unit);
        } else if self.tools == Some(Tools::Baseline) {
            self.odd |= out_of_order(unit);
        }
    }

    fn learn(&mut self, unit: &Unit) {
        let kind = |n: &&bytes::Bytes, k| nal::kind_of(n) == Some(k);
        let sps = unit.nals.iter().filter(|n| kind(n, nal::kind::SPS)).find_map(|n| Sps::parse(n).ok());
        let Some(sps) = sps else { return };
        let pps = unit.nals.iter().filter(|n| kind(n, nal::kind::PPS)).filter_map(|n| Pps::parse(n));
        let (mut transform, mut fmo) = (false, false);
        for p in pps {
            transform |= p.transform_8x8;
            fmo |= p.slice_groups > 1;
        }
        self.macroblocks = sps.macroblocks();
        self.tools = Some(match sps.profile {
            66 => Tools::Baseline,
            77 if !transform => Tools::Main,
            // High with nothing of it is main; main without CABAC may still weigh predictions.
            _ => Tools::High,
        });
        // Baseline has no B pictures; the others may say that they have none.
        let ordered = sps.reorder_depth() == Some(0);
        self.odd =
            fmo || sps.interlaced || !ordered || sps.chroma != 1 || sps.bit_depth != 8 || out_of_order(unit);
    }

    /// Whether `wants` can get the stream as it is. `gets`: it does already, which makes small excesses of the rate no reason to leave.
    pub fn suits(&self, wants: &Wants, gets: bool) -> bool {
        let Some(tools) = self.tools else { return false };
        let Some(past) = self.past.iter().copied().collect::<Option<Vec<Sum>>>() else { return false };
        let bytes: usize = past.iter().map(|s| s.bytes).sum();
        let seconds = (WINDOW * WINDOWS as u32).as_millis() as usize;
        let kbps = u32::try_from(bytes * 8 / seconds).unwrap_or(u32::MAX);
        let line = u64::from(wants.max_kbps.min(wants.limits.max_kbps))
            * u64::from(if gets { STAY_PERCENT } else { 100 })
            / 100;
        let fps = past.iter().map(|s| s.units).sum::<u32>().div_ceil(WINDOWS as u32);
        let largest = past.iter().map(|s| s.largest_nal).max().unwrap_or(0).max(self.current.largest_nal);
        !self.odd
            && tools <= wants.tools
            && self.macroblocks <= wants.limits.max_fs
            // Counting pictures by the second is off by one.
            && self.macroblocks * fps.saturating_sub(1) <= wants.limits.max_mbps
            && u64::from(kbps) <= line
            && wants.max_nal.is_none_or(|most| largest <= most)
    }
}

/// Slices that do not stand in order (ASO): few decoders take them.
fn out_of_order(unit: &Unit) -> bool {
    let mut last = None;
    unit.nals.iter().filter_map(|n| SliceHead::parse(n)).any(|head| {
        let before = last.replace(head.first_mb);
        before.is_some_and(|b| head.first_mb <= b)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use cau_codec::video::{Canvas, encode};

    fn wants() -> Wants {
        let limits = Limits { max_fs: 3600, max_mbps: 108_000, max_kbps: 14_000 };
        Wants { limits, tools: Tools::Baseline, max_kbps: 2_000, max_nal: None }
    }

    /// 2.5 s of a real stream of this size and rate.
    fn measured(width: u32, height: u32, max_nal: Option<usize>, pad: usize) -> Traits {
        let mut settings = encode::Settings::new(width, height, 30, 800);
        settings.max_nal_bytes = max_nal;
        let mut encoder = encode::new(encode::Kind::default(), settings).unwrap();
        let picture = Canvas::new(width, height).unwrap().freeze();
        #[expect(clippy::disallowed_methods, reason = "an arbitrary origin of virtual time")]
        let start = Instant::now();
        let mut traits = Traits::default();
        for i in 0..76u32 {
            let encoded = encoder.encode(&picture, i64::from(i) * 3000, i % 30 == 0).unwrap();
            let arrived = start + Duration::from_micros(33_333) * i;
            let mut nals = encoded.nals.clone();
            if pad > 0 {
                nals.push(Bytes::from([vec![0x0c], vec![0xff; pad]].concat()));
            }
            traits.insert(&Unit {
                nals,
                timestamp: i * 3000,
                key: encoded.key,
                recovery: false,
                damaged: false,
                first: arrived,
                arrived,
                ssrc: 1,
                csrc: None,
            });
        }
        traits
    }

    #[test]
    fn a_plain_720p30_suits_who_can_take_it_and_nobody_else() {
        let hd = measured(1280, 720, None, 0);
        assert!(hd.suits(&wants(), false));
        let small = Limits { max_fs: 1620, max_mbps: 40_500, max_kbps: 10_000 };
        assert!(!hd.suits(&Wants { limits: small, ..wants() }, false), "level 3.0");
        assert!(measured(640, 352, None, 0).suits(&Wants { limits: small, ..wants() }, false));
        let slow = Limits { max_mbps: 54_000, ..wants().limits };
        assert!(!hd.suits(&Wants { limits: slow, ..wants() }, false), "15 pictures a second at most");
    }

    #[test]
    fn the_rate_must_fit_the_line_but_small_excesses_do_not_throw_a_receiver_out() {
        let fat = measured(640, 352, None, 8_700);
        assert!(!fat.suits(&wants(), false), "2.1 Mbit/s");
        assert!(fat.suits(&wants(), true));
        assert!(!fat.suits(&Wants { max_kbps: 1_500, ..wants() }, true));
        assert!(fat.suits(&Wants { max_kbps: 3_000, ..wants() }, false));
    }

    #[test]
    fn mode_0_only_when_every_nal_unit_fits_one_packet() {
        assert!(measured(640, 352, Some(1_200), 0).suits(&Wants { max_nal: Some(1_200), ..wants() }, false));
        assert!(!measured(640, 352, None, 1_300).suits(&Wants { max_nal: Some(1_200), ..wants() }, false));
    }

    #[test]
    fn nothing_is_said_before_two_seconds_are_measured() {
        assert!(!Traits::default().suits(&wants(), false));
    }
}
