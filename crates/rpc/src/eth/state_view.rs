//! The state that a simulated transaction sees: a stored state, what the caller overrides, and a memory of what was read.

use crate::{EthApiError, EthResult, trace::Overlay};
use alloy_primitives::{
    Address, B256, Bytes, U256,
    map::{AddressMap, B256Map, HashMap},
};
use alloy_rpc_types_eth::state::{AccountOverride, StateOverride};
use zkos_executor::{StateError, StateView};
use zkos_node_core::execution::StateProviderView;
use zkos_primitives::AccountProperties;
use zkos_storage_api::StateProviderBox;

/// Overrides of an address's storage.
#[derive(Debug, Default)]
struct StorageOverride {
    /// Everything not in `slots` reads as absent.
    replaces_all: bool,
    slots: B256Map<B256>,
}

/// [`StateView`] over a stored state. Reads are remembered, because gas estimation executes the same transaction many times.
#[allow(missing_debug_implementations)]
pub(crate) struct SimulationState {
    view: StateProviderView<StateProviderBox>,
    accounts: AddressMap<Option<AccountProperties>>,
    storage: HashMap<(Address, U256), Option<U256>>,
    preimages: B256Map<Option<Bytes>>,
    overridden_storage: AddressMap<StorageOverride>,
}

impl SimulationState {
    /// A stored state as it is.
    pub(crate) fn new(state: StateProviderBox) -> Self {
        Self::with_preimages(state, &[])
    }

    /// A stored state, and code that a block offers to force deployments.
    pub(crate) fn with_preimages(state: StateProviderBox, preimages: &[(B256, Bytes)]) -> Self {
        Self {
            view: StateProviderView::new(state).with_preimages(preimages),
            accounts: Default::default(),
            storage: Default::default(),
            preimages: Default::default(),
            overridden_storage: Default::default(),
        }
    }

    /// Applies overrides.
    ///
    /// # Errors
    /// On contradicting or unsupported overrides, and when the state can't be read.
    pub(crate) fn apply_overrides(&mut self, overrides: StateOverride) -> EthResult<()> {
        for (address, account) in overrides {
            self.apply_override(address, account)?;
        }
        Ok(())
    }

    fn apply_override(&mut self, address: Address, account: AccountOverride) -> EthResult<()> {
        if account.move_precompile_to.is_some() {
            return Err(EthApiError::invalid_params("`movePrecompileToAddress` is not supported"));
        }
        if account.balance.is_some() || account.nonce.is_some() || account.code.is_some() {
            let mut properties = self.read_account(address)?;
            if let Some(balance) = account.balance {
                properties.balance = balance;
            }
            if let Some(nonce) = account.nonce {
                properties.nonce = nonce;
            }
            match account.code {
                Some(code) if code.is_empty() => properties.clear_code(),
                Some(code) => {
                    let stored = match code.strip_prefix(&[0xef, 0x01, 0x00]) {
                        Some(target) if target.len() == 20 => {
                            properties.set_delegation(Address::from_slice(target))
                        }
                        _ => properties.set_deployed_code(&code),
                    };
                    self.preimages.insert(stored.bytecode_hash, Some(stored.preimage.into()));
                }
                None => {}
            }
            self.preimages.insert(
                properties.compute_hash(),
                Some(Bytes::copy_from_slice(&properties.encode())),
            );
            self.accounts.insert(address, Some(properties));
        }
        let (replaces_all, slots) = match (account.state, account.state_diff) {
            (Some(_), Some(_)) => {
                return Err(EthApiError::invalid_params(format!(
                    "account {address} has both `state` and `stateDiff`"
                )));
            }
            (Some(state), None) => (true, state),
            (None, Some(diff)) => (false, diff),
            (None, None) => return Ok(()),
        };
        let slots = slots.into_iter().collect();
        self.overridden_storage.insert(address, StorageOverride { replaces_all, slots });
        Ok(())
    }

    /// Lets transactions have happened.
    pub(crate) fn apply(&mut self, overlay: &Overlay) {
        for (address, account) in &overlay.accounts {
            self.accounts.insert(*address, Some(*account));
        }
        for ((address, slot), value) in &overlay.slots {
            match self.overridden_storage.get_mut(address) {
                Some(overridden) => {
                    overridden.slots.insert(B256::from(*slot), B256::from(*value));
                }
                None => {
                    self.storage.insert((*address, *slot), Some(*value));
                }
            }
        }
    }

    /// Adds preimages that a block published.
    pub(crate) fn add_preimages(&mut self, preimages: Vec<(B256, Vec<u8>)>) {
        let preimages = preimages.into_iter();
        self.preimages.extend(preimages.map(|(hash, preimage)| (hash, Some(preimage.into()))));
    }

