//! Random blocks through the state transition function.
#![no_main]

libfuzzer_sys::fuzz_target!(
    init: zkos_fuzz::seeds::write_if_asked("executor"),
    |data: &[u8]| zkos_fuzz::executor::run(data)
);
