//! `./x fuzz sdp_answer`
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| cau_fuzz::SDP_ANSWER.search(data));
