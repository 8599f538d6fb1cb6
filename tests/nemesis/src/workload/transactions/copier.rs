//! A worker that copies what is committed in one partition to another, exactly once: the group's next offset is part of the
//! transaction that has the copies (KIP-447).
//!
//! After anything but an acked commit it asks where the group stands, as a worker does that has been started anew.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use rand::Rng;
use rand::rngs::StdRng;

use super::instance::Instance;
use super::plan::{Ending, Plan};
use super::view::look;
use super::{Open, PACE};
use crate::history::{Copied, Decision, End, Event, Transactor, View};
use crate::workload::{Isolation, Place, Shared};

/// Copies `from` to `to` until told to stop.
pub(in crate::workload) async fn copy(
    shared: Shared,
    transactor: Transactor,
    (from, to): (Place, Place),
    numbers: Arc<AtomicU32>,
    mut random: StdRng,
) -> anyhow::Result<()> {
    let mut instance = Instance::new(&shared, &transactor).await?;
    let asker = shared.asker().await?;
    let (mut position, mut times) = (None, 0);
    while !shared.stopped() {
        tokio::time::sleep(PACE.mul_f64(random.random_range(0.5..1.5))).await;
        let Some(session) = instance.session() else {
            position = None;
            instance.begin().await;
            continue;
        };
        let Some(offset) = position else {
            position = instance.committed_offset(&from).await;
            times += 1;
            continue;
        };
        let reader = format!("copier, time {times},");
        let Ok(view) = look(&asker, &shared.recorder, &reader, &from, (offset, Isolation::Committed)).await else {
            continue;
        };
        let (count, next) = (records(&view), view.next);
        position = Some(next);
        shared.recorder.record(Event::View(view));
        if count == 0 {
            continue;
        }
        let copied = Copied { partition: from.number, from: offset, next };
        let mut open = Open::begin(&shared, &numbers, (transactor.id, session), Some(copied));
        let plan = Plan { ending: Ending::draw(&mut random), appends: vec![(&to, count)] };
        let is_written = open.append(&mut instance, &to, count).await && instance.commit_offset(&from, next).await;
        let successor = if is_written {
            open.end(&mut instance, &plan, &mut random).await?
        } else {
            open.give_up(&mut instance).await
        };
        if !matches!(open.transaction.end, Some(End { commit: true, outcome: Decision::Acked, .. })) {
            position = None;
        }
        shared.recorder.record(Event::Transaction(open.transaction));
        instance = successor.unwrap_or(instance);
    }
    Ok(())
}

fn records(view: &View) -> u32 {
    view.read.runs.iter().map(|run| run.count).sum()
}
