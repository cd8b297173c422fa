//! Fee arithmetic: what to offer, when to give up on offering more.

/// Upper bounds of what a key pays. Never exceeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeeCaps {
    /// Max fee per gas, wei.
    pub max_fee_per_gas: u128,
    /// Max priority fee per gas, wei.
    pub max_priority_fee_per_gas: u128,
    /// Max fee per blob gas, wei.
    pub max_fee_per_blob_gas: u128,
}

impl Default for FeeCaps {
    /// 200, 5 and 200 gwei.
    fn default() -> Self {
        Self {
            max_fee_per_gas: 200_000_000_000,
            max_priority_fee_per_gas: 5_000_000_000,
            max_fee_per_blob_gas: 200_000_000_000,
        }
    }
}

/// What L1 asks at the moment, wei.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Market {
    pub(super) base_fee: u128,
    pub(super) tip: u128,
    pub(super) blob_base_fee: u128,
}

/// Fees offered by a transaction, wei.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fees {
    pub(super) max_fee: u128,
    pub(super) tip: u128,
    /// Only for blob transactions.
    pub(super) blob_fee: Option<u128>,
}

impl FeeCaps {
    /// Fees that last while the base fee doubles, within the caps. `None` if the caps are below what L1 asks now.
    pub(super) fn suggest(&self, market: Market, blobs: bool) -> Option<Fees> {
        let tip = market.tip.max(1).min(self.max_priority_fee_per_gas);
        let max_fee =
            market.base_fee.saturating_mul(2).saturating_add(tip).min(self.max_fee_per_gas);
        let blob_fee = blobs
            .then(|| market.blob_base_fee.saturating_mul(2).max(1).min(self.max_fee_per_blob_gas));
        if max_fee < market.base_fee || blob_fee.is_some_and(|fee| fee < market.blob_base_fee) {
            return None;
        }
        Some(Fees { max_fee, tip: tip.min(max_fee), blob_fee })
    }

    /// Fees of a replacement of a transaction that offered `old`: what L1 asks now, but at least what nodes demand of a replacement.
    /// `None` if that is above the caps.
    pub(super) fn replacement(&self, old: Fees, market: Market) -> Option<Fees> {
        let blobs = old.blob_fee.is_some();
        let now = self.suggest(market, blobs)?;
        // Nodes ask for 10 % more, for blob transactions for 100 % more.
        let bump = |fee: u128| {
            if blobs {
                fee.saturating_mul(2)
            } else {
                fee.saturating_add(fee / 8).saturating_add(1)
            }
        };
        let fees = Fees {
            max_fee: now.max_fee.max(bump(old.max_fee)),
            tip: now.tip.max(bump(old.tip)),
            blob_fee: now.blob_fee.map(|fee| fee.max(bump(old.blob_fee.unwrap_or_default()))),
        };
        let fits = fees.max_fee <= self.max_fee_per_gas
            && fees.tip <= self.max_priority_fee_per_gas
            && fees.blob_fee.unwrap_or_default() <= self.max_fee_per_blob_gas;
        fits.then_some(Fees { max_fee: fees.max_fee.max(fees.tip), ..fees })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GWEI: u128 = 1_000_000_000;

    #[test]
    fn ordinary_fees() {
        let caps = FeeCaps::default();
        let market = Market { base_fee: 10 * GWEI, tip: GWEI, blob_base_fee: 1 };
        assert_eq!(
            caps.suggest(market, false),
            Some(Fees { max_fee: 21 * GWEI, tip: GWEI, blob_fee: None })
        );
        assert_eq!(caps.suggest(market, true).unwrap().blob_fee, Some(2));
    }

    #[test]
    fn caps_are_not_exceeded() {
        let caps = FeeCaps {
            max_fee_per_gas: 30 * GWEI,
            max_priority_fee_per_gas: GWEI,
            max_fee_per_blob_gas: 5,
        };
        let market =
            |base: u128, blob| Market { base_fee: base * GWEI, tip: 3 * GWEI, blob_base_fee: blob };
        assert_eq!(
            caps.suggest(market(20, 1), false),
            Some(Fees { max_fee: 30 * GWEI, tip: GWEI, blob_fee: None })
        );
        assert_eq!(caps.suggest(market(31, 1), false), None);
        assert_eq!(caps.suggest(market(20, 6), true), None);
        let old = Fees { max_fee: 29 * GWEI, tip: GWEI / 2, blob_fee: None };
        assert_eq!(caps.replacement(old, market(1, 1)), None);
    }

    proptest! {
        #[test]
        fn replacements_pay_enough_and_not_too_much(
            base in 0u128..1u128 << 80, tip in 0u128..1u128 << 80, blob in 0u128..1u128 << 80,
            max_fee in 0u128..1u128 << 80, old_tip in 0u128..1u128 << 80, old_blob in proptest::option::of(0u128..1u128 << 80),
            cap in 0u128..1u128 << 80,
        ) {
            let caps = FeeCaps { max_fee_per_gas: cap, max_priority_fee_per_gas: cap, max_fee_per_blob_gas: cap };
            let old = Fees { max_fee, tip: old_tip.min(max_fee), blob_fee: old_blob };
            let market = Market { base_fee: base, tip, blob_base_fee: blob };
            if let Some(new) = caps.replacement(old, market) {
                prop_assert!(new.max_fee <= cap && new.tip <= cap && new.blob_fee.unwrap_or(0) <= cap);
                prop_assert!(new.tip <= new.max_fee && new.max_fee >= base);
                prop_assert_eq!(new.blob_fee.is_some(), old.blob_fee.is_some());
                let percent = if old.blob_fee.is_some() { 200 } else { 110 };
                prop_assert!(new.max_fee * 100 >= old.max_fee * percent);
                prop_assert!(new.tip * 100 >= old.tip * percent);
            }
        }
    }
}
