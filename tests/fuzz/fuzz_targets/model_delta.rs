#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    foremap_fuzz_targets::model_delta(data);
});
