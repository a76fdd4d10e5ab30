//! `./x fuzz sdp_offer`
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| cau_fuzz::SDP_OFFER.search(data));
