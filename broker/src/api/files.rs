//! Answers that bring records: ranges of segment files, which the kernel sends and nothing holds.
//!
//! A range stays readable when its segment is deleted or cleaned. If it is cut while it is being sent, what the answer
//! promised cannot come any more, and the connection is closed.

mod cold;

use bytes::Bytes;
use ottla_protocol::ApiKey;
use ottla_protocol::codec::{Message, Records};
use ottla_storage::FileSlice;

use super::table::encode;
use crate::net::{CloseReason, FilePart, Response};

pub(super) use cold::{answer_when_warm, warmed};

/// From this size on the kernel sends a range itself; a smaller one is cheaper to copy than a second system call.
const SEND_FILE: usize = 8 << 10;

/// The ranges of one answer.
#[derive(Default)]
pub(super) struct Files(Vec<FileSlice>);

impl Files {
    /// The records in `slice`, for a message that goes with these files.
    pub(super) fn records(&mut self, slice: FileSlice) -> Records {
        if slice.len < SEND_FILE
            && !cold::is_cold(&slice)
            && let Ok(bytes) = copy(&slice)
        {
            return Records::Bytes(bytes);
        }
        // A failure shows again when the range is sent.
        let (len, token) = (slice.len, self.0.len() as u32);
        self.0.push(slice);
        Records::External { len, token }
    }

    /// The frame of `response`, whose records were made here.
    pub(super) fn response<M: Message>(
        self,
        key: ApiKey,
        version: i16,
        correlation_id: i32,
        response: &M,
    ) -> Result<Response, CloseReason> {
        let encoded = encode(key, version, correlation_id, response).map_err(CloseReason::Unanswerable)?;
        let mut slices: Vec<Option<FileSlice>> = self.0.into_iter().map(Some).collect();
        let parts = encoded.cuts.iter().filter_map(|cut| {
            let slice = slices.get_mut(cut.token as usize)?.take()?;
            let part = FilePart { file: slice.file, offset: slice.position, len: slice.len as u64 };
            Some((cut.position, part))
        });
        let files = parts.collect();
        Ok(Response { bytes: encoded.bytes, files })
    }
}

/// Reads a small range; a truncation that cut it in the meantime leaves whole batches and an end the client ignores.
fn copy(slice: &FileSlice) -> std::io::Result<Bytes> {
    Ok(slice.read()?.into())
}
