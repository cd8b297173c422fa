//! Everything that parses a transaction from outside.
#![no_main]

libfuzzer_sys::fuzz_target!(
    init: zkos_fuzz::seeds::write_if_asked("transactions"),
    |data: &[u8]| zkos_fuzz::transactions::run(data)
);
