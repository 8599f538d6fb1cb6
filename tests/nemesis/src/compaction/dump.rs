//! A dump of every segment by Kafka's own DumpLogSegments, held to the script and to what the consumer found.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};

use super::check::Check;
use super::{Found, Script, logs};

/// Dumps the segments in `folder` with the jars in `libs`; gives the number of records.
pub(super) fn check(libs: &Path, folder: &Path, script: &Script, found: &Found) -> anyhow::Result<u64> {
    let files: Vec<String> =
        logs(folder)?.iter().map(|(base, _)| folder.join(format!("{base:020}.log")).display().to_string()).collect();
    let mut command = Command::new("java");
    command.args(["-Xmx512m", "-XX:+UseSerialGC", "-Dlog4j2.level=ERROR", "-cp"]).arg(libs.join("*"));
    command.args(["org.apache.kafka.tools.DumpLogSegments", "--deep-iteration", "--print-data-log"]);
    command.args(["--files", &files.join(",")]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut dump = command.spawn().context("cannot run DumpLogSegments")?;
    let output = dump.stdout.take().context("it has no output")?;
    let mut check = Check::new(script, found.cleaned);
    for line in BufReader::new(output).lines() {
        let line = line?;
        ensure!(!line.contains("isvalid: false"), "a batch is not valid: {line}");
        if let Some((offset, key, value)) = record(&line) {
            check.record(offset, Some(key.as_bytes()), value.map(str::as_bytes)).with_context(|| line.clone())?;
        }
    }
    let status = dump.wait()?;
    ensure!(status.success(), "DumpLogSegments ended with {status}");
    let dumped = check.end()?;
    ensure!(dumped.offsets == found.offsets, "the dump has other records than the consumer found");
    Ok(dumped.records)
}

/// Offset, key and value in a line that tells of a record.
fn record(line: &str) -> Option<(u64, &str, Option<&str>)> {
    let rest = line.strip_prefix("| offset: ")?;
    let (offset, rest) = rest.split_once(' ')?;
    let (_, rest) = rest.split_once(" key: ")?;
    let (key, value) = match rest.split_once(" payload: ") {
        Some((key, value)) => (key, Some(value)),
        None => (rest, None),
    };
    Some((offset.parse().ok()?, key.trim(), value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_from_the_lines_that_tell_of_them() {
        let value = "| offset: 40 CreateTime: 1764 keySize: 5 valueSize: 7 sequence: -1 headerKeys: [] key: key-3 payload: value-9";
        assert_eq!(record(value), Some((40, "key-3", Some("value-9"))));
        let tombstone = "| offset: 41 CreateTime: 1764 keySize: 5 valueSize: -1 sequence: -1 headerKeys: [] key: key-4";
        assert_eq!(record(tombstone), Some((41, "key-4", None)));
        assert_eq!(record("baseOffset: 40 lastOffset: 41 count: 2 isvalid: true"), None);
    }
}
