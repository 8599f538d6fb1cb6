//! The journal: one JSON line per write, rewritten as a snapshot when most of it is superseded.
//!
//! A write is in the page cache before it is answered, so it survives the death of this process; a thread
//! flushes it to the disk right after, so a power cut can lose the last moments. A torn last line is cut off.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Key, Storage};

/// Why the journal could not be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// Another process uses the directory.
    #[error("{0} is in use by another process")]
    InUse(PathBuf),
    /// Reading or writing failed.
    #[error("the journal failed")]
    Io(#[from] std::io::Error),
    /// A line in the middle is not what this program writes.
    #[error("line {line} of {path} is damaged")]
    Damaged {
        /// The journal file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

/// Rewrite only journals with at least this many lines …
const MIN_LINES: usize = 4096;
/// … of which at most one in so many is live.
const SUPERSEDED: usize = 4;

#[derive(Serialize, Deserialize)]
struct Line<'a> {
    version: u64,
    storage: &'a str,
    namespace: &'a str,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    object: Option<std::borrow::Cow<'a, Value>>,
}

/// What an existing journal holds.
#[derive(Default)]
pub(super) struct Loaded {
    pub version: u64,
    pub objects: HashMap<Key, Value>,
}

pub(super) struct Journal {
    path: PathBuf,
    file: File,
    lines: usize,
    flush: SyncSender<File>,
    /// Held for as long as the directory is ours.
    _lock: File,
}

impl Journal {
    pub fn open(dir: &Path) -> Result<(Self, Loaded), JournalError> {
        fs::create_dir_all(dir)?;
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(dir.join("lock"))?;
        rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive)
            .map_err(|_| JournalError::InUse(dir.to_owned()))?;
        let path = dir.join("journal");
        let mut file = OpenOptions::new().create(true).truncate(false).read(true).append(true).open(&path)?;
        let (loaded, lines) = load(&mut file, &path)?;
        let (flush, requests) = sync_channel(1);
        std::thread::Builder::new().name("journal-flush".to_owned()).spawn(move || flush_loop(&requests))?;
        Ok((Self { path, file, lines, flush, _lock: lock }, loaded))
    }

    pub fn append(&mut self, version: u64, key: &Key, object: Option<&Value>) -> Result<(), JournalError> {
        let line = line(version, &key.storage, &key.namespace, &key.name, object)?;
        if let Err(error) = self.file.write_all(&line) {
            self.start_new_line();
            return Err(error.into());
        }
        self.lines += 1;
        // A full queue means that a flush is about to begin, which will cover this line too.
        if let Ok(file) = self.file.try_clone() {
            let _ = self.flush.try_send(file);
        }
        Ok(())
    }

    /// After a failed write part of a line may be on disk: cut the file back to its last whole line.
    fn start_new_line(&mut self) {
        let cut = fs::read(&self.path).map(|bytes| bytes.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1));
        if let Err(error) = cut.and_then(|length| self.file.set_len(length as u64)) {
            tracing::warn!(%error, "journal not repaired after a failed write");
        }
    }

    pub fn wants_compaction(&self, live: usize) -> bool {
        self.lines >= MIN_LINES && self.lines / SUPERSEDED >= live
    }

    /// Replaces the journal by one line per live object.
    pub fn rewrite<'a>(
        &mut self,
        version: u64,
        objects: impl Iterator<Item = (&'a Storage, &'a str, &'a str, &'a Value)>,
    ) -> Result<(), JournalError> {
        let fresh = self.path.with_extension("new");
        let mut out = BufWriter::new(File::create(&fresh)?);
        // The counter must not fall back when the newest write was a deletion.
        out.write_all(&line(version, "", "", "", None)?)?;
        let mut lines = 1;
        for (storage, namespace, name, object) in objects {
            out.write_all(&line(version, storage, namespace, name, Some(object))?)?;
            lines += 1;
        }
        out.into_inner().map_err(|e| e.into_error())?.sync_all()?;
        fs::rename(&fresh, &self.path)?;
        self.file = OpenOptions::new().append(true).open(&self.path)?;
        self.lines = lines;
        Ok(())
    }
}

fn line(
    version: u64,
    storage: &str,
    namespace: &str,
    name: &str,
    object: Option<&Value>,
) -> Result<Vec<u8>, JournalError> {
    let line = Line { version, storage, namespace, name, object: object.map(std::borrow::Cow::Borrowed) };
    let mut bytes = serde_json::to_vec(&line).map_err(std::io::Error::from)?;
    bytes.push(b'\n');
    Ok(bytes)
}

fn load(file: &mut File, path: &Path) -> Result<(Loaded, usize), JournalError> {
    let mut loaded = Loaded::default();
    let mut storages: HashMap<String, Storage> = HashMap::new();
    let mut reader = BufReader::new(&mut *file);
    let (mut buffer, mut whole, mut lines) = (String::new(), 0_u64, 0);
    loop {
        buffer.clear();
        let read = reader.read_line(&mut buffer)?;
        if read == 0 || !buffer.ends_with('\n') {
            break;
        }
        lines += 1;
        let line: Line<'_> = serde_json::from_str(&buffer).map_err(|source| JournalError::Damaged {
            path: path.to_owned(),
            line: lines,
            source,
        })?;
        whole += read as u64;
        loaded.version = loaded.version.max(line.version);
        if line.storage.is_empty() {
            continue;
        }
        let storage = storages.entry(line.storage.to_owned()).or_insert_with(|| Arc::from(line.storage)).clone();
        let key = Key { storage, namespace: line.namespace.to_owned(), name: line.name.to_owned() };
        match line.object {
            Some(object) => loaded.objects.insert(key, object.into_owned()),
            None => loaded.objects.remove(&key),
        };
    }
    file.set_len(whole)?;
    Ok((loaded, lines))
}

/// Flushes whatever was written, at most one flush behind; ends with the journal.
fn flush_loop(requests: &Receiver<File>) {
    while let Ok(file) = requests.recv() {
        if let Err(error) = file.sync_data() {
            tracing::warn!(%error, "journal not flushed");
        }
    }
}
