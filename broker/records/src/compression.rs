//! The codecs of Kafka: how records are packed, and a reader that unpacks them as a stream.
//!
//! Must not allocate by a claimed size: what a decoder holds is bounded by the input or by a constant.

use std::io::{self, Read, Write};

use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;

/// Largest zstd window taken: what RFC 8878 asks every decoder to support. More would let one small batch hold up to
/// 2 GiB of decoder memory.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;
/// Magic of the framing that Java clients put around snappy blocks, with its version and compatible version.
pub(crate) const XERIAL_HEADER: [u8; 16] = *b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01";
/// Largest snappy block taken, and how far one may expand: the format itself reaches less than 22 to 1.
const SNAPPY_BLOCK_MAX: usize = 64 << 20;
const SNAPPY_RATIO_MAX: usize = 24;
pub(crate) const XERIAL_BLOCK: usize = 32 << 10;

/// A compression codec, by Kafka's ids.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Compression {
    /// Records as they are.
    #[default]
    None,
    /// RFC 1952.
    Gzip,
    /// Snappy, in Xerial framing or as one raw block.
    Snappy,
    /// LZ4 frames.
    Lz4,
    /// RFC 8878 (KIP-110).
    Zstd,
}

impl Compression {
    /// Every codec, in the order of their ids.
    pub const ALL: [Self; 5] = [Self::None, Self::Gzip, Self::Snappy, Self::Lz4, Self::Zstd];

    /// The codec with this id in a batch's attributes.
    pub fn from_id(id: u8) -> Result<Self, crate::Error> {
        Self::ALL.get(usize::from(id)).copied().ok_or(crate::Error::UnknownCompression(id))
    }

    /// The id in a batch's attributes.
    pub fn id(self) -> u8 {
        self as u8
    }

    /// The name in configurations such as `compression.type`.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }

    /// The codec of this configuration name; `uncompressed` is Kafka's other word for `none`.
    pub fn from_name(name: &str) -> Option<Self> {
        if name == "uncompressed" {
            return Some(Self::None);
        }
        Self::ALL.into_iter().find(|codec| codec.name() == name)
    }

    /// Packs `bytes` at the codec's default level.
    pub fn compress(self, bytes: &[u8]) -> io::Result<Vec<u8>> {
        match self {
            Self::None => Ok(bytes.to_vec()),
            Self::Gzip => {
                let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::default());
                encoder.write_all(bytes)?;
                encoder.finish()
            }
            Self::Snappy => compress_xerial(bytes),
            Self::Lz4 => {
                let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
                encoder.write_all(bytes)?;
                encoder.finish().map_err(io::Error::other)
            }
            Self::Zstd => zstd::bulk::compress(bytes, zstd::DEFAULT_COMPRESSION_LEVEL),
        }
    }

    /// A reader of the unpacked bytes. It produces them piece by piece; the caller counts and stops.
    pub fn reader<'a>(self, bytes: &'a [u8]) -> io::Result<Box<dyn Read + 'a>> {
        Ok(match self {
            Self::None => Box::new(bytes),
            Self::Gzip => Box::new(MultiGzDecoder::new(bytes)),
            Self::Snappy => Box::new(SnappyReader::new(bytes)),
            Self::Lz4 => Box::new(lz4_flex::frame::FrameDecoder::new(bytes)),
            Self::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(bytes)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
                Box::new(decoder)
            }
        })
    }
}

fn compress_xerial(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut out = XERIAL_HEADER.to_vec();
    let mut encoder = snap::raw::Encoder::new();
    for block in bytes.chunks(XERIAL_BLOCK) {
        let packed = encoder.compress_vec(block).map_err(io::Error::other)?;
        out.extend_from_slice(&(packed.len() as u32).to_be_bytes());
        out.extend_from_slice(&packed);
    }
    Ok(out)
}

/// Unpacks snappy block by block: Xerial frames, or the whole input as one raw block.
struct SnappyReader<'a> {
    rest: &'a [u8],
    framed: bool,
    block: Vec<u8>,
    read: usize,
}

impl<'a> SnappyReader<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        // The versions behind the magic are not checked: no reader does, and no other version was ever written.
        let framed = bytes.len() >= XERIAL_HEADER.len() && bytes.starts_with(&XERIAL_HEADER[..8]);
        let rest = if framed { &bytes[XERIAL_HEADER.len()..] } else { bytes };
        Self { rest, framed, block: Vec::new(), read: 0 }
    }

    fn next_block(&mut self) -> io::Result<&'a [u8]> {
        if !self.framed {
            return Ok(std::mem::take(&mut self.rest));
        }
        let Some((length, rest)) = self.rest.split_first_chunk::<4>() else {
            return Err(io::ErrorKind::UnexpectedEof.into());
        };
        let (packed, rest) =
            rest.split_at_checked(u32::from_be_bytes(*length) as usize).ok_or(io::ErrorKind::UnexpectedEof)?;
        self.rest = rest;
        Ok(packed)
    }

    fn refill(&mut self) -> io::Result<()> {
        let packed = self.next_block()?;
        let len = snap::raw::decompress_len(packed).map_err(io::Error::other)?;
        if len > SNAPPY_BLOCK_MAX || len > packed.len().saturating_mul(SNAPPY_RATIO_MAX) + 64 {
            return Err(io::Error::other("a snappy block claims more than it can hold"));
        }
        self.block.resize(len, 0);
        snap::raw::Decoder::new().decompress(packed, &mut self.block).map_err(io::Error::other)?;
        self.read = 0;
        Ok(())
    }
}

impl Read for SnappyReader<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.read == self.block.len() {
            if self.rest.is_empty() {
                return Ok(0);
            }
            self.refill()?;
        }
        let count = out.len().min(self.block.len() - self.read);
        out[..count].copy_from_slice(&self.block[self.read..self.read + count]);
        self.read += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_codec_gives_back_what_it_packed() {
        for size in [0usize, 1, 100, 70_000, 1 << 20] {
            let bytes: Vec<u8> = (0..size).map(|i| (i / 7 % 251) as u8).collect();
            for codec in Compression::ALL {
                let packed = codec.compress(&bytes).unwrap();
                let mut unpacked = Vec::new();
                codec.reader(&packed).unwrap().read_to_end(&mut unpacked).unwrap();
                assert_eq!(unpacked, bytes, "{codec:?} of {size} bytes");
            }
        }
    }

    #[test]
    fn a_raw_snappy_block_is_read_too() {
        let packed = snap::raw::Encoder::new().compress_vec(&[9; 5_000]).unwrap();
        let mut unpacked = Vec::new();
        Compression::Snappy.reader(&packed).unwrap().read_to_end(&mut unpacked).unwrap();
        assert_eq!(unpacked, [9; 5_000]);
    }

    #[test]
    fn a_snappy_block_that_claims_four_gigabytes_is_refused_before_it_is_allocated() {
        let claim = [0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0, 0];
        let mut out = Vec::new();
        assert!(Compression::Snappy.reader(&claim).unwrap().read_to_end(&mut out).is_err());
    }

    #[test]
    fn names_and_ids_lead_back_to_their_codec() {
        for codec in Compression::ALL {
            assert_eq!(Compression::from_id(codec.id()).unwrap(), codec);
            assert_eq!(Compression::from_name(codec.name()), Some(codec));
        }
        assert!(Compression::from_id(5).is_err());
    }
}
