//! What counts as an ERC-20 transfer.

use alloy_primitives::{Address, B256, Log, U256};
use alloy_sol_types::{SolEvent, sol};

sol! {
    event Transfer(address indexed from, address indexed to, uint256 value);
}

/// A transfer as the token reports it. A token may report anything: this is what its log says, not what happened to balances.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Erc20Transfer {
    /// The contract that logged it.
    pub(crate) token: Address,
    /// Zero when minted.
    pub(crate) sender: Address,
    /// Zero when burnt.
    pub(crate) recipient: Address,
    /// In the token's smallest unit.
    pub(crate) value: U256,
}

impl Erc20Transfer {
    /// Reads a log; none if it is no ERC-20 transfer. ERC-721 has an event of the same signature whose third argument is indexed: its logs have four topics and no data.
    pub(crate) fn decode(log: &Log) -> Option<Self> {
        let [Transfer::SIGNATURE_HASH, sender, recipient] = *log.topics() else { return None };
        let value: [u8; 32] = log.data.data.as_ref().try_into().ok()?;
        Some(Self {
            token: log.address,
            sender: address(sender)?,
            recipient: address(recipient)?,
            value: U256::from_be_bytes(value),
        })
    }
}

/// An ABI word that holds an address and nothing else.
fn address(word: B256) -> Option<Address> {
    word[..12].iter().all(|byte| *byte == 0).then(|| Address::from_word(word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::{Bytes, LogData, b256};

    const TOKEN: Address = Address::repeat_byte(0x70);
    const SENDER: Address = Address::repeat_byte(1);
    const RECIPIENT: Address = Address::repeat_byte(2);

    fn log(topics: &[B256], data: &[u8]) -> Log {
        let data = LogData::new_unchecked(topics.to_vec(), Bytes::copy_from_slice(data));
        Log { address: TOKEN, data }
    }

    fn topics() -> Vec<B256> {
        vec![Transfer::SIGNATURE_HASH, SENDER.into_word(), RECIPIENT.into_word()]
    }

    #[test]
    fn a_transfer_is_read() {
        let signature = b256!("ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef");
        assert_eq!(Transfer::SIGNATURE_HASH, signature);
        for value in [U256::ZERO, U256::from(7), U256::MAX] {
            let expected =
                Erc20Transfer { token: TOKEN, sender: SENDER, recipient: RECIPIENT, value };
            assert_eq!(
                Erc20Transfer::decode(&log(&topics(), &value.to_be_bytes::<32>())),
                Some(expected)
            );
        }
    }

    #[test]
    fn everything_else_is_skipped() {
        let word = U256::from(7).to_be_bytes::<32>();
        let nft = [topics(), vec![B256::from(word)]].concat();
        let other = [vec![B256::repeat_byte(1)], topics()[1..].to_vec()].concat();
        let wide = [topics()[..2].to_vec(), vec![B256::repeat_byte(2)]].concat();
        for (what, topics, data) in [
            ("ERC-721", &nft[..], &[][..]),
            ("ERC-721 with data", &nft, &word),
            ("no topics", &[], &word),
            ("nothing indexed", &topics()[..1], &[0; 96]),
            ("recipient not indexed", &topics()[..2], &[0; 64]),
            ("no data", &topics(), &[]),
            ("short data", &topics(), &word[1..]),
            ("long data", &topics(), &[0; 64]),
            ("another event", &other, &word),
            ("more than an address", &wide, &word),
        ] {
            assert_eq!(Erc20Transfer::decode(&log(topics, data)), None, "{what}");
        }
    }
}
