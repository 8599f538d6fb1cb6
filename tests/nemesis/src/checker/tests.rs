//! A good history, and one bad history for every promise: a check that cannot fail proves nothing.
#![allow(clippy::indexing_slicing)]

mod ends;

use super::*;
use crate::history::{
    Batch, Commit, Committed, Fault, Latest, Outcome, Partition, Produce, Read, ReplicaLog, Run, Watermarks, Writer,
};

/// Writer 0 is idempotent, writer 1 plain; both write to partition 0, in turns, two records a call.
fn good() -> Vec<Event> {
    let mut events = vec![
        Event::Partition(Partition { number: 0, topic: "t".into(), index: 0, brokers: vec![0, 1] }),
        Event::Writer(Writer { id: 0, partition: 0, idempotent: true }),
        Event::Writer(Writer { id: 1, partition: 0, idempotent: false }),
    ];
    for turn in 0..6u64 {
        events.push(produce((turn % 2) as u32, turn / 2 * 2, 100 * turn, Outcome::Acked(2 * turn as i64)));
    }
    events.push(Event::Read(read("consumer-0", 0, 250, &[run(0, 0, 0), run(2, 1, 0)], 4)));
    events.push(Event::Read(read("consumer-0", 4, 900, &[run(4, 0, 2), run(6, 1, 2)], 12)));
    events.push(Event::Read(read("member-0-1", 0, 910, &[run(0, 0, 0), run(2, 1, 0), run(4, 0, 2)], 12)));
    events.push(commit(6, 920, true));
    events.push(committed(6, 950));
    let whole: Vec<Run> = (0..6).map(|turn| run(2 * turn, (turn % 2) as u32, (turn / 2 * 2) as u64)).collect();
    events.push(Event::Final(read("final", 0, 2_000, &whole, 12)));
    let batches = |broker| {
        let batches = (0..6).map(|turn| Batch { offset: 2 * turn, end: 2 * turn + 2, checksum: turn as u32 }).collect();
        Event::Replica(ReplicaLog { broker, partition: 0, batches })
    };
    events.extend([batches(0), batches(1)]);
    events.push(Event::Fault(fault("kill", 300)));
    events
}

/// A fault that was taken back at this time.
pub(super) fn fault(name: &str, healed: u64) -> Fault {
    let (began, recovered) = (healed.saturating_sub(90), healed + 50);
    Fault { name: name.into(), began, healed, recovered, evidence: "it was gone".into(), killed: vec![0] }
}

fn produce(writer: u32, first: u64, invoked: u64, outcome: Outcome) -> Event {
    Event::Produce(Produce { writer, first, count: 2, invoked, completed: invoked + 50, outcome })
}

fn run(offset: i64, writer: u32, first: u64) -> Run {
    Run { offset, writer: Some(writer), first, count: 2, epoch: 5 }
}

fn read(reader: &str, offset: i64, invoked: u64, runs: &[Run], high: i64) -> Read {
    let marks = Watermarks { high, stable: high, start: 0 };
    let (reader, partition, completed, runs) = (reader.into(), 0, invoked + 5, runs.to_vec());
    Read { reader, partition, offset, epoch: 5, invoked, completed, marks, runs }
}

fn commit(offset: i64, invoked: u64, acked: bool) -> Event {
    Event::Commit(Commit { group: "g".into(), partition: 0, offset, invoked, completed: invoked + 5, acked })
}

fn committed(offset: i64, invoked: u64) -> Event {
    Event::Committed(Committed { group: "g".into(), partition: 0, offset, invoked, completed: invoked + 5 })
}

fn properties(events: Vec<Event>) -> Vec<&'static str> {
    let report = check(&History { events }, NEEDLESS_WAIT);
    let mut found: Vec<_> = report.violations.iter().map(|violation| violation.property).collect();
    found.dedup();
    found
}

fn final_read(events: &mut [Event]) -> &mut Read {
    let found = events.iter_mut().find_map(|event| match event {
        Event::Final(read) => Some(read),
        _ => None,
    });
    found.unwrap()
}

fn reads(events: &mut [Event]) -> Vec<&mut Read> {
    let found = events.iter_mut().filter_map(|event| match event {
        Event::Read(read) => Some(read),
        _ => None,
    });
    found.collect()
}

#[test]
fn a_good_history_has_no_violation_and_is_not_empty() {
    let report = check(&History { events: good() }, NEEDLESS_WAIT);
    assert_eq!(report.violations, []);
    let expected =
        Counts { calls: 6, acked: 12, unknown: 0, read: 14, kept: 12, commits: 1, faults: 1, replicas: 2, outdated: 0 };
    assert_eq!(report.counts, expected);
    let outage = Outage { fault: "kill".into(), gap: 100, partition: 0, comeback: 50, elsewhere: None, lost: 0 };
    assert_eq!(report.outages, [outage]);
}

#[test]
fn c1_an_acked_record_that_is_gone_at_the_end() {
    let mut events = good();
    final_read(&mut events).runs.pop();
    assert!(properties(events).contains(&"C1"));
}

