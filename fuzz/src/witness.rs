//! Inputs of batches for stateless execution. A block is executed on a small state with its tree, the input of the
//! batch is built and damaged; whatever is accepted for the honest claim must be the honest input.

use crate::{
    executor::{self, Scenario},
    memory::bounded,
};
use alloy_primitives::{B256, Bytes, U256};
use arbitrary::{Arbitrary, Unstructured};
use std::sync::Arc;
use zkos_executor::StateError;
use zkos_primitives::{DaCommitmentScheme, ProtocolVersion, ReplayRecord, blake2s};
use zkos_stateless::{
    BatchClaim, BatchInput, BuildError, StateReader, StatelessError, build, bytes_to_words,
    execute, words_to_bytes,
};
use zkos_tree::{InMemoryStore, MerkleTree};

/// Memory per byte of an input. The worst are transactions, which are many times larger than their shortest form.
const FACTOR: usize = 64;
const HEADER_WORDS: usize = 11;

/// What is done to an input, behind a header that is made right again.
#[derive(Debug, Arbitrary)]
enum Damage {
    Flip { at: u16, bit: u8 },
    Set { at: u16, word: u32 },
    Insert { at: u16, word: u32 },
    Remove { at: u16 },
    Cut { to: u16 },
    SwapLeaves(u8, u8),
    DropLeaf(u8),
    MoveLeaf(u8, u64),
    DropHash(u8),
    SwapHashes(u8, u8),
    DropPreimage(u8),
    AddPreimage(Vec<u8>),
    ChangePreimage { which: u8, at: u8, byte: u8 },
    DropTransaction(u8),
    DoubleTransaction(u8),
    DropBlock,
    DoubleBlock,
    LeafCount(u64),
    BlockNumber(u64),
    Timestamp(u64),
}

#[derive(Debug, Arbitrary)]
struct Case {
    in_calldata: bool,
    damage: Vec<Damage>,
    scenario: Scenario,
}

/// Reads the input as words of the two sections, and as a recipe.
pub fn run(data: &[u8]) {
    decoders(data);
    if let Ok(case) = Case::arbitrary_take_rest(Unstructured::new(data)) {
        check(case);
    }
}

/// Makes the header of a section agree with its words.
fn reseal(section: &mut [u32]) {
    let Some(len) = section.len().checked_sub(HEADER_WORDS) else { return };
    section[2] = len as u32;
    let hash = blake2s(words_to_bytes(&section[HEADER_WORDS..]));
    let words = bytes_to_words(hash.as_slice()).expect("eight words");
    section[3..HEADER_WORDS].copy_from_slice(&words);
}

fn decoders(data: &[u8]) {
    let _ = bounded(data.len(), FACTOR, || BatchInput::from_bytes(data).is_ok());
    let Ok(words) = bytes_to_words(&data[..data.len() / 4 * 4]) else { return };
    // Behind the start of each section's header, the rest of which is made right.
    let claim = BatchClaim::new(B256::ZERO, Default::default(), B256::ZERO);
    for mut magic in [BatchInput::default().to_words(), claim.to_words()] {
        magic.truncate(2);
        let mut words = [magic.as_slice(), &words].concat();
        reseal(&mut words);
        if let Ok((input, rest)) =
            bounded(4 * words.len(), FACTOR, || BatchInput::from_words(&words))
        {
            assert_eq!([input.to_words().as_slice(), rest].concat(), words);
        }
        if let Ok((claim, rest)) =
            bounded(4 * words.len(), FACTOR, || BatchClaim::from_words(&words))
        {
            assert_eq!([claim.to_words().as_slice(), rest].concat(), words);
        }
    }
}

/// The state before the block, as leaves and preimages.
struct Before(Arc<executor::World>);

impl StateReader for Before {
    fn leaf(&mut self, key: B256) -> Result<Option<B256>, StateError> {
        Ok(self.0.leaf(&key))
    }
    fn preimage(&mut self, hash: B256) -> Result<Option<Bytes>, StateError> {
        Ok(self.0.preimages.get(&hash).cloned())
    }
}

/// The input without what no commitment binds: values on which the result happens not to depend.
fn bound(input: &BatchInput) -> BatchInput {
    let mut input = input.clone();
    input.protocol_version = ProtocolVersion::V30_0;
    for block in &mut input.blocks {
        // The state transition reads neither.
        (block.mix_hash, block.blob_fee) = (U256::ZERO, U256::ZERO);
        // Limits that are not reached, and prices that round to the same gas.
        (block.pubdata_limit, block.pubdata_price) = (0, U256::ZERO);
        block.native_price = U256::ZERO;
    }
    input
}

