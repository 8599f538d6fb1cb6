//! Reads a log back: its last lines, the lines since a time, and what is still to come.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures::StreamExt as _;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;

use super::rotated;
use crate::logs::{LogRequest, LogStream};

/// Bytes handed on at a time, about.
const CHUNK: usize = 32 << 10;

/// The lines of the log at `path` that `request` wants. With `more`, new lines follow until that channel is closed.
pub fn read(path: PathBuf, more: Option<watch::Receiver<()>>, request: LogRequest) -> io::Result<LogStream> {
    let wanted = Wanted::new(&request);
    let (chunks, stream) = mpsc::channel(4);
    let mut open = Vec::new();
    match File::open(rotated(&path)) {
        Ok(file) => open.push(BufReader::new(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    open.push(BufReader::new(File::open(&path)?));
    tokio::spawn(async move {
        let out = Output { chunks, pending: Vec::new(), left: request.limit_bytes.unwrap_or(u64::MAX) };
        // The only ends are the reader's wish, its absence, and an error that it has been told.
        let _ = send_all(path, open, more, wanted, request.tail_lines, out).await;
    });
    Ok(ReceiverStream::new(stream).boxed())
}

/// The last lines of the log at `path`, without their times: those that lie whole in its last `bytes`.
pub fn tail(path: &Path, bytes: u64) -> io::Result<String> {
    let mut file = File::open(path)?;
    let begin = file.metadata()?.len().saturating_sub(bytes);
    file.seek(SeekFrom::Start(begin))?;
    let mut end = Vec::new();
    file.read_to_end(&mut end)?;
    let end = String::from_utf8_lossy(&end);
    let lines = end.lines().skip(usize::from(begin > 0));
    Ok(lines.filter_map(|line| Some(format!("{}\n", line.split_once(' ')?.1))).collect())
}

/// Which lines, and how they look.
struct Wanted {
    since: Option<Timestamp>,
    timestamps: bool,
}

impl Wanted {
    fn new(request: &LogRequest) -> Self {
        let ago =
            request.since_seconds.map(|seconds| SignedDuration::from_secs(seconds.try_into().unwrap_or(i64::MAX)));
        let since = ago.map(|ago| Timestamp::now().checked_sub(ago).unwrap_or(Timestamp::MIN));
        Self { since, timestamps: request.timestamps }
    }

    /// The part of a written line that is to be shown.
    fn part<'a>(&self, line: &'a [u8]) -> Option<&'a [u8]> {
        let space = line.iter().position(|byte| *byte == b' ')?;
        if let Some(since) = self.since {
            let written: Timestamp = std::str::from_utf8(&line[..space]).ok()?.parse().ok()?;
            if written < since {
                return None;
            }
        }
        Some(if self.timestamps { line } else { &line[space + 1..] })
    }
}

struct Output {
    chunks: mpsc::Sender<io::Result<Bytes>>,
    pending: Vec<u8>,
    left: u64,
}

/// Nobody wants more.
struct Enough;

impl Output {
    async fn line(&mut self, part: &[u8]) -> Result<(), Enough> {
        let taken = usize::try_from(self.left).map_or(part.len(), |left| left.min(part.len()));
        self.pending.extend_from_slice(&part[..taken]);
        self.left -= taken as u64;
        if self.left == 0 {
            self.flush().await?;
            return Err(Enough);
        }
        if self.pending.len() >= CHUNK { self.flush().await } else { Ok(()) }
    }

    async fn flush(&mut self) -> Result<(), Enough> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let chunk = Bytes::from(std::mem::take(&mut self.pending));
        self.chunks.send(Ok(chunk)).await.map_err(|_| Enough)
    }

    async fn fail(&self, error: io::Error) -> Enough {
        let _ = self.chunks.send(Err(error)).await;
        Enough
    }
}

async fn send_all(
    path: PathBuf,
    mut files: Vec<BufReader<File>>,
    mut more: Option<watch::Receiver<()>>,
    wanted: Wanted,
    tail_lines: Option<u64>,
    mut out: Output,
) -> Result<(), Enough> {
    if let Some(tail) = tail_lines
        && let Err(error) = skip_to_tail(&mut files, tail)
    {
        return Err(out.fail(error).await);
    }
    let last = files.len() - 1;
    for file in &mut files[..last] {
        send_lines(file, &wanted, &mut out).await?;
    }
    let mut file = files.swap_remove(last);
    loop {
        // Marked as seen before reading, so that a line written while reading wakes the next round.
        if let Some(more) = &mut more {
            more.mark_unchanged();
        }
        send_lines(&mut file, &wanted, &mut out).await?;
        if let Some(next) = rotated_away(&path, &file) {
            send_lines(&mut file, &wanted, &mut out).await?;
            file = next;
            continue;
        }
        out.flush().await?;
        let Some(signal) = &mut more else { return Ok(()) };
        let changed = tokio::select! {
            changed = signal.changed() => changed,
            () = out.chunks.closed() => return Err(Enough),
        };
        if changed.is_err() {
            // The run has ended; one more round for its last words.
            more = None;
        }
    }
}

/// The file now at `path`, if it is another one.
fn rotated_away(path: &PathBuf, reading: &BufReader<File>) -> Option<BufReader<File>> {
    let next = File::open(path).ok()?;
    let same = next.metadata().ok()?.ino() == reading.get_ref().metadata().ok()?.ino();
    (!same).then(|| BufReader::new(next))
}

/// Sends every whole line from where `file` stands; half a line is left for later.
async fn send_lines(file: &mut BufReader<File>, wanted: &Wanted, out: &mut Output) -> Result<(), Enough> {
    let mut line = Vec::new();
    loop {
        line.clear();
        match file.read_until(b'\n', &mut line) {
            Ok(0) => return Ok(()),
            Ok(read) if line.last() != Some(&b'\n') => {
                let back = -i64::try_from(read).expect("a line is shorter than the largest i64");
                return match file.seek(SeekFrom::Current(back)) {
                    Ok(_) => Ok(()),
                    Err(error) => Err(out.fail(error).await),
                };
            }
            Ok(_) => {
                if let Some(part) = wanted.part(&line) {
                    out.line(part).await?;
                }
            }
            Err(error) => return Err(out.fail(error).await),
        }
    }
}

/// Moves each file to where the last `tail` lines of all of them begin.
fn skip_to_tail(files: &mut [BufReader<File>], tail: u64) -> io::Result<()> {
    let mut starts: VecDeque<(usize, u64)> = VecDeque::new();
    for (index, file) in files.iter_mut().enumerate() {
        let mut at = 0;
        loop {
            let length = file.skip_until(b'\n')? as u64;
            if length == 0 {
                break;
            }
            starts.push_back((index, at));
            if starts.len() as u64 > tail {
                starts.pop_front();
            }
            at += length;
        }
    }
    let first = starts.front().copied();
    for (index, file) in files.iter_mut().enumerate() {
        match first {
            Some((begin, at)) if index == begin => file.seek(SeekFrom::Start(at))?,
            Some((begin, _)) if index > begin => file.seek(SeekFrom::Start(0))?,
            _ => file.seek(SeekFrom::End(0))?,
        };
    }
    Ok(())
}
