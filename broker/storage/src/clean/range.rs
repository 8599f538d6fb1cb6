//! Which part of a log may be cleaned, and whether it is worth it. Pure: segments are given as facts.

use ottla_core::Offset;

/// A sealed segment, as the choice sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SegmentFacts {
    pub(crate) base: i64,
    pub(crate) size: u64,
    /// Timestamp of its first batch, or −1; looked at only where there is a largest lag.
    pub(crate) first: i64,
    /// Its largest timestamp, or −1; looked at only where there is a smallest lag.
    pub(crate) newest: i64,
}

/// How long records wait, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lags {
    pub(crate) least: i64,
    pub(crate) most: Option<i64>,
}

/// What a clean of a log would go over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cleanable {
    /// The first offset that no clean has gone over.
    pub first_dirty: Offset,
    /// The first offset that may not be cleaned yet: whole segments below the active one, the last stable offset and the
    /// smallest lag only.
    pub first_uncleanable: Offset,
    /// Bytes below [`Cleanable::first_dirty`].
    pub clean_bytes: u64,
    /// Bytes between the two.
    pub dirty_bytes: u64,
    /// A record between the two has waited longer than `max.compaction.lag.ms`.
    pub is_overdue: bool,
}

impl Cleanable {
    /// The part of the bytes that is dirty, 0 to 1.
    pub fn ratio(&self) -> f64 {
        let all = self.clean_bytes + self.dirty_bytes;
        if all == 0 { 0.0 } else { self.dirty_bytes as f64 / all as f64 }
    }

    /// Whether it is time for a clean.
    pub fn is_due(&self, min_ratio: f64) -> bool {
        self.dirty_bytes > 0 && (self.is_overdue || self.ratio() > min_ratio)
    }
}

/// What may be cleaned of a log whose `sealed` segments end at `active_base`, if everything below `stable` is.
pub(crate) fn cleanable(
    sealed: &[SegmentFacts],
    active_base: i64,
    first_dirty: i64,
    stable: i64,
    lags: Lags,
    now: i64,
) -> Cleanable {
    let mut found = Cleanable {
        first_dirty: Offset(first_dirty),
        first_uncleanable: Offset(first_dirty),
        clean_bytes: 0,
        dirty_bytes: 0,
        is_overdue: false,
    };
    for (n, segment) in sealed.iter().enumerate() {
        let end = sealed.get(n + 1).map_or(active_base, |next| next.base);
        if end <= first_dirty {
            found.clean_bytes += segment.size;
            continue;
        }
        let too_young = lags.least > 0 && segment.newest > now.saturating_sub(lags.least);
        if end > stable || too_young {
            break;
        }
        found.first_uncleanable = Offset(end);
        found.dirty_bytes += segment.size;
        let waited = now.saturating_sub(segment.first);
        found.is_overdue |= segment.first >= 0 && lags.most.is_some_and(|most| waited > most.max(lags.least));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Lags = Lags { least: 0, most: None };

    /// Four segments of 100 offsets, of 10, 20, 30 and 40 bytes, written at 1000, 2000, 3000 and 4000.
    fn segments() -> Vec<SegmentFacts> {
        let segment = |n: i64| SegmentFacts {
            base: 100 * n,
            size: 10 * (n as u64 + 1),
            first: 1000 * (n + 1),
            newest: 1000 * (n + 1),
        };
        (0..4).map(segment).collect()
    }

    fn bounds(found: Cleanable) -> (i64, u64, u64) {
        (found.first_uncleanable.0, found.clean_bytes, found.dirty_bytes)
    }

    #[test]
    fn whole_segments_below_what_is_stable_are_cleanable() {
        let of = |dirty, stable| bounds(cleanable(&segments(), 400, dirty, stable, NONE, 9000));
        assert_eq!(of(0, 400), (400, 0, 100));
        assert_eq!(of(0, 399), (300, 0, 60), "a record of the last segment is not stable");
        assert_eq!(of(200, 1000), (400, 30, 70), "the active segment begins at 400");
        assert_eq!(of(250, 400), (400, 30, 70), "a segment that is clean in part is dirty");
        assert_eq!(of(400, 400), (400, 100, 0));
        assert_eq!(of(200, 100), (200, 30, 0), "nothing that was cleaned becomes dirty");
        assert_eq!(bounds(cleanable(&[], 0, 0, 0, NONE, 9000)), (0, 0, 0));
    }

    #[test]
    fn the_smallest_lag_holds_back_young_segments_and_what_is_behind_them() {
        let of = |least, now| bounds(cleanable(&segments(), 400, 100, 400, Lags { least, most: None }, now));
        assert_eq!(of(1000, 4000), (300, 10, 50));
        assert_eq!(of(1000, 5000), (400, 10, 90));
        assert_eq!(of(i64::MAX, 5000), (100, 10, 0));
    }

    #[test]
    fn a_log_is_due_when_enough_is_dirty_or_a_record_has_waited_too_long() {
        let of = |dirty, most, now| cleanable(&segments(), 400, dirty, 400, Lags { least: 0, most }, now);
        let some = of(300, None, 9000);
        assert_eq!((some.ratio(), some.is_due(0.5), some.is_due(0.4), some.is_due(0.39)), (0.4, false, false, true));
        assert!(of(300, Some(4999), 9000).is_due(1.0) && !of(300, Some(5000), 9000).is_due(1.0));
        assert!(!of(400, Some(1), 9000).is_due(0.0), "there is nothing to clean");
        let most_below_least = Lags { least: 6000, most: Some(10) };
        assert!(!cleanable(&segments(), 400, 300, 400, most_below_least, 9000).is_due(1.0));
    }
}
