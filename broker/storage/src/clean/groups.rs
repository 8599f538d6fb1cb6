//! Which segments become one: neighbours that together are no larger than one segment may be. Pure.

/// Segments that become one at a time: their files are renamed under the partition's lock. The next clean joins what
/// became of them.
const MOST: usize = 64;

/// A segment to be cleaned.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part {
    pub(crate) base: i64,
    /// The offset after the last one that it may hold.
    pub(crate) end: i64,
    pub(crate) size: u64,
    /// Bytes of its larger index.
    pub(crate) index: u64,
}

/// The lengths of the groups that `parts`, neighbours in order, fall into.
pub(crate) fn groups(parts: &[Part], max_size: u64, max_index: u64) -> Vec<usize> {
    let mut lengths = Vec::new();
    let mut rest = parts;
    while let Some(first) = rest.first() {
        let (mut size, mut index) = (0, 0);
        let fits = |part: &&Part| {
            size += part.size;
            index += part.index;
            // Offsets in an index are relative to the base.
            size <= max_size && index <= max_index && part.end - first.base <= i64::from(i32::MAX)
        };
        let count = rest.iter().take(MOST).take_while(fits).count().max(1);
        lengths.push(count);
        rest = &rest[count..];
    }
    lengths
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(base: i64, size: u64, index: u64) -> Part {
        Part { base, end: base + 100, size, index }
    }

    #[test]
    fn neighbours_are_joined_as_long_as_one_segment_can_hold_them() {
        let parts = [part(0, 40, 1), part(100, 60, 1), part(200, 1, 1), part(300, 500, 1), part(400, 0, 1)];
        assert_eq!(groups(&parts, 100, 100), [2, 1, 1, 1]);
        assert_eq!(groups(&parts, 1000, 100), [5]);
        assert_eq!(groups(&parts, 1000, 2), [2, 2, 1]);
        assert_eq!(groups(&parts, 0, 0), [1, 1, 1, 1, 1], "one is never cut");
        assert_eq!(groups(&[], 100, 100), [0; 0]);
    }

    #[test]
    fn no_more_are_joined_at_a_time_than_can_be_exchanged_at_once() {
        let parts: Vec<Part> = (0..150).map(|n| part(100 * n, 1, 1)).collect();
        assert_eq!(groups(&parts, 1000, 1000), [64, 64, 22]);
    }

    #[test]
    fn a_group_spans_no_more_offsets_than_an_index_can_tell() {
        let parts = [part(0, 1, 1), part(i64::from(i32::MAX) - 100, 1, 1), part(i64::from(i32::MAX), 1, 1)];
        assert_eq!(groups(&parts, 100, 100), [2, 1]);
    }
}