#[test]
fn c1_an_acked_record_at_another_offset_than_its_ack_says() {
    let mut events = good();
    events[8] = produce(1, 4, 500, Outcome::Acked(11));
    assert_eq!(properties(events), ["C1", "C8"]);
}

#[test]
fn c1_a_duplicate_that_is_nowhere() {
    let mut events = good();
    events.push(produce(0, 6, 1_000, Outcome::Duplicate));
    assert_eq!(properties(events), ["C1"]);
}

#[test]
fn an_open_call_may_have_been_stored_or_not() {
    let mut events = good();
    events.push(produce(0, 6, 1_000, Outcome::Unknown("time-out".into())));
    events.push(produce(1, 6, 1_000, Outcome::Unknown("time-out".into())));
    final_read(&mut events).runs.push(run(12, 1, 6));
    final_read(&mut events).marks.high = 14;
    for event in &mut events {
        if let Event::Replica(replica) = event {
            replica.batches.push(Batch { offset: 12, end: 14, checksum: 9 });
        }
    }
    assert_eq!(properties(events), [""; 0]);
}

#[test]
fn c2_two_values_at_one_offset() {
    let mut events = good();
    reads(&mut events)[1].runs[1] = run(6, 1, 0);
    assert_eq!(properties(events), ["C2"]);
}

#[test]
fn c3_a_record_of_an_idempotent_writer_twice_but_not_of_a_plain_one() {
    for (writer, expected) in [(0, &["C3"][..]), (1, &[][..])] {
        let mut events = good();
        let last = if writer == 0 { 4 } else { 2 };
        events.push(produce(1, 6, 1_000, Outcome::Acked(14)));
        let log = final_read(&mut events);
        log.runs.extend([run(12, writer, last), run(14, 1, 6)]);
        log.marks.high = 16;
        events.retain(|event| !matches!(event, Event::Replica(_)));
        assert_eq!(properties(events), expected);
    }
}

#[test]
fn c4_a_record_that_nobody_sent_or_not_yet_or_elsewhere() {
    let mut never = good();
    final_read(&mut never).runs.push(run(12, 0, 6));
    final_read(&mut never).marks.high = 14;
    never.retain(|event| !matches!(event, Event::Replica(_)));
    assert_eq!(properties(never), ["C4"]);

    let mut early = good();
    reads(&mut early)[1].invoked = 260;
    reads(&mut early)[1].completed = 265;
    assert_eq!(properties(early), ["C4"]);

    let mut elsewhere = good();
    elsewhere[1] = Event::Writer(Writer { id: 0, partition: 1, idempotent: true });
    assert!(properties(elsewhere).contains(&"C4"));
}

#[test]
fn c5_an_ack_below_one_that_was_given_before_the_call_began() {
    let mut events = good();
    let log = final_read(&mut events);
    log.runs.swap(1, 2);
    (log.runs[1].offset, log.runs[2].offset) = (2, 4);
    events[4] = produce(1, 0, 100, Outcome::Acked(4));
    events[5] = produce(0, 2, 200, Outcome::Acked(2));
    events.retain(|event| !matches!(event, Event::Read(_) | Event::Commit(_) | Event::Committed(_)));
    assert_eq!(properties(events), ["C5"]);
}

#[test]
fn c6_a_poll_that_skips_and_an_answer_with_a_gap() {
    let mut skips = good();
    let second = &mut reads(&mut skips)[1];
    second.offset = 6;
    second.runs.remove(0);
    assert_eq!(properties(skips), ["C6"]);

    let mut gap = good();
    reads(&mut gap)[2].runs.remove(1);
    assert_eq!(properties(gap), ["C6"]);
}

#[test]
fn c6_records_beyond_the_watermark() {
    let mut events = good();
    let first = &mut reads(&mut events)[0];
    first.marks.high = 3;
    first.marks.stable = 3;
    assert_eq!(properties(events), ["C6", "C8"]);
}

#[test]
fn a_reader_may_stand_beyond_the_watermark_of_a_new_leader() {
    let mut events = good();
    events.push(Event::Read(Read { epoch: 6, ..read("consumer-0", 8, 1_000, &[], 4) }));
    assert_eq!(properties(events), [""; 0]);
}

#[test]
fn c6_an_idempotent_writer_whose_records_changed_places() {
    let mut events = good();
    for index in [3, 5, 7] {
        let Event::Produce(call) = &mut events[index] else { panic!("a call") };
        call.outcome = Outcome::Unknown("time-out".into());
    }
    let log = final_read(&mut events);
    (log.runs[0].first, log.runs[2].first) = (4, 0);
    log.runs[4].first = 2;
    events.retain(|event| !matches!(event, Event::Read(_) | Event::Commit(_) | Event::Committed(_)));
    assert_eq!(properties(events), ["C6"]);
}

