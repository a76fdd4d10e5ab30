//! `./x fuzz sip_endpoint`
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| cau_fuzz::SIP_ENDPOINT.search(data));
