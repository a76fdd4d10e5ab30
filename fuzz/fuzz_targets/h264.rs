//! `./x fuzz h264`
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| cau_fuzz::H264.search(data));
