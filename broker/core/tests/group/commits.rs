//! The commits that members of the group `g` of a simulation have on their way, and what has to be read of them.

use std::collections::BTreeMap;

use ottla_core::coordinator::RequestId;
use ottla_core::group::{Commit, Request, Response};

use super::bench::Bench;
use super::requests::{commit, fetch_all, offsets};

/// Commits of topic `t`, with offsets that rise; by partition.
#[derive(Default)]
pub struct Commits {
    last_offset: i64,
    waiting: BTreeMap<RequestId, (i32, i64)>,
    acknowledged: BTreeMap<i32, i64>,
}

impl Commits {
    /// A member commits, as a client of today does.
    pub fn send(&mut self, bench: &mut Bench, member: &str, instance_id: Option<String>, epoch: i32, partition: i32) {
        self.last_offset += 1;
        let Request::Commit(asked) = commit("g", member, epoch, "t", partition, self.last_offset) else { panic!() };
        let id = bench.send(Request::Commit(Commit { knows_consumer_protocol: true, instance_id, ..asked }));
        self.waiting.insert(id, (partition, self.last_offset));
    }

    /// Takes the answers that are there.
    pub fn collect(&mut self, bench: &mut Bench) {
        let Self { waiting, acknowledged, .. } = self;
        waiting.retain(|id, (partition, offset)| {
            let Some(Response::Commit(result)) = bench.take(*id) else { return true };
            if result.is_ok_and(|results| results[0].1[0].1.is_ok()) {
                let last = acknowledged.entry(*partition).or_default();
                *last = (*last).max(*offset);
            }
            false
        });
    }

    /// What was acknowledged, or something later, is read.
    pub fn check(&self, bench: &mut Bench) {
        let found: BTreeMap<i32, i64> =
            offsets(bench.call(fetch_all("g", false))).into_iter().map(|(_, p, offset)| (p, offset)).collect();
        for (partition, acknowledged) in &self.acknowledged {
            let offset = found.get(partition).copied().unwrap_or(-1);
            assert!(offset >= *acknowledged, "{partition}: {offset} is read after {acknowledged} was acknowledged");
        }
    }
}
