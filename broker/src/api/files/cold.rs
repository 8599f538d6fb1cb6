//! Ranges that are not in the page cache: sending them would make an async thread wait for the disk, so they are read
//! once on a thread that may.

use std::io::IoSliceMut;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;

use ottla_storage::FileSlice;
use rustix::fs::Advice;
use rustix::io::{Errno, ReadWriteFlags, preadv2};

use crate::net::{FilePart, FuturePending, Response, Step};

/// Reading ahead goes in pieces of this size.
const PIECE: usize = 128 << 10;

/// Whether reading the last byte would wait for the disk. The look-up has read the beginning, and the kernel reads ahead
/// in order, so a range whose end is there is there, but for rare holes that cost one short wait.
fn is_range_cold(file: &std::fs::File, offset: u64, len: u64) -> bool {
    let mut byte = [0];
    let Some(last) = len.checked_sub(1) else { return false };
    let read = preadv2(file.as_fd(), &mut [IoSliceMut::new(&mut byte)], offset + last, ReadWriteFlags::NOWAIT);
    read == Err(Errno::AGAIN)
}

/// Whether a slice is not in the page cache.
pub(super) fn is_cold(slice: &FileSlice) -> bool {
    is_range_cold(&slice.file, slice.position, slice.len as u64)
}

/// The answer at once if all its files are in the page cache, else after they have been read into it.
pub(in crate::api) fn answer_when_warm(response: Response) -> Step {
    let cold = cold_parts(&response);
    if cold.is_empty() {
        return Step::Answer(response);
    }
    Step::Wait(FuturePending::boxed(async move {
        warm(cold).await;
        Step::Answer(response)
    }))
}

/// The answer once all its files are in the page cache.
pub(in crate::api) async fn warmed(response: Response) -> Response {
    let cold = cold_parts(&response);
    if !cold.is_empty() {
        warm(cold).await;
    }
    response
}

fn cold_parts(response: &Response) -> Vec<FilePart> {
    let parts = response.files.iter().map(|(_, part)| part);
    parts.filter(|part| is_range_cold(&part.file, part.offset, part.len)).cloned().collect()
}

async fn warm(parts: Vec<FilePart>) {
    // A failure shows again when the range is sent.
    let _ = tokio::task::spawn_blocking(move || parts.iter().for_each(read_through)).await;
}

/// Reads a range and drops what it read: the page cache keeps it.
fn read_through(part: &FilePart) {
    let _ = rustix::fs::fadvise(part.file.as_fd(), part.offset, std::num::NonZeroU64::new(part.len), Advice::WillNeed);
    let mut buffer = vec![0; PIECE];
    let end = part.offset + part.len;
    let mut at = part.offset;
    while at < end {
        let wanted = PIECE.min((end - at) as usize);
        match part.file.read_at(&mut buffer[..wanted], at) {
            Ok(count) if count > 0 => at += count as u64,
            _ => return,
        }
    }
}
