//! The frames that the segments of the metadata log consist of, and how far a segment can be believed.
//!
//! ```text
//! length u32 | crc32c u32 | flushed u64 | kind u8 | payload        (little endian; the CRC covers all after it)
//! ```
//!
//! `flushed` is how much of the segment was on disk before the frame was written. A bad frame at the end is the tail
//! that a crash tore off, and nobody was told that it was kept. A bad frame below what a later frame knows to have been
//! flushed is damage, and must never be cut off silently.

use ottla_records::crc32c;

/// Bytes before the payload.
const HEADER: usize = 17;
/// No frame is longer, so that a broken length is recognised before anything is read by it.
const LONGEST: usize = 1 << 30;

/// What a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// An entry of the log.
    Entry,
    /// The vote, in place of all earlier ones.
    Vote,
    /// Entries from this log id on are gone: another leader decided otherwise.
    Truncate,
    /// Entries up to this log id are gone: a snapshot has them.
    Purge,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Entry, Self::Vote, Self::Truncate, Self::Purge];

    fn id(self) -> u8 {
        match self {
            Self::Entry => 1,
            Self::Vote => 2,
            Self::Truncate => 3,
            Self::Purge => 4,
        }
    }
}

/// A frame in a segment's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame<'a> {
    pub kind: Kind,
    pub payload: &'a [u8],
    /// Where it begins.
    pub offset: usize,
    /// Where the next one begins.
    pub end: usize,
    flushed: u64,
}

/// A segment is damaged below what is known to have been on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("damaged at byte {at}, though {flushed} bytes had been flushed")]
pub(super) struct Damaged {
    pub at: usize,
    pub flushed: u64,
}

/// Adds a frame to `buffer`. `flushed` is how much of the segment is on disk.
pub(super) fn write(buffer: &mut Vec<u8>, kind: Kind, payload: &[u8], flushed: u64) {
    let start = buffer.len();
    let length = u32::try_from(HEADER + payload.len()).expect("an entry is bounded by what one request may create");
    buffer.extend_from_slice(&length.to_le_bytes());
    buffer.extend_from_slice(&[0; 4]);
    buffer.extend_from_slice(&flushed.to_le_bytes());
    buffer.push(kind.id());
    buffer.extend_from_slice(payload);
    let crc = crc32c(&buffer[start + 8..]);
    buffer[start + 4..start + 8].copy_from_slice(&crc.to_le_bytes());
}

/// The frame that begins at `offset`, if it is whole.
pub(super) fn read(bytes: &[u8], offset: usize) -> Option<Frame<'_>> {
    let rest = bytes.get(offset..)?;
    let length = u32::from_le_bytes(rest.get(..4)?.try_into().ok()?) as usize;
    if !(HEADER..=LONGEST).contains(&length) {
        return None;
    }
    let frame = rest.get(..length)?;
    let crc = u32::from_le_bytes(frame[4..8].try_into().ok()?);
    let kind = Kind::ALL.into_iter().find(|kind| kind.id() == frame[16])?;
    let flushed = u64::from_le_bytes(frame[8..16].try_into().ok()?);
    (crc32c(&frame[8..]) == crc).then_some(Frame {
        kind,
        payload: &frame[HEADER..],
        offset,
        end: offset + length,
        flushed,
    })
}

/// The payload of a frame whose bytes were read alone.
pub(super) fn payload(frame: &[u8]) -> Option<&[u8]> {
    read(frame, 0).filter(|whole| whole.end == frame.len()).map(|whole| whole.payload)
}

/// Every whole frame from the beginning of a segment, and where they end.
pub(super) fn scan(bytes: &[u8]) -> Result<(Vec<Frame<'_>>, usize), Damaged> {
    let (mut frames, mut end) = (Vec::new(), 0);
    while let Some(frame) = read(bytes, end) {
        end = frame.end;
        frames.push(frame);
    }
    let later = (end + 1..bytes.len()).filter_map(|offset| read(bytes, offset));
    match later.map(|frame| frame.flushed).find(|flushed| *flushed > end as u64) {
        Some(flushed) => Err(Damaged { at: end, flushed }),
        None => Ok((frames, end)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(payloads: &[&[u8]]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for payload in payloads {
            let flushed = bytes.len() as u64;
            write(&mut bytes, Kind::Entry, payload, flushed);
        }
        bytes
    }

    fn payloads(bytes: &[u8]) -> Result<Vec<Vec<u8>>, Damaged> {
        scan(bytes).map(|(frames, _)| frames.iter().map(|frame| frame.payload.to_vec()).collect())
    }

    #[test]
    fn a_tail_torn_anywhere_is_cut_off_and_the_rest_is_kept() {
        let bytes = segment(&[b"one", b"two", b"three"]);
        let last = bytes.len() - (HEADER + 5);
        for cut in last..bytes.len() {
            assert_eq!(payloads(&bytes[..cut]).unwrap(), [b"one".to_vec(), b"two".to_vec()], "cut at {cut}");
        }
    }

    #[test]
    fn any_flipped_bit_below_what_was_flushed_is_damage() {
        let bytes = segment(&[b"one", b"two", b"three"]);
        let last = bytes.len() - (HEADER + 5);
        for bit in 0..last * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(payloads(&flipped).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn pages_of_one_write_that_reached_the_disk_out_of_order_are_a_torn_tail() {
        let mut bytes = segment(&[b"flushed"]);
        let flushed = bytes.len();
        for payload in [b"lost", b"kept"] {
            write(&mut bytes, Kind::Entry, payload, flushed as u64);
        }
        bytes[flushed..flushed + HEADER + 4].fill(0);
        assert_eq!(payloads(&bytes).unwrap(), [b"flushed".to_vec()]);
    }
}
