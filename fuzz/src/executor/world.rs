//! The state before the block.

use super::program::{self, CONTRACTS, Number, Rare, Step, USERS, assemble, contract, user};
use alloy_primitives::{Address, B256, Bytes, U256};
use arbitrary::{Arbitrary, Unstructured};
use std::{collections::BTreeMap, sync::Arc};
use zkos_executor::{StateError, StateView};
use zkos_primitives::{AccountProperties, account_properties_flat_key, blake2s, flat_storage_key};
use zksync_os_interface::traits::{PreimageSource, ReadStorage};

/// Recipe of a state.
#[derive(Debug, Clone, Arbitrary)]
pub struct Recipe {
    programs: [Vec<Step>; CONTRACTS as usize],
    balances: [Rare<Number>; (USERS + CONTRACTS) as usize],
    /// What a user's account is besides a key.
    users: [Rare<User>; USERS as usize],
    slots: Vec<(u8, u8, u8)>,
}

#[derive(Debug, Clone, Copy, Arbitrary)]
enum User {
    Plain,
    Fresh,
    LastNonce,
    Delegated(u8),
    EmptyCode,
    Contract,
}

/// Accounts, slots and preimages, complete.
#[derive(Debug, Default)]
pub struct World {
    pub accounts: BTreeMap<Address, AccountProperties>,
    pub slots: BTreeMap<(Address, U256), U256>,
    pub preimages: BTreeMap<B256, Bytes>,
    flat: BTreeMap<B256, B256>,
}

impl World {
    /// Builds the state and the list of codes that it holds.
    pub fn new(recipe: &Recipe) -> (Self, Vec<Vec<u8>>) {
        let mut world = Self::default();
        let mut codes: Vec<Vec<u8>> = Vec::new();
        // A program can name the codes before it.
        for steps in &recipe.programs {
            codes.push(assemble(steps, &codes));
        }
        let balance =
            |at: usize| recipe.balances[at].0.map_or(U256::from(10u64.pow(18)), Number::value);
        for (n, kind) in (0..USERS).zip(recipe.users) {
            let mut account = AccountProperties::new_eoa(u64::from(n), balance(n.into()));
            match kind.0.unwrap_or(User::Plain) {
                User::Plain => {}
                User::Fresh => continue,
                User::LastNonce => account.nonce = u64::MAX,
                User::Delegated(to) => {
                    let stored = account.set_delegation(contract(to));
                    world.preimages.insert(stored.bytecode_hash, stored.preimage.into());
                }
                User::EmptyCode => {
                    account.set_deployed_code(&[]);
                }
                User::Contract => world.set_code(&mut account, &codes[0]),
            }
            world.accounts.insert(user(n), account);
        }
        for (n, code) in (0..CONTRACTS).zip(&codes) {
            let mut account = AccountProperties::new_eoa(1, balance((USERS + n).into()));
            world.set_code(&mut account, code);
            world.accounts.insert(contract(n), account);
            // Force deployments name raw code.
            world.preimages.insert(blake2s(code), Bytes::copy_from_slice(code));
        }
        for (of, slot, value) in recipe.slots.iter().take(16) {
            let key = (contract(*of), U256::from(slot % 8));
            world.slots.insert(key, U256::from(*value));
        }
        world.flatten();
        (world, codes)
    }

    fn set_code(&mut self, account: &mut AccountProperties, code: &[u8]) {
        let stored = account.set_deployed_code(code);
        self.preimages.insert(stored.bytecode_hash, stored.preimage.into());
    }

    fn flatten(&mut self) {
        for (address, account) in &self.accounts {
            let hash = account.compute_hash();
            self.flat.insert(account_properties_flat_key(*address), hash);
            self.preimages.insert(hash, Bytes::copy_from_slice(&account.encode()));
        }
        for ((address, slot), value) in &self.slots {
            let key = flat_storage_key(*address, B256::from(*slot));
            self.flat.insert(key, B256::from(*value));
        }
    }

    /// Value of a leaf.
    pub(crate) fn leaf(&self, key: &B256) -> Option<B256> {
        self.flat.get(key).copied()
    }

