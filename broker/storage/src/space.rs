//! Free space of a log directory, so that producers are refused before the disk is full.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::{Error, Result};

/// Bytes written between two looks at the file system.
const LOOK_EVERY: u64 = 16 << 20;

/// The free bytes of a directory's file system, estimated between looks, and the reserve below which appends are
/// refused. The reserve is what checkpoints, indexes and replication catch-up still need when producers have used up
/// the rest.
#[derive(Debug)]
pub struct DiskSpace {
    dir: PathBuf,
    reserve: AtomicU64,
    free: AtomicU64,
    since_look: AtomicU64,
}

impl DiskSpace {
    pub(crate) fn new(dir: &Path, reserve: u64) -> Self {
        let space = Self {
            dir: dir.to_owned(),
            reserve: AtomicU64::new(reserve),
            free: AtomicU64::new(u64::MAX),
            since_look: AtomicU64::new(0),
        };
        space.look();
        space
    }

    /// Asks the file system for its free bytes; cheap (one call, no I/O). A full directory recovers by itself: each
    /// refused append looks again.
    pub fn look(&self) -> u64 {
        if let Ok(stat) = rustix::fs::statvfs(&self.dir) {
            self.free.store(stat.f_bavail.saturating_mul(stat.f_frsize), Relaxed);
            self.since_look.store(0, Relaxed);
        }
        self.free()
    }

    /// Bytes free, as far as known.
    pub fn free(&self) -> u64 {
        self.free.load(Relaxed).saturating_sub(self.since_look.load(Relaxed))
    }

    /// Bytes that appends may not use.
    pub fn reserve(&self) -> u64 {
        self.reserve.load(Relaxed)
    }

    /// Changes the reserve.
    pub fn set_reserve(&self, bytes: u64) {
        self.reserve.store(bytes, Relaxed);
    }

    /// Whether an append of `len` bytes is refused now.
    pub fn is_full(&self, len: u64) -> bool {
        self.look() < self.reserve().saturating_add(len)
    }

    /// Accounts for `len` bytes about to be appended; refuses them if they would eat into the reserve.
    pub(crate) fn take(&self, len: u64) -> Result<()> {
        let since = self.since_look.fetch_add(len, Relaxed) + len;
        let enough = self.free() >= self.reserve();
        if enough && since < LOOK_EVERY {
            return Ok(());
        }
        if self.is_full(len) { Err(self.full()) } else { Ok(()) }
    }

    /// The error of an append that does not fit.
    pub(crate) fn full(&self) -> Error {
        Error::DiskFull { dir: self.dir.clone(), free: self.free(), reserve: self.reserve() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn appends_are_refused_below_the_reserve_and_taken_again_above_it() {
        let dir = tempfile::tempdir().unwrap();
        let space = DiskSpace::new(dir.path(), 0);
        space.take(1000).unwrap();
        space.set_reserve(u64::MAX);
        assert!(matches!(space.take(1000), Err(Error::DiskFull { .. })));
        space.set_reserve(0);
        space.take(1000).unwrap();
    }
}
