//! Inputs of batches for stateless execution.
#![no_main]

libfuzzer_sys::fuzz_target!(
    init: zkos_fuzz::seeds::write_if_asked("witness"),
    |data: &[u8]| zkos_fuzz::witness::run(data)
);