#[test]
fn c7_a_record_that_was_read_and_is_gone() {
    let mut events = good();
    events[8] = produce(1, 4, 500, Outcome::Unknown("time-out".into()));
    events.push(Event::Read(read("consumer-0", 8, 1_000, &[run(8, 0, 4), run(10, 1, 4)], 12)));
    let log = final_read(&mut events);
    log.runs.pop();
    log.marks = Watermarks { high: 10, stable: 10, start: 0 };
    assert_eq!(properties(events), ["C7", "C8"]);
}

#[test]
fn c8_a_damaged_record() {
    let mut events = good();
    let first = &mut reads(&mut events)[0];
    first.runs[1] = Run { offset: 2, writer: None, first: 0, count: 1, epoch: 5 };
    assert!(properties(events).contains(&"C8"));
}

#[test]
fn c9_a_committed_offset_that_goes_back_or_that_nobody_committed() {
    let mut back = good();
    back.push(commit(2, 900, true));
    back.push(committed(2, 960));
    assert_eq!(properties(back), ["C9"]);

    let mut invented = good();
    invented.push(committed(7, 960));
    assert!(properties(invented).contains(&"C9"));
}

#[test]
fn c9_records_that_the_group_skipped() {
    let mut events = good();
    events.retain(|event| !matches!(event, Event::Read(read) if read.reader == "member-0-1"));
    assert_eq!(properties(events), ["C9"]);
}

#[test]
fn b9_replicas_that_differ_or_end_early() {
    for change in [
        (|batches: &mut Vec<Batch>| batches[2].checksum ^= 1) as fn(&mut Vec<Batch>),
        |batches| batches.truncate(5),
        |batches| batches.push(Batch { offset: 12, end: 13, checksum: 0 }),
    ] {
        let mut events = good();
        let replica = events.iter_mut().find_map(|event| match event {
            Event::Replica(replica) => Some(replica),
            _ => None,
        });
        change(&mut replica.unwrap().batches);
        assert_eq!(properties(events), ["B9"]);
    }
}

#[test]
fn a_partition_that_was_not_read_at_the_end_is_no_success() {
    let mut events = good();
    events.retain(|event| !matches!(event, Event::Final(_)));
    assert_eq!(properties(events), ["harness"]);
}

#[test]
fn a_fault_without_evidence_and_a_cluster_that_does_not_come_back() {
    let mut silent = good();
    let Some(Event::Fault(fault)) = silent.last_mut() else { panic!("a fault") };
    fault.evidence.clear();
    assert_eq!(properties(silent), ["harness"]);
    let mut stuck = good();
    stuck.push(Event::Stuck("not in sync".into()));
    assert_eq!(properties(stuck), ["liveness"]);
}

#[test]
fn a_wait_where_the_killed_broker_held_nothing() {
    // The fault begins at 210: a call that waited before, for another fault, has waited for this one since then.
    for (invoked, completed, length) in [(215, 500_215, 500_000), (215, 500_216, 500_001), (20, 500_210, 500_000)] {
        let mut events = good();
        events.push(Event::Partition(Partition { number: 1, topic: "t".into(), index: 1, brokers: vec![1, 2] }));
        events.push(Event::Writer(Writer { id: 2, partition: 1, idempotent: false }));
        let call = |first, invoked, completed, offset| {
            let outcome = Outcome::Acked(offset);
            Event::Produce(Produce { writer: 2, first, count: 1, invoked, completed, outcome })
        };
        events.extend([call(0, invoked, completed, 0), call(1, 600_000, 1_900_000, 1)]);
        let run = Run { offset: 0, writer: Some(2), first: 0, count: 2, epoch: 0 };
        events.push(Event::Final(Read { partition: 1, ..read("final", 0, 2_000_000, &[run], 2) }));
        let expected = if length > NEEDLESS_WAIT { &["needless wait"][..] } else { &[] };
        assert_eq!(properties(events.clone()), expected);
        let report = check(&History { events }, NEEDLESS_WAIT);
        assert_eq!(report.outages[0].elsewhere, Some(Wait { partition: 1, invoked, length }));
    }
}

#[test]
fn a_partition_that_is_never_acked_again() {
    let mut events = good();
    let Some(Event::Fault(fault)) = events.last_mut() else { panic!("a fault") };
    (fault.healed, fault.recovered) = (501, 502);
    assert_eq!(properties(events), ["liveness"]);
}

#[test]
fn what_is_lost_counts_to_the_fault_around_which_it_was_acked() {
    let mut events = good();
    final_read(&mut events).runs.pop();
    let first = events.pop();
    let later = Fault {
        name: "later".into(),
        began: 500,
        healed: 500,
        recovered: 505,
        ..match &first {
            Some(Event::Fault(fault)) => fault.clone(),
            _ => panic!("a fault"),
        }
    };
    events.extend(first);
    events.push(Event::Fault(later));
    let lost: Vec<u64> = check(&History { events }, NEEDLESS_WAIT).outages.iter().map(|outage| outage.lost).collect();
    assert_eq!(lost, [0, 2]);
}
