//! A good history of transactions, and one bad history for every promise.

use std::collections::BTreeMap;

use super::super::tests::fault;
use super::*;
use crate::history::{
    Append, Begun, Copied, Decision, End, Event, Marker, Outcome, Read, Run, Session, Transaction, Transactor, View,
    Watermarks,
};

const PHANTOM: &str = "C10 no phantom, nothing twice";
const ORDER: &str = "C10 one transaction of a producer after the other";
const TORN: &str = "C10 all or nothing";
const LOST: &str = "C10 no acked commit lost";
const UNASKED: &str = "C10 nothing aborted is committed";
const G1A: &str = "C10 no aborted read (G1a)";
const G1B: &str = "C10 no read before the commit (G1b)";
const DIFFERING: &str = "C10 committed records are read, once and as they were written";
const GAPS: &str = "C10 reads follow each other";
const STABLE: &str = "C10 last stable offset";
const ZOMBIES: &str = "C10 zombies are fenced";
const ONCE: &str = "C10 each record is copied once";
const G1C: &str = "C10 no information flows back (G1c)";

/// What stands at an offset.
#[derive(Clone, Copy, Debug)]
enum Item {
    /// The record of a transaction with this number.
    Record(u32, u64),
    /// A marker: producer id, epoch, commit.
    End(i64, i16, bool),
}
use Item::{End as Ends, Record};

/// A history before its readers have read it.
struct Story {
    events: Vec<Event>,
    logs: [Vec<Item>; 2],
}

/// Producer 0 works by version 2 and is 100 to the brokers, producer 1 by version 1 and is 200. Transactions 0 and 1
/// commit and interleave in two orders, 2 aborts, 3 is fenced, 4 runs out of time, and of the commit of 5 the answer is lost.
fn story() -> Story {
    let events = vec![
        Event::Transactor(Transactor { id: 0, version: 2, copies: false }),
        Event::Transactor(Transactor { id: 1, version: 1, copies: false }),
        begun(0, (100, 0), 1),
        begun(1, (200, 0), 1),
        transaction(0, (0, (100, 0)), 10, vec![append(0, 0, 2, 0), append(1, 2, 1, 1)], (true, 60, Decision::Acked)),
        transaction(1, (1, (200, 0)), 12, vec![append(1, 0, 1, 0), append(0, 1, 1, 2)], (true, 80, Decision::Acked)),
        transaction(2, (0, (100, 1)), 100, vec![append(0, 0, 1, 5)], (false, 110, Decision::Acked)),
        begun(0, (100, 4), 200),
        transaction(3, (0, (100, 2)), 150, vec![append(0, 0, 1, 7)], (true, 210, refused())),
        transaction(4, (0, (100, 4)), 300, vec![append(0, 0, 1, 9)], (true, 400, refused())),
        begun(0, (100, 6), 450),
        transaction(5, (0, (100, 6)), 500, vec![append(0, 0, 1, 11), append(1, 1, 1, 4)], (true, 530, lost())),
    ];
    let first = [
        Record(0, 0),
        Record(0, 1),
        Record(1, 1),
        Ends(100, 1, true),
        Ends(200, 0, true),
        Record(2, 0),
        Ends(100, 2, false),
        Record(3, 0),
        Ends(100, 3, false),
        Record(4, 0),
        Ends(100, 5, false),
        Record(5, 0),
        Ends(100, 7, true),
    ];
    let second = [Record(1, 0), Record(0, 2), Ends(100, 1, true), Ends(200, 0, true), Record(5, 1), Ends(100, 7, true)];
    Story { events, logs: [first.to_vec(), second.to_vec()] }
}

fn refused() -> Decision {
    Decision::Refused("PRODUCER_FENCED".into())
}

fn lost() -> Decision {
    Decision::Unknown("time-out".into())
}

fn begun(producer: u32, session: Session, invoked: u64) -> Event {
    Event::Begun(Begun { producer, session, invoked, completed: invoked + 5 })
}

fn append(partition: i32, first: u64, count: u32, offset: i64) -> Append {
    // They are asked for right after the beginning of their transaction.
    Append { partition, first, count, invoked: 0, completed: 0, outcome: Outcome::Acked(offset) }
}

