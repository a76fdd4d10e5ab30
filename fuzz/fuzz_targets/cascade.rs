//! `./x fuzz cascade`
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| cau_fuzz::CASCADE.search(data));
