//! A fetch that waits for enough records.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

use super::answer::Exchange;
use super::plan::{Plan, ReadResult};
use super::session::Told;
use crate::net::{Pending, Step};
use crate::replica::{FetchWait, Interest, ReadLimits};

/// How long a follower's fetch waits before a watermark that moves is reason enough to answer it: the next records most
/// likely bring it, and waking the fetch for each move would cost more than carrying it along.
const LATE_WATERMARK: Duration = Duration::from_millis(5);

struct Parked {
    exchange: Exchange,
    /// None once it is answered.
    plan: Option<Plan>,
    results: Vec<ReadResult>,
    wait: Arc<FetchWait>,
    interest: Interest,
    /// A follower's: until then moves of the watermark are not worth an answer.
    late: Option<Pin<Box<Sleep>>>,
}

/// Parks the fetch at its partitions. `results` are too little to answer with.
pub(super) fn park(exchange: Exchange, plan: Plan, results: Vec<ReadResult>) -> Step {
    let wait = Arc::new(FetchWait::default());
    let interest = plan.interest();
    for (place, item) in plan.items.iter().enumerate() {
        if let Some(partition) = &item.partition {
            partition.park_fetch(&wait, place, interest);
            // It may have moved between the read and this moment, with nobody told.
            let Ok(read) = &results[place] else { continue };
            if read.end != partition.end_for(interest) {
                wait.notify(place);
            }
            let high_watermark = partition.high_watermark().0;
            let now = Told { high_watermark, log_start: partition.reader().log_start().0 };
            if interest == Interest::Appended && plan.session.is_behind(&item.wanted, now) {
                wait.hint();
            }
        }
    }
    plan.session.parked(&wait);
    let late = (interest == Interest::Appended).then(|| Box::pin(tokio::time::sleep(LATE_WATERMARK)));
    Step::Wait(Box::new(Parked { exchange, plan: Some(plan), results, wait, interest, late }))
}

impl Parked {
    /// Looks again at the partitions that have moved and waits on at them; whether the answer is due now.
    fn look_again(&mut self, moved: Vec<usize>) -> bool {
        let Some(plan) = &mut self.plan else { return false };
        for place in moved {
            // Before the read, lest a move in between be missed.
            if let Some(partition) = &plan.items[place].partition {
                partition.park_fetch(&self.wait, place, self.interest);
            }
            let limits = ReadLimits { max_bytes: usize::MAX, at_least_one_batch: true };
            self.results[place] = plan.read_one(place, limits);
        }
        plan.is_due(&self.results)
    }

    fn answer(&mut self) -> Step {
        self.unpark();
        self.wait.end();
        let Some(mut plan) = self.plan.take() else { return Step::NoAnswer };
        let results = if self.wait.is_interrupted() {
            // What a newer fetch will read is not read here.
            plan.read_no_records()
        } else {
            plan.fit(std::mem::take(&mut self.results))
        };
        self.exchange.answer(plan, results)
    }

    fn unpark(&self) {
        let Some(plan) = &self.plan else { return };
        for partition in plan.items.iter().filter_map(|item| item.partition.as_ref()) {
            partition.unpark_fetch(&self.wait, self.interest);
        }
    }

    /// Whether a follower is to hear of a moved watermark now.
    fn is_watermark_due(&mut self, cx: &mut Context<'_>) -> bool {
        if let Some(sleep) = &mut self.late {
            if sleep.as_mut().poll(cx).is_pending() {
                return false;
            }
            self.late = None;
        }
        self.interest == Interest::Appended && self.wait.heed_hints()
    }
}

impl Pending for Parked {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        self.wait.register(cx.waker());
        if self.wait.is_interrupted() || self.is_watermark_due(cx) {
            return Poll::Ready(self.answer());
        }
        let moved = self.wait.take_moved();
        if !moved.is_empty() && self.look_again(moved) { Poll::Ready(self.answer()) } else { Poll::Pending }
    }

    fn deadline(&self) -> Option<Instant> {
        self.plan.as_ref().map(|plan| plan.deadline)
    }

    fn expire(&mut self) -> Step {
        self.answer()
    }

    /// A follower's next fetch takes the place of this one.
    fn may_overlap(&self) -> bool {
        self.interest == Interest::Appended
    }
}

impl Drop for Parked {
    fn drop(&mut self) {
        self.unpark();
        self.wait.end();
    }
}
