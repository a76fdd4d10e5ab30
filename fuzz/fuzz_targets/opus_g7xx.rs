//! `./x fuzz opus_g7xx`
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| cau_fuzz::OPUS_G7XX.search(data));
