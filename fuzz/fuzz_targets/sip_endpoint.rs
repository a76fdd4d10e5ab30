#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| cau_fuzz::memory::bounded("sip_endpoint", || cau_fuzz::sip::sip_endpoint(data)));
