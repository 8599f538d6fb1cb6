//! The record batches inside Produce requests and Fetch responses: carried, never looked into.

use bytes::Bytes;

/// Record batches in memory, or a promise to send them from elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Records {
    /// The batches; decoding always gives this, as a slice of the frame.
    Bytes(Bytes),
    /// Only the length is encoded and a [`Cut`](super::Cut) is noted, so that the sender can put a file range there.
    External {
        /// Bytes that will be sent.
        len: usize,
        /// The caller's own mark, found again in the cut.
        token: u32,
    },
}

impl Records {
    /// Bytes of batches.
    pub fn len(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::External { len, .. } => *len,
        }
    }

    /// Whether there is not a byte.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The batches, unless they are elsewhere.
    pub fn as_bytes(&self) -> Option<&Bytes> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            Self::External { .. } => None,
        }
    }
}

impl Default for Records {
    fn default() -> Self {
        Self::Bytes(Bytes::new())
    }
}

impl From<Bytes> for Records {
    fn from(bytes: Bytes) -> Self {
        Self::Bytes(bytes)
    }
}
