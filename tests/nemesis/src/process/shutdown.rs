//! Loses what a file system has not flushed, as when the power goes: the kernel's own shutdown request.
//!
//! The only unsafe code of this crate.
#![allow(unsafe_code, reason = "the request has no safe wrapper")]

use std::fs::File;
use std::io;
use std::path::Path;

use rustix::ioctl::{Setter, ioctl, opcode};

/// `EXT4_IOC_SHUTDOWN`, the same for XFS: `_IOR('X', 125, __u32)`.
const SHUTDOWN: rustix::ioctl::Opcode = opcode::read::<u32>(b'X', 125);
/// Neither data nor journal is written any more.
const WITHOUT_FLUSHING_THE_JOURNAL: u32 = 2;

/// Stops all writing to the file system that is mounted at `mount`; what was not flushed is gone at the next mount.
pub(super) fn lose_power(mount: &Path) -> io::Result<()> {
    let folder = File::open(mount)?;
    // SAFETY: the opcode takes a pointer to a u32 that the kernel only reads, and `Setter` passes one that lives
    // until the call returns.
    unsafe { ioctl(&folder, Setter::<SHUTDOWN, u32>::new(WITHOUT_FLUSHING_THE_JOURNAL)) }.map_err(io::Error::from)
}
