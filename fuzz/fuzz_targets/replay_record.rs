//! Decoders of replay records, pubdata, commit data, blobs and genesis files.
#![no_main]

libfuzzer_sys::fuzz_target!(
    init: zkos_fuzz::seeds::write_if_asked("replay_record"),
    |data: &[u8]| zkos_fuzz::replay_record::run(data)
);
