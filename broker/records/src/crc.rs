//! CRC-32C (Castagnoli), the checksum of record batches, at once or piece by piece.

use crc_fast::{CrcAlgorithm, Digest};

/// The CRC-32C of `bytes`.
pub fn crc32c(bytes: &[u8]) -> u32 {
    crc_fast::crc32_iscsi(bytes)
}

/// A CRC-32C taken over pieces as they arrive.
pub struct Crc(Digest);

impl Crc {
    /// The checksum of nothing yet.
    pub fn new() -> Self {
        Self(Digest::new(CrcAlgorithm::Crc32Iscsi))
    }

    /// Takes in the next piece.
    pub fn update(&mut self, piece: &[u8]) {
        self.0.update(piece);
    }

    /// The checksum of all pieces so far.
    pub fn value(&self) -> u32 {
        // The algorithm is 32 bits wide, so the upper half is zero.
        self.0.finalize() as u32
    }
}

impl Default for Crc {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_castagnoli_checksum() {
        assert_eq!(crc32c(b"123456789"), 0xE306_9283);
    }

    #[test]
    fn pieces_give_the_checksum_of_the_whole() {
        let bytes: Vec<u8> = (0..10_000u32).map(|i| (i * 7) as u8).collect();
        let mut crc = Crc::new();
        for piece in bytes.chunks(333) {
            crc.update(piece);
        }
        assert_eq!(crc.value(), crc32c(&bytes));
    }
}
