//! A fetch of a follower that waits for records: woken by the watch of its session, it looks at what has changed.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

use super::answer::Exchange;
use super::plan::{Plan, ReadResult};
use super::session::Told;
use crate::net::{Pending, Step};
use crate::replica::{FetchWait, FollowerWatch, ReadLimits};

/// How long a follower's fetch waits before a watermark that moves is reason enough to answer it: the next records most
/// likely bring it, and waking the fetch for each move would cost more than carrying it along.
const LATE_WATERMARK: Duration = Duration::from_millis(5);

struct Waiting {
    exchange: Exchange,
    /// None once it is answered.
    plan: Option<Plan>,
    results: Vec<ReadResult>,
    /// Where in the plan each place of the watch is.
    items: HashMap<u32, usize>,
    watch: Arc<FollowerWatch>,
    /// For the next fetch, to take the place of this one.
    wait: Arc<FetchWait>,
    /// Until then moves of the watermark are not worth an answer.
    late: Option<Pin<Box<Sleep>>>,
    /// A partition that was looked at has a watermark that the follower has not been told.
    has_untold: bool,
}

/// Has the fetch wait. `results` are too little to answer with.
pub(super) fn wait(exchange: Exchange, plan: Plan, results: Vec<ReadResult>, watch: Arc<FollowerWatch>) -> Step {
    let wait = Arc::new(FetchWait::default());
    plan.session.parked(&wait);
    let items = plan.items.iter().enumerate().map(|(item, at)| (at.wanted.place, item)).collect();
    let has_untold =
        plan.items.iter().zip(&results).any(|(item, result)| {
            result.as_ref().is_ok_and(|read| plan.session.is_behind(&item.wanted, Told::of(read)))
        });
    let late = Some(Box::pin(tokio::time::sleep(LATE_WATERMARK)));
    Step::Wait(Box::new(Waiting { exchange, plan: Some(plan), results, items, watch, wait, late, has_untold }))
}

impl Waiting {
    /// Looks at `places`, for as many records as there are.
    fn look(&mut self, places: impl IntoIterator<Item = u32>) {
        let Some(plan) = &mut self.plan else { return };
        let limits = ReadLimits { max_bytes: usize::MAX, at_least_one_batch: true };
        for place in places {
            let item = match self.items.get(&place) {
                Some(item) => *item,
                None => {
                    let Some(wanted) = plan.session.look(place) else { continue };
                    let item = plan.add(wanted);
                    self.items.insert(place, item);
                    item
                }
            };
            let result = plan.read_one(item, limits);
            if let Ok(read) = &result {
                self.has_untold |= plan.session.is_behind(&plan.items[item].wanted, Told::of(read));
            }
            if item == self.results.len() { self.results.push(result) } else { self.results[item] = result }
        }
    }

    /// Looks at what has changed; whether the answer is due now.
    fn is_due(&mut self) -> bool {
        if !self.watch.has_moved() {
            return false;
        }
        self.look(self.watch.take());
        self.plan.as_ref().is_some_and(|plan| plan.is_due(&self.results))
    }

    fn answer(&mut self) -> Step {
        self.watch.rest();
        self.wait.end();
        self.look(self.watch.take_hinted());
        let Some(mut plan) = self.plan.take() else { return Step::NoAnswer };
        let results = if self.wait.is_interrupted() {
            // What a newer fetch will read is not read here.
            plan.read_no_records()
        } else {
            plan.fit(std::mem::take(&mut self.results))
        };
        self.exchange.answer(plan, results)
    }

    /// Whether the follower is to hear of a moved watermark now.
    fn is_watermark_due(&mut self, cx: &mut Context<'_>) -> bool {
        if let Some(sleep) = &mut self.late {
            if sleep.as_mut().poll(cx).is_pending() {
                return false;
            }
            self.late = None;
        }
        // Hints are to wake from now on, whatever has not been told before.
        self.watch.heed_hints() || self.has_untold
    }
}

impl Pending for Waiting {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        self.watch.register(cx.waker());
        self.wait.register(cx.waker());
        let is_due = self.wait.is_interrupted() || self.is_watermark_due(cx) || self.is_due();
        if is_due { Poll::Ready(self.answer()) } else { Poll::Pending }
    }

    fn deadline(&self) -> Option<Instant> {
        self.plan.as_ref().map(|plan| plan.deadline)
    }

    fn expire(&mut self) -> Step {
        self.answer()
    }

    /// The next fetch takes the place of this one.
    fn may_overlap(&self) -> bool {
        true
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.wait.end();
    }
}
