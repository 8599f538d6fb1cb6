//! The snapshot of the metadata log on disk: one file, replaced whole.
//!
//! ```text
//! crc32c u32 | header length u32 | header (SnapshotHeader) | image (ottla.metadata.v1.Snapshot)
//! ```

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use ottla_core::metadata::Image;
use ottla_records::crc32c;

use super::types::SnapshotMeta;
use super::wire::{self, DecodeError};

const FILE: &str = "snapshot";
const TEMPORARY: &str = "snapshot.tmp";

/// Why the snapshot cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The system refuses.
    #[error("the metadata snapshot in {}: {source}", folder.display())]
    Io {
        /// The folder of the metadata log.
        folder: PathBuf,
        /// What it says.
        source: io::Error,
    },
    /// It is not what was written.
    #[error("the metadata snapshot in {} is damaged", .0.display())]
    Damaged(PathBuf),
    /// What it holds.
    #[error("the metadata snapshot: {0}")]
    Contents(#[from] DecodeError),
}

/// A snapshot with its bytes, which are what goes to another node too.
pub(super) struct Stored {
    pub meta: SnapshotMeta,
    pub image: Vec<u8>,
}

/// The folder in which snapshots are kept.
#[derive(Clone, Debug)]
pub(super) struct Snapshots {
    folder: PathBuf,
}

impl Snapshots {
    pub(super) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// The present snapshot.
    pub(super) fn load(&self) -> Result<Option<Stored>, SnapshotError> {
        let bytes = match fs::read(self.folder.join(FILE)) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(self.io(source)),
        };
        let damaged = || SnapshotError::Damaged(self.folder.clone());
        let (crc, rest) = bytes.split_first_chunk::<4>().ok_or_else(damaged)?;
        if u32::from_le_bytes(*crc) != crc32c(rest) {
            return Err(damaged());
        }
        let (length, rest) = rest.split_first_chunk::<4>().ok_or_else(damaged)?;
        let (header, image) = rest.split_at_checked(u32::from_le_bytes(*length) as usize).ok_or_else(damaged)?;
        Ok(Some(Stored { meta: wire::decode_snapshot_meta(header)?, image: image.to_vec() }))
    }

    /// Puts `image` in place of the present snapshot, durably: a crash leaves the one or the other.
    pub(super) fn save(&self, meta: &SnapshotMeta, image: &[u8]) -> Result<(), SnapshotError> {
        let header = wire::encode_snapshot_meta(meta);
        let length = u32::try_from(header.len()).expect("a header names the nodes of a quorum, which are few");
        let mut bytes = vec![0; 4];
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(&header);
        bytes.extend_from_slice(image);
        let crc = crc32c(&bytes[4..]);
        bytes[..4].copy_from_slice(&crc.to_le_bytes());
        self.replace(&bytes).map_err(|source| self.io(source))
    }

    fn replace(&self, bytes: &[u8]) -> io::Result<()> {
        let temporary = self.folder.join(TEMPORARY);
        let mut file = File::create(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, self.folder.join(FILE))?;
        File::open(&self.folder)?.sync_all()
    }

    fn io(&self, source: io::Error) -> SnapshotError {
        SnapshotError::Io { folder: self.folder.clone(), source }
    }
}

/// The image in a snapshot's bytes.
pub(super) fn decode(image: &[u8]) -> Result<Image, DecodeError> {
    Ok(Image::decode_snapshot(image)?)
}
