//! Waits for the disks to be done with what was written and removed before.

use std::time::{Duration, Instant};

/// Without a discard for so long, a disk is done with them.
const STILL: Duration = Duration::from_millis(300);
/// Others may discard too, without an end.
const PATIENCE: Duration = Duration::from_secs(60);

/// Writes out what is dirty, then waits until no disk discards any more: a file system that is mounted with `discard` tells
/// its disk of every block of a removed file, and whoever makes or flushes files meanwhile waits.
pub fn settle() -> anyhow::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    let mut before = None;
    while Instant::now() < deadline {
        rustix::fs::sync();
        std::thread::sleep(STILL);
        let now = discards()?;
        if before.replace(now) == Some(now) {
            break;
        }
    }
    Ok(())
}

/// Discards that all disks have done so far: the twelfth figure after a device's name, where the kernel counts them.
fn discards() -> anyhow::Result<u64> {
    const PLACE: usize = 14;
    let stats = std::fs::read_to_string("/proc/diskstats")?;
    let of_disk = |line: &str| line.split_whitespace().nth(PLACE).and_then(|field| field.parse::<u64>().ok());
    Ok(stats.lines().filter_map(of_disk).sum())
}
