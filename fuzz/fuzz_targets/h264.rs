#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| cau_fuzz::memory::bounded("h264", || cau_fuzz::media::h264(data)));
