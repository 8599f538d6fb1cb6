//! Background work: what must follow from a deletion.
//!
//! Level-triggered: after any write, each pass does what is still missing. What that is the store keeps at hand, so a pass
//! costs what there is to do.

mod definitions;
mod events;
mod namespaces;
mod owners;

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use crate::core::Core;

/// How often old events are looked for, at most.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// Runs until the server closes. Holds the server only while a pass runs.
pub(crate) async fn run(core: Weak<Core>) {
    let Some((mut changed, closing)) = core.upgrade().map(|c| (c.store.subscribe_all(), c.closing.clone())) else {
        return;
    };
    let mut next_sweep = Instant::now();
    loop {
        changed.borrow_and_update();
        match core.upgrade() {
            Some(core) => {
                pass(&core);
                if Instant::now() >= next_sweep {
                    events::expire(&core);
                    next_sweep = Instant::now() + SWEEP_EVERY;
                }
            }
            None => return,
        }
        tokio::select! {
            changed = changed.changed() => if changed.is_err() { return },
            () = closing.cancelled() => return,
        }
    }
}

fn pass(core: &Arc<Core>) {
    owners::collect(core);
    namespaces::finish(core);
    definitions::finish(core);
}
