//! Values of every message at every version, made from a stream of random bytes so that proptest can shrink them.

use bytes::Bytes;
use uuid::Uuid;

use super::{Nullable, Records, Str, Version};
use crate::ErrorCode;

/// Random bytes that values are made from; zeros once they are used up.
pub(crate) struct Source<'a> {
    bytes: std::slice::Iter<'a, u8>,
}

impl<'a> Source<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes: bytes.iter() }
    }

    fn byte(&mut self) -> u8 {
        self.bytes.next().copied().unwrap_or(0)
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.byte())
    }

    pub(crate) fn coin(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    /// A length from 0 to 3, rarely one that needs two bytes as a varint.
    fn length(&mut self) -> usize {
        match self.byte() {
            255 => 200,
            byte => usize::from(byte % 4),
        }
    }
}

/// A type of which values can be made.
pub(crate) trait Generate: Sized {
    fn generate(source: &mut Source<'_>, version: Version, null: bool) -> Self;
}

macro_rules! number {
    ($($type:ty),+) => {$(
        impl Generate for $type {
            fn generate(source: &mut Source<'_>, _: Version, _: bool) -> Self {
                Self::from_be_bytes(source.array())
            }
        }
    )+};
}

number!(i8, i16, u16, i32, u32, i64);

impl Generate for f64 {
    fn generate(source: &mut Source<'_>, _: Version, _: bool) -> Self {
        // Never NaN, which would not equal itself.
        f64::from(i32::from_be_bytes(source.array())) / 8.0
    }
}

impl Generate for bool {
    fn generate(source: &mut Source<'_>, _: Version, _: bool) -> Self {
        source.coin()
    }
}

impl Generate for ErrorCode {
    fn generate(source: &mut Source<'_>, _: Version, _: bool) -> Self {
        Self(i16::from_be_bytes(source.array()))
    }
}

impl Generate for Uuid {
    fn generate(source: &mut Source<'_>, _: Version, _: bool) -> Self {
        Self::from_bytes(source.array())
    }
}

impl Generate for Str {
    fn generate(source: &mut Source<'_>, _: Version, _: bool) -> Self {
        let letters = ['a', 'Z', '-', 'ä', '語'];
        let text: String = (0..source.length()).map(|_| letters[usize::from(source.byte() % 5)]).collect();
        Self::from(text)
    }
}

impl Generate for Bytes {
    fn generate(source: &mut Source<'_>, _: Version, _: bool) -> Self {
        (0..source.length()).map(|_| source.byte()).collect()
    }
}

impl Generate for Records {
    fn generate(source: &mut Source<'_>, version: Version, null: bool) -> Self {
        Self::Bytes(Bytes::generate(source, version, null))
    }
}

impl<T: Generate> Generate for Vec<T> {
    fn generate(source: &mut Source<'_>, version: Version, _: bool) -> Self {
        (0..source.length().min(3)).map(|_| T::generate(source, version, false)).collect()
    }
}

impl<T: Generate + Nullable> Generate for Option<T> {
    fn generate(source: &mut Source<'_>, version: Version, null: bool) -> Self {
        let is_null = null && source.coin();
        (!is_null).then(|| T::generate(source, version, false))
    }
}
