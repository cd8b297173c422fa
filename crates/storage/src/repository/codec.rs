//! Byte forms of blocks and receipts: a version byte, then one RLP list.

use alloy_eips::{Decodable2718, Encodable2718, Typed2718};
use alloy_primitives::{Address, B256, Bytes, Log};
use alloy_rlp::{Decodable, RlpDecodable, RlpEncodable};
use reth_primitives_traits::SealedHeader;
use zkos_primitives::{Header, L2ToL1Log, ZkBlock, ZkBlockBody, ZkReceipt, ZkTxEnvelope, ZkTxType};
use zkos_storage_api::RecoveredZkBlock;

#[derive(RlpEncodable)]
struct BlockRef<'a> {
    hash: &'a B256,
    header: &'a Header,
    transactions: Vec<Bytes>,
    senders: Vec<Address>,
}

#[derive(RlpDecodable)]
struct StoredBlock {
    hash: B256,
    header: Header,
    transactions: Vec<Bytes>,
    senders: Vec<Address>,
}

#[derive(RlpEncodable)]
struct ReceiptRef<'a> {
    tx_type: u8,
    success: bool,
    cumulative_gas_used: u64,
    logs: &'a Vec<Log>,
    l2_to_l1_logs: &'a Vec<L2ToL1Log>,
}

// Without the bloom, which follows from the logs.
#[derive(RlpDecodable)]
struct StoredReceipt {
    tx_type: u8,
    success: bool,
    cumulative_gas_used: u64,
    logs: Vec<Log>,
    l2_to_l1_logs: Vec<L2ToL1Log>,
}

pub(super) fn encode_block(block: &RecoveredZkBlock) -> Vec<u8> {
    alloy_rlp::encode(BlockRef {
        hash: block.hash_ref(),
        header: block.header(),
        transactions: block.body().transactions.iter().map(|tx| tx.encoded_2718().into()).collect(),
        senders: block.senders().to_vec(),
    })
}

pub(super) fn decode_block(bytes: &[u8]) -> Result<RecoveredZkBlock, String> {
    let stored: StoredBlock = alloy_rlp::decode_exact(bytes).map_err(|error| error.to_string())?;
    let StoredBlock { hash, header, transactions, senders } = stored;
    if senders.len() != transactions.len() {
        return Err(format!("{} senders for {} transactions", senders.len(), transactions.len()));
    }
    let transactions = transactions
        .iter()
        .enumerate()
        .map(|(index, bytes)| {
            ZkTxEnvelope::decode_2718_exact(bytes)
                .map_err(|error| format!("transaction {index}: {error}"))
        })
        .collect::<Result<Vec<_>, _>>()?;
    let body = ZkBlockBody { transactions, ommers: Vec::new(), withdrawals: None };
    Ok(RecoveredZkBlock::new(ZkBlock::new(header, body), senders, hash))
}

/// Hash and header of an encoded block; what follows them is not looked at.
pub(super) fn decode_header(mut bytes: &[u8]) -> Result<SealedHeader, String> {
    let text = |error: alloy_rlp::Error| error.to_string();
    let mut block = alloy_rlp::Header::decode_bytes(&mut bytes, true).map_err(text)?;
    let hash = B256::decode(&mut block).map_err(text)?;
    let header = Header::decode(&mut block).map_err(text)?;
    Ok(SealedHeader::new(header, hash))
}

pub(super) fn encode_receipts(receipts: &[ZkReceipt]) -> Vec<u8> {
    let receipts: Vec<_> = receipts
        .iter()
        .map(|receipt| ReceiptRef {
            tx_type: receipt.tx_type.ty(),
            success: receipt.success,
            cumulative_gas_used: receipt.cumulative_gas_used,
            logs: &receipt.logs,
            l2_to_l1_logs: &receipt.l2_to_l1_logs,
        })
        .collect();
    alloy_rlp::encode(&receipts)
}

pub(super) fn decode_receipts(bytes: &[u8]) -> Result<Vec<ZkReceipt>, String> {
    let stored: Vec<StoredReceipt> =
        alloy_rlp::decode_exact(bytes).map_err(|error| error.to_string())?;
    stored
        .into_iter()
        .enumerate()
        .map(|(index, receipt)| {
            let tx_type = ZkTxType::try_from(receipt.tx_type)
                .map_err(|error| format!("receipt {index}: {error}"))?;
            Ok(ZkReceipt {
                tx_type,
                success: receipt.success,
                cumulative_gas_used: receipt.cumulative_gas_used,
                logs: receipt.logs,
                l2_to_l1_logs: receipt.l2_to_l1_logs,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::LogData;
    use proptest::prelude::*;
    use zkos_primitives::Genesis;
    use zkos_storage_api::test_utils::{ChainBuilder, TestBlock, test_transfer};

    fn receipt() -> impl Strategy<Value = ZkReceipt> {
        let log =
            (any::<[u8; 20]>(), prop::collection::vec(any::<[u8; 32]>(), 0..5), any::<Vec<u8>>())
                .prop_map(|(address, topics, data)| Log {
                    address: address.into(),
                    data: LogData::new_unchecked(
                        topics.into_iter().map(B256::from).collect(),
                        data.into(),
                    ),
                });
        let tx_type = prop::sample::select(vec![0u8, 1, 2, 4, 0x7e, 0x7f]);
        (tx_type, any::<bool>(), any::<u64>(), prop::collection::vec(log, 0..4), 0u16..3).prop_map(
            |(tx_type, success, cumulative_gas_used, logs, messages)| ZkReceipt {
                tx_type: ZkTxType::try_from(tx_type).unwrap(),
                success,
                cumulative_gas_used,
                logs,
                l2_to_l1_logs: (0..messages)
                    .map(|i| L2ToL1Log::l1_tx_result(i, B256::with_last_byte(7), true))
                    .collect(),
            },
        )
    }

    proptest! {
        #[test]
        fn receipts_round_trip(receipts in prop::collection::vec(receipt(), 0..6)) {
            prop_assert_eq!(decode_receipts(&encode_receipts(&receipts)).unwrap(), receipts);
        }

        #[test]
        fn blocks_round_trip(txs in 0u64..6) {
            let spec = zkos_primitives::ZkChainSpec::new(270, Genesis::from_json(r#"{"initial_contracts":[]}"#).unwrap()).unwrap();
            let transactions = (0..txs).map(|n| test_transfer(Address::with_last_byte(n as u8), n)).collect();
            let block = ChainBuilder::new(&spec).next_block(TestBlock { transactions, ..Default::default() }).block;
            let decoded = decode_block(&encode_block(&block)).unwrap();
            prop_assert_eq!(decoded.hash(), block.hash());
            prop_assert_eq!(decoded.senders(), block.senders());
            prop_assert_eq!(decoded.header(), block.header());
            prop_assert_eq!(&decoded.body().transactions, &block.body().transactions);
            let header = decode_header(&encode_block(&block)).unwrap();
            prop_assert_eq!(header, block.clone_sealed_header());
        }

        #[test]
        fn noise_is_refused_without_panic(bytes: Vec<u8>) {
            let _ = decode_block(&bytes);
            let _ = decode_header(&bytes);
            let _ = decode_receipts(&bytes);
        }
    }
}
