//! Classes of work: each has places of its own on the blocking pool, so that the heavy ones cannot take those of the others. Short work that needs nothing but memory takes no
//! place: it is done on the thread that received the request.

use crate::EthApiError;
use metrics::{Counter, Gauge, counter, gauge};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use zkos_storage_api::try_in_memory;

/// Requests of a class that may wait for a place. Each holds its parameters in memory.
const MAX_WAITING: usize = 4096;

/// A class of work. Cheap to clone.
#[derive(Clone)]
pub(super) struct WorkClass {
    running: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    waiting_gauge: Gauge,
    at_once: Counter,
}

impl WorkClass {
    /// A class with so many places, at least one. Reports the number of waiting requests as `rpc_waiting_requests`, and what took no place as
    /// `rpc_answered_at_once_total`.
    pub(super) fn new(name: &'static str, places: usize) -> Self {
        Self {
            running: Arc::new(Semaphore::new(places.clamp(1, Semaphore::MAX_PERMITS))),
            waiting: Arc::new(Semaphore::new(MAX_WAITING)),
            waiting_gauge: gauge!("rpc_waiting_requests", "class" => name),
            at_once: counter!("rpc_answered_at_once_total", "class" => name),
        }
    }

    /// Does short work here and now. `None` when it has to be done again with a place: because it says so itself, or needs what is not in memory.
    pub(super) async fn at_once<T>(&self, work: impl FnOnce() -> Option<T>) -> Option<T> {
        // A task that asks again and again gives way to the others all the same.
        tokio::task::coop::consume_budget().await;
        let result = try_in_memory(work)??;
        self.at_once.increment(1);
        Some(result)
    }

    /// Waits for a place.
    ///
    /// # Errors
    /// [`EthApiError::TooManyRequests`] when too many wait already.
    pub(super) async fn acquire(&self) -> Result<OwnedSemaphorePermit, EthApiError> {
        if let Ok(permit) = self.running.clone().try_acquire_owned() {
            return Ok(permit);
        }
        let Ok(_waiting) = self.waiting.clone().try_acquire_owned() else {
            return Err(EthApiError::TooManyRequests);
        };
        let _counted = Counted::new(&self.waiting_gauge);
        self.running.clone().acquire_owned().await.map_err(EthApiError::internal)
    }
}

/// Counts a waiting request, also when its caller goes away.
struct Counted<'a>(&'a Gauge);

impl<'a> Counted<'a> {
    fn new(gauge: &'a Gauge) -> Self {
        gauge.increment(1.0);
        Self(gauge)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{future::Future, task::Poll};

    #[tokio::test]
    async fn a_full_class_lets_wait_and_then_refuses() {
        let class = WorkClass::new("test", 1);
        let place = class.acquire().await.unwrap();
        let mut waiting: Vec<_> = (0..MAX_WAITING).map(|_| Box::pin(class.acquire())).collect();
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        for waiter in &mut waiting {
            assert!(waiter.as_mut().poll(&mut context).is_pending());
        }
        assert!(matches!(class.acquire().await, Err(EthApiError::TooManyRequests)));
        // Whoever goes away makes room, and a free place goes to the first in the row.
        waiting.pop();
        let mut last = Box::pin(class.acquire());
        assert!(last.as_mut().poll(&mut context).is_pending());
        drop(place);
        assert!(matches!(waiting[0].as_mut().poll(&mut context), Poll::Ready(Ok(_))));
    }
}
