//! Who was refused at the door: counted, and told now and then.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use cau_conference::{Body, Notice};
use cau_control::Sample;
use cau_drive::Clock;
use cau_model::Words;

/// The same reason is told again after so long.
const GAP: Duration = Duration::from_secs(10);

/// Takes what is to be told; must not block.
pub type Tell = Arc<dyn Fn(Notice) + Send + Sync>;

/// Counts and tells. Cheap to clone.
#[derive(Clone)]
pub struct Refusals(Arc<Inner>);

struct Inner {
    tell: Tell,
    reasons: Mutex<HashMap<&'static str, (u64, Option<Instant>)>>,
}

impl Refusals {
    /// Tells by `tell`.
    pub fn new(tell: Tell) -> Self {
        Self(Arc::new(Inner { tell, reasons: Mutex::default() }))
    }

    /// Somebody was refused.
    pub fn tell(&self, peer: SocketAddr, reason: &'static str) {
        let now = Clock::now();
        {
            let mut reasons = self.0.reasons.lock().unwrap_or_else(PoisonError::into_inner);
            let (count, told) = reasons.entry(reason).or_default();
            *count += 1;
            if told.is_some_and(|at| now.saturating_duration_since(at) < GAP) {
                return;
            }
            *told = Some(now);
        }
        let (vi, en) = words(reason);
        tracing::warn!(%peer, reason, "a link was refused");
        alarm(
            &self.0.tell,
            "link-refused",
            Words::new(format!("{}: {vi}.", peer.ip()), format!("{}: {en}.", peer.ip())),
        );
    }

    /// How often somebody was refused for this reason.
    #[cfg(test)]
    pub fn count(&self, reason: &str) -> u64 {
        self.0
            .reasons
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(reason)
            .map_or(0, |(count, _)| *count)
    }

    /// Figures for `/metrics`.
    pub fn samples(&self) -> Vec<Sample> {
        let reasons = self.0.reasons.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<Sample> = reasons
            .iter()
            .map(|(reason, (count, _))| {
                let help = "Enrolments and links refused at the door, by reason.";
                Sample::new("cau_cascade_refused_total", help, *count as f64).label("reason", *reason)
            })
            .collect();
        all.sort_by(|a, b| a.labels.cmp(&b.labels));
        all
    }
}

/// Tells an alarm of the cascade.
pub fn alarm(tell: &Tell, code: &'static str, words: Words) {
    tell(Notice { conference: None, body: Body::Alarm { participant: None, code, words } });
}

/// A reason for people.
pub fn words(reason: &str) -> (&'static str, &'static str) {
    match reason {
        "token" => {
            ("mã ghi danh sai, hết hạn hoặc đã dùng", "the enrolment token is wrong, expired or spent")
        }
        "request" => ("yêu cầu ghi danh không đọc được", "the enrolment request cannot be read"),
        "certificate" => (
            "chứng thư không do MCU này cấp hoặc hết hạn",
            "the certificate was not issued by this MCU, or has expired",
        ),
        "no-certificate" => ("không có chứng thư", "there is no certificate"),
        "revoked" => ("chứng thư đã bị thu hồi", "the certificate is revoked"),
        "wrong-path" => (
            "đường dẫn trong chứng thư không phải của đường nối",
            "the path in the certificate is not that of the link",
        ),
        "not-a-cascade" => ("MCU này không nhận MCU cấp dưới", "this MCU takes no slaves"),
        _ => ("không phải lời gọi của giao thức nối tầng", "not what the cascade's protocol asks for"),
    }
}
