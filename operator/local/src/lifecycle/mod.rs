//! Background work: what must follow from a deletion.
//!
//! Level-triggered: after any write, each pass looks at the whole state and does what is still missing.

mod definitions;
mod namespaces;
mod owners;

use std::sync::{Arc, Weak};

use crate::core::Core;

/// Runs until the server closes. Holds the server only while a pass runs.
pub(crate) async fn run(core: Weak<Core>) {
    let Some((mut changed, closing)) = core.upgrade().map(|c| (c.store.subscribe_all(), c.closing.clone())) else {
        return;
    };
    loop {
        changed.borrow_and_update();
        match core.upgrade() {
            Some(core) => pass(&core),
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