fn transaction(
    id: u32,
    (producer, session): (u32, Session),
    began: u64,
    mut appends: Vec<Append>,
    (commit, invoked, outcome): (bool, u64, Decision),
) -> Event {
    for append in &mut appends {
        (append.invoked, append.completed) = (began + 1, began + 8);
    }
    let end = Some(End { commit, invoked, completed: invoked + 5, outcome });
    Event::Transaction(Transaction { id, producer, session, began, copied: None, appends, end })
}

impl Story {
    fn transaction(&mut self, id: u32) -> &mut Transaction {
        let found = self.events.iter_mut().find_map(|event| match event {
            Event::Transaction(transaction) if transaction.id == id => Some(transaction),
            _ => None,
        });
        found.unwrap()
    }

    /// What a reader is given of a partition within some offsets.
    fn view(&self, partition: i32, (from, to): (i64, i64), committed: bool, invoked: u64) -> View {
        let log = &self.logs[partition as usize];
        let verdicts = self.verdicts(partition);
        let (mut runs, mut markers) = (Vec::new(), Vec::new());
        for (offset, item) in (0..).zip(log).filter(|(offset, _)| (from..to).contains(offset)) {
            match *item {
                Record(id, first) if !committed || verdicts.get(&id) == Some(&true) => {
                    runs.push(Run { offset, writer: Some(id), first, count: 1, epoch: 5 });
                }
                Record(..) => {}
                Ends(producer, epoch, commit) => markers.push(Marker { offset, session: (producer, epoch), commit }),
            }
        }
        let reader = if committed { "committed" } else { "uncommitted" }.to_owned();
        let marks = Watermarks { high: log.len() as i64, stable: log.len() as i64, start: 0 };
        let read = Read { reader, partition, offset: from, epoch: 5, invoked, completed: invoked + 5, marks, runs };
        View { read, committed, markers, next: to }
    }

    /// How each transaction ended in a partition.
    fn verdicts(&self, partition: i32) -> BTreeMap<u32, bool> {
        let (mut open, mut verdicts) = (BTreeMap::new(), BTreeMap::new());
        for item in &self.logs[partition as usize] {
            match *item {
                Record(id, _) => {
                    let producer = match id {
                        1 => 200,
                        6 | 7 => 300,
                        _ => 100,
                    };
                    open.insert(producer, id);
                }
                Ends(producer, _, commit) => verdicts.extend(open.remove(&producer).map(|id| (id, commit))),
            }
        }
        verdicts
    }

    /// All that was read: of partition 0 also while transaction 1 was open there.
    fn read(self) -> Vec<Event> {
        let mut early = self.view(0, (0, 2), true, 72);
        (early.read.marks.high, early.read.marks.stable) = (4, 2);
        let end = |partition: i32| self.logs[partition as usize].len() as i64;
        let mut views = vec![Event::View(early), Event::View(self.view(0, (2, end(0)), true, 600))];
        views.push(Event::View(self.view(0, (0, end(0)), false, 600)));
        for partition in [0, 1] {
            for committed in [true, false] {
                let mut last = self.view(partition, (0, end(partition)), committed, 1_000);
                last.read.reader = format!("final {}", last.read.reader);
                views.push(Event::FinalView(last));
            }
        }
        let mut events = self.events;
        events.extend(views);
        events
    }
}

fn judged(events: Vec<Event>) -> (Vec<&'static str>, Transactions) {
    let (violations, counts) = check(&History { events });
    let mut found: Vec<_> = violations.iter().map(|violation| violation.property).collect();
    found.dedup();
    (found, counts)
}

fn properties(events: Vec<Event>) -> Vec<&'static str> {
    judged(events).0
}

/// The read that comes at this place among those of readers of committed records during the run.
fn committed_view(events: &mut [Event], nth: usize) -> &mut View {
    let mut views = events.iter_mut().filter_map(|event| match event {
        Event::View(view) if view.committed => Some(view),
        _ => None,
    });
    views.nth(nth).unwrap()
}

