//! `./x fuzz rtp_session`
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| cau_fuzz::RTP_SESSION.search(data));
