//! A fetch of a consumer that waits for enough records.

use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::time::Instant;

use super::answer::Exchange;
use super::plan::{Plan, ReadResult};
use crate::net::{Pending, Step};
use crate::replica::{FetchWait, ReadLimits};

struct Parked {
    exchange: Exchange,
    /// None once it is answered.
    plan: Option<Plan>,
    results: Vec<ReadResult>,
    wait: Arc<FetchWait>,
}

/// Parks the fetch at its partitions. `results` are too little to answer with.
pub(super) fn park(exchange: Exchange, plan: Plan, results: Vec<ReadResult>) -> Step {
    let wait = Arc::new(FetchWait::default());
    for (place, item) in plan.items.iter().enumerate() {
        if let Some(partition) = &item.partition {
            partition.park_fetch(&wait, place);
            // It may have moved between the read and this moment, with nobody told.
            if results[place].as_ref().is_ok_and(|read| read.end != partition.end_for(plan.consumer)) {
                wait.notify(place);
            }
        }
    }
    Step::Wait(Box::new(Parked { exchange, plan: Some(plan), results, wait }))
}

impl Parked {
    /// Looks again at the partitions that have moved and waits on at them; whether the answer is due now.
    fn look_again(&mut self, moved: Vec<usize>) -> bool {
        let Some(plan) = &mut self.plan else { return false };
        for place in moved {
            // Before the read, lest a move in between be missed.
            if let Some(partition) = &plan.items[place].partition {
                partition.park_fetch(&self.wait, place);
            }
            let limits = ReadLimits { max_bytes: usize::MAX, at_least_one_batch: true };
            self.results[place] = plan.timed(|plan| plan.read_one(place, limits));
        }
        plan.is_due(&self.results)
    }

    fn answer(&mut self) -> Step {
        self.unpark();
        let Some(mut plan) = self.plan.take() else { return Step::NoAnswer };
        let results = plan.fit(std::mem::take(&mut self.results));
        self.exchange.answer(plan, results)
    }

    fn unpark(&self) {
        let Some(plan) = &self.plan else { return };
        for partition in plan.items.iter().filter_map(|item| item.partition.as_ref()) {
            partition.unpark_fetch(&self.wait);
        }
    }
}

impl Pending for Parked {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        self.wait.register(cx.waker());
        let moved = self.wait.take_moved();
        if !moved.is_empty() && self.look_again(moved) { Poll::Ready(self.answer()) } else { Poll::Pending }
    }

    fn deadline(&self) -> Option<Instant> {
        self.plan.as_ref().map(|plan| plan.deadline)
    }

    fn expire(&mut self) -> Step {
        self.answer()
    }
}

impl Drop for Parked {
    fn drop(&mut self) {
        self.unpark();
    }
}
