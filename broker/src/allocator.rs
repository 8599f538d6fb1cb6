//! What a broker has the C library's allocator do. The only place in this crate with unsafe code.
//!
//! By default glibc raises the size from which it maps memory by itself each time such a piece is freed. Buffers of
//! large requests then come from its arenas, which keep what is freed in between: two hundred clients that send large
//! frames slowly would leave several times the request memory behind. With it glibc raises how much may lie free at the end of
//! an arena, to the double of the largest piece: what a start with very many partitions has read makes that tens of
//! megabytes for good, which no trim gives back but in the first arena. And what is freed below the end of an arena stays
//! with the process until somebody asks for it, however much it is.

/// Pieces from this size on are mapped, and go back to the system when they are freed. Above what a connection keeps for
/// itself, so that the buffers of ordinary requests stay in the arenas.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const MAPPED_FROM: i32 = 192 << 10;

/// From so much on what is free at the end of an arena goes back: what glibc begins with.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const FREE_AT_END: i32 = 128 << 10;

/// Has large pieces given back to the system, and the free ends of arenas. Call once, before there are connections.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code)]
pub(crate) fn give_large_pieces_back() {
    for (threshold, bytes) in [(libc::M_MMAP_THRESHOLD, MAPPED_FROM), (libc::M_TRIM_THRESHOLD, FREE_AT_END)] {
        // SAFETY: mallopt takes two integers, locks the allocator by itself, and refuses values it cannot use.
        let taken = unsafe { libc::mallopt(threshold, bytes) };
        if taken == 0 {
            tracing::debug!(threshold, "the allocator does not take a threshold");
        }
    }
}

/// Other C libraries give large pieces back without being told.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn give_large_pieces_back() {}

/// Has all pages given back to the system in which nothing lies any more. Takes milliseconds for each 100 MiB, in which
/// allocations wait: for after work that took very much memory for a moment.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code)]
pub(crate) fn give_free_pages_back() {
    // SAFETY: malloc_trim takes the allocator's own locks, and touches no memory that is in use.
    unsafe { libc::malloc_trim(0) };
}

/// Other C libraries do it by themselves.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn give_free_pages_back() {}

#[cfg(all(test, target_os = "linux", target_env = "gnu"))]
mod tests {
    use std::hint::black_box;
    use std::process::Command;

    const ALONE: &str = "OTTLA_TEST_ALONE";

    /// KiB of the process that are in memory.
    fn resident() -> Option<usize> {
        let status = std::fs::read_to_string("/proc/self/status").ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        line.trim().trim_end_matches(" kB").parse().ok()
    }

    #[test]
    fn the_end_of_an_arena_goes_back_however_large_a_piece_was_freed_before() {
        let name = "allocator::tests::the_end_of_an_arena_goes_back_however_large_a_piece_was_freed_before";
        if std::env::var_os(ALONE).is_none() {
            // In a process of its own: other tests take and free memory meanwhile.
            let program = std::env::current_exe().unwrap();
            let alone = Command::new(program).args(["--exact", name]).env(ALONE, "1").output().unwrap();
            assert!(alone.status.success(), "{}", String::from_utf8_lossy(&alone.stdout));
            return;
        }
        drop(black_box(vec![1_u8; 16 << 20]));
        super::give_large_pieces_back();
        // Threads have arenas of their own.
        let fill = || (0..8 << 10).map(|_| Box::new([1_u8; 1024])).collect::<Vec<_>>();
        let pieces = std::thread::spawn(fill).join().unwrap();
        let full = resident().unwrap();
        drop(black_box(pieces));
        let freed = full.saturating_sub(resident().unwrap());
        assert!(freed > 4 << 10, "{freed} KiB of 8 MiB went back");
    }
}
