//! Prices of the *native* resource (ZKsync OS v0.2.5, execution version 5).
//!
//! Native is the second resource of ZKsync OS beside EVM gas: it approximates proving cost. One meter
//! exists per transaction; it is never split between frames and is not refunded when a frame reverts.

use crate::error::Halt;

/// Native charged for every interpreter step.
pub(crate) const STEP: u64 = 20;

/// Upper bound of native that computation of one transaction, and of one block, may use (2^35).
pub const MAX_NATIVE_COMPUTATIONAL: u64 = 1 << 35;

pub(crate) const WARM_SLOT: u64 = 4_000;
pub(crate) const COLD_SLOT_EXISTING: u64 = 121_120;
pub(crate) const COLD_SLOT_NEW: u64 = 242_240;
pub(crate) const WRITE_SLOT_EXISTING: u64 = 50_560;
pub(crate) const WRITE_SLOT_NEW: u64 = 120_800;
pub(crate) const TRANSIENT: u64 = 4_000;

pub(crate) const WARM_ACCOUNT: u64 = 4_000;
pub(crate) const WRITE_ACCOUNT: u64 = 1_000;

pub(crate) const PREIMAGE_FETCH: u64 = 500;
pub(crate) const PREIMAGE_RECORD: u64 = 500;

pub(crate) const EVENT: u64 = 6_000;
pub(crate) const EVENT_TOPIC: u64 = 200;
pub(crate) const EVENT_BYTE: u64 = 2;

pub(crate) const HOOK_BASE: u64 = 1_000;
pub(crate) const ANALYSIS_PER_BYTE: u64 = 6;

pub(crate) const KECCAK_BASE: u64 = 90;
pub(crate) const COPY_BASE: u64 = 80;
pub(crate) const COPY_OP: u64 = 100;
pub(crate) const HEAP_BASE: u64 = 35;
pub(crate) const EXP_BASE: u64 = 700;
pub(crate) const EXP_BYTE: u64 = 5_000;

pub(crate) const ECRECOVER: u64 = 522_000;
pub(crate) const L2_INTRINSIC: u64 = 30_000;
pub(crate) const L1_INTRINSIC: u64 = 130_000;

/// keccak-256 of `len` bytes.
pub(crate) const fn keccak(len: usize) -> u64 {
    let rounds = (len as u64).div_ceil(136);
    2_500 + 17_500 * if rounds == 0 { 1 } else { rounds }
}

/// blake2s-256 of `len` bytes.
pub(crate) const fn blake2s(len: usize) -> u64 {
    800 + 340 * (len as u64).div_ceil(64)
}

/// Emission of an event with `topics` topics and `len` data bytes.
pub(crate) const fn event(topics: usize, len: usize) -> u64 {
    EVENT + EVENT_TOPIC * topics as u64 + EVENT_BYTE * len as u64
}

/// Meter of the native resource of one transaction.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct NativeMeter {
    /// What may be charged.
    remaining: u64,
    /// What the transaction has beyond that, in a run that is given up before it uses as much.
    beyond: u64,
}

impl NativeMeter {
    pub(crate) const fn new(limit: u64) -> Self {
        Self { remaining: limit, beyond: 0 }
    }

    /// A meter of a run that is to be given up when it uses more than `bound`. The transaction sees the whole limit.
    pub(crate) const fn bounded(limit: u64, bound: u64) -> Self {
        let remaining = if limit < bound { limit } else { bound };
        Self { remaining, beyond: limit - remaining }
    }

    #[inline(always)]
    pub(crate) const fn remaining(&self) -> u64 {
        self.remaining + self.beyond
    }

    /// Whether the run used all that it may use, though the transaction had more.
    pub(crate) const fn is_beyond_bound(&self) -> bool {
        self.remaining == 0 && self.beyond != 0
    }

    /// Deducts `amount`; a failed charge leaves nothing to charge.
    #[inline(always)]
    pub(crate) const fn try_charge(&mut self, amount: u64) -> bool {
        match self.remaining.checked_sub(amount) {
            Some(rest) => {
                self.remaining = rest;
                true
            }
            None => {
                self.remaining = 0;
                false
            }
        }
    }

    #[inline(always)]
    pub(crate) const fn charge(&mut self, amount: u64) -> Result<(), Halt> {
        if self.try_charge(amount) { Ok(()) } else { Err(Halt::OutOfNative) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn composite_prices() {
        assert_eq!(keccak(0), 20_000);
        assert_eq!(keccak(136), 20_000);
        assert_eq!(keccak(137), 37_500);
        assert_eq!(blake2s(124), 1_480);
        assert_eq!(blake2s(0), 800);
        assert_eq!(
            WARM_SLOT + COLD_SLOT_EXISTING + PREIMAGE_FETCH + blake2s(124),
            127_100,
            "cold extra of an existing account"
        );
    }

    #[test]
    fn failed_charge_leaves_nothing() {
        let mut meter = NativeMeter::new(10);
        assert!(meter.try_charge(4));
        assert!(!meter.try_charge(7));
        assert_eq!(meter.remaining(), 0);
    }

    #[test]
    fn a_bound_is_not_seen_before_it_is_reached() {
        let mut meter = NativeMeter::bounded(100, 10);
        assert_eq!((meter.remaining(), meter.is_beyond_bound()), (100, false));
        assert!(meter.try_charge(9));
        assert_eq!((meter.remaining(), meter.is_beyond_bound()), (91, false));
        assert!(!meter.try_charge(2));
        assert!(meter.is_beyond_bound());
        let mut meter = NativeMeter::bounded(10, 100);
        assert!(!meter.try_charge(11));
        assert_eq!((meter.remaining(), meter.is_beyond_bound()), (0, false));
    }
}
