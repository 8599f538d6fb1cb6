//! What a broker has the C library's allocator do. The only place in this crate with unsafe code.
//!
//! By default glibc raises the size from which it maps memory by itself each time such a piece is freed. Buffers of
//! large requests then come from its arenas, which keep what is freed in between: two hundred clients that send large
//! frames slowly would leave several times the request memory behind. And what is freed below the end of an arena stays with
//! the process until somebody asks for it, however much it is.

/// Pieces from this size on are mapped, and go back to the system when they are freed. Above what a connection keeps for
/// itself, so that the buffers of ordinary requests stay in the arenas.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const MAPPED_FROM: i32 = 192 << 10;

/// Has large pieces given back to the system. Call once, before there are connections.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code)]
pub(crate) fn give_large_pieces_back() {
    // SAFETY: mallopt takes two integers, locks the allocator by itself, and refuses values it cannot use.
    let taken = unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, MAPPED_FROM) };
    if taken == 0 {
        tracing::debug!("the allocator does not take a threshold");
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
