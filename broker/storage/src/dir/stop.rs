//! How the last run ended: the clean-shutdown marker, and the boot it ran in.

use std::path::Path;

use ottla_core::BrokerEpoch;

use crate::Result;
use crate::checkpoint::{Sync, read_file, replace_file};
use crate::error::io_error;

const MARKER: &str = ".kafka_cleanshutdown";
const BOOT: &str = ".ottla-boot";
const KERNEL_BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// How the last run in a log directory ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PreviousStop {
    /// There was none: the directory is new.
    None,
    /// The marker was written, by the broker of this epoch (KIP-966); −1 if it does not say.
    Clean(BrokerEpoch),
    /// The process ended, but the kernel has been up since: the page cache kept what was written.
    ProcessCrash,
    /// The machine stopped, or nothing is known: what was not flushed may be lost.
    PowerLoss,
}

/// Reads and removes the marker, and takes note of the present boot.
pub(super) fn begin(dir: &Path) -> Result<PreviousStop> {
    let boot = read_file(Path::new(KERNEL_BOOT_ID)).ok().flatten();
    let boot = boot.as_deref().map_or("", str::trim);
    let boot_path = dir.join(BOOT);
    let last_boot = read_file(&boot_path)?;
    let marker_path = dir.join(MARKER);
    let marker = read_file(&marker_path)?;
    let stop = match (&marker, &last_boot) {
        (Some(text), _) => PreviousStop::Clean(broker_epoch(text)),
        (None, Some(last)) if !boot.is_empty() && last.trim() == boot => PreviousStop::ProcessCrash,
        (None, Some(_)) => PreviousStop::PowerLoss,
        // A directory that a Kafka has left is not new.
        (None, None) if super::load::folders(dir)?.next().is_some() => PreviousStop::PowerLoss,
        (None, None) => PreviousStop::None,
    };
    // Before anything is appended: a crash from here on is not a clean stop. The new boot's id goes last, and becomes
    // durable with the same sync of the folder.
    if marker.is_some() {
        std::fs::remove_file(&marker_path).map_err(io_error("remove", &marker_path))?;
    }
    // A loss is remembered until the controller knows of it: a process that ends before it has registered would
    // otherwise look to the next one like a mere crash, and the replicas would keep places they have lost.
    if stop != PreviousStop::PowerLoss {
        replace_file(&boot_path, boot.as_bytes(), Sync::Now)?;
    }
    Ok(stop)
}

/// The controller knows how the last run ended: from here on the present boot counts.
pub(super) fn reported(dir: &Path) -> Result<()> {
    let boot = read_file(Path::new(KERNEL_BOOT_ID)).ok().flatten();
    replace_file(&dir.join(BOOT), boot.as_deref().map_or("", str::trim).as_bytes(), Sync::Now)
}

/// A write failed: what the page cache shows may never reach the disk, so the next run must not trust it.
pub(crate) fn distrust(dir: &Path) {
    // The disk may well refuse this too; then there is nothing more to be done.
    let _ = std::fs::remove_file(dir.join(BOOT));
}

/// Writes the marker, durably.
pub(super) fn write_marker(dir: &Path, epoch: BrokerEpoch) -> Result<()> {
    let text = format!("{{\"version\":0,\"brokerEpoch\":{epoch}}}");
    replace_file(&dir.join(MARKER), text.as_bytes(), Sync::Now)
}

fn broker_epoch(marker: &str) -> BrokerEpoch {
    let value = marker.split_once("\"brokerEpoch\"").and_then(|(_, rest)| rest.split_once(':')).map(|(_, v)| v);
    let digits = value.and_then(|v| v.trim().split([',', '}']).next());
    BrokerEpoch(digits.and_then(|d| d.trim().parse().ok()).unwrap_or(-1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_stop_is_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(begin(dir.path()).unwrap(), PreviousStop::None);
        assert_eq!(begin(dir.path()).unwrap(), PreviousStop::ProcessCrash);
        write_marker(dir.path(), BrokerEpoch(42)).unwrap();
        assert_eq!(begin(dir.path()).unwrap(), PreviousStop::Clean(BrokerEpoch(42)));
        std::fs::write(dir.path().join(BOOT), "another boot").unwrap();
        assert_eq!(begin(dir.path()).unwrap(), PreviousStop::PowerLoss);
    }

    #[test]
    fn a_power_loss_is_remembered_until_the_controller_knows_of_it() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(BOOT), "another boot").unwrap();
        assert_eq!(begin(dir.path()).unwrap(), PreviousStop::PowerLoss);
        assert_eq!(begin(dir.path()).unwrap(), PreviousStop::PowerLoss, "the process ended before it had registered");
        reported(dir.path()).unwrap();
        assert_eq!(begin(dir.path()).unwrap(), PreviousStop::ProcessCrash);
    }

    #[test]
    fn after_a_failed_write_the_page_cache_is_not_trusted() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("topic-0")).unwrap();
        reported(dir.path()).unwrap();
        distrust(dir.path());
        assert_eq!(begin(dir.path()).unwrap(), PreviousStop::PowerLoss);
    }

    #[test]
    fn the_broker_epoch_is_read_from_kafkas_json() {
        assert_eq!(broker_epoch("{\"version\":0,\"brokerEpoch\":7}"), BrokerEpoch(7));
        assert_eq!(broker_epoch("{ \"brokerEpoch\" : 8 , \"version\": 0}"), BrokerEpoch(8));
        assert_eq!(broker_epoch(""), BrokerEpoch(-1));
    }
}
