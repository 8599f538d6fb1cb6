//! Kafka's text checkpoints: a version line, a count line, then one entry a line; replaced as a whole by rename.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;

use ottla_core::{Offset, TopicId, TopicName, TopicPartition};

use crate::error::io_error;
use crate::{Error, Result, text_id};

/// Whether a checkpoint must be on disk when the call returns, or may follow with the next write-back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sync {
    Now,
    Later,
}

/// Replaces `path` by `content` so that a crash leaves the old or the new one.
pub(crate) fn replace_file(path: &Path, content: &[u8], sync: Sync) -> Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    let temporary = Path::new(&temporary);
    let write = || -> io::Result<()> {
        let mut file = File::create(temporary)?;
        file.write_all(content)?;
        if sync == Sync::Now {
            file.sync_all()?;
        }
        fs::rename(temporary, path)?;
        if sync == Sync::Now
            && let Some(folder) = path.parent()
        {
            File::open(folder)?.sync_all()?;
        }
        Ok(())
    };
    write().map_err(io_error("write", path))
}

/// The text of `path`, or none if there is no such file.
pub(crate) fn read_file(path: &Path) -> Result<Option<String>> {
    match read_small(path) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(io_error("read", path)(e)),
    }
}

/// Reads a file that is most likely small with as few calls as possible: a start reads two for each partition.
fn read_small(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let mut bytes = vec![0; 512];
    let mut len = file.read(&mut bytes)?;
    // A short read of a regular file ends where the file does.
    while len == bytes.len() {
        bytes.resize(4 * len, 0);
        len += file.read(&mut bytes[len..])?;
    }
    bytes.truncate(len);
    Ok(bytes)
}

/// The entry lines of a checkpoint. None if the file is missing or empty; [`Error::Damaged`] if it is malformed.
pub(crate) fn read_lines(path: &Path) -> Result<Option<Vec<String>>> {
    let Some(text) = read_file(path)?.filter(|t| !t.is_empty()) else { return Ok(None) };
    let mut lines = text.lines().map(str::to_owned);
    if lines.next().as_deref() != Some("0") {
        return Err(damaged(path, "its version is not 0"));
    }
    let count = lines.next().and_then(|l| l.parse::<usize>().ok());
    let entries: Vec<String> = lines.collect();
    if count != Some(entries.len()) {
        return Err(damaged(path, "it does not have as many entries as it says"));
    }
    Ok(Some(entries))
}

/// The text of a checkpoint with these entry lines.
pub(crate) fn format_lines(entries: &[String]) -> String {
    let mut text = format!("0\n{}\n", entries.len());
    for entry in entries {
        text.push_str(entry);
        text.push('\n');
    }
    text
}

/// Reads `topic partition offset` entries; a missing file is an empty list.
pub(crate) fn read_offsets(path: &Path) -> Result<Vec<(TopicPartition, Offset)>> {
    read_lines(path)?
        .unwrap_or_default()
        .iter()
        .map(|line| parse_offset(line).ok_or_else(|| damaged(path, "an entry is not 'topic partition offset'")))
        .collect()
}

fn parse_offset(line: &str) -> Option<(TopicPartition, Offset)> {
    let mut parts = line.split_whitespace();
    let (topic, partition, offset) = (parts.next()?, parts.next()?, parts.next()?);
    let partition = TopicPartition::new(TopicName::new(topic).ok()?, partition.parse().ok()?);
    parts.next().is_none().then_some((partition, Offset(offset.parse().ok()?)))
}

/// Writes `topic partition offset` entries.
pub(crate) fn write_offsets(
    path: &Path,
    offsets: impl Iterator<Item = (TopicPartition, Offset)>,
    sync: Sync,
) -> Result<()> {
    let entries: Vec<String> = offsets.map(|(tp, offset)| format!("{} {} {offset}", tp.topic, tp.partition)).collect();
    replace_file(path, format_lines(&entries).as_bytes(), sync)
}

/// Reads the topic id of a `partition.metadata`; none if there is no such file.
pub(crate) fn read_partition_metadata(path: &Path) -> Result<Option<TopicId>> {
    let Some(text) = read_file(path)? else { return Ok(None) };
    let value = |key: &str| text.lines().find_map(|l| l.strip_prefix(key)).map(str::trim);
    if value("version:") != Some("0") {
        return Err(damaged(path, "its version is not 0"));
    }
    let id = value("topic_id:").and_then(text_id::decode);
    id.map(|id| Some(TopicId(id))).ok_or_else(|| damaged(path, "it has no topic id"))
}

/// Writes the `partition.metadata` of a folder that has none. One that a crash tears reads as damaged, which costs nothing: the
/// cluster's metadata has the id.
pub(crate) fn write_partition_metadata(path: &Path, id: TopicId) -> Result<()> {
    let text = format!("version: 0\ntopic_id: {}\n", text_id::encode(id.0));
    fs::write(path, text).map_err(io_error("write", path))
}

pub(crate) fn damaged(path: &Path, reason: &str) -> Error {
    Error::Damaged { path: path.to_owned(), position: 0, reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_come_back_in_kafkas_format() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("recovery-point-offset-checkpoint");
        assert_eq!(read_offsets(&path).unwrap(), []);
        let entries = vec![
            (TopicPartition::new(TopicName::new("a-b").unwrap(), 0), Offset(5)),
            (TopicPartition::new(TopicName::new("c").unwrap(), 12), Offset(i64::MAX)),
        ];
        write_offsets(&path, entries.clone().into_iter(), Sync::Now).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("0\n2\na-b 0 5\nc 12 {}\n", i64::MAX));
        assert_eq!(read_offsets(&path).unwrap(), entries);
    }

    #[test]
    fn a_malformed_checkpoint_is_damage_not_emptiness() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c");
        for bad in ["1\n0\n", "0\n2\na 0 1\n", "0\n1\na 0\n", "0\n1\na 0 x\n", "0\n1\na 0 1 1\n"] {
            fs::write(&path, bad).unwrap();
            assert!(matches!(read_offsets(&path), Err(Error::Damaged { .. })), "{bad:?}");
        }
    }

    #[test]
    fn partition_metadata_holds_the_topic_id_as_kafka_writes_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("partition.metadata");
        assert_eq!(read_partition_metadata(&path).unwrap(), None);
        let id = TopicId(uuid::Uuid::from_u128(1 << 64 | 7));
        write_partition_metadata(&path, id).unwrap();
        assert!(fs::read_to_string(&path).unwrap().starts_with("version: 0\ntopic_id: AAAA"));
        assert_eq!(read_partition_metadata(&path).unwrap(), Some(id));
    }
}
