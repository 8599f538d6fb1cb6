//! Where a broker keeps its data: a folder, or a small file system of its own that can fill up and lose its power.
//!
//! A file system of its own is an ext4 image on a loop device, which needs root.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use rustix::fs::{FallocateFlags, fallocate, statvfs};

use super::shutdown;

/// A place for data.
#[derive(Debug)]
pub enum Disk {
    /// A folder of a file system that others use too.
    Folder(PathBuf),
    /// A file system of its own, unmounted and deleted when dropped.
    Image {
        /// The file that is the device.
        image: PathBuf,
        /// Where it is mounted.
        mount: PathBuf,
    },
}

impl Disk {
    /// Makes a file system of `size` bytes (sparse) in `folder`.
    pub fn image(folder: &Path, size: u64) -> anyhow::Result<Self> {
        let (image, mount) = (folder.join("disk.ext4"), folder.join("disk"));
        fs::create_dir_all(&mount)?;
        File::create(&image)?.set_len(size)?;
        run(Command::new("mkfs.ext4").args(["-q", "-F", "-m", "0", "-E", "lazy_itable_init=1"]).arg(&image))?;
        let disk = Self::Image { image, mount };
        disk.mount()?;
        Ok(disk)
    }

    /// Whether this machine lets us make such file systems: tried once, with a small one.
    pub fn images_work(folder: &Path) -> bool {
        let Ok(trial) = tempfile::TempDir::new_in(folder) else { return false };
        Self::image(trial.path(), 4 << 20).and_then(|disk| disk.fail().and_then(|()| disk.remount())).is_ok()
    }

    /// The folder to write to.
    pub fn path(&self) -> &Path {
        match self {
            Self::Folder(path) => path,
            Self::Image { mount, .. } => mount,
        }
    }

    /// Mounts what is on the device again. Nobody may have files open in it.
    pub fn remount(&self) -> anyhow::Result<()> {
        self.unmount()?;
        self.mount()
    }

    /// Drops everything that was not flushed; until it is mounted again every call fails with EIO.
    pub fn fail(&self) -> anyhow::Result<()> {
        let Self::Image { mount, .. } = self else { bail!("only a file system of its own can fail") };
        shutdown::lose_power(mount).context("the file system did not take the shutdown")?;
        let refused = File::create(mount.join("after-the-end")).is_err();
        ensure!(refused, "the file system took a new file after its shutdown");
        Ok(())
    }

    /// Lets every write and flush wait until what is returned is dropped.
    pub fn stall(&self) -> anyhow::Result<Stalled> {
        let Self::Image { mount, .. } = self else { bail!("only a file system of its own can stall") };
        run(Command::new("fsfreeze").arg("--freeze").arg(mount))?;
        Ok(Stalled { mount: mount.clone() })
    }

    /// Takes all free bytes.
    pub fn fill(&self) -> anyhow::Result<()> {
        let Self::Image { mount, .. } = self else { bail!("only a file system of its own can be filled") };
        let ballast = File::create(mount.join("ballast"))?;
        let (mut taken, mut piece) = (0, self.free()?);
        // What the file system says is free includes what it needs itself to say which blocks are whose.
        while piece >= 4096 {
            match fallocate(&ballast, FallocateFlags::empty(), taken, piece) {
                Ok(()) => taken += piece,
                Err(_) => piece /= 2,
            }
        }
        ensure!(taken > 0, "there was nothing left to take");
        Ok(())
    }

    /// Gives back what [`Disk::fill`] took.
    pub fn unfill(&self) -> anyhow::Result<()> {
        Ok(fs::remove_file(self.path().join("ballast"))?)
    }

    /// Free bytes.
    pub fn free(&self) -> anyhow::Result<u64> {
        let stat = statvfs(self.path())?;
        Ok(stat.f_bavail * stat.f_frsize)
    }

    fn mount(&self) -> anyhow::Result<()> {
        let Self::Image { image, mount } = self else { return Ok(()) };
        run(Command::new("mount").args(["-o", "loop"]).arg(image).arg(mount))
    }

    /// The kernel closes the files of a killed process a moment after its parent has heard of its end.
    fn unmount(&self) -> anyhow::Result<()> {
        let Self::Image { mount, .. } = self else { return Ok(()) };
        let deadline = Instant::now() + Duration::from_secs(5);
        loop {
            match run(Command::new("umount").arg(mount)) {
                Err(_) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(20)),
                outcome => return outcome,
            }
        }
    }
}

/// A file system whose writes wait.
#[derive(Debug)]
pub struct Stalled {
    mount: PathBuf,
}

impl Drop for Stalled {
    fn drop(&mut self) {
        // Fails where there is nothing to take back.
        let _ = run(Command::new("fsfreeze").arg("--unfreeze").arg(&self.mount));
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.unmount().is_ok()
            && let Self::Image { image, .. } = self
        {
            // Left behind, it is only a file in a folder of tests.
            let _ = fs::remove_file(image);
        }
    }
}

/// Runs a command to its end.
pub(super) fn run(command: &mut Command) -> anyhow::Result<()> {
    let output = command.output().with_context(|| format!("cannot run {command:?}"))?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_disk_that_loses_its_power_keeps_what_was_flushed_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        if !Disk::images_work(dir.path()) {
            eprintln!("skipped: no file systems of our own without root");
            return;
        }
        let disk = Disk::image(dir.path(), 16 << 20).unwrap();
        let mut file = File::create(disk.path().join("log")).unwrap();
        file.write_all(&[1; 1000]).unwrap();
        file.sync_all().unwrap();
        file.write_all(&[2; 1000]).unwrap();
        drop(file);
        fs::write(disk.path().join("never-flushed"), [3; 1000]).unwrap();
        disk.fail().unwrap();
        disk.remount().unwrap();
        assert_eq!(fs::read(disk.path().join("log")).unwrap(), [1; 1000]);
        assert!(!disk.path().join("never-flushed").exists());
        let stalled = disk.stall().unwrap();
        let path = disk.path().join("late");
        let writer = std::thread::spawn(move || fs::write(path, "late"));
        // By then it would have been done, were the disk not stalled.
        std::thread::sleep(Duration::from_millis(50));
        assert!(!writer.is_finished());
        drop(stalled);
        writer.join().unwrap().unwrap();
        disk.fill().unwrap();
        assert!(disk.free().unwrap() <= 64 << 10);
        disk.unfill().unwrap();
        assert!(disk.free().unwrap() > 1 << 20);
    }
}