fn check(case: Case) {
    let Some(block) = executor::produce(&case.scenario) else { return };
    let entries = block.world.entries();
    let mut tree = MerkleTree::open(InMemoryStore::new()).expect("an empty store opens");
    let before = tree.extend(0, &entries).expect("no key twice");
    let writes: Vec<(B256, B256)> =
        block.output.storage_writes.iter().map(|write| (write.key, write.value)).collect();
    let after = tree.extend(1, &writes).expect("no key twice");
    let record = ReplayRecord {
        previous_block_timestamp: block.context.timestamp - 1,
        block_context: block.context,
        transactions: block.transactions,
        senders: block.senders,
        protocol_version: ProtocolVersion::V30_2,
        block_hash: block.output.block_hash,
        ..Default::default()
    };
    let scheme = if case.in_calldata {
        DaCommitmentScheme::BlobsAndPubdataKeccak256
    } else {
        DaCommitmentScheme::EmptyNoDa
    };
    let built =
        build(7, scheme, before, &[Box::new(record)], Before(block.world), |reads, writes| {
            tree.prove_batch(0, reads, writes)
        });
    let input = match built {
        Ok(input) => input,
        // Any position may hold an upgrade among rejected ones; a batch wants it first.
        Err(BuildError::Execution(StatelessError::Contents(_))) => return,
        Err(error) => panic!("{error}"),
    };
    let honest = execute(&input).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(honest.pubdata, block.output.pubdata);
    assert_eq!(honest.tree, after);
    assert_eq!(honest.block_hash, block.output.block_hash);
    assert_eq!(honest.gas_used, block.output.header.gas_used);
    assert_eq!(BatchInput::from_bytes(&input.to_bytes()).as_ref(), Ok(&input));
    let claim = BatchClaim::new(
        honest.previous_state_commitment,
        honest.commit.clone(),
        honest.upgrade_tx_hash,
    );
    claim.check(&honest).expect("own claim");

    let mut damaged = input.clone();
    for damage in case.damage.iter().take(4) {
        for start in [&damaged, &input] {
            let Some(forged) = apply(damage, start) else { continue };
            if let Ok(outcome) = execute(&forged)
                && claim.check(&outcome).is_ok()
            {
                assert_eq!(bound(&forged), bound(&input), "{damage:?}");
            }
        }
        if let Some(next) = apply(damage, &damaged) {
            damaged = next;
        }
    }
}

/// The damaged input; none if its words cannot be read any more.
fn apply(damage: &Damage, input: &BatchInput) -> Option<BatchInput> {
    let mut out = input.clone();
    let position = |at: u8, len: usize| (len != 0).then(|| usize::from(at) % len);
    let words = |change: &dyn Fn(&mut Vec<u32>, usize), at: u16| {
        let mut words = input.to_words();
        let at = HEADER_WORDS + usize::from(at) % (words.len() - HEADER_WORDS);
        change(&mut words, at);
        reseal(&mut words);
        let (forged, rest) =
            bounded(4 * words.len(), FACTOR, || BatchInput::from_words(&words)).ok()?;
        assert!(rest.is_empty());
        assert_eq!(forged.to_words(), words);
        Some(forged)
    };
    match damage {
        Damage::Flip { at, bit } => return words(&|words, at| words[at] ^= 1 << (bit % 32), *at),
        Damage::Set { at, word } => return words(&|words, at| words[at] = *word, *at),
        Damage::Insert { at, word } => return words(&|words, at| words.insert(at, *word), *at),
        Damage::Remove { at } => {
            return words(
                &|words, at| {
                    words.remove(at);
                },
                *at,
            );
        }
        Damage::Cut { to } => return words(&|words, at| words.truncate(at), *to),
        Damage::SwapLeaves(a, b) => {
            let len = out.leaves.len();
            out.leaves.swap(position(*a, len)?, position(*b, len)?);
        }
        Damage::DropLeaf(at) => {
            out.leaves.remove(position(*at, out.leaves.len())?);
        }
        Damage::MoveLeaf(at, index) => {
            let at = position(*at, out.leaves.len())?;
            out.leaves[at].0 = *index;
        }
        Damage::DropHash(at) => {
            out.hashes.remove(position(*at, out.hashes.len())?);
        }
        Damage::SwapHashes(a, b) => {
            let len = out.hashes.len();
            out.hashes.swap(position(*a, len)?, position(*b, len)?);
        }
        Damage::DropPreimage(at) => {
            out.preimages.remove(position(*at, out.preimages.len())?);
        }
        Damage::AddPreimage(bytes) => {
            out.preimages.push(bytes.clone().into());
            out.preimages.sort_by_key(|bytes| blake2s(bytes));
        }
        Damage::ChangePreimage { which, at, byte } => {
            let which = position(*which, out.preimages.len())?;
            let mut bytes = out.preimages[which].to_vec();
            let at = position(*at, bytes.len())?;
            bytes[at] = *byte;
            out.preimages[which] = bytes.into();
            out.preimages.sort_by_key(|bytes| blake2s(bytes));
        }
        Damage::DropTransaction(at) => {
            let list = &mut out.blocks.first_mut()?.transactions;
            list.remove(position(*at, list.len())?);
        }
        Damage::DoubleTransaction(at) => {
            let list = &mut out.blocks.first_mut()?.transactions;
            let at = position(*at, list.len())?;
            list.insert(at, list[at].clone());
        }
        Damage::DropBlock => {
            out.blocks.pop()?;
        }
        Damage::DoubleBlock => {
            let block = out.blocks.first()?.clone();
            out.blocks.push(block);
        }
        Damage::LeafCount(count) => out.parent.leaf_count = *count,
        Damage::BlockNumber(number) => out.parent.block_number = *number,
        Damage::Timestamp(timestamp) => out.parent.timestamp = *timestamp,
    }
    Some(out)
}
