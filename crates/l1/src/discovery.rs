//! From a bridgehub address and a chain id to everything else the node needs to know about its settlement contracts.
//!
//! Only these two inputs are configured; no other L1 address is. What is found is cross-checked, so that a wrong network, a wrong
//! bridgehub, or a genesis of another deployment is told at start and not by the first reverted batch.

use crate::{
    contracts::{IBridgehub, IChainTypeManager, IValidatorTimelock, IZkChain},
    provider::{CallError, L1Provider},
};
use alloy_primitives::{Address, B256, U256, b256};
use alloy_provider::Provider;
use alloy_rpc_types_eth::BlockId;
use alloy_sol_types::SolCall;
use alloy_transport::TransportError;
use core::fmt;
use tracing::info;
use zkos_primitives::{PROTOCOL_VERSIONS, ProtocolVersion};

/// Addresses of the contracts of one chain on its settlement layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct L1Contracts {
    /// Registry of chains and entry of all deposits.
    pub bridgehub: Address,
    /// The chain's diamond proxy: getters, mailbox, executor; emitter of most events.
    pub diamond: Address,
    /// Chain type manager.
    pub ctm: Address,
    /// The only address that may call the executor; operators send their transactions to it.
    pub validator_timelock: Address,
    /// Chain admin: emitter of upgrade timestamps.
    pub chain_admin: Address,
    /// Entry of token bridging.
    pub asset_router: Address,
    /// Message root (interop).
    pub message_root: Address,
    /// Verifier the executor asks.
    pub verifier: Address,
}

/// Batch counters of the diamond.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BatchCounters {
    /// Batches committed.
    pub committed: u64,
    /// Batches proved; never more than committed.
    pub verified: u64,
    /// Batches executed; never more than proved.
    pub executed: u64,
}

/// How the chain pays for data availability.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PubdataPricingMode {
    /// Data is published on L1.
    Rollup,
    /// Data is not published.
    Validium,
}

/// What discovery found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct L1State {
    /// Chain id of L1.
    pub l1_chain_id: u64,
    /// Chain id of the L2 chain.
    pub l2_chain_id: u64,
    /// Addresses.
    pub contracts: L1Contracts,
    /// Batch counters at the time of discovery.
    pub counters: BatchCounters,
    /// Protocol version the diamond runs.
    pub protocol_version: ProtocolVersion,
    /// Pricing mode of the diamond.
    pub pubdata_pricing_mode: PubdataPricingMode,
    /// L1 contract that checks data availability at commit.
    pub da_validator: Address,
    /// Commitment scheme the diamond expects (0 none, 1 no data, 2 pubdata hash, 3 calldata, 4 blobs).
    pub da_commitment_scheme: u8,
    /// Number of priority transactions ever requested, i.e. the next id.
    pub total_priority_txs: u64,
    /// Base token of the chain; `0x…01` is ether.
    pub base_token: Address,
    /// Delay between commit and execute that the timelock enforces, seconds.
    pub execution_delay: u32,
}

