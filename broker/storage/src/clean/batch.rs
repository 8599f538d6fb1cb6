//! One batch at a time: its keys, and what the rules leave of it. Batches are unpacked as a stream.

use ottla_records::{BatchHeader, BatchRewriter, Limits, Marker, RecordReader, emptied};

use super::offset_map::OffsetMap;
use super::rules::{Records, Rules};
use super::transactions::Transactions;
use crate::aborted::Aborted;

type Result<T> = std::result::Result<T, ottla_records::Error>;

/// It does not matter how far a batch expands; a single record has to fit in memory.
const LIMITS: Limits = Limits { decompressed: u64::MAX, record: 256 << 20 };

/// Memory that is used again from batch to batch.
#[derive(Default)]
pub(super) struct Scratch {
    /// Which records of the batch stay.
    kept: Vec<bool>,
    record: Vec<u8>,
}

/// A batch after a clean.
pub(super) struct Cleaned {
    pub(super) batch: Outcome,
    /// The entry that the index of aborted transactions has for it.
    pub(super) index: Option<Aborted>,
}

/// What became of a batch.
pub(super) enum Outcome {
    /// It is copied as it is.
    Same,
    Gone,
    Changed(Vec<u8>),
}

/// Takes note of the keys of a batch; false if not all of them fit.
pub(super) fn map(
    header: &BatchHeader,
    batch: &[u8],
    keys: &mut OffsetMap,
    transactions: &mut Transactions,
    scratch: &mut Scratch,
) -> Result<bool> {
    if header.attributes.is_control() {
        transactions.end(header, Marker::read(batch)?);
        return Ok(true);
    }
    if transactions.is_aborted(header) {
        return Ok(true);
    }
    let mut records = RecordReader::new(batch, LIMITS)?;
    while let Some(record) = records.next_raw(&mut scratch.record)? {
        if record.key.is_some_and(|key| !keys.put(key, record.offset)) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Cleans a batch.
pub(super) fn clean(rules: &mut Rules, header: &BatchHeader, batch: &[u8], scratch: &mut Scratch) -> Result<Cleaned> {
    let marker = if header.attributes.is_control() { Marker::read(batch)? } else { None };
    let rule = rules.batch(header, marker);
    let without_records = || match (rule.keeps_empty, header.record_count) {
        (false, _) => Outcome::Gone,
        (true, 0) => Outcome::Same,
        (true, _) => Outcome::Changed(emptied(header)),
    };
    let outcome = match rule.records {
        Records::All => Outcome::Same,
        Records::None => without_records(),
        Records::AllUntil(horizon) => {
            scratch.kept.clear();
            scratch.kept.resize(header.record_count as usize, true);
            Outcome::Changed(rewrite(header, batch, scratch, Some(horizon))?)
        }
        Records::Newest => {
            let keeps_tombstone = choose(rules, header, batch, scratch)?;
            let horizon = rules.horizon(header, keeps_tombstone);
            match scratch.kept.iter().filter(|keep| **keep).count() {
                0 => without_records(),
                count if count == scratch.kept.len() && horizon.is_none() => Outcome::Same,
                _ => Outcome::Changed(rewrite(header, batch, scratch, horizon)?),
            }
        }
    };
    Ok(Cleaned { batch: outcome, index: rule.index })
}

/// Asks the rules for each record; whether a tombstone stays.
fn choose(rules: &Rules, header: &BatchHeader, batch: &[u8], scratch: &mut Scratch) -> Result<bool> {
    scratch.kept.clear();
    let mut keeps_tombstone = false;
    let mut records = RecordReader::new(batch, LIMITS)?;
    while let Some(record) = records.next_raw(&mut scratch.record)? {
        let keep = rules.keeps(header, &record);
        keeps_tombstone |= keep && record.is_tombstone();
        scratch.kept.push(keep);
    }
    Ok(keeps_tombstone)
}

fn rewrite(header: &BatchHeader, batch: &[u8], scratch: &mut Scratch, horizon: Option<i64>) -> Result<Vec<u8>> {
    let mut rewriter = BatchRewriter::new(header, horizon)?;
    let mut records = RecordReader::new(batch, LIMITS)?;
    for keep in &scratch.kept {
        let Some(record) = records.next_raw(&mut scratch.record)? else { break };
        if *keep {
            rewriter.push(&record)?;
        }
    }
    rewriter.finish()
}
