//! Record format of the scenario files.

use alloy_primitives::{Address, B256, Bytes, U256};
use serde::{Deserialize, Deserializer};
use std::{
    collections::HashMap,
    fs::File,
    io::{BufRead, BufReader, Read},
    path::Path,
};
use zkos_primitives::{BlockContext, BlockHashes};

/// One scenario.
#[derive(Debug, Deserialize)]
pub(crate) struct Record {
    pub(crate) name: String,
    pub(crate) ctx: Context,
    pub(crate) storage: HashMap<B256, B256>,
    pub(crate) preimages: HashMap<B256, Bytes>,
    pub(crate) txs: Vec<Tx>,
    #[serde(default)]
    pub(crate) simulate: bool,
    #[serde(default)]
    pub(crate) verify_signatures: bool,
    #[serde(default)]
    pub(crate) tags: serde_json::Value,
    pub(crate) expect: serde_json::Value,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Context {
    chain_id: u64,
    number: u64,
    timestamp: u64,
    #[serde(deserialize_with = "price")]
    basefee: U256,
    #[serde(deserialize_with = "price")]
    pubdata_price: U256,
    #[serde(deserialize_with = "price")]
    native_price: U256,
    coinbase: Address,
    gas_limit: u64,
    pubdata_limit: u64,
    parent: B256,
    #[serde(default)]
    block_hashes: Vec<B256>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Tx {
    pub(crate) kind: String,
    pub(crate) raw: Bytes,
    #[serde(default)]
    pub(crate) signer: Option<Address>,
}

fn price<'de, D: Deserializer<'de>>(deserializer: D) -> Result<U256, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Price {
        Number(u64),
        Hex(U256),
    }
    Ok(match Price::deserialize(deserializer)? {
        Price::Number(number) => U256::from(number),
        Price::Hex(value) => value,
    })
}

impl Context {
    pub(crate) fn block_context(&self) -> BlockContext {
        let mut hashes = self.block_hashes.clone();
        if hashes.is_empty() {
            hashes.push(self.parent);
        }
        BlockContext {
            chain_id: self.chain_id,
            block_number: self.number,
            block_hashes: BlockHashes::from_newest_first(hashes),
            timestamp: self.timestamp,
            eip1559_basefee: self.basefee,
            pubdata_price: self.pubdata_price,
            native_price: self.native_price,
            coinbase: self.coinbase,
            gas_limit: self.gas_limit,
            pubdata_limit: self.pubdata_limit,
            mix_hash: U256::ZERO,
            execution_version: 5,
            blob_fee: U256::ZERO,
        }
    }
}

impl Record {
    pub(crate) fn category(&self) -> &str {
        self.tags.get("cat").and_then(|cat| cat.as_str()).unwrap_or("base")
    }

    #[allow(dead_code)]
    pub(crate) fn is_heavy(&self) -> bool {
        match self.tags.get("heavy") {
            Some(serde_json::Value::Bool(heavy)) => *heavy,
            Some(value) => !value.is_null(),
            None => false,
        }
    }
}

/// Reads a scenario file.
pub(crate) fn read(path: &Path) -> Result<Vec<Record>, String> {
    let name = path.to_string_lossy();
    let file = File::open(path).map_err(|error| error.to_string())?;
    let reader: Box<dyn Read> = if name.ends_with(".gz") {
        Box::new(flate2::read::GzDecoder::new(file))
    } else {
        Box::new(file)
    };
    if name.ends_with(".json") {
        return serde_json::from_reader(BufReader::new(reader)).map_err(|error| error.to_string());
    }
    let mut records = Vec::new();
    for (number, line) in BufReader::new(reader).lines().enumerate() {
        let line = line.map_err(|error| error.to_string())?;
        if line.trim().is_empty() {
            continue;
        }
        let record =
            serde_json::from_str(&line).map_err(|error| format!("line {}: {error}", number + 1))?;
        records.push(record);
    }
    Ok(records)
}
