//! A log directory that the cluster has retired is put aside, so that it can be formatted anew.
//!
//! Which ones are retired is for others to know: a directory that is not named is never touched. Nothing is deleted.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use ottla_core::DirectoryId;

use crate::dir::{LOCK, lock};
use crate::error::io_error;
use crate::meta_properties::{FILE as META_PROPERTIES, MetaProperties};
use crate::{Result, text_id};

/// What the folders start with into which things are put.
const ASIDE: &str = ".retired-";
/// Belongs to the file system, not to us.
const LOST_AND_FOUND: &str = "lost+found";

/// Moves all that lies in `dir` into a folder in it if its `directory.id` is one of `retired`, and gives that folder.
///
/// May be cut off anywhere and called again: `meta.properties`, which says that the directory is a retired one, goes last.
pub fn put_aside(dir: &Path, retired: &[DirectoryId]) -> Result<Option<PathBuf>> {
    let found = MetaProperties::read(dir)?.and_then(|found| found.directory_id);
    let Some(id) = found.filter(|id| retired.contains(id)) else { return Ok(None) };
    let _lock = lock(dir)?;
    let aside = dir.join(format!("{ASIDE}{}", text_id::encode(id.0)));
    std::fs::create_dir_all(&aside).map_err(io_error("create", &aside))?;
    move_all(dir, &aside).map_err(io_error("put aside what lies in", dir))?;
    Ok(Some(aside))
}

fn move_all(dir: &Path, aside: &Path) -> io::Result<()> {
    let sync = || File::open(aside)?.sync_all().and_then(|()| File::open(dir)?.sync_all());
    for entry in std::fs::read_dir(dir)? {
        let name = entry?.file_name();
        let stays = name
            .to_str()
            .is_some_and(|name| [LOCK, META_PROPERTIES, LOST_AND_FOUND].contains(&name) || name.starts_with(ASIDE));
        if !stays {
            std::fs::rename(dir.join(&name), aside.join(&name))?;
        }
    }
    sync()?;
    std::fs::rename(dir.join(META_PROPERTIES), aside.join(META_PROPERTIES))?;
    sync()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use ottla_core::BrokerId;
    use uuid::Uuid;

    use super::*;

    fn directory(id: u128) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let directory_id = Some(DirectoryId(Uuid::from_u128(id)));
        MetaProperties { cluster_id: "c".into(), node_id: BrokerId(1), directory_id }.write(dir.path()).unwrap();
        for folder in ["orders-0", "__cluster_metadata", LOST_AND_FOUND] {
            fs::create_dir(dir.path().join(folder)).unwrap();
        }
        fs::write(dir.path().join("orders-0/00000000000000000000.log"), b"records").unwrap();
        dir
    }

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn only_a_directory_that_is_named_is_put_aside_and_nothing_of_it_is_lost() {
        let dir = directory(7);
        let before = names(dir.path());
        assert_eq!(put_aside(dir.path(), &[DirectoryId(Uuid::from_u128(8))]).unwrap(), None);
        assert_eq!(names(dir.path()), before);

        let retired = [DirectoryId(Uuid::from_u128(8)), DirectoryId(Uuid::from_u128(7))];
        let aside = put_aside(dir.path(), &retired).unwrap().unwrap();
        let folder = aside.file_name().unwrap().to_str().unwrap();
        assert_eq!(names(dir.path()), [LOCK, folder, LOST_AND_FOUND]);
        assert_eq!(names(&aside), ["__cluster_metadata", META_PROPERTIES, "orders-0"]);
        assert_eq!(fs::read(aside.join("orders-0/00000000000000000000.log")).unwrap(), b"records");
        assert_eq!(put_aside(dir.path(), &retired).unwrap(), None, "it is done once");
        assert_eq!(put_aside(&dir.path().join("absent"), &retired).unwrap(), None);
    }

    #[test]
    fn what_was_cut_off_is_taken_up_again() {
        let dir = directory(7);
        let aside = dir.path().join(format!("{ASIDE}{}", text_id::encode(Uuid::from_u128(7))));
        fs::create_dir(&aside).unwrap();
        fs::rename(dir.path().join("orders-0"), aside.join("orders-0")).unwrap();
        assert_eq!(put_aside(dir.path(), &[DirectoryId(Uuid::from_u128(7))]).unwrap(), Some(aside.clone()));
        assert_eq!(names(&aside), ["__cluster_metadata", META_PROPERTIES, "orders-0"]);
    }

    #[test]
    fn one_that_is_in_use_is_left_alone() {
        let dir = directory(7);
        let _used = lock(dir.path()).unwrap();
        let before = names(dir.path());
        assert!(matches!(put_aside(dir.path(), &[DirectoryId(Uuid::from_u128(7))]), Err(crate::Error::Locked { .. })));
        assert_eq!(names(dir.path()), before);
    }
}
