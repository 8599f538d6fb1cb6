//! Walks the batches that lie one after another in a buffer.

use crate::{BatchHeader, Error};

/// One batch: its header and all of its bytes.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    /// The decoded header.
    pub header: BatchHeader,
    /// The whole batch, header included.
    pub bytes: &'a [u8],
}

/// Iterator over the batches of a buffer; ends at the first error.
#[derive(Clone, Debug)]
pub struct Batches<'a> {
    rest: &'a [u8],
}

/// The batches in `bytes`. A cut batch at the end gives [`Error::Incomplete`]; callers that read a range of a log
/// take it as the end.
pub fn batches(bytes: &[u8]) -> Batches<'_> {
    Batches { rest: bytes }
}

impl<'a> Batches<'a> {
    fn split_next(&mut self) -> Result<Batch<'a>, Error> {
        let header = BatchHeader::parse(self.rest)?;
        match self.rest.split_at_checked(header.total_len()) {
            Some((bytes, rest)) => {
                self.rest = rest;
                Ok(Batch { header, bytes })
            }
            None => Err(Error::Incomplete { needed: header.total_len(), available: self.rest.len() }),
        }
    }
}

impl<'a> Iterator for Batches<'a> {
    type Item = Result<Batch<'a>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let next = self.split_next();
        if next.is_err() {
            self.rest = &[];
        }
        Some(next)
    }
}
