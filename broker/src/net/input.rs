//! The receive buffer of one connection: grows as bytes arrive, never because of what a frame claims.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};

use super::memory::{Claim, RequestMemory};
use super::{CloseReason, Evicted};

/// Bytes of the size prefix.
const PREFIX: usize = 4;
/// The least frame: api key, version and correlation id.
const LEAST_FRAME: i32 = 8;
/// What a connection begins with.
const INITIAL: usize = 16 << 10;
/// What a connection may hold of its own; more is claimed from the budget of all.
const OWN: usize = 128 << 10;
/// Least and largest step of growing beyond [`OWN`].
const STEP: (usize, usize) = (64 << 10, 1 << 20);
/// By how much a buffer larger than [`OWN`] grows.
const STRIDE: usize = 4;
/// What a connection keeps for its next large frame until it is quiet or memory gets scarce.
const KEPT: usize = 2 << 20;
/// What of the next frame is moved to the front of a kept buffer rather than received behind the last frame: little,
/// and it spares moving nearly the whole of it when the buffer's end is reached.
const MOVED: usize = 4 << 10;

/// Bytes received and not yet handled.
#[derive(Debug)]
pub(super) struct Input {
    buffer: BytesMut,
    /// The buffer's size as long as frames are small: doubles when a receive fills it.
    level: usize,
    claim: Claim,
    claimed: usize,
    /// Length of the last frame with its prefix: the next large one is most likely as long.
    last: usize,
    max_frame: usize,
}

impl Input {
    pub(super) fn new(memory: &Arc<RequestMemory>, max_frame: usize) -> Self {
        Self { buffer: BytesMut::new(), level: INITIAL, claim: memory.account(), claimed: 0, last: 0, max_frame }
    }

    /// Length of the frame at the front, once its prefix is there.
    pub(super) fn frame_len(&self) -> Result<Option<usize>, CloseReason> {
        let Some(prefix) = self.buffer.first_chunk::<PREFIX>() else { return Ok(None) };
        let size = i32::from_be_bytes(*prefix);
        if size < LEAST_FRAME || size as usize > self.max_frame {
            return Err(CloseReason::FrameSize(size));
        }
        Ok(Some(size as usize))
    }

    /// API key and version of a frame at the front that has begun to arrive and is not whole.
    pub(super) fn begun(&self) -> Option<(i16, i16)> {
        let [_, _, _, _, k0, k1, v0, v1] = *self.buffer.first_chunk()?;
        let is_whole = self.has_frame().is_ok_and(|whole| whole);
        (!is_whole).then(|| (i16::from_be_bytes([k0, k1]), i16::from_be_bytes([v0, v1])))
    }

    /// Whether nothing has been received that is not taken yet.
    pub(super) fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// Whether the frame at the front is whole.
    pub(super) fn has_frame(&self) -> Result<bool, CloseReason> {
        Ok(self.frame_len()?.is_some_and(|len| self.buffer.len() >= PREFIX + len))
    }

    /// Takes the frame at the front, without its prefix, if it is whole.
    pub(super) fn take_frame(&mut self) -> Result<Option<Bytes>, CloseReason> {
        let Some(len) = self.frame_len()? else { return Ok(None) };
        if self.buffer.len() < PREFIX + len {
            return Ok(None);
        }
        self.last = PREFIX + len;
        let frame = self.buffer.split_to(self.last).freeze().slice(PREFIX..);
        if self.claimed > 0 && (self.claimed > KEPT || self.claim.is_scarce()) {
            // Others may need what this frame took, and the next one need not be as large.
            self.buffer = BytesMut::from(&self.buffer[..]);
            self.release();
        }
        Ok(Some(frame))
    }

    /// Frees the buffer of a connection that has been quiet.
    pub(super) fn shrink(&mut self) {
        if self.buffer.is_empty() {
            self.buffer = BytesMut::new();
            self.level = INITIAL;
            self.release();
        }
    }

    fn release(&mut self) {
        self.claimed = 0;
        self.claim.release();
    }

    /// Makes room to receive into. Waits for memory when the frame is larger than what a connection may hold of its
    /// own; cancelling it loses nothing.
    pub(super) async fn make_room(&mut self) -> Result<(), Evicted> {
        self.begin_at_front();
        let (wanted, len) = (self.wanted(), self.buffer.len());
        if self.room() >= wanted.min(INITIAL / 2) {
            return Ok(());
        }
        if len + wanted > OWN + self.claimed {
            let missing = len + wanted - (OWN + self.claimed);
            if len + INITIAL / 2 > OWN + self.claimed {
                let step = missing.clamp(STEP.0, STEP.1.min(len));
                self.claim.grow(step).await?;
                self.claimed += step;
            }
        }
        // A large buffer grows in few and large strides, so that little is copied and left behind; what lies beyond the
        // claim is not received into, and so takes no memory yet.
        let within = if self.claimed > 0 { OWN.max(STRIDE * len) } else { OWN };
        let target = self.level.max(len + wanted).min(within);
        self.buffer.reserve(target.saturating_sub(len));
        Ok(())
    }

