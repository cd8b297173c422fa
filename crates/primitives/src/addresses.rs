//! Fixed addresses of the protocol.

use alloy_primitives::{Address, address};

/// Formal sender of the L2->L1 logs that carry the result of a priority or upgrade transaction.
pub const BOOTLOADER_FORMAL_ADDRESS: Address = address!("0000000000000000000000000000000000008001");
/// Synthetic account under which the account records of all accounts are stored.
pub const ACCOUNT_PROPERTIES_STORAGE_ADDRESS: Address =
    address!("0000000000000000000000000000000000008003");
/// System hook that sets bytecode directly (force deployments of upgrades).
pub const CONTRACT_DEPLOYER_ADDRESS: Address = address!("0000000000000000000000000000000000008006");
/// Sender of protocol upgrade transactions.
pub const FORCE_DEPLOYER_ADDRESS: Address = address!("0000000000000000000000000000000000008007");
/// System hook that sends messages to L1.
pub const L1_MESSENGER_ADDRESS: Address = address!("0000000000000000000000000000000000008008");
/// System hook of the base token (withdrawals).
pub const BASE_TOKEN_ADDRESS: Address = address!("000000000000000000000000000000000000800a");
/// System context; neither code nor hook at protocol v30.
pub const SYSTEM_CONTEXT_ADDRESS: Address = address!("000000000000000000000000000000000000800b");
/// Complex upgrader: callee of upgrade transactions, only caller accepted by the deployer hook.
pub const COMPLEX_UPGRADER_ADDRESS: Address = address!("000000000000000000000000000000000000800f");
/// Factory of CREATE2 deployments.
pub const CREATE2_FACTORY_ADDRESS: Address = address!("0000000000000000000000000000000000010000");
/// Upgrade logic of the genesis (and of later, version-specific) upgrades.
pub const GENESIS_UPGRADE_ADDRESS: Address = address!("0000000000000000000000000000000000010001");
/// L2 bridgehub.
pub const L2_BRIDGEHUB_ADDRESS: Address = address!("0000000000000000000000000000000000010002");
/// L2 asset router.
pub const L2_ASSET_ROUTER_ADDRESS: Address = address!("0000000000000000000000000000000000010003");
/// L2 native token vault.
pub const L2_NATIVE_TOKEN_VAULT_ADDRESS: Address =
    address!("0000000000000000000000000000000000010004");
/// L2 message root.
pub const L2_MESSAGE_ROOT_ADDRESS: Address = address!("0000000000000000000000000000000000010005");
/// Implementation of the wrapped base token.
pub const WRAPPED_BASE_TOKEN_IMPL_ADDRESS: Address =
    address!("0000000000000000000000000000000000010007");
/// Admin of the system contract proxies.
pub const SYSTEM_PROXY_ADMIN_ADDRESS: Address =
    address!("000000000000000000000000000000000001000c");

/// Offset added (modulo 2^160) to the address of an L1 contract that acts as a sender on L2.
pub const L1_TO_L2_ALIAS_OFFSET: Address = address!("1111000000000000000000000000000000001111");

/// Exclusive upper bound of the addresses at which system hooks are intercepted.
pub const MAX_SYSTEM_ADDRESS: u64 = 0x1_0000;

/// Alias under which the L1 contract `address` appears as a sender on L2.
pub fn apply_l1_to_l2_alias(address: Address) -> Address {
    add_mod_160(address, L1_TO_L2_ALIAS_OFFSET, false)
}

/// Inverse of [`apply_l1_to_l2_alias`].
pub fn undo_l1_to_l2_alias(address: Address) -> Address {
    add_mod_160(address, L1_TO_L2_ALIAS_OFFSET, true)
}

fn add_mod_160(a: Address, b: Address, negate: bool) -> Address {
    let a = alloy_primitives::U160::from_be_bytes(a.into_array());
    let b = alloy_primitives::U160::from_be_bytes(b.into_array());
    let sum = if negate { a.wrapping_sub(b) } else { a.wrapping_add(b) };
    Address::from(sum.to_be_bytes::<20>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alias_wraps_and_is_inverted() {
        let diamond = address!("00000000000000000000000000000000000000d1");
        let alias = address!("11110000000000000000000000000000000011e2");
        assert_eq!(apply_l1_to_l2_alias(diamond), alias);
        assert_eq!(undo_l1_to_l2_alias(alias), diamond);
        let high = address!("ffffffffffffffffffffffffffffffffffffffff");
        assert_eq!(
            apply_l1_to_l2_alias(high),
            address!("1111000000000000000000000000000000001110")
        );
        assert_eq!(undo_l1_to_l2_alias(apply_l1_to_l2_alias(high)), high);
    }
}
