//! State batches as the messages between leaders and share coordinators have them.

use ottla_core::Offset;
use ottla_core::share::{DeliveryState, StateBatch};
use ottla_protocol::messages::{read_share_group_state as read, write_share_group_state as write};

fn batch(first: i64, last: i64, state: i8, count: i16) -> Option<StateBatch> {
    StateBatch::new(Offset(first), Offset(last), DeliveryState::from_code(state)?, u16::try_from(count).ok()?)
}

fn count_of(batch: &StateBatch) -> i16 {
    i16::try_from(batch.count).unwrap_or(i16::MAX)
}

/// What a leader writes; none if it is no range of offsets or of an unknown state.
pub fn written_batches(batches: &[write::StateBatch]) -> Option<Vec<StateBatch>> {
    batches.iter().map(|b| batch(b.first_offset, b.last_offset, b.delivery_state, b.delivery_count)).collect()
}

/// The same, to be sent.
pub(super) fn to_write(batches: &[StateBatch]) -> Vec<write::StateBatch> {
    let to_wire = |batch: &StateBatch| write::StateBatch {
        first_offset: batch.first().0,
        last_offset: batch.last().0,
        delivery_state: batch.state.code(),
        delivery_count: count_of(batch),
    };
    batches.iter().map(to_wire).collect()
}

/// What a leader is told.
pub fn read_batches(batches: &[StateBatch]) -> Vec<read::StateBatch> {
    let to_wire = |batch: &StateBatch| read::StateBatch {
        first_offset: batch.first().0,
        last_offset: batch.last().0,
        delivery_state: batch.state.code(),
        delivery_count: count_of(batch),
    };
    batches.iter().map(to_wire).collect()
}

/// The same, as it was received.
pub(super) fn of_read(batches: &[read::StateBatch]) -> Option<Vec<StateBatch>> {
    batches.iter().map(|b| batch(b.first_offset, b.last_offset, b.delivery_state, b.delivery_count)).collect()
}