    /// Has the next frame begin where the last large one did, once that one is done with.
    fn begin_at_front(&mut self) {
        if self.claimed > 0 && self.buffer.len() <= MOVED {
            // More than there is behind: succeeds only if there is something in front, and never allocates.
            let spare = self.buffer.capacity() - self.buffer.len();
            let _front_reached = self.buffer.try_reclaim(spare + 1);
        }
    }

    /// Bytes that may be received: within the buffer, and within what is claimed, which may be less since a buffer that
    /// grows takes more than it is asked for. What is not received into takes no memory.
    fn room(&self) -> usize {
        let len = self.buffer.len();
        (self.buffer.capacity() - len).min((OWN + self.claimed).saturating_sub(len))
    }

    /// How many more bytes are worth receiving now: the rest of the frame, or a buffer of small ones.
    fn wanted(&self) -> usize {
        let rest = match self.frame_len() {
            Ok(Some(len)) => (PREFIX + len).saturating_sub(self.buffer.len()),
            _ => 0,
        };
        rest.max(INITIAL / 2)
    }

    /// Whether what is buffered is as much as should be buffered while no request can be taken up.
    pub(super) fn is_ahead(&self) -> bool {
        self.buffer.len() >= INITIAL
    }

    /// Where to receive into. At a large frame not far beyond its end, so that little has to be moved.
    pub(super) fn receive_into(&mut self) -> impl BufMut + '_ {
        let unknown = self.claimed > 0 && self.buffer.len() < PREFIX;
        let (room, wanted) = (self.room(), if unknown { self.last } else { self.wanted() });
        (&mut self.buffer).limit(if wanted > INITIAL { (wanted + PREFIX).min(room) } else { room })
    }

    /// Takes note of a receive: one that filled the buffer asks for a larger one next time.
    pub(super) fn received(&mut self) {
        if self.room() == 0 {
            self.level = (self.level * 2).min(OWN);
        }
    }

    /// Resolves when this connection has to give way because memory is short.
    pub(super) fn evicted(&self) -> impl Future<Output = ()> + Send + use<> {
        self.claim.evicted()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_connection_that_keeps_memory_of_a_large_frame_still_has_room_for_the_next() {
        let memory = RequestMemory::new(64 << 20, Duration::from_secs(1));
        let mut input = Input::new(&memory, 100 << 20);
        let frame_len = 1_000_000_usize;
        let mut frame = (frame_len as u32).to_be_bytes().to_vec();
        frame.resize(4 + frame_len, 7);
        for _ in 0..3 {
            let mut rest = &frame[..];
            while !rest.is_empty() {
                input.make_room().await.unwrap();
                let mut space = input.receive_into();
                let count = rest.len().min(space.remaining_mut()).min(100_000);
                assert!(count > 0, "no room to receive into looks like the end of the stream");
                space.put_slice(&rest[..count]);
                drop(space);
                rest = &rest[count..];
                input.received();
            }
            assert_eq!(input.take_frame().unwrap().unwrap().len(), frame_len);
        }
    }

    #[tokio::test]
    async fn large_frames_one_after_the_other_all_begin_at_the_front_of_the_kept_buffer() {
        let memory = RequestMemory::new(64 << 20, Duration::from_secs(1));
        let mut input = Input::new(&memory, 100 << 20);
        let mut frame = 1_000_000_u32.to_be_bytes().to_vec();
        frame.resize(1_000_004, 7);
        let stream = frame.repeat(8);
        let (mut rest, mut frames, mut receives, mut fronts) = (&stream[..], 0, 0, Vec::new());
        while frames < 8 {
            input.make_room().await.unwrap();
            let mut space = input.receive_into();
            let count = rest.len().min(space.remaining_mut());
            space.put_slice(&rest[..count]);
            drop(space);
            rest = &rest[count..];
            input.received();
            receives += 1;
            if let Some(taken) = input.take_frame().unwrap() {
                assert_eq!(taken, frame[4..]);
                frames += 1;
                fronts.push((taken.as_ptr(), receives));
                receives = 0;
            }
        }
        let (settled, once) = (&fronts[2..], (fronts[2].0, 1));
        assert!(settled.iter().all(|front| *front == once), "{fronts:?}");
    }
}