    /// All leaves, ascending by key.
    pub(crate) fn entries(&self) -> Vec<(B256, B256)> {
        self.flat.iter().map(|(key, value)| (*key, *value)).collect()
    }

    /// The account's record, all zero if there is none.
    pub fn record(&self, address: &Address) -> AccountProperties {
        self.accounts.get(address).copied().unwrap_or_default()
    }
}

/// Reader of a world, in the form of the node and in those of the official interface.
#[derive(Debug, Clone)]
pub struct View(pub Arc<World>);

impl StateView for View {
    fn account(&mut self, address: Address) -> Result<Option<AccountProperties>, StateError> {
        Ok(self.0.accounts.get(&address).copied())
    }
    fn storage(&mut self, address: Address, slot: U256) -> Result<Option<U256>, StateError> {
        Ok(self.0.slots.get(&(address, slot)).copied())
    }
    fn preimage(&mut self, hash: B256) -> Result<Option<Bytes>, StateError> {
        Ok(self.0.preimages.get(&hash).cloned())
    }
}

impl ReadStorage for View {
    fn read(&mut self, key: B256) -> Option<B256> {
        self.0.flat.get(&key).copied()
    }
}

impl PreimageSource for View {
    fn get_preimage(&mut self, hash: B256) -> Option<Vec<u8>> {
        self.0.preimages.get(&hash).map(|bytes| bytes.to_vec())
    }
}

/// Prices and limits of the block.
#[derive(Debug, Clone, Copy, Arbitrary)]
pub struct Context {
    base_fee: Price,
    pubdata_price: Price,
    native_price: Price,
    gas_limit: Rare<Limit>,
    pubdata_limit: Rare<Limit>,
    coinbase: Option<program::Place>,
    number: u16,
    hashes: u16,
}

/// A price in wei.
#[derive(Debug, Clone, Copy)]
pub enum Price {
    One,
    Zero,
    Small(u8),
    Medium(u16),
    Gwei,
    Border(Number),
}

impl<'a> Arbitrary<'a> for Price {
    fn arbitrary(u: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        Ok(match u.arbitrary::<u8>()? {
            0..=99 => Self::One,
            100..=149 => Self::Small(u.arbitrary()?),
            150..=199 => Self::Medium(u.arbitrary()?),
            200..=229 => Self::Gwei,
            230..=244 => Self::Zero,
            245.. => Self::Border(u.arbitrary()?),
        })
    }
}

impl Price {
    pub fn value(self) -> U256 {
        match self {
            Self::One => U256::ONE,
            Self::Zero => U256::ZERO,
            Self::Small(n) => U256::from(n),
            Self::Medium(n) => U256::from(n),
            Self::Gwei => U256::from(1_000_000_000u64),
            Self::Border(number) => number.value(),
        }
    }
}

#[derive(Debug, Clone, Copy, Arbitrary)]
enum Limit {
    Usual,
    Tight(u16),
    Huge,
    Zero,
}

impl Limit {
    fn value(self) -> u64 {
        match self {
            Self::Usual => 100_000_000,
            Self::Tight(n) => u64::from(n) * 64,
            Self::Huge => zkos_executor::MAX_BLOCK_GAS_LIMIT,
            Self::Zero => 0,
        }
    }
}

/// Chain that the block is of.
pub const CHAIN_ID: u64 = 270;

impl Context {
    pub fn build(&self) -> zkos_primitives::BlockContext {
        let hashes = (0..self.hashes % 300).map(|n| B256::repeat_byte(n as u8));
        zkos_primitives::BlockContext {
            chain_id: CHAIN_ID,
            block_number: self.number.into(),
            block_hashes: zkos_primitives::BlockHashes::from_newest_first(hashes),
            timestamp: 1_700_000_000,
            eip1559_basefee: self.base_fee.value(),
            pubdata_price: self.pubdata_price.value(),
            native_price: self.native_price.value(),
            coinbase: self.coinbase.map_or(program::COINBASE, program::Place::address),
            gas_limit: self.gas_limit.0.unwrap_or(Limit::Usual).value(),
            pubdata_limit: self.pubdata_limit.0.unwrap_or(Limit::Usual).value(),
            execution_version: 5,
            ..Default::default()
        }
    }
}
