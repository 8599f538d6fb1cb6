//! When the targets of a group were made, and how long the next ones wait (KIP-1263): a group whose members come and go is
//! not assigned anew for each of them.

use std::time::Duration;

use bytes::{BufMut as _, BytesMut};

use crate::Timestamp;
use crate::coordinator::{Reader, RecordError, put_tagged};

/// The tag of the time in records of Kafka's.
const TIME: u32 = 0;

/// What the targets of a group are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Assigned {
    /// The group epoch that they are for.
    pub(crate) epoch: i32,
    /// When they were made; zero if that was never, or nobody knows.
    pub(crate) at: Timestamp,
}

impl Assigned {
    /// For how long targets of a group that is in `epoch` have to wait for `interval` after these to be over; none if they can
    /// be made now, or are these. A clock that was set back keeps nobody waiting.
    pub(crate) fn wait(self, epoch: i32, interval: Duration, now: Timestamp) -> Option<Duration> {
        if epoch <= self.epoch {
            return None;
        }
        let since = u64::try_from(now.0.saturating_sub(self.at.0)).ok()?;
        interval.checked_sub(Duration::from_millis(since)).filter(|wait| !wait.is_zero())
    }

    /// Reads the value of a record, after its version.
    pub(crate) fn read(value: &mut Reader<'_>) -> Result<Self, RecordError> {
        let mut assigned = Self { epoch: value.i32()?, at: Timestamp(0) };
        value.tagged(|tag, field| {
            if tag == TIME {
                assigned.at = Timestamp(field.i64()?);
            }
            Ok(())
        })?;
        Ok(assigned)
    }

    /// Writes the value of its record, after the version.
    pub(crate) fn put(self, out: &mut BytesMut) {
        out.put_i32(self.epoch);
        put_tagged(out, &self.tagged());
    }

    /// The tagged fields of the value of its record; the epoch stands before them.
    pub(crate) fn tagged(self) -> Vec<(u32, Vec<u8>)> {
        match self.at {
            Timestamp(0) => Vec::new(),
            at => vec![(TIME, at.0.to_be_bytes().to_vec())],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_wait_for_the_rest_of_the_interval_and_for_nothing_else() {
        let made = Assigned { epoch: 3, at: Timestamp(10_000) };
        let wait = |epoch, now| made.wait(epoch, Duration::from_secs(1), Timestamp(now));
        assert_eq!(wait(4, 10_000), Some(Duration::from_secs(1)));
        assert_eq!(wait(4, 10_999), Some(Duration::from_millis(1)));
        assert_eq!(wait(4, 11_000), None);
        assert_eq!(wait(4, 9_999), None, "the clock was set back");
        assert_eq!(wait(3, 10_000), None, "there is nothing to make");
        assert_eq!(made.wait(4, Duration::ZERO, Timestamp(10_000)), None, "no interval");
        let never = Assigned::default();
        assert_eq!(never.wait(2, Duration::from_secs(1), Timestamp(10_000)), None, "the first are made at once");
    }
}
