//! The watermark under any order of what can happen to a leader.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Append(i64),
    Flush(i64),
    Fetch(i32, i64, i64),
    Tick(u64),
    Commit,
    Refuse,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (1..20i64).prop_map(Step::Append),
        (0..20i64).prop_map(Step::Flush),
        (2..4i32, 0..30i64, 0..30i64).prop_map(|(id, end, flushed)| Step::Fetch(id, end, flushed)),
        (1..60u64).prop_map(Step::Tick),
        Just(Step::Commit),
        Just(Step::Refuse),
    ]
}

proptest! {
    /// Whatever set the controller may hold, none of its members lacks a record below the watermark (B4), the watermark
    /// never goes back (C8), and no record that all members hold waits for a flush that nobody has asked for.
    #[test]
    fn the_watermark_never_passes_a_possible_member(steps in prop::collection::vec(step(), 1..80)) {
        let mut leader = leader(&[1, 2, 3], &[1, 2, 3], Durability::Fsync, 1);
        let (mut end, mut flushed, mut clock) = (0i64, 0i64, 0u64);
        let mut follower_flushed = [0i64; 4];
        let mut follower_end = [0i64; 4];
        let mut asked = 0i64;
        let mut outstanding: Option<IsrProposal> = None;
        let mut epoch = 9;
        let mut watermark = Offset(0);
        for step in steps {
            let mut effects = Vec::new();
            match step {
                Step::Append(n) => { end += n; leader.appended(Offset(end), &mut effects); }
                Step::Flush(n) => { flushed = (flushed + n).min(end); leader.flushed(Offset(flushed), &mut effects); }
                Step::Fetch(id, behind, unflushed) => {
                    let fetched = (end - behind).max(follower_flushed[id as usize]);
                    let held = (fetched - unflushed).max(follower_flushed[id as usize]);
                    follower_flushed[id as usize] = held;
                    follower_end[id as usize] = fetched;
                    leader.follower_fetched(at(clock), &fetch(BrokerId(id), fetched, held), &mut effects);
                }
                Step::Tick(seconds) => { clock += seconds; leader.tick(at(clock), LAG, &mut effects); }
                Step::Commit => if let Some(proposal) = outstanding.take() {
                    epoch += 1;
                    let isr: Vec<i32> = proposal.members.iter().map(|(id, _)| id.0).collect();
                    leader.state_committed(at(clock), state(epoch, &[1, 2, 3], &isr), settings(Durability::Fsync, 1), &mut effects);
                },
                Step::Refuse => if outstanding.take().is_some() { leader.proposal_refused(at(clock), &mut effects); },
            }
            for effect in effects {
                match effect {
                    Effect::AdvanceHighWatermark { to } => { prop_assert!(to > watermark); watermark = to; }
                    Effect::ProposeIsr(proposal) => { prop_assert!(outstanding.is_none()); outstanding = Some(proposal); }
                    Effect::Flush => asked = end,
                    _ => {}
                }
            }
            prop_assert_eq!(watermark, leader.high_watermark());
            prop_assert!(watermark.0 <= flushed);
            let mut possible: Vec<BrokerId> = leader.term().isr.clone();
            possible.extend(outstanding.iter().flat_map(|p| p.members.iter().map(|(id, _)| *id)));
            let others = possible.iter().filter(|id| **id != ME);
            let held_by_all = others.map(|id| follower_end[id.0 as usize]).fold(end, i64::min);
            prop_assert!(held_by_all <= asked.max(flushed));
            for id in possible.iter().filter(|id| **id != ME) {
                // A member that has just been proposed need not hold what was committed without it until it is in.
                if leader.term().isr.contains(id) {
                    prop_assert!(follower_flushed[id.0 as usize] >= watermark.0, "{id} lacks records");
                }
            }
        }
    }
}
