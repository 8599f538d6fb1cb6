//! Transactional producers that append to several partitions, commit, abort, run out of time and outlive their successors;
//! one that copies a partition, with its offset as part of the transaction; and the readers of what they wrote.
//!
//! Every call is recorded as it was told; what of it may be seen is the checker's business.

mod copier;
mod instance;
mod plan;
mod view;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;

use super::{Place, Shared};
use crate::history::{Copied, Event, Outcome, Session, Transaction, Transactor};
use instance::{Instance, TIME_OUT};
use plan::{Ending, Plan};

pub(super) use copier::copy;
pub(super) use view::follow;
pub use view::view_to_end;

/// The mean time between two transactions of a producer.
const PACE: Duration = Duration::from_millis(60);
/// How long after its time-out a transaction has been aborted, if its coordinator is there.
const GRACE: Duration = Duration::from_millis(1500);
/// How long after the request of its successor a producer asks to commit, at most.
const RACE: Duration = Duration::from_millis(10);

/// Works as one transactional producer until told to stop. `numbers` are those of all transactions of the run.
pub(super) async fn run(
    shared: Shared,
    transactor: Transactor,
    places: Arc<[Place]>,
    numbers: Arc<AtomicU32>,
    mut random: StdRng,
) -> anyhow::Result<()> {
    let mut instance = Instance::new(&shared, &transactor).await?;
    while !shared.stopped() {
        tokio::time::sleep(PACE.mul_f64(random.random_range(0.5..1.5))).await;
        let Some(session) = instance.session() else {
            instance.begin().await;
            continue;
        };
        let plan = Plan::draw(&mut random, &places);
        let mut open = Open::begin(&shared, &numbers, (transactor.id, session), None);
        let successor = match open.write(&mut instance, &plan).await {
            true => open.end(&mut instance, &plan, &mut random).await?,
            false => open.give_up(&mut instance).await,
        };
        shared.recorder.record(Event::Transaction(open.transaction));
        instance = successor.unwrap_or(instance);
    }
    Ok(())
}

/// A transaction under way.
struct Open {
    transaction: Transaction,
    /// The number of its next record.
    next: u64,
}

impl Open {
    /// One of a producer in its present session, with the next number of the run.
    fn begin(
        shared: &Shared,
        numbers: &AtomicU32,
        (producer, session): (u32, Session),
        copied: Option<Copied>,
    ) -> Self {
        let (id, began) = (numbers.fetch_add(1, Ordering::Relaxed), shared.recorder.now());
        let transaction = Transaction { id, producer, session, began, copied, appends: Vec::new(), end: None };
        Self { transaction, next: 0 }
    }

    /// Writes what is planned. False if not all of it was acked.
    async fn write(&mut self, instance: &mut Instance, plan: &Plan<'_>) -> bool {
        if !instance.add_partitions(plan.appends.iter().map(|(place, _)| *place)).await {
            return false;
        }
        for (place, count) in &plan.appends {
            if !self.append(instance, place, *count).await {
                return false;
            }
        }
        true
    }

    async fn append(&mut self, instance: &mut Instance, place: &Place, count: u32) -> bool {
        let append = instance.append(self.transaction.id, place, self.next, count).await;
        self.next += u64::from(count);
        let is_acked = !matches!(append.outcome, Outcome::Unknown(_));
        self.transaction.appends.push(append);
        is_acked
    }

    /// Aborts. Where the broker stands in the producer's sequence numbers is open, so the producer begins anew.
    async fn give_up(&mut self, instance: &mut Instance) -> Option<Instance> {
        self.transaction.end = Some(instance.end(false).await);
        instance.forget();
        None
    }

    /// Ends as planned; gives the instance that has taken over, if one has.
    async fn end(
        &mut self,
        instance: &mut Instance,
        plan: &Plan<'_>,
        random: &mut StdRng,
    ) -> anyhow::Result<Option<Instance>> {
        match plan.ending {
            Ending::Commit | Ending::Abort => {
                self.transaction.end = Some(instance.end(plan.ending == Ending::Commit).await);
                Ok(None)
            }
            Ending::TimeOut => {
                tokio::time::sleep(TIME_OUT + GRACE).await;
                self.transaction.end = Some(instance.end(true).await);
                instance.forget();
                Ok(None)
            }
            Ending::Zombie => {
                let mut successor = instance.successor().await?;
                if successor.begin().await
                    && let Some((place, count)) = plan.appends.first()
                {
                    self.append(instance, place, *count).await;
                }
                self.transaction.end = Some(instance.end(true).await);
                Ok(Some(successor))
            }
            Ending::Race => {
                let mut successor = instance.successor().await?;
                let pause = RACE.mul_f64(random.random());
                let late = async {
                    tokio::time::sleep(pause).await;
                    instance.end(true).await
                };
                let (_, end) = tokio::join!(successor.begin(), late);
                self.transaction.end = Some(end);
                Ok(Some(successor))
            }
        }
    }
}
