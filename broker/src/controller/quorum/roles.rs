//! What this node is to the metadata log, as the rest of the broker is told.

use std::sync::Arc;
use std::time::Duration;

use openraft::ServerState;
use tokio::sync::watch;

use super::Metrics;
use super::contact::Contact;
use crate::controller::log::Role;

/// How often to look whether the leader has been silent for too long, which is no event.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// A leader that no majority has answered for so long has been replaced by now, or will be.
const ISOLATION: Duration = Duration::from_millis(2000);

/// Keeps `role` what it is, until Raft stops.
pub(super) async fn watch(mut metrics: watch::Receiver<Metrics>, contact: Arc<Contact>, role: watch::Sender<Role>) {
    let mut gone = contact.gone();
    loop {
        let now = role_of(&metrics.borrow_and_update(), &contact);
        role.send_if_modified(|role| std::mem::replace(role, now) != now);
        tokio::select! {
            changed = metrics.changed() => if changed.is_err() { return },
            _ = gone.changed() => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}

/// A leader may decide once it has applied an entry of its own: then it has applied all that were decided before. One that
/// no majority has answered for long cannot commit anything, and must not keep those waiting who could ask its successor.
fn role_of(metrics: &Metrics, contact: &Contact) -> Role {
    let leader_id = metrics.vote.leader_id;
    let has_applied_its_own = metrics.last_applied.is_some_and(|id| id.leader_id == leader_id);
    let is_heard = metrics.millis_since_quorum_ack.is_none_or(|millis| Duration::from_millis(millis) < ISOLATION);
    match metrics.state {
        ServerState::Leader if has_applied_its_own && is_heard => Role::Leader,
        ServerState::Leader => Role::Follower { leader: None },
        _ => {
            let there = metrics.current_leader.filter(|leader| contact.is_there(Some(*leader)));
            Role::Follower { leader: there.map(|leader| leader.broker()) }
        }
    }
}

/// What `written` comes to; none if it has not when this node leads no more. Who is cut off would wait for the others, and
/// for ever if a snapshot of theirs takes the place of the entry.
pub(super) async fn while_leading<T>(written: impl Future<Output = T>, mut role: watch::Receiver<Role>) -> Option<T> {
    tokio::select! {
        // What has been written by now has been, whoever leads.
        biased;
        written = written => Some(written),
        Ok(_) = role.wait_for(|role| *role != Role::Leader) => None,
    }
}
