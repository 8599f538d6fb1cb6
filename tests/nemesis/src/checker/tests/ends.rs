//! Ends and starts of logs that go back.

use super::*;

fn latest(offset: i64, epoch: i32, invoked: u64) -> Event {
    Event::Latest(Latest { partition: 0, offset, epoch, invoked, completed: invoked + 5 })
}

#[test]
fn c8_a_latest_offset_below_one_that_was_told_acked_or_read_in_the_same_term() {
    // By then, four calls were acked, the last of a plain writer at 6, and 4 was read as the watermark.
    for (offset, expected) in [(8, &[][..]), (7, &["C8"][..])] {
        let mut events = good();
        events.push(latest(offset, 5, 470));
        assert_eq!(properties(events), expected);
    }
    let mut events = good();
    events.extend([latest(12, 5, 2_010), latest(11, 5, 2_020)]);
    assert_eq!(properties(events), ["C8"]);
}

#[test]
fn c8_a_latest_offset_below_what_was_told_in_an_earlier_term() {
    let mut events = good();
    events.push(latest(11, 6, 2_020));
    assert_eq!(properties(events), ["C8"]);
}

#[test]
fn c8_a_latest_offset_of_a_leader_that_has_been_replaced_is_counted() {
    let mut events = good();
    events.extend([latest(20, 7, 2_100), latest(12, 5, 2_200), latest(12, 6, 2_300), latest(13, 6, 2_310)]);
    let report = check(&History { events: events.clone() }, NEEDLESS_WAIT);
    assert_eq!((report.violations, report.counts.outdated), (Vec::new(), 3));
    // But it may not go back within its own term, nor behind one that it follows.
    for (offset, epoch) in [(12, 6), (11, 5), (19, 7)] {
        let mut events = events.clone();
        events.push(latest(offset, epoch, 2_400));
        assert_eq!(properties(events), ["C8"]);
    }
}

#[test]
fn c8_the_watermark_of_a_fetch_goes_back_within_a_term_but_may_trail_after_an_election() {
    for (epoch, expected) in [(5, &["C8"][..]), (6, &[][..])] {
        let mut events = good();
        let read = Read { epoch, ..read("late", 0, 3_000, &[], 11) };
        events.push(Event::Read(read));
        assert_eq!(properties(events), expected);
    }
}

#[test]
fn c8_an_ack_of_an_idempotent_writer_says_nothing_of_the_term_it_was_given_in() {
    let mut events = good();
    // Writer 0 was acked at 8 by then, writer 1 at 6.
    events.push(latest(8, 5, 470));
    assert_eq!(properties(events), [""; 0]);
}

#[test]
fn c8_a_log_start_that_goes_back() {
    let mut events = good();
    reads(&mut events)[0].marks.start = 2;
    events.push(latest(12, 5, 3_000));
    assert_eq!(properties(events), ["C8"]);
}
