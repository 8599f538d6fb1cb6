//! What has to hold in every world.

use super::*;

impl World {
    pub(super) fn read_offsets(&mut self) {
        for group in GROUPS {
            let found: BTreeMap<i32, i64> = offsets(self.bench.call(fetch_all(group, false)))
                .into_iter()
                .map(|(_, p, offset)| (p, offset))
                .collect();
            for partition in 0..PARTITIONS {
                let offset = found.get(&partition).copied().unwrap_or(-1);
                let acked = self.acked.get(&(group, partition)).copied().unwrap_or(-1);
                assert!(offset >= acked, "{group} {partition}: {offset} is read after {acked} was acknowledged");
                let before = self.read.insert((group.to_owned(), partition), offset).unwrap_or(-1);
                assert!(offset >= before, "{group} {partition}: {offset} is read after {before}");
            }
        }
    }

    /// With nothing on its way, the log holds all that is durable.
    pub(super) fn compare_with_rebuilt(&mut self) {
        self.bench.drain();
        let mut rebuilt = loaded(&self.bench.config, &self.bench.log);
        let now = self.bench.now();
        for group in GROUPS {
            let mut ask = |request: Request| {
                let live = self.bench.call(request.clone());
                let effects = rebuilt.handle(now, Event::Request(RequestId(0), request));
                let [ottla_core::group::Effect::Reply(_, response)] = &effects[..] else { panic!("{effects:?}") };
                (live, response.clone())
            };
            let (live, stored) = ask(fetch_all(group, true));
            assert_eq!(live, stored, "offsets of {group}");
            let (live, stored) = ask(Request::Describe(group.into()));
            let Response::Describe(Ok(described)) = &live else { panic!("{live:?}") };
            match described.state {
                GroupState::Stable => assert_eq!(live, stored, "members of {group}"),
                // The record of an empty generation may have failed; sessions end once more then.
                GroupState::Empty if !self.has_failed => assert_eq!(live, stored, "empty {group}"),
                _ => {}
            }
        }
    }

    pub(super) fn assert_settled(&mut self) {
        for group in GROUPS {
            let members: Vec<&Client> = self.clients.iter().filter(|client| client.group == group).collect();
            let mut shares: Vec<i32> = members.iter().flat_map(|client| client.share.iter().copied()).collect();
            shares.sort_unstable();
            let all: Vec<i32> = if members.is_empty() { Vec::new() } else { (0..PARTITIONS).collect() };
            let phases: Vec<_> = members.iter().map(|client| &client.phase).collect();
            let is_at_rest = phases.iter().all(|phase| matches!(phase, Phase::Working));
            let coordinator = &self.bench.coordinator;
            assert!(is_at_rest, "{group} is not at rest: {phases:?} in {coordinator:#?}");
            let generations: BTreeSet<i32> = members.iter().map(|client| client.generation).collect();
            assert!(generations.len() <= 1, "{group} has one generation: {generations:?}");
            assert_eq!(shares, all, "{group}: every partition has one consumer");
        }
    }
}
