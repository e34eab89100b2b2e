#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| phone_verify::fuzz::run("security_code", input));
