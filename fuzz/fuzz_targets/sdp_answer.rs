#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| cau_fuzz::memory::bounded("sdp_answer", || cau_fuzz::sip::sdp_answer(data)));
