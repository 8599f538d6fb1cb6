//! The names of the files and folders of a log directory, as Kafka gives them.

use std::path::{Path, PathBuf};

use ottla_core::{TopicName, TopicPartition};
use uuid::Uuid;

/// The files that a segment consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    Log,
    OffsetIndex,
    TimeIndex,
    Snapshot,
    AbortedIndex,
}

impl Kind {
    pub(crate) fn extension(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::OffsetIndex => "index",
            Self::TimeIndex => "timeindex",
            Self::Snapshot => "snapshot",
            Self::AbortedIndex => "txnindex",
        }
    }

    fn from_extension(extension: &str) -> Option<Self> {
        [Self::Log, Self::OffsetIndex, Self::TimeIndex, Self::Snapshot, Self::AbortedIndex]
            .into_iter()
            .find(|kind| kind.extension() == extension)
    }
}

const FUTURE_SUFFIX: &str = "-future";
pub(crate) const DELETED_SUFFIX: &str = ".deleted";
/// What a clean is writing, and thrown away after a crash.
pub(crate) const CLEANED_SUFFIX: &str = ".cleaned";
/// What a clean has written and a crash must not lose: it takes the place of the segments it was made of.
pub(crate) const SWAP_SUFFIX: &str = ".swap";
/// Offsets may have gaps in the log of this folder: it was cleaned, or copied from one that was.
pub(crate) const GAPS: &str = ".ottla-gaps";
pub(crate) const LEADER_EPOCHS: &str = "leader-epoch-checkpoint";
pub(crate) const PARTITION_METADATA: &str = "partition.metadata";

/// `<20-digit offset>.<extension>` in `folder`.
pub(crate) fn segment_path(folder: &Path, base_offset: i64, kind: Kind) -> PathBuf {
    folder.join(format!("{base_offset:020}.{}", kind.extension()))
}

/// The same file with `suffix` behind its name.
pub(crate) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Whether the name of `path` ends with `suffix`.
pub(crate) fn has_suffix(path: &Path, suffix: &str) -> bool {
    path.as_os_str().as_encoded_bytes().ends_with(suffix.as_bytes())
}

/// Offset and kind of a segment's file, from its name.
pub(crate) fn parse_segment_name(name: &str) -> Option<(i64, Kind)> {
    let (digits, extension) = name.split_once('.')?;
    let kind = Kind::from_extension(extension)?;
    let valid = digits.len() == 20 && digits.bytes().all(|b| b.is_ascii_digit());
    Some((if valid { digits.parse().ok()? } else { return None }, kind))
}

/// The partition whose folder is called `name`.
pub(crate) fn parse_folder(name: &str) -> Option<TopicPartition> {
    let (topic, partition) = name.rsplit_once('-')?;
    let plain = partition == "0" || (!partition.starts_with(['0', '+', '-']) && !partition.is_empty());
    let partition = partition.parse::<i32>().ok().filter(|p| *p >= 0 && plain)?;
    Some(TopicPartition::new(TopicName::new(topic).ok()?, partition))
}

/// The name a partition's folder gets before it is removed: `topic-partition.<unique>-delete`, at most 255 bytes.
pub(crate) fn deleted_folder(partition: &TopicPartition, unique: Uuid) -> String {
    let suffix = format!(".{}-delete", unique.simple());
    let mut name = partition.to_string();
    name.truncate(255 - suffix.len());
    name + &suffix
}

/// The name of the folder that a partition is copied to before it moves to another directory:
/// `topic-partition.<unique>-future`. A name that would not fit a file name is cut, and then not recognised.
pub(crate) fn future_folder(partition: &TopicPartition, unique: Uuid) -> String {
    let suffix = format!(".{}{FUTURE_SUFFIX}", unique.simple());
    let mut name = partition.to_string();
    name.truncate(255 - suffix.len());
    name + &suffix
}

/// Whether `name` is what [`future_folder`] makes.
pub(crate) fn is_future_folder(name: &str) -> bool {
    name.strip_suffix(FUTURE_SUFFIX).and_then(|n| n.rsplit_once('.')).is_some_and(|(_, id)| id.len() == 32)
}

/// The partition that the folder called `name` is a copy of.
pub(crate) fn parse_future_folder(name: &str) -> Option<TopicPartition> {
    let (partition, unique) = name.strip_suffix(FUTURE_SUFFIX)?.rsplit_once('.')?;
    parse_folder(partition).filter(|_| unique.len() == 32)
}

/// Whether `name` is what [`deleted_folder`] makes.
pub(crate) fn is_deleted_folder(name: &str) -> bool {
    name.strip_suffix("-delete").and_then(|n| n.rsplit_once('.')).is_some_and(|(_, id)| id.len() == 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segment_names_have_twenty_digits() {
        let path = segment_path(Path::new("/x"), 42, Kind::TimeIndex);
        assert_eq!(path, Path::new("/x/00000000000000000042.timeindex"));
        assert_eq!(parse_segment_name("00000000000000000042.timeindex"), Some((42, Kind::TimeIndex)));
        for other in
            ["42.log", "00000000000000000042.log.deleted", "leader-epoch-checkpoint", "0000000000000000004x.log"]
        {
            assert_eq!(parse_segment_name(other), None, "{other}");
        }
    }

    #[test]
    fn a_folder_name_is_split_at_its_last_dash() {
        assert_eq!(parse_folder("my-topic-7").map(|p| p.to_string()).as_deref(), Some("my-topic-7"));
        for other in ["topic", "topic-", "topic-x", "topic-01", "topic-+1", "-1", "meta.properties"] {
            assert_eq!(parse_folder(other), None, "{other}");
        }
    }

    #[test]
    fn a_deleted_folder_fits_a_file_name_and_is_recognised() {
        let partition = TopicPartition::new(TopicName::new(&"x".repeat(249)).unwrap(), 3);
        let name = deleted_folder(&partition, Uuid::from_u128(5));
        assert_eq!(name.len(), 255);
        assert!(is_deleted_folder(&name));
        assert!(!is_deleted_folder("topic-delete"));
        assert_eq!(parse_folder(&name), None);
    }

    #[test]
    fn the_folder_of_a_copy_names_its_partition() {
        let partition = TopicPartition::new(TopicName::new("my.topic").unwrap(), 3);
        let name = future_folder(&partition, Uuid::from_u128(5));
        assert_eq!(name, format!("my.topic-3.{}-future", Uuid::from_u128(5).simple()));
        assert_eq!((parse_future_folder(&name), parse_folder(&name)), (Some(partition), None));
        let longest = TopicPartition::new(TopicName::new(&"x".repeat(249)).unwrap(), 3);
        assert!(is_future_folder(&future_folder(&longest, Uuid::from_u128(5))));
        assert!(!is_deleted_folder(&name) && !is_future_folder("my.topic-3"));
    }
}