    /// Account record; an absent one is that of an account that was never used.
    pub(super) fn read_account(&mut self, address: Address) -> EthResult<AccountProperties> {
        Ok(self.account(address).map_err(EthApiError::internal)?.unwrap_or_default())
    }
}

impl StateView for SimulationState {
    fn account(&mut self, address: Address) -> Result<Option<AccountProperties>, StateError> {
        if let Some(account) = self.accounts.get(&address) {
            return Ok(*account);
        }
        let account = self.view.account(address)?;
        self.accounts.insert(address, account);
        Ok(account)
    }

    fn storage(&mut self, address: Address, slot: U256) -> Result<Option<U256>, StateError> {
        if let Some(overridden) = self.overridden_storage.get(&address) {
            match overridden.slots.get(&B256::from(slot)) {
                Some(value) => return Ok(Some((*value).into())),
                None if overridden.replaces_all => return Ok(None),
                None => {}
            }
        }
        if let Some(value) = self.storage.get(&(address, slot)) {
            return Ok(*value);
        }
        let value = self.view.storage(address, slot)?;
        self.storage.insert((address, slot), value);
        Ok(value)
    }

    fn preimage(&mut self, hash: B256) -> Result<Option<Bytes>, StateError> {
        if let Some(preimage) = self.preimages.get(&hash) {
            return Ok(preimage.clone());
        }
        let preimage = self.view.preimage(hash)?;
        self.preimages.insert(hash, preimage.clone());
        Ok(preimage)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::address;
    use zkos_primitives::{account_properties_flat_key, flat_storage_key};
    use zkos_storage_api::{ProviderError, StateProvider};

    struct Fixed;

    const A: Address = address!("00000000000000000000000000000000000000aa");

    impl StateProvider for Fixed {
        fn block_number(&self) -> u64 {
            1
        }
        fn read(&self, key: B256) -> Result<Option<B256>, ProviderError> {
            assert_ne!(key, account_properties_flat_key(A));
            Ok((key == flat_storage_key(A, B256::with_last_byte(1)))
                .then(|| B256::with_last_byte(9)))
        }
        fn account(&self, address: Address) -> Result<Option<AccountProperties>, ProviderError> {
            Ok((address == A).then(|| AccountProperties::new_eoa(3, U256::from(7))))
        }
        fn preimage(&self, _hash: B256) -> Result<Option<Bytes>, ProviderError> {
            Ok(None)
        }
    }

    fn with(account: AccountOverride) -> EthResult<SimulationState> {
        let mut state = SimulationState::new(Box::new(Fixed));
        state.apply_overrides([(A, account)].into_iter().collect())?;
        Ok(state)
    }

    #[test]
    fn account_fields_are_overridden_one_by_one() {
        let mut state = with(AccountOverride {
            balance: Some(U256::from(100)),
            code: Some(Bytes::from_static(&[0x60, 0x01])),
            ..Default::default()
        })
        .unwrap();
        let account = state.account(A).unwrap().unwrap();
        assert_eq!((account.balance, account.nonce), (U256::from(100), 3));
        let code = state.preimage(account.bytecode_hash).unwrap().unwrap();
        assert!(code.starts_with(&[0x60, 0x01]));
        assert!(state.preimage(account.compute_hash()).unwrap().is_some());
    }

    #[test]
    fn state_replaces_and_diff_adds() {
        let slot = |n: u8| B256::with_last_byte(n);
        let slots = || Some([(slot(2), slot(5))].into_iter().collect());
        let mut diff = with(AccountOverride { state_diff: slots(), ..Default::default() }).unwrap();
        assert_eq!(diff.storage(A, U256::from(1)).unwrap(), Some(U256::from(9)));
        assert_eq!(diff.storage(A, U256::from(2)).unwrap(), Some(U256::from(5)));
        let mut all = with(AccountOverride { state: slots(), ..Default::default() }).unwrap();
        assert_eq!(all.storage(A, U256::from(1)).unwrap(), None);
        assert_eq!(all.storage(A, U256::from(2)).unwrap(), Some(U256::from(5)));
        let both = AccountOverride { state: slots(), state_diff: slots(), ..Default::default() };
        assert!(with(both).is_err());
    }

    #[test]
    fn delegation_code_makes_a_delegated_account() {
        let mut code = vec![0xef, 0x01, 0x00];
        code.extend_from_slice(A.as_slice());
        let mut state =
            with(AccountOverride { code: Some(code.into()), ..Default::default() }).unwrap();
        assert!(state.account(A).unwrap().unwrap().is_delegated());
    }
}
