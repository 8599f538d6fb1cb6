//! Reads the topic as a consumer, and holds every record to the script.

use std::time::Duration;

use anyhow::{Context, bail, ensure};
use ottla_protocol::client::FetchLimits;
use ottla_records::{Limits, RecordReader, batches};

use super::{PATIENCE, Script, TOPIC};
use crate::process::Cluster;

/// What is left of a topic.
#[derive(Clone, Debug)]
pub struct Found {
    /// Records.
    pub records: u64,
    /// Keys of which a value is left.
    pub values: u64,
    /// Keys whose last record is a tombstone.
    pub deleted: u64,
    /// Everything below has been cleaned.
    pub cleaned: u64,
    /// Their offsets, ascending.
    pub(super) offsets: Vec<u64>,
}

/// Reads everything.
pub(super) async fn consume(cluster: &Cluster, script: &Script, cleaned: u64) -> anyhow::Result<Found> {
    let client = cluster.client(PATIENCE).await?;
    let end = client.list_offset(TOPIC, 0, -1).await? as u64;
    ensure!(end == script.records, "the log ends at {end}, {} records were written", script.records);
    let mut check = Check::new(script, cleaned);
    let mut next = 0;
    while next < end {
        let limits = FetchLimits { max_wait: Duration::from_millis(500), ..FetchLimits::default() };
        let fetched = client.fetch(TOPIC, 0, next as i64, limits).await?;
        ensure!(!fetched.error_code.is_error(), "fetch at {next}: {:?}", fetched.error_code);
        let bytes = fetched.records.and_then(|records| records.as_bytes().cloned()).unwrap_or_default();
        let before = next;
        for batch in batches(&bytes) {
            let batch = match batch {
                Ok(batch) => batch,
                Err(ottla_records::Error::Incomplete { .. }) => break,
                Err(error) => return Err(error.into()),
            };
            ottla_records::verify_crc(batch.bytes)?;
            let mut records = RecordReader::new(batch.bytes, Limits::default())?;
            while let Some(record) = records.next_record()? {
                let offset = u64::try_from(record.offset)?;
                check.record(offset, record.key.as_deref(), record.value.as_deref())?;
            }
            next = batch.header.next_offset() as u64;
        }
        ensure!(next > before, "nothing can be read at {before}");
    }
    check.end()
}

/// The check of a log, record by record.
pub(super) struct Check<'a> {
    script: &'a Script,
    cleaned: u64,
    /// By key, the last offset found.
    found: Vec<Option<u64>>,
    offsets: Vec<u64>,
}

impl<'a> Check<'a> {
    pub(super) fn new(script: &'a Script, cleaned: u64) -> Self {
        Self { script, cleaned, found: vec![None; script.keys as usize], offsets: Vec::new() }
    }

    /// The next record that was found.
    pub(super) fn record(&mut self, offset: u64, key: Option<&[u8]>, value: Option<&[u8]>) -> anyhow::Result<()> {
        if let Some(last) = self.offsets.last() {
            ensure!(offset > *last, "offset {offset} comes behind {last}");
        }
        ensure!(offset < self.script.records, "nothing was written at offset {offset}");
        let number = self.script.key(offset);
        let (expected_key, expected_value) = (Script::key_text(number), self.script.value(offset));
        ensure!(key == Some(expected_key.as_bytes()), "the key at offset {offset} is {key:?}, not {expected_key}");
        ensure!(value == expected_value.as_deref().map(str::as_bytes), "the value at offset {offset} is {value:?}");
        let earlier = self.found[number as usize].replace(offset);
        if let Some(earlier) = earlier.filter(|_| offset < self.cleaned) {
            bail!("{expected_key} is at {earlier} and at {offset}, and all below {} is clean", self.cleaned);
        }
        self.offsets.push(offset);
        Ok(())
    }

    /// Everything was found that there is.
    pub(super) fn end(self) -> anyhow::Result<Found> {
        let (mut values, mut deleted) = (0, 0);
        for (number, newest) in self.script.newest().into_iter().enumerate() {
            let Some(newest) = newest else { continue };
            let found = self.found[number];
            match self.script.value(newest) {
                Some(_) => {
                    let found =
                        found.with_context(|| format!("key-{number} is lost, its last value was at {newest}"))?;
                    ensure!(found == newest, "key-{number} is at {found}, its last value was at {newest}");
                    values += 1;
                }
                None => {
                    ensure!(found.is_none_or(|found| found == newest), "key-{number} was deleted, and is there again");
                    deleted += 1;
                }
            }
        }
        Ok(Found { records: self.offsets.len() as u64, values, deleted, cleaned: self.cleaned, offsets: self.offsets })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCRIPT: Script = Script { records: 5_000, keys: 40, seed: 1 };

    /// Checks a log that has the records at `offsets`, of which all below `cleaned` are said to be clean.
    fn check(offsets: impl IntoIterator<Item = u64>, cleaned: u64) -> anyhow::Result<Found> {
        let mut check = Check::new(&SCRIPT, cleaned);
        for offset in offsets {
            let key = Script::key_text(SCRIPT.key(offset));
            check.record(offset, Some(key.as_bytes()), SCRIPT.value(offset).as_deref().map(str::as_bytes))?;
        }
        check.end()
    }

    fn newest() -> Vec<u64> {
        let mut newest: Vec<u64> = SCRIPT.newest().into_iter().flatten().collect();
        newest.sort_unstable();
        newest
    }

    #[test]
    fn a_log_is_right_cleaned_or_not() {
        assert_eq!(check(newest(), 5_000).unwrap().records, 40);
        assert_eq!(check(0..5_000, 0).unwrap().records, 5_000);
    }

    #[test]
    fn what_is_lost_doubled_moved_or_changed_is_told() {
        let last_value = newest().into_iter().find(|offset| SCRIPT.value(*offset).is_some()).unwrap();
        let lost = newest().into_iter().filter(|offset| *offset != last_value);
        assert!(check(lost, 5_000).unwrap_err().to_string().contains("is lost"));
        assert!(check(0..5_000, 5_000).unwrap_err().to_string().contains("is clean"));
        assert!(check([7, 6], 0).unwrap_err().to_string().contains("comes behind"));
        assert!(check([5_000], 0).unwrap_err().to_string().contains("nothing was written"));
        let mut changed = Check::new(&SCRIPT, 0);
        let key = Script::key_text(SCRIPT.key(9));
        assert!(changed.record(9, Some(key.as_bytes()), Some(b"another")).is_err());
        assert!(changed.record(9, None, SCRIPT.value(9).as_deref().map(str::as_bytes)).is_err());
    }
}