#[test]
fn a_good_history_has_no_violation_and_every_kind_of_end() {
    let (found, counts) = judged(story().read());
    assert_eq!(found, [""; 0]);
    let expected = Transactions {
        producers: 2,
        committed: 2,
        committed_by_version_1: 1,
        aborted: 1,
        fenced: 1,
        timed_out: 1,
        open: 1,
        open_committed: 1,
        copying: 0,
        kept: 10,
        read: 4,
        write_cycles: 1,
        in_write_cycles: 2,
    };
    assert_eq!(counts, expected);
}

#[test]
fn a_history_without_transactional_producers_has_nothing_to_be_judged() {
    assert_eq!(judged(Vec::new()), (Vec::new(), Transactions::default()));
}

#[test]
fn a_commit_whose_answer_was_lost_may_have_been_refused_as_well() {
    let mut story = story();
    story.logs[0][12] = Ends(100, 7, false);
    story.logs[1][5] = Ends(100, 7, false);
    let (found, counts) = judged(story.read());
    assert_eq!((found, counts.open, counts.open_committed), (Vec::new(), 1, 0));
}

#[test]
fn transactions_that_follow_each_other_in_one_order_make_no_circle() {
    let mut story = story();
    story.logs[1].swap(0, 1);
    story.transaction(0).appends[1].outcome = Outcome::Acked(0);
    story.transaction(1).appends[0].outcome = Outcome::Acked(1);
    let (found, counts) = judged(story.read());
    assert_eq!((found, counts.write_cycles, counts.in_write_cycles), (Vec::new(), 0, 0));
}

#[test]
fn a_record_that_nobody_wrote_or_not_there_or_twice() {
    for stranger in [Record(99, 0), Record(2, 7), Record(2, 0)] {
        let mut story = story();
        // Between the record of the aborted transaction 2 and its marker; what follows moves on.
        story.logs[0].truncate(6);
        story.logs[0].extend([stranger, Ends(100, 2, false), Record(5, 0), Ends(100, 7, true)]);
        story.transaction(5).appends[0].outcome = Outcome::Acked(8);
        assert_eq!(properties(story.read()), [PHANTOM]);
    }
}

#[test]
fn two_transactions_of_a_producer_that_overlap_or_change_places() {
    let mut overlapping = story();
    // Transaction 3 begins before the marker of 2, which is then taken for its own.
    overlapping.logs[0].swap(6, 7);
    assert_eq!(properties(overlapping.read()), [ORDER, TORN, STABLE]);

    let mut changed = story();
    changed.logs[0].swap(5, 7);
    assert_eq!(properties(changed.read()), [ORDER]);
}

#[test]
fn a_marker_in_the_midst_of_a_transaction() {
    let mut story = story();
    // A marker that came late, of the transaction before, ends transaction 0 after its first record.
    story.logs[0].truncate(5);
    story.logs[0][1] = Ends(100, 0, false);
    story.logs[0][3] = Record(0, 1);
    story.logs[0].extend([Ends(100, 1, true), Record(5, 0), Ends(100, 7, true)]);
    story.transaction(0).appends[0].count = 1;
    story.transaction(0).appends.insert(1, append(0, 1, 1, 3));
    story.transaction(5).appends[0].outcome = Outcome::Acked(6);
    assert!(properties(story.read()).contains(&ORDER));
}

#[test]
fn a_transaction_that_is_committed_in_one_partition_only() {
    let mut story = story();
    story.logs[1][5] = Ends(100, 7, false);
    assert_eq!(properties(story.read()), [TORN]);
}

#[test]
fn an_open_commit_that_took_a_part_of_the_records() {
    let mut story = story();
    story.logs[1].truncate(4);
    assert_eq!(properties(story.read()), [TORN]);
}

#[test]
fn a_transaction_that_never_ends() {
    let mut story = story();
    story.logs[0][10] = Ends(300, 0, true);
    story.logs[0].truncate(11);
    story.logs[1].truncate(4);
    story.transaction(5).appends.clear();
    assert_eq!(properties(story.read()), [TORN, STABLE]);
}

