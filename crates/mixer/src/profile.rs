//! Which encoding suits a receiver: a short ladder of sizes, frame rates and bitrates, so that many receivers share one.

use crate::command::{Config, VideoLeg};

/// Sizes from large to small with the bitrate below which the next smaller one looks better, kbit/s.
///
/// All are 16:9 as near as even numbers allow. 848×480 is the largest that fits level 3.0 (1,620 macroblocks),
/// 512×288 level 2.1 (792), 320×180 level 1.1 (396), 160×90 level 1 (99).
const LADDER: [(u32, u32, u32); 7] = [
    (1920, 1080, 2500),
    (1280, 720, 700),
    (848, 480, 384),
    (640, 360, 256),
    (512, 288, 160),
    (320, 180, 96),
    (160, 90, 0),
];

/// Bitrates an encoder is run at, kbit/s.
const STEPS: [u32; 17] =
    [48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1280, 1536, 1792, 2048, 2560, 3072, 4096];

/// What those take on a line, headers included, kbit/s: below the lowest there is no picture.
#[expect(
    clippy::indexing_slicing,
    reason = "counted when the program is compiled: a wrong index would not compile"
)]
pub const LINES: [u32; STEPS.len()] = {
    let mut lines = STEPS;
    let mut i = 0;
    while i < lines.len() {
        lines[i] = (lines[i] * 100).div_ceil(PAYLOAD_PERCENT);
        i += 1;
    }
    lines
};

/// Share of a line's bitrate that H.264 may fill; the rest is for RTP, UDP and IP headers.
const PAYLOAD_PERCENT: u32 = 92;

/// What a view is encoded as. Equal profiles of one scene share one encoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Profile {
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Pictures per second.
    pub fps: u32,
    /// kbit/s.
    pub kbps: u32,
}

impl Profile {
    /// The best that the receiver's decoder, its line of `line` kbit/s and our own settings allow. Something is always chosen: a receiver
    /// whose limits fit nothing gets the smallest.
    pub fn choose(leg: &VideoLeg, line: u32, config: &Config) -> Self {
        let line = u64::from(line) * u64::from(PAYLOAD_PERCENT) / 100;
        let line = u32::try_from(line).unwrap_or(u32::MAX);
        let kbps = config.max_kbps.min(leg.limits.max_kbps).min(line);
        let kbps = STEPS.iter().rev().copied().find(|s| *s <= kbps).unwrap_or(STEPS[0]);
        let fits = |fps: u32| {
            LADDER.iter().copied().find(|&(w, h, least)| {
                let size = macroblocks(w, h);
                kbps >= least
                    && w <= config.max_canvas.0
                    && h <= config.max_canvas.1
                    && size <= leg.limits.max_fs
                    && size * fps <= leg.limits.max_mbps
            })
        };
        // 25 pictures/s for the sake of a larger size, fewer only when nothing else fits.
        let of = |fps: u32| {
            let fps = fps.min(config.max_fps.max(1));
            fits(fps).map(|(width, height, _)| Self { width, height, fps, kbps })
        };
        [30, 25]
            .into_iter()
            .filter_map(of)
            .max_by_key(|p| (p.width, p.fps))
            .or_else(|| of(15))
            .unwrap_or(Self { width: 160, height: 90, fps: 15.min(config.max_fps.max(1)), kbps })
    }
}

impl Profile {
    /// What it takes on a line, headers included, kbit/s.
    pub fn line_kbps(&self) -> u32 {
        self.kbps.saturating_mul(100).div_ceil(PAYLOAD_PERCENT)
    }
}

/// Macroblocks (16×16 pixels) of one picture.
pub fn macroblocks(width: u32, height: u32) -> u32 {
    width.div_ceil(16) * height.div_ceil(16)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::command::{Feedback, Limits, Mode, Stream, Tools};

    fn leg(max_fs: u32, max_mbps: u32, max_kbps: u32, line: Option<u32>) -> VideoLeg {
        let any = "127.0.0.1:9".parse().unwrap();
        VideoLeg {
            stream: Stream {
                remote: any,
                remote_rtcp: any,
                peer: any.ip(),
                rtcp_mux: false,
                send: true,
                recv: true,
            },
            pt_send: 96,
            mode: Mode::NonInterleaved,
            limits: Limits { max_fs, max_mbps, max_kbps },
            tools: Tools::Baseline,
            pt_recv: vec![(96, Mode::NonInterleaved)],
            feedback: Feedback::default(),
            rtx: None,
            max_kbps: line,
        }
    }

    fn choose(leg: &VideoLeg) -> (u32, u32, u32, u32) {
        let p = Profile::choose(leg, leg.max_kbps.unwrap_or(u32::MAX), &Config::new(Arc::new(|| {})));
        (p.width, p.height, p.fps, p.kbps)
    }

    #[test]
    fn level_3_1_gets_720p30_and_a_larger_one_no_more_than_we_are_set_to() {
        assert_eq!(choose(&leg(3600, 108_000, 14_000, None)), (1280, 720, 30, 1536));
        assert_eq!(choose(&leg(8192, 245_760, 20_000, None)), (1280, 720, 30, 1536));
    }

    #[test]
    fn full_hd_when_it_is_configured_and_the_line_carries_it() {
        let mut config = Config::new(Arc::new(|| {}));
        config.max_canvas = (1920, 1080);
        config.max_kbps = 4096;
        let p = Profile::choose(&leg(8192, 245_760, 20_000, None), u32::MAX, &config);
        assert_eq!((p.width, p.height, p.fps, p.kbps), (1920, 1080, 30, 4096));
        let p = Profile::choose(&leg(8192, 245_760, 20_000, None), 2000, &config);
        assert_eq!((p.width, p.height, p.fps, p.kbps), (1280, 720, 30, 1792));
    }

    #[test]
    fn small_devices_get_what_they_can_decode() {
        assert_eq!(choose(&leg(1620, 40_500, 10_000, None)), (848, 480, 25, 1536), "level 3.0");
        assert_eq!(choose(&leg(396, 11_880, 768, None)), (320, 180, 30, 768), "level 1.3, CIF");
        assert_eq!(choose(&leg(99, 1_485, 64, None)), (160, 90, 15, 64), "level 1.0");
        assert_eq!(choose(&leg(3600, 54_000, 14_000, None)).0, 848, "not 720p15");
        assert_eq!(choose(&leg(1, 1, 1, None)), (160, 90, 15, 48), "nonsense");
    }

    #[test]
    fn a_thin_line_gets_a_smaller_picture_rather_than_a_coarse_one() {
        assert_eq!(choose(&leg(3600, 108_000, 14_000, Some(512))), (848, 480, 30, 384));
        assert_eq!(choose(&leg(3600, 108_000, 14_000, Some(128))), (320, 180, 30, 96));
    }
}
