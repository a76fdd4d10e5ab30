//! What follows from how busy the machine is (docs/capacity.md).

use std::time::{Duration, Instant};

use cau_mixer::Command as Mix;
use cau_model::Words;

use super::Focus;
use crate::{capacity::Gauge, notice::Body};

impl Focus {
    /// The figures of a second; those of sound come with the reports of the mixers.
    pub(super) fn loaded(&mut self, now: Instant, media: f32, pictures: f32) {
        let late = self.mixers.values().map(|m| m.tick_late_us).max().unwrap_or_default();
        let gauge = Gauge {
            media,
            pictures,
            late: Duration::from_micros(u64::from(late)),
            left_out: self.mixers.values().map(|m| m.skipped_ticks).sum(),
        };
        let change = self.capacity.take(now, gauge);
        if let Some(fps) = change.fps {
            self.slow_pictures(fps, gauge);
        }
        if let Some(full) = change.full {
            self.tell_full(full, gauge);
        }
    }

    fn slow_pictures(&mut self, fps: u32, gauge: Gauge) {
        for id in self.rooms.keys().copied().collect::<Vec<_>>() {
            self.media.command(id, Mix::Cadence { conference: id, fps });
        }
        tracing::warn!(fps, ?gauge, "pictures per second of encoded views, by load");
        let (code, words) = if fps >= 30 {
            let vi = "hình ảnh trở lại tốc độ bình thường";
            ("pictures-normal", Words::new(vi, "pictures come at their usual rate again"))
        } else {
            let words = Words::new(
                format!("máy chủ bận: hình ghép giảm còn {fps} hình/giây, âm thanh giữ nguyên"),
                format!(
                    "the machine is busy: composed pictures come {fps} times a second, sound stays whole"
                ),
            );
            ("pictures-slowed", words)
        };
        self.notices.push(None, Body::Alarm { participant: None, code, words });
    }

    fn tell_full(&mut self, full: bool, gauge: Gauge) {
        tracing::warn!(full, ?gauge, "new calls are refused because of load, or taken again");
        let (code, words) = if full {
            let words = Words::new(
                format!(
                    "MCU quá tải ({:.0} % xử lý gói, âm thanh trễ {} ms): từ chối cuộc gọi mới (503)",
                    gauge.media * 100.0,
                    gauge.late.as_millis()
                ),
                format!(
                    "the MCU is overloaded (packets {:.0} % of a core, sound {} ms late): new calls are refused (503)",
                    gauge.media * 100.0,
                    gauge.late.as_millis()
                ),
            );
            ("overload", words)
        } else {
            ("overload-over", Words::new("MCU nhận cuộc gọi trở lại", "the MCU takes calls again"))
        };
        self.notices.push(None, Body::Alarm { participant: None, code, words });
    }
}