#[test]
fn an_acked_commit_of_which_a_record_or_everything_is_lost() {
    let mut one = story();
    one.logs[1][1] = Ends(300, 0, true);
    assert_eq!(properties(one.read()), [LOST]);

    let mut all = story();
    all.logs[0][4] = Ends(200, 0, false);
    all.logs[1][3] = Ends(200, 0, false);
    assert_eq!(properties(all.read()), [LOST]);
}

#[test]
fn an_acked_record_at_another_offset_than_its_ack_says() {
    let mut story = story();
    story.transaction(0).appends[0].outcome = Outcome::Acked(1);
    assert_eq!(properties(story.read()), [LOST]);
}

#[test]
fn an_acked_duplicate_may_be_at_any_offset() {
    let mut story = story();
    story.transaction(0).appends[0].outcome = Outcome::Duplicate;
    assert_eq!(properties(story.read()), [""; 0]);
}

#[test]
fn an_aborted_a_fenced_and_an_overdue_transaction_that_are_committed() {
    for (place, epoch) in [(6, 2), (8, 3), (10, 5)] {
        let mut story = story();
        story.logs[0][place] = Ends(100, epoch, true);
        assert_eq!(properties(story.read()), [UNASKED]);
    }
}

#[test]
fn g1a_a_reader_of_committed_records_is_given_an_aborted_one() {
    let mut events = story().read();
    committed_view(&mut events, 1)
        .read
        .runs
        .insert(1, Run { offset: 5, writer: Some(2), first: 0, count: 1, epoch: 5 });
    assert_eq!(properties(events), [G1A]);
}

#[test]
fn g1b_a_record_is_read_before_its_commit_is_asked_for() {
    let mut story = story();
    story.transaction(0).end.as_mut().unwrap().invoked = 78;
    assert_eq!(properties(story.read()), [G1B]);
}

#[test]
fn a_reader_of_committed_records_passes_over_one_or_is_given_another() {
    let mut passed_over = story().read();
    committed_view(&mut passed_over, 1).read.runs.remove(0);
    assert_eq!(properties(passed_over), [DIFFERING]);

    let mut changed = story().read();
    committed_view(&mut changed, 1).read.runs[0].first = 0;
    assert_eq!(properties(changed), [DIFFERING]);

    let mut damaged = story().read();
    committed_view(&mut damaged, 1).read.runs[0].writer = None;
    assert_eq!(properties(damaged), [DIFFERING]);
}

#[test]
fn a_reader_that_skips_or_goes_back() {
    for from in [1, 3] {
        let mut events = story().read();
        let view = committed_view(&mut events, 1);
        view.read.offset = from;
        if from == 3 {
            view.read.runs.remove(0);
        } else {
            view.read.runs.insert(0, Run { offset: 1, writer: Some(0), first: 1, count: 1, epoch: 5 });
        }
        assert_eq!(properties(events), [GAPS]);
    }
}

#[test]
fn a_reader_of_committed_records_is_given_what_is_not_stable() {
    let mut events = story().read();
    committed_view(&mut events, 0).read.marks.stable = 1;
    assert_eq!(properties(events), [GAPS]);
}

#[test]
fn a_last_stable_offset_behind_an_open_transaction() {
    let mut events = story().read();
    // Transaction 1 has a record at 2, and its marker is to come at 4.
    committed_view(&mut events, 0).read.marks.stable = 3;
    assert_eq!(properties(events), [STABLE]);
}

#[test]
fn ends_that_go_back_within_a_term_but_not_after_an_election() {
    for (epoch, marks, expected) in
        [(5, (12, 12), &[STABLE][..]), (5, (13, 11), &[STABLE]), (5, (13, 13), &[]), (6, (13, 11), &[])]
    {
        let mut events = story().read();
        let mut late = story().view(0, (13, 13), true, 2_000);
        late.read.reader = "late".into();
        late.read.epoch = epoch;
        (late.read.marks.high, late.read.marks.stable) = marks;
        late.read.offset = 0;
        late.next = 0;
        events.push(Event::View(late));
        assert_eq!(properties(events), expected);
    }
}

