//! Refusal of keys that everybody knows, and of one key in two roles.

use alloy_primitives::{Address, address};

/// Chain ids of local L1s: nothing of value can be lost there.
const LOCAL_CHAIN_IDS: &[u64] = &[31337, 1337, 9];

/// Accounts whose keys are public: the rich account of the local chain, and the first accounts of mnemonics that test tools ship.
const PUBLIC_ACCOUNTS: &[Address] = &[
    address!("36615Cf349d7F6344891B1e7CA7C72883F5dc049"),
    // Mnemonic "test test test test test test test test test test test junk"
    address!("f39Fd6e51aad88F6F4ce6aB8827279cffFb92266"),
    address!("70997970C51812dc3A010C7d01b50e0d17dc79C8"),
    address!("3C44CdDdB6a900fa2b585dd299e03d12FA4293BC"),
    address!("90F79bf6EB2c4f870365E785982E1f101E93b906"),
    address!("15d34AAf54267DB7D7c367839AAf71A00a2C6A65"),
    address!("9965507D1a55bcC2695C58ba16FB37d819B0A4dc"),
    address!("976EA74026E726554dB657fA54763abd0C3a0aa9"),
    address!("14dC79964da2C08b23698B3D3cc7Ca32193d9955"),
    address!("23618e81E3f5cdF7f54C3d65f7FBc0aBf5B21E8f"),
    address!("a0Ee7A142d267C1f36714E4a8F75612F20a79720"),
    address!("Bcd4042DE499D14e55001CcbB24a551F3b954096"),
    address!("71bE63f3384f5fb98995898A86B02Fb2426c5788"),
    address!("FABB0ac9d68B0B445fB7357272Ff202C5651694a"),
    address!("1CBd3b2770909D4e10f157cABC84C7264073C9Ec"),
    address!("dF3e18d64BC6A983f673Ab319CCaE4f1a57C7097"),
    address!("cd3B766CCDd6AE721141F452C550Ca635964ce71"),
    address!("2546BcD3c84621e976D8185a91A922aE77ECEc30"),
    address!("bDA5747bFD65F08deb54cb465eB87D40e51B197E"),
    address!("dD2FD4581271e230360230F9337D5c0430Bf44C0"),
    address!("8626f6940E2eb28930eFb4CeF49B2d1F2C9C1199"),
    // Mnemonic "stuff slice staff easily soup parent arm payment cotton trade scatter struggle"
    address!("36615Cf349d7F6344891B1e7CA7C72883F5dc049"),
    address!("a61464658AfeAf65CccaaFD3a512b69A83B77618"),
    address!("0D43eB5B8a47bA8900d84AA36656c92024e9772e"),
    address!("A13c10C0D5bd6f79041B9835c63f91de35A15883"),
    address!("8002cD98Cfb563492A6fB3E7C8243b7B9Ad4cc92"),
    address!("4F9133D1d3F50011A6859807C837bdCB31Aaab13"),
    address!("bd29A1B981925B94eEc5c4F1125AF02a2Ec4d1cA"),
    address!("edB6F5B4aab3dD95C7806Af42881FF12BE7e9daa"),
    address!("e706e60ab5Dc512C36A4646D719b889F398cbBcB"),
    address!("E90E12261CCb0F3F7976Ae611A29e84a6A85f424"),
];

/// Why a key is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The key is public.
    #[error(
        "the private key of {address} is public (a test account): it must not be used on l1 chain {l1_chain_id}; configure a key of your own"
    )]
    Public {
        /// Account of the key.
        address: Address,
        /// Chain id of L1.
        l1_chain_id: u64,
    },
    /// One key has two jobs.
    #[error(
        "{first} and {second} use the same key ({address}): each l1 sender needs a key of its own, or their nonces collide"
    )]
    Shared {
        /// First role.
        first: &'static str,
        /// Second role.
        second: &'static str,
        /// Account of the key.
        address: Address,
    },
}

/// Whether an L1 is a local one, by its chain id.
pub fn is_local_chain(l1_chain_id: u64) -> bool {
    LOCAL_CHAIN_IDS.contains(&l1_chain_id)
}

/// Refuses well-known test keys on every L1 that is not local.
pub fn ensure_key_allowed(address: Address, l1_chain_id: u64) -> Result<(), KeyError> {
    if !is_local_chain(l1_chain_id) && PUBLIC_ACCOUNTS.contains(&address) {
        return Err(KeyError::Public { address, l1_chain_id });
    }
    Ok(())
}

/// Refuses the same key for two senders.
pub fn ensure_keys_distinct(keys: &[(&'static str, Address)]) -> Result<(), KeyError> {
    for (index, &(second, address)) in keys.iter().enumerate() {
        if let Some(&(first, _)) = keys[..index].iter().find(|(_, other)| *other == address) {
            return Err(KeyError::Shared { first, second, address });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::b256;
    use alloy_signer_local::{MnemonicBuilder, PrivateKeySigner};

    #[test]
    fn public_keys_are_for_local_chains_only() {
        let rich = PrivateKeySigner::from_bytes(&b256!(
            "7726827caac94a7f9e1b160f7ea819f172f7b6f9d2a97f992c38edeab82d4110"
        ))
        .unwrap();
        let anvil = PrivateKeySigner::from_bytes(&b256!(
            "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
        ))
        .unwrap();
        for signer in [rich, anvil] {
            assert_eq!(ensure_key_allowed(signer.address(), 31337), Ok(()));
            let error = ensure_key_allowed(signer.address(), 1).unwrap_err();
            assert!(error.to_string().contains("public"), "{error}");
        }
        let phrase = "test test test test test test test test test test test junk";
        let last = MnemonicBuilder::english().phrase(phrase).index(19).unwrap().build().unwrap();
        assert!(ensure_key_allowed(last.address(), 1).is_err());
        assert!(
            ensure_key_allowed(address!("8626f6940E2eb28930eFb4CeF49B2d1F2C9C1199"), 11155111)
                .is_err()
        );
        assert_eq!(ensure_key_allowed(Address::repeat_byte(5), 1), Ok(()));
    }

    #[test]
    fn one_key_for_two_senders_is_refused() {
        let (a, b) = (Address::repeat_byte(1), Address::repeat_byte(2));
        assert_eq!(ensure_keys_distinct(&[("commit", a), ("prove", b)]), Ok(()));
        let error =
            ensure_keys_distinct(&[("commit", a), ("prove", b), ("execute", a)]).unwrap_err();
        assert_eq!(error, KeyError::Shared { first: "commit", second: "execute", address: a });
    }
}
