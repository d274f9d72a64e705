#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| spoa_mirror_fuzz::haproxy_config(data));
