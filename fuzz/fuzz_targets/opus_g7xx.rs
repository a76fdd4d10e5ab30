#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| cau_fuzz::memory::bounded("opus_g7xx", || cau_fuzz::codec::opus_g7xx(data)));
