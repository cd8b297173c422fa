//! Decoding and verification of state tree proofs.
#![no_main]

libfuzzer_sys::fuzz_target!(
    init: zkos_fuzz::seeds::write_if_asked("tree_proof"),
    |data: &[u8]| zkos_fuzz::tree_proof::run(data)
);