/// Why discovery failed.
#[derive(Debug, thiserror::Error)]
pub enum DiscoveryError {
    /// No code at the bridgehub's address.
    #[error(
        "no contract at bridgehub {bridgehub} on l1 chain {l1_chain_id}: check the bridgehub address and that the l1 rpc url points to the network it is deployed on (a local l1 needs its state file loaded)"
    )]
    NoBridgehub {
        /// Configured address.
        bridgehub: Address,
        /// Chain id of L1.
        l1_chain_id: u64,
    },
    /// The contract at the address is not a bridgehub.
    #[error("contract at {bridgehub} is not a bridgehub: {source}; check the bridgehub address")]
    NotABridgehub {
        /// Configured address.
        bridgehub: Address,
        /// Failure of the first call.
        source: CallError,
    },
    /// The bridgehub does not know the chain.
    #[error(
        "chain {chain_id} is not registered at bridgehub {bridgehub}; registered chains: {registered:?}; set the chain id to one of these or register the chain"
    )]
    ChainNotRegistered {
        /// Configured chain id.
        chain_id: u64,
        /// Bridgehub asked.
        bridgehub: Address,
        /// Ids it knows.
        registered: Vec<U256>,
    },
    /// A contract points elsewhere than discovery came from.
    #[error(
        "{contract} says {what} is {found}, expected {expected}: the contracts don't belong together, check the bridgehub address and the chain id"
    )]
    Inconsistent {
        /// Contract asked.
        contract: Address,
        /// Which value.
        what: &'static str,
        /// Value expected.
        expected: String,
        /// Value found.
        found: String,
    },
    /// The chain settles elsewhere.
    #[error(
        "chain {chain_id} settles on another layer ({settlement_layer}), not on this l1: connect to that layer"
    )]
    SettlesElsewhere {
        /// Chain id.
        chain_id: u64,
        /// Settlement layer's diamond.
        settlement_layer: Address,
    },
    /// Batch 0 on L1 differs from ours.
    #[error(
        "genesis mismatch: batch 0 of diamond {diamond} has stored hash {on_l1}, our genesis gives {ours}: use the genesis file of this deployment (or the l1 state that belongs to the genesis file)"
    )]
    GenesisMismatch {
        /// Diamond asked.
        diamond: Address,
        /// Hash on L1.
        on_l1: B256,
        /// Hash from our genesis.
        ours: B256,
    },
    /// The diamond runs a protocol version this node can't settle.
    #[error(
        "protocol version {version} of diamond {diamond} is not supported by this node (supported: {}): use a node release for that version",
        supported_versions()
    )]
    UnsupportedProtocol {
        /// Diamond asked.
        diamond: Address,
        /// Version on L1.
        version: ProtocolVersion,
    },
    /// A number on L1 does not fit or is contradictory.
    #[error("{what} of diamond {diamond} is out of range: {value}")]
    OutOfRange {
        /// Which value.
        what: &'static str,
        /// Diamond asked.
        diamond: Address,
        /// The value.
        value: String,
    },
    /// An operator lacks its role.
    #[error(
        "operator {operator} has no {role} for chain {chain_id} at timelock {timelock}: grant it (addValidatorRoles) or configure the right key"
    )]
    MissingRole {
        /// Operator's address.
        operator: Address,
        /// Role that is missing.
        role: OperatorRole,
        /// Chain id.
        chain_id: u64,
        /// Timelock asked.
        timelock: Address,
    },
    /// The chain demands signatures of validators for every commit.
    #[error(
        "chain {chain_id} requires {threshold} validator signatures per commit: configure batch verification"
    )]
    SignaturesRequired {
        /// Chain id.
        chain_id: u64,
        /// How many.
        threshold: u64,
    },
    /// A contract call failed.
    #[error(transparent)]
    Call(#[from] CallError),
    /// L1 could not be asked.
    #[error("l1 request failed: {0}")]
    Rpc(#[from] TransportError),
}

/// Roles at the validator timelock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OperatorRole {
    /// May commit batches.
    Committer,
    /// May prove batches.
    Prover,
    /// May execute batches.
    Executor,
    /// May revert batches.
    Reverter,
}

impl OperatorRole {
    /// Role id: Keccak-256 of the role's name.
    pub const fn id(self) -> B256 {
        match self {
            Self::Committer => {
                b256!("0b60b5d7f7e737e4561eecda7c6a01e19e626c495c26e6f45e5b255f76a20106")
            }
            Self::Prover => {
                b256!("60044782a422109ac08a415e44260ad5d3bad63d96ebe1fac0363399642ee3f2")
            }
            Self::Executor => {
                b256!("d8aa0f3194971a2a116679f7c2090f6939c8d4e01a2a8d7e41d55e5351469e63")
            }
            Self::Reverter => {
                b256!("30085792330f3f9ee2ee216aea0321c55a0909b87c51ee9ab49d05ca4a4c2ecb")
            }
        }
    }
}

impl fmt::Display for OperatorRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Committer => "COMMITTER_ROLE",
            Self::Prover => "PROVER_ROLE",
            Self::Executor => "EXECUTOR_ROLE",
            Self::Reverter => "REVERTER_ROLE",
        })
    }
}

