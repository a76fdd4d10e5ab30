//! `./x fuzz sip_stream`
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| cau_fuzz::SIP_STREAM.search(data));
