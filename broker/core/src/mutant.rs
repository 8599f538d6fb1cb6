//! Bugs that can be switched on, to show that the tests see them. Without the feature `mutants` there are none: every
//! [`is`] is `false` and compiled away.

/// A bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// A new follower cuts its log at its high watermark, as Kafka did before KIP-101.
    TruncateToHighWatermark,
    /// The watermark waits for the committed ISR alone, not for the proposed one too.
    WatermarkOnPlainIsr,
    /// In `fsync` mode what is appended counts as flushed.
    AckBeforeFlush,
    /// AlterPartition does not look at the uptimes of the members (KIP-903).
    NoBrokerEpoch,
    /// A follower truncates to the leader's end of an epoch that it does not know itself (KIP-279).
    Kip279Hole,
    /// A broker keeps its places in ISR and ELR whatever its last stop was like.
    UncleanStopKeepsPlace,
    /// The watermark moves while the ISR is below its minimum (KIP-966).
    MinIsrNotStrict,
    /// A follower joins the ISR before it has reached the start of the leader's term.
    AdmitBeforeEstablished,
    /// The leader takes fetches of followers of another term.
    FetchOfAnyEpoch,
    /// A move ends before the copies that it adds are in sync.
    MoveEndsEarly,
    /// A broker with an empty disk keeps its places.
    DirectoryForgotten,
    /// Entries that were decided on another image count.
    StaleEntryCounts,
    /// A topic counts as `fsync` from the moment it is changed to it.
    FsyncAtOnce,
}

impl Mutant {
    /// Every bug.
    pub const ALL: [Self; 13] = [
        Self::TruncateToHighWatermark,
        Self::WatermarkOnPlainIsr,
        Self::AckBeforeFlush,
        Self::NoBrokerEpoch,
        Self::Kip279Hole,
        Self::UncleanStopKeepsPlace,
        Self::MinIsrNotStrict,
        Self::AdmitBeforeEstablished,
        Self::FetchOfAnyEpoch,
        Self::MoveEndsEarly,
        Self::DirectoryForgotten,
        Self::StaleEntryCounts,
        Self::FsyncAtOnce,
    ];
}

#[cfg(feature = "mutants")]
thread_local! {
    static PRESENT: std::cell::Cell<Option<Mutant>> = const { std::cell::Cell::new(None) };
}

/// Switches a bug on for this thread, or all off.
#[cfg(feature = "mutants")]
pub fn set(mutant: Option<Mutant>) {
    PRESENT.set(mutant);
}

/// Whether `mutant` is switched on.
#[cfg(feature = "mutants")]
pub(crate) fn is(mutant: Mutant) -> bool {
    PRESENT.get() == Some(mutant)
}

/// Whether `mutant` is switched on: never.
#[cfg(not(feature = "mutants"))]
#[inline(always)]
pub(crate) const fn is(_: Mutant) -> bool {
    false
}