/// Finds and checks the contracts of `l2_chain_id`.
///
/// `genesis_batch_hash` is the stored hash of batch 0 computed from our genesis; `None` skips that check.
pub async fn discover(
    provider: &L1Provider,
    bridgehub: Address,
    l2_chain_id: u64,
    genesis_batch_hash: Option<B256>,
) -> Result<L1State, DiscoveryError> {
    let chain = U256::from(l2_chain_id);
    if provider.inner().get_code_at(bridgehub).await?.is_empty() {
        return Err(DiscoveryError::NoBridgehub { bridgehub, l1_chain_id: provider.chain_id() });
    }
    let registered = provider
        .call_latest(bridgehub, &IBridgehub::getAllZKChainChainIDsCall {})
        .await
        .map_err(|source| {
            if source.is_transient() {
                source.into()
            } else {
                DiscoveryError::NotABridgehub { bridgehub, source }
            }
        })?;
    if !registered.contains(&chain) {
        return Err(DiscoveryError::ChainNotRegistered {
            chain_id: l2_chain_id,
            bridgehub,
            registered,
        });
    }
    let diamond =
        provider.call_latest(bridgehub, &IBridgehub::getZKChainCall { chainId: chain }).await?;
    let ctm = provider
        .call_latest(bridgehub, &IBridgehub::chainTypeManagerCall { chainId: chain })
        .await?;
    let get = Getter { provider, diamond };

    let settlement_layer = get.get(&IZkChain::getSettlementLayerCall {}).await?;
    if !settlement_layer.is_zero() {
        return Err(DiscoveryError::SettlesElsewhere { chain_id: l2_chain_id, settlement_layer });
    }
    check(diamond, "chain id", chain, get.get(&IZkChain::getChainIdCall {}).await?)?;
    check(diamond, "bridgehub", bridgehub, get.get(&IZkChain::getBridgehubCall {}).await?)?;
    check(
        diamond,
        "chain type manager",
        ctm,
        get.get(&IZkChain::getChainTypeManagerCall {}).await?,
    )?;

    let packed = get.get(&IZkChain::getProtocolVersionCall {}).await?;
    let version = ProtocolVersion::unpack(packed).map_err(|_| DiscoveryError::OutOfRange {
        what: "protocol version",
        diamond,
        value: packed.to_string(),
    })?;
    if version.spec().is_none() {
        return Err(DiscoveryError::UnsupportedProtocol { diamond, version });
    }
    if let Some(ours) = genesis_batch_hash {
        let on_l1 = get.get(&IZkChain::storedBatchHashCall { batchNumber: U256::ZERO }).await?;
        if on_l1 != ours {
            return Err(DiscoveryError::GenesisMismatch { diamond, on_l1, ours });
        }
    }

    let validator_timelock =
        provider.call_latest(ctm, &IChainTypeManager::validatorTimelockPostV29Call {}).await?;
    if validator_timelock.is_zero() {
        return Err(DiscoveryError::Inconsistent {
            contract: ctm,
            what: "validator timelock",
            expected: "an address".to_owned(),
            found: "the zero address".to_owned(),
        });
    }
    let pubdata_pricing_mode = match get.get(&IZkChain::getPubdataPricingModeCall {}).await? {
        0 => PubdataPricingMode::Rollup,
        1 => PubdataPricingMode::Validium,
        other => {
            return Err(DiscoveryError::OutOfRange {
                what: "pubdata pricing mode",
                diamond,
                value: other.to_string(),
            });
        }
    };
    let da = get.get(&IZkChain::getDAValidatorPairCall {}).await?;
    let total_priority_txs = get.get(&IZkChain::getTotalPriorityTxsCall {}).await?;
    let state = L1State {
        l1_chain_id: provider.chain_id(),
        l2_chain_id,
        contracts: L1Contracts {
            bridgehub,
            diamond,
            ctm,
            validator_timelock,
            chain_admin: get.get(&IZkChain::getAdminCall {}).await?,
            asset_router: provider.call_latest(bridgehub, &IBridgehub::assetRouterCall {}).await?,
            message_root: provider.call_latest(bridgehub, &IBridgehub::messageRootCall {}).await?,
            verifier: get.get(&IZkChain::getVerifierCall {}).await?,
        },
        counters: read_counters(provider, diamond, BlockId::latest()).await?,
        protocol_version: version,
        pubdata_pricing_mode,
        da_validator: da.l1DAValidator,
        da_commitment_scheme: da.l2DACommitmentScheme,
        total_priority_txs: get.fit("number of priority transactions", total_priority_txs)?,
        base_token: get.get(&IZkChain::getBaseTokenCall {}).await?,
        execution_delay: provider
            .call_latest(validator_timelock, &IValidatorTimelock::executionDelayCall {})
            .await?,
    };
    info!(
        target: "zkos::l1",
        chain_id = l2_chain_id, %bridgehub, %diamond, %ctm, timelock = %validator_timelock,
        protocol = %version,
        committed = state.counters.committed, proved = state.counters.verified, executed = state.counters.executed,
        "discovered settlement contracts"
    );
    Ok(state)
}

