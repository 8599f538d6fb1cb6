//! What the fake's controller says of a restart.

use super::*;

impl State {
    /// What would come of restarting `broker` now.
    pub(super) fn restart_of(&self, broker: BrokerId) -> RestartVerdict {
        let mut verdict = harmless();
        for (topic, (view, config)) in &self.topics {
            let needed = min_in_sync(config);
            for (partition, state) in (0..).zip(&view.partitions) {
                let waits =
                    |other: &BrokerId| *other != broker && self.serves(*other) && !state.in_sync.contains(other);
                verdict.catching_up += u32::from(state.replicas.iter().any(waits));
                if !state.in_sync.contains(&broker) {
                    continue;
                }
                let left = state.in_sync.len() - 1;
                if left >= needed.max(1) {
                    continue;
                }
                if state.in_sync.len() == state.replicas.len() {
                    verdict.unavoidable += 1;
                } else {
                    verdict.harmed.push(HarmedPartition { topic: topic.clone(), partition, goes_offline: left == 0 });
                }
            }
        }
        let up = |voter: &&VoterView| self.serves(voter.broker);
        let voters = &self.quorum.voters;
        let left = voters.iter().filter(up).filter(|voter| voter.broker != broker).count();
        let is_lost = voters.iter().any(|voter| voter.broker == broker) && 2 * left <= voters.len();
        verdict.holds_quorum = is_lost && voters.iter().all(|voter| self.serves(voter.broker));
        verdict.loses_quorum = is_lost && !verdict.holds_quorum;
        verdict.allowed = verdict.harmed.is_empty() && !verdict.loses_quorum;
        verdict
    }
}
