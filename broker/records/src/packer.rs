//! Packs a stream of bytes with a codec, into no more memory than the result may have.

use std::io::{self, Write};

use flate2::write::GzEncoder;

use crate::Compression;
use crate::compression::{XERIAL_BLOCK, XERIAL_HEADER};

/// A writer that packs what is written to it. Fails as soon as the packed bytes exceed its limit.
pub struct Packer(Encoder);

enum Encoder {
    None(Capped),
    Gzip(GzEncoder<Capped>),
    Snappy { block: Vec<u8>, out: Capped },
    Lz4(Box<lz4_flex::frame::FrameEncoder<Capped>>),
    Zstd(zstd::stream::write::Encoder<'static, Capped>),
}

impl Packer {
    /// Packs with `codec` to at most `limit` bytes.
    pub fn new(codec: Compression, limit: usize) -> io::Result<Self> {
        let mut out = Capped { bytes: Vec::new(), limit };
        Ok(Self(match codec {
            Compression::None => Encoder::None(out),
            Compression::Gzip => Encoder::Gzip(GzEncoder::new(out, flate2::Compression::default())),
            Compression::Snappy => {
                out.write_all(&XERIAL_HEADER)?;
                Encoder::Snappy { block: Vec::with_capacity(XERIAL_BLOCK), out }
            }
            Compression::Lz4 => Encoder::Lz4(Box::new(lz4_flex::frame::FrameEncoder::new(out))),
            Compression::Zstd => {
                Encoder::Zstd(zstd::stream::write::Encoder::new(out, zstd::DEFAULT_COMPRESSION_LEVEL)?)
            }
        }))
    }

    /// Ends the stream; the packed bytes.
    pub fn finish(self) -> io::Result<Vec<u8>> {
        let out = match self.0 {
            Encoder::None(out) => out,
            Encoder::Gzip(encoder) => encoder.finish()?,
            Encoder::Snappy { block, mut out } => {
                if !block.is_empty() {
                    write_block(&block, &mut out)?;
                }
                out
            }
            Encoder::Lz4(encoder) => encoder.finish().map_err(io::Error::other)?,
            Encoder::Zstd(encoder) => encoder.finish()?,
        };
        Ok(out.bytes)
    }
}

impl Write for Packer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.0 {
            Encoder::None(out) => out.write(bytes),
            Encoder::Gzip(encoder) => encoder.write(bytes),
            Encoder::Snappy { block, out } => {
                let count = bytes.len().min(XERIAL_BLOCK - block.len());
                block.extend_from_slice(&bytes[..count]);
                if block.len() == XERIAL_BLOCK {
                    write_block(block, out)?;
                    block.clear();
                }
                Ok(count)
            }
            Encoder::Lz4(encoder) => encoder.write(bytes),
            Encoder::Zstd(encoder) => encoder.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write_block(block: &[u8], out: &mut Capped) -> io::Result<()> {
    let packed = snap::raw::Encoder::new().compress_vec(block).map_err(io::Error::other)?;
    out.write_all(&(packed.len() as u32).to_be_bytes())?;
    out.write_all(&packed)
}

/// Bytes that must not become more than a limit.
struct Capped {
    bytes: Vec<u8>,
    limit: usize,
}

impl Write for Capped {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + bytes.len() > self.limit {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn a_stream_is_packed_within_the_limit_or_not_at_all() {
        let bytes: Vec<u8> = (0..200_000).map(|i| (i / 7 % 251) as u8).collect();
        let pack = |codec, limit| {
            let mut packer = Packer::new(codec, limit)?;
            bytes.chunks(9_000).try_for_each(|chunk| packer.write_all(chunk))?;
            packer.finish()
        };
        for codec in Compression::ALL {
            let packed = pack(codec, 300_000).unwrap();
            let mut unpacked = Vec::new();
            codec.reader(&packed).unwrap().read_to_end(&mut unpacked).unwrap();
            assert_eq!(unpacked, bytes, "{codec:?}");
            assert_eq!(pack(codec, packed.len()).unwrap(), packed, "{codec:?}");
            assert!(pack(codec, packed.len() - 1).is_err(), "{codec:?}");
        }
    }
}