/// Reads the three batch counters at `block`.
///
/// The reads are separate calls: with a moving tag they may straddle a block, so the result is checked for `executed <= verified <=
/// committed` after reading in the order that keeps this true while the chain only moves forward.
pub async fn read_counters(
    provider: &L1Provider,
    diamond: Address,
    block: BlockId,
) -> Result<BatchCounters, DiscoveryError> {
    let get = Getter { provider, diamond };
    let executed = provider.call(diamond, &IZkChain::getTotalBatchesExecutedCall {}, block).await?;
    let verified = provider.call(diamond, &IZkChain::getTotalBatchesVerifiedCall {}, block).await?;
    let committed =
        provider.call(diamond, &IZkChain::getTotalBatchesCommittedCall {}, block).await?;
    if executed > verified || verified > committed {
        return Err(DiscoveryError::OutOfRange {
            what: "order of batch counters",
            diamond,
            value: format!("committed {committed}, verified {verified}, executed {executed}"),
        });
    }
    Ok(BatchCounters {
        committed: get.fit("committed batches", committed)?,
        verified: get.fit("verified batches", verified)?,
        executed: get.fit("executed batches", executed)?,
    })
}

/// Checks that every operator has its role, and that no signatures are demanded that nobody will collect.
pub async fn check_operators(
    provider: &L1Provider,
    state: &L1State,
    operators: &[(OperatorRole, Address)],
) -> Result<(), DiscoveryError> {
    let timelock = state.contracts.validator_timelock;
    for &(role, operator) in operators {
        let call = IValidatorTimelock::hasRoleForChainIdCall {
            chainId: U256::from(state.l2_chain_id),
            role: role.id(),
            account: operator,
        };
        if !provider.call_latest(timelock, &call).await? {
            return Err(DiscoveryError::MissingRole {
                operator,
                role,
                chain_id: state.l2_chain_id,
                timelock,
            });
        }
    }
    // Plain timelocks don't have this function: then nothing is demanded.
    let call =
        IValidatorTimelock::getSigningThresholdCall { chainAddress: state.contracts.diamond };
    match provider.call_latest(timelock, &call).await {
        Ok(0) | Err(CallError::Reverted { .. } | CallError::Decode { .. }) => Ok(()),
        Ok(threshold) => {
            Err(DiscoveryError::SignaturesRequired { chain_id: state.l2_chain_id, threshold })
        }
        Err(error) => Err(error.into()),
    }
}

fn supported_versions() -> String {
    PROTOCOL_VERSIONS.iter().map(|spec| spec.version.to_string()).collect::<Vec<_>>().join(", ")
}

struct Getter<'a> {
    provider: &'a L1Provider,
    diamond: Address,
}

impl Getter<'_> {
    async fn get<C: SolCall>(&self, call: &C) -> Result<C::Return, CallError> {
        self.provider.call_latest(self.diamond, call).await
    }

    fn fit(&self, what: &'static str, value: U256) -> Result<u64, DiscoveryError> {
        u64::try_from(value).map_err(|_| DiscoveryError::OutOfRange {
            what,
            diamond: self.diamond,
            value: value.to_string(),
        })
    }
}

fn check<T: PartialEq + ToString>(
    contract: Address,
    what: &'static str,
    expected: T,
    found: T,
) -> Result<(), DiscoveryError> {
    if expected == found {
        return Ok(());
    }
    Err(DiscoveryError::Inconsistent {
        contract,
        what,
        expected: expected.to_string(),
        found: found.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::keccak256;

    #[test]
    fn role_ids_are_hashes_of_their_names() {
        for role in [
            OperatorRole::Committer,
            OperatorRole::Prover,
            OperatorRole::Executor,
            OperatorRole::Reverter,
        ] {
            assert_eq!(role.id(), keccak256(role.to_string()), "{role}");
        }
    }
}
