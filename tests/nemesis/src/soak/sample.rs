//! What a broker uses of the machine at a moment.

use std::fs;
use std::path::Path;

use anyhow::Context;

use crate::process::Broker;

/// What a process uses.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sample {
    /// Resident memory, in bytes.
    pub memory: u64,
    /// Open files.
    pub files: u64,
    /// Threads.
    pub threads: u64,
    /// Bytes of its files on the disk.
    pub disk: u64,
    /// Processor seconds used so far.
    pub cpu: f64,
}

impl Sample {
    /// Looks at a running broker.
    pub fn of(broker: &Broker) -> anyhow::Result<Self> {
        let proc = Path::new("/proc").join(broker.process.pid().context("the broker does not run")?.to_string());
        let entries = |name: &str| -> anyhow::Result<u64> { Ok(fs::read_dir(proc.join(name))?.count() as u64) };
        Ok(Self {
            memory: broker.process.memory()?,
            files: entries("fd")?,
            threads: entries("task")?,
            disk: bytes_below(&broker.data()),
            cpu: broker.process.cpu_seconds()?,
        })
    }
}

/// What is written below a folder, in which files come and go while it is looked at.
fn bytes_below(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let meta = entry.metadata().ok()?;
            Some(if meta.is_dir() { bytes_below(&entry.path()) } else { meta.len() })
        })
        .sum()
}
