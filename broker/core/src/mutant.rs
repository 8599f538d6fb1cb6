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
    /// A leader answers for the latest offset before its watermark has reached the start of its term.
    LatestBeforeEstablished,
    /// A leader takes a smaller ISR before the minimum that was raised with it.
    IsrBeforeMinimum,
    /// A replica in a directory that has failed keeps its place in the ISR.
    FailedDirectoryForgotten,
    /// A move drops what an earlier one was adding although only that is known to hold everything.
    LastCopyDropped,
    /// A follower outside the ISR tells its leader only what is new, as one inside it may.
    SilentOutsideIsr,
}

impl Mutant {
    /// Every bug.
    pub const ALL: [Self; 18] = [
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
        Self::LatestBeforeEstablished,
        Self::IsrBeforeMinimum,
        Self::FailedDirectoryForgotten,
        Self::LastCopyDropped,
        Self::SilentOutsideIsr,
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
