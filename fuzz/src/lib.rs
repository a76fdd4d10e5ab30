//! What the fuzz targets do with their input, and what must hold whatever it is.
//!
//! No input may panic, run for ever or take more memory than its target is [allowed](Target::limit); what is written can be read; what
//! was begun comes to its end.
#![allow(
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a panic is what is looked for; the clock gives a zero only"
)]

mod cascade;
#[cfg(feature = "codec")]
mod codec;
mod media;
mod memory;
mod sip;

pub use cascade::Middle;
pub use media::{Line, Stream};
pub use memory::{bounded, used};
pub use sip::Stage;

use std::time::{Duration, Instant};

/// One way in.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name: of the program, and of the folder with its corpus.
    pub name: &'static str,
    /// What it does with an input.
    pub run: fn(&[u8]),
    /// Most bytes one input may have on the heap at a time.
    pub limit: usize,
}

const KIB: usize = 1024;
/// Most time of a processor one input may take.
const TIME: Duration = Duration::from_secs(2);

/// SIP: datagrams and scripts of a conversation.
pub const SIP_ENDPOINT: Target =
    Target { name: "sip_endpoint", run: sip::sip_endpoint, limit: 2 * KIB * KIB };
/// SIP over a stream, whole and in pieces.
pub const SIP_STREAM: Target = Target { name: "sip_stream", run: sip::sip_stream, limit: 2 * KIB * KIB };
/// SDP as the offer of an INVITE.
pub const SDP_OFFER: Target = Target { name: "sdp_offer", run: sip::sdp_offer, limit: KIB * KIB };
/// SDP as the answer to ours.
pub const SDP_ANSWER: Target = Target { name: "sdp_answer", run: sip::sdp_answer, limit: KIB * KIB };
/// RTP and RTCP of one media line.
pub const RTP_SESSION: Target = Target { name: "rtp_session", run: media::rtp_session, limit: KIB * KIB };
/// Packets of an H.264 stream.
pub const H264: Target = Target { name: "h264", run: media::h264, limit: KIB * KIB };
/// Control messages between MCUs.
pub const CASCADE: Target = Target { name: "cascade", run: cascade::cascade, limit: 2 * KIB * KIB };
/// Payloads of the sound codecs.
#[cfg(feature = "codec")]
pub const OPUS_G7XX: Target = Target { name: "opus_g7xx", run: codec::opus_g7xx, limit: 256 * KIB };

impl Target {
    /// Runs one input; gives the most bytes it had on the heap at a time.
    ///
    /// # Panics
    /// When something does not hold.
    pub fn check(&self, data: &[u8]) -> usize {
        let begun = processor();
        let peak = bounded(self.name, self.limit, || (self.run)(data));
        let took = processor().saturating_sub(begun);
        assert!(took <= TIME, "{}: {took:?} of a processor", self.name);
        peak
    }

    /// [`Target::check`] for a program that searches.
    ///
    /// # Panics
    /// When something does not hold.
    pub fn search(&self, data: &[u8]) {
        memory::record(self.name, self.check(data));
    }
}

/// Time of a processor this thread has had: others on the machine do not count.
fn processor() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or_default(),
        u32::try_from(time.tv_nsec).unwrap_or_default(),
    )
}

/// The virtual clock's zero.
fn start() -> Instant {
    Instant::now()
}

/// Takes records off the input: a kind, a length of two bytes, then that many bytes.
fn records(mut data: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    std::iter::from_fn(move || {
        let [kind, high, low, rest @ ..] = data else { return None };
        let length = usize::from(u16::from_be_bytes([*high, *low])).min(rest.len());
        let (record, rest) = rest.split_at(length);
        data = rest;
        Some((*kind, record))
    })
}

/// `n` milliseconds.
fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}
