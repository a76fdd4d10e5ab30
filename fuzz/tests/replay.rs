//! Every input that once showed something new, or broke something, is played again; and all of them, one after the other, leave nothing
//! behind in a receiver that lives on.
#![allow(clippy::expect_used, reason = "a test that panics has failed")]

use std::{fs, path::Path};

use cau_fuzz::{
    CASCADE, H264, Line, Middle, RTP_SESSION, SDP_ANSWER, SDP_OFFER, SIP_ENDPOINT, SIP_STREAM, Stage, Stream,
    Target, bounded, used,
};

/// Most bytes by which a receiver may be larger after the same inputs once more.
const GROWTH: usize = 16 * 1024;

fn corpus(target: &Target) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target.name);
    let mut names: Vec<_> =
        fs::read_dir(&folder).expect("a corpus").map(|entry| entry.expect("an entry").path()).collect();
    names.sort();
    names.iter().map(|name| fs::read(name).expect("an input")).collect()
}

fn replay(target: &Target) {
    let inputs = corpus(target);
    assert!(!inputs.is_empty(), "{} has a corpus", target.name);
    for input in inputs {
        target.check(&input);
    }
}

#[test]
fn sip_endpoint() {
    replay(&SIP_ENDPOINT);
}

#[test]
fn sip_stream() {
    replay(&SIP_STREAM);
}

#[test]
fn sdp_offer() {
    replay(&SDP_OFFER);
}

#[test]
fn sdp_answer() {
    replay(&SDP_ANSWER);
}

#[test]
fn rtp_session() {
    replay(&RTP_SESSION);
}

#[test]
fn h264() {
    replay(&H264);
}

#[test]
fn cascade() {
    replay(&CASCADE);
}

#[cfg(feature = "codec")]
#[test]
fn opus_g7xx() {
    replay(&cau_fuzz::OPUS_G7XX);
}

/// The same inputs again and again: after each round the receiver holds what it held after the one before.
fn does_not_grow(target: &Target, mut play: impl FnMut(&[u8])) {
    let inputs = corpus(target);
    let mut after = Vec::with_capacity(4);
    bounded(target.name, target.limit, || {
        for _ in 0..4 {
            inputs.iter().for_each(|input| play(input));
            after.push(used());
        }
    });
    // The first round fills tables and rings.
    let (first, last) = (after[1], after[3]);
    assert!(last <= first + GROWTH, "{}: {} bytes more after two more rounds", target.name, last - first);
}

#[test]
fn an_endpoint_does_not_grow() {
    let mut stage = Stage::default();
    does_not_grow(&SIP_ENDPOINT, |input| {
        stage.play(input);
        stage.end();
    });
}

#[test]
fn a_media_line_does_not_grow() {
    let mut line = Line::new(false);
    does_not_grow(&RTP_SESSION, |input| line.play(input));
}

#[test]
fn a_video_stream_does_not_grow() {
    let mut stream = Stream::default();
    does_not_grow(&H264, |input| {
        stream.play(input);
        stream.end();
    });
}

#[test]
fn a_node_of_the_cascade_does_not_grow() {
    let mut node = Middle::default();
    does_not_grow(&CASCADE, |input| {
        node.play(input);
        node.end();
    });
}
