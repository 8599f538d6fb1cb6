//! Which boot of its machine a broker believes to run in.
//!
//! A process that finds the kernel's boot id unchanged may trust what the page cache kept. Of a broker that lost its power
//! that must not be true, so as root each runs in a mount namespace with a boot id of its own, anew after each loss.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

const KERNEL: &str = "/proc/sys/kernel/random/boot_id";
/// `$0` is the file with the boot id, the rest the program and its arguments, which it becomes.
const SCRIPT: &str = r#"mount --bind "$0" /proc/sys/kernel/random/boot_id && exec "$@""#;

/// A boot id of a broker's own.
#[derive(Clone, Debug)]
pub struct Boot {
    file: PathBuf,
}

impl Boot {
    /// One in `folder`, new.
    pub fn new(folder: &Path) -> anyhow::Result<Self> {
        let boot = Self { file: folder.join("boot-id") };
        boot.again()?;
        Ok(boot)
    }

    /// Whether this machine lets us give processes boot ids: tried once.
    pub fn works(folder: &Path) -> bool {
        let Ok(trial) = tempfile::TempDir::new_in(folder) else { return false };
        let Ok(boot) = Self::new(trial.path()) else { return false };
        let output = boot.command(Path::new("cat")).arg(KERNEL).output();
        output.is_ok_and(|output| fs::read(&boot.file).is_ok_and(|id| id == output.stdout))
    }

    /// The machine starts anew.
    pub fn again(&self) -> anyhow::Result<()> {
        let digits = format!("{:032x}", rand::random::<u128>());
        let parts = [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]];
        fs::write(&self.file, parts.join("-") + "\n").with_context(|| format!("cannot write {}", self.file.display()))
    }

    /// A command that runs `program` in this boot. The process it becomes is `program` itself, so signals reach it.
    /// Mounts of this process are those of the program too, and go when they go here.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "slave", "--", "sh", "-c", SCRIPT]).arg(&self.file).arg(program);
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_sees_the_boot_id_it_was_given_and_each_boot_has_another() {
        let dir = tempfile::tempdir().unwrap();
        let boot = Boot::new(dir.path()).unwrap();
        let first = fs::read_to_string(dir.path().join("boot-id")).unwrap();
        boot.again().unwrap();
        let second = fs::read_to_string(dir.path().join("boot-id")).unwrap();
        assert_ne!(first, second);
        assert_eq!(second.trim().split('-').map(str::len).collect::<Vec<_>>(), [8, 4, 4, 4, 12]);
        if !Boot::works(dir.path()) {
            eprintln!("skipped: no mount namespaces without root");
            return;
        }
        let output = boot.command(Path::new("cat")).arg(KERNEL).output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), second);
    }
}
