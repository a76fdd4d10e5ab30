#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| cau_fuzz::memory::bounded("rtp_session", || cau_fuzz::media::rtp_session(data)));
