use jsonrpsee::{
    core::{id_providers::RandomIntegerIdProvider, traits::IdProvider},
    types::SubscriptionId,
};

/// Random ids in the form of Ethereum clients: `0x` and 32 hex digits.
pub(crate) fn random_id() -> String {
    let random = || match RandomIntegerIdProvider.next_id() {
        SubscriptionId::Num(number) => number,
        SubscriptionId::Str(_) => 0,
    };
    format!("0x{:016x}{:016x}", random(), random())
}

/// Gives subscriptions a [`random_id`].
#[derive(Debug, Clone, Copy)]
pub(super) struct HexIdProvider;

impl IdProvider for HexIdProvider {
    fn next_id(&self) -> SubscriptionId<'static> {
        SubscriptionId::Str(random_id().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_differ() {
        let (a, b) = (random_id(), random_id());
        assert_eq!((a.len(), &a[..2]), (34, "0x"));
        assert_ne!(a, b);
    }
}