#[test]
fn a_zombie_whose_append_or_commit_is_acked_after_its_successor_has_begun() {
    let mut appends = story();
    appends.transaction(3).appends[0].invoked = 206;
    assert_eq!(properties(appends.read()), [ZOMBIES]);

    let mut commits = story();
    commits.logs[0][8] = Ends(100, 3, true);
    commits.transaction(3).end.as_mut().unwrap().outcome = Decision::Acked;
    assert_eq!(properties(commits.read()), [ZOMBIES, "harness"]);
}

#[test]
fn a_commit_that_was_asked_for_before_the_successor_had_begun_may_be_taken() {
    let mut story = story();
    story.logs[0][8] = Ends(100, 3, true);
    let end = story.transaction(3).end.as_mut().unwrap();
    (end.invoked, end.outcome) = (204, Decision::Acked);
    assert_eq!(properties(story.read()), ["harness"]);
}

#[test]
fn a_run_that_lacks_a_kind_of_end_or_a_final_read_proves_nothing() {
    for id in [0, 1, 2, 3, 4] {
        let mut story = story();
        let transaction = story.transaction(id);
        transaction.end = None;
        transaction.appends.clear();
        let found = properties(story.read());
        assert_eq!(found.last(), Some(&"harness"), "without transaction {id}: {found:?}");
    }
    let mut unread = story().read();
    unread.pop();
    assert_eq!(properties(unread).last(), Some(&"harness"));
}

#[test]
fn a_producer_that_commits_nothing_after_the_last_fault() {
    let mut events = story().read();
    events.push(Event::Fault(fault("kill", 20)));
    assert_eq!(properties(events), ["liveness"]);
    let mut early = story().read();
    early.push(Event::Fault(fault("kill", 10)));
    assert_eq!(properties(early), [""; 0]);
}

/// The story with two transactions that copy partition 0 to partition 1: the three records below 4, and the last one.
fn copied() -> Story {
    let mut story = story();
    story.events.push(Event::Transactor(Transactor { id: 2, version: 2, copies: true }));
    for (id, epoch, began, (from, next), count, offset) in [(6, 0, 600, (0, 4), 3, 6), (7, 1, 700, (4, 13), 1, 10)] {
        let appends = vec![append(1, 0, count, offset)];
        story.events.push(transaction(id, (2, (300, epoch)), began, appends, (true, began + 20, Decision::Acked)));
        story.transaction(id).copied = Some(Copied { partition: 0, from, next });
        story.logs[1].extend((0..u64::from(count)).map(|number| Record(id, number)));
        story.logs[1].push(Ends(300, epoch + 1, true));
    }
    story
}

#[test]
fn a_partition_that_is_copied_once() {
    let (found, counts) = judged(copied().read());
    assert_eq!((found, counts.copying), (Vec::new(), 2));
    let mut none = copied();
    none.events.truncate(none.events.len() - 2);
    none.logs[1].truncate(6);
    assert_eq!(properties(none.read()), ["harness"]);
}

#[test]
fn a_record_that_is_copied_twice_or_not_at_all() {
    // From 1 on again; from behind the last one; with other records than there are.
    for (id, range) in [(7, (1, 13)), (7, (12, 13)), (6, (0, 2))] {
        let mut story = copied();
        story.transaction(id).copied = Some(Copied { partition: 0, from: range.0, next: range.1 });
        assert_eq!(properties(story.read()), [ONCE], "{range:?}");
    }
}

#[test]
fn g1c_a_transaction_reads_of_one_that_goes_on_behind_it() {
    let mut story = copied();
    // The record of transaction 5 in partition 1 comes last, so that 7, which has read of 5, is before it.
    story.logs[1].remove(4);
    story.logs[1].remove(4);
    story.logs[1].extend([Record(5, 1), Ends(100, 7, true)]);
    story.transaction(6).appends[0].outcome = Outcome::Acked(4);
    story.transaction(7).appends[0].outcome = Outcome::Acked(8);
    story.transaction(5).appends[1].outcome = Outcome::Acked(10);
    assert_eq!(properties(story.read()), [G1C]);
}
