//! `meta.properties`: to which cluster and node a log directory belongs (version 1, KIP-631 and KIP-858).

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use ottla_core::{BrokerId, DirectoryId};

use crate::checkpoint::{Sync, damaged, read_file, replace_file};
use crate::{Result, text_id};

/// The file's name.
pub(crate) const FILE: &str = "meta.properties";

/// The identity that is written into a log directory when it is formatted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetaProperties {
    /// `cluster.id`.
    pub cluster_id: String,
    /// `node.id`.
    pub node_id: BrokerId,
    /// `directory.id`; a directory formatted by an old Kafka has none until it is opened here.
    pub directory_id: Option<DirectoryId>,
}

/// A log directory that is not this broker's: it must not be touched (exit code 3).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// It belongs to another cluster.
    #[error("{} belongs to cluster {found}, this broker to {expected}", dir.display())]
    Cluster {
        /// The log directory.
        dir: PathBuf,
        /// This broker's cluster id.
        expected: String,
        /// The directory's.
        found: String,
    },
    /// It belongs to another node of the cluster.
    #[error("{} belongs to node {found}, this is node {expected}", dir.display())]
    Node {
        /// The log directory.
        dir: PathBuf,
        /// This broker's id.
        expected: BrokerId,
        /// The directory's.
        found: BrokerId,
    },
    /// Two log directories have the same id: one is a copy of the other.
    #[error("{} has the directory id {id}, which {} has too", dir.display(), other.display())]
    DuplicateDirectory {
        /// The log directory.
        dir: PathBuf,
        /// The directory with the same id.
        other: PathBuf,
        /// The id.
        id: DirectoryId,
    },
    /// It holds partitions but no `meta.properties`: whose they are is unknown.
    #[error("{} holds partitions but no meta.properties", dir.display())]
    Missing {
        /// The log directory.
        dir: PathBuf,
    },
}

/// Refuses log directories of which one is a copy of another. Nothing in them is changed, or locked. One that cannot be
/// read is left out: whoever opens it learns why.
pub fn check_distinct(dirs: &[PathBuf]) -> Result<()> {
    let mut seen: HashMap<DirectoryId, &PathBuf> = HashMap::new();
    for dir in dirs {
        let found = match MetaProperties::read(dir) {
            Err(crate::Error::Io { .. }) => continue,
            found => found?,
        };
        let Some(id) = found.and_then(|found| found.directory_id) else { continue };
        if let Some(other) = seen.insert(id, dir) {
            let (dir, other) = (dir.clone(), other.clone());
            return Err(IdentityError::DuplicateDirectory { dir, other, id }.into());
        }
    }
    Ok(())
}

impl MetaProperties {
    /// Reads the identity of the log directory `dir`; none if it is not formatted.
    pub fn read(dir: &Path) -> Result<Option<Self>> {
        let path = dir.join(FILE);
        let Some(text) = read_file(&path)? else { return Ok(None) };
        let value = |key: &str| {
            let pairs = text.lines().map(str::trim).filter(|l| !l.starts_with(['#', '!']));
            pairs.filter_map(|l| l.split_once('=')).find(|(k, _)| k.trim() == key).map(|(_, v)| v.trim())
        };
        // Version 0 calls the node id broker.id.
        let node_key = match value("version") {
            Some("1") => "node.id",
            Some("0") | None => "broker.id",
            Some(_) => return Err(damaged(&path, "its version is neither 0 nor 1")),
        };
        let node_id = value(node_key).and_then(|v| v.parse().ok());
        let directory_id = match value("directory.id") {
            Some(text) => Some(text_id::decode(text).ok_or_else(|| damaged(&path, "directory.id is not an id"))?),
            None => None,
        };
        Ok(Some(Self {
            cluster_id: value("cluster.id").ok_or_else(|| damaged(&path, "cluster.id is missing"))?.to_owned(),
            node_id: BrokerId(node_id.ok_or_else(|| damaged(&path, "node.id is missing or not a number"))?),
            directory_id: directory_id.map(DirectoryId),
        }))
    }

    /// Writes the identity into `dir`, durably.
    pub fn write(&self, dir: &Path) -> Result<()> {
        let mut text = format!("#\nversion=1\ncluster.id={}\nnode.id={}\n", self.cluster_id, self.node_id);
        if let Some(id) = self.directory_id {
            text.push_str(&format!("directory.id={}\n", text_id::encode(id.0)));
        }
        replace_file(&dir.join(FILE), text.as_bytes(), Sync::Now)
    }

    /// Whether the directory is that of node `node_id` in the cluster `cluster_id`.
    pub fn check(&self, dir: &Path, cluster_id: &str, node_id: BrokerId) -> std::result::Result<(), IdentityError> {
        if self.cluster_id != cluster_id {
            let (expected, found) = (cluster_id.to_owned(), self.cluster_id.clone());
            return Err(IdentityError::Cluster { dir: dir.to_owned(), expected, found });
        }
        if self.node_id != node_id {
            return Err(IdentityError::Node { dir: dir.to_owned(), expected: node_id, found: self.node_id });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_identity_comes_back_and_another_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(MetaProperties::read(dir.path()).unwrap(), None);
        let written = MetaProperties {
            cluster_id: "MkU3OEVBNTcwNTJENDM2Qg".into(),
            node_id: BrokerId(2),
            directory_id: Some(DirectoryId(uuid::Uuid::from_u128(9))),
        };
        written.write(dir.path()).unwrap();
        let read = MetaProperties::read(dir.path()).unwrap().unwrap();
        assert_eq!(read, written);
        read.check(dir.path(), "MkU3OEVBNTcwNTJENDM2Qg", BrokerId(2)).unwrap();
        assert!(matches!(read.check(dir.path(), "other", BrokerId(2)), Err(IdentityError::Cluster { .. })));
        let wrong_node = read.check(dir.path(), "MkU3OEVBNTcwNTJENDM2Qg", BrokerId(1));
        assert!(matches!(wrong_node, Err(IdentityError::Node { found: BrokerId(2), .. })));
    }

    #[test]
    fn a_copy_of_a_log_directory_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let dirs = ["a", "b", "c"].map(|name| folder.path().join(name));
        for (dir, id) in dirs.iter().zip([1, 2, 1]) {
            std::fs::create_dir(dir).unwrap();
            let directory_id = Some(DirectoryId(uuid::Uuid::from_u128(id)));
            MetaProperties { cluster_id: "c".into(), node_id: BrokerId(1), directory_id }.write(dir).unwrap();
        }
        check_distinct(&dirs[..2]).unwrap();
        // The same one twice is a copy of itself.
        assert!(check_distinct(&[dirs[1].clone(), dirs[1].clone()]).is_err());
        let refused = check_distinct(&dirs).unwrap_err();
        let expected = format!("which {} has too", dirs[0].display());
        assert!(
            refused.to_string().starts_with(&dirs[2].display().to_string()) && refused.to_string().ends_with(&expected)
        );
    }

    #[test]
    fn a_file_of_kafka_with_comments_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let text = "#\n#Thu Jan 01 00:00:00 UTC 2026\ncluster.id=abc\ndirectory.id=AAAAAAAAAAAAAAAAAAAACQ\nnode.id=1\nversion=1\n";
        std::fs::write(dir.path().join(FILE), text).unwrap();
        let read = MetaProperties::read(dir.path()).unwrap().unwrap();
        assert_eq!((read.cluster_id.as_str(), read.node_id), ("abc", BrokerId(1)));
        assert_eq!(read.directory_id, Some(DirectoryId(uuid::Uuid::from_u128(9))));
    }
}
