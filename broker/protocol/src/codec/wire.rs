//! How each Rust type stands on the wire.

use bytes::Bytes;
use uuid::Uuid;

use super::{DecodeError, EncodeError, Field, Reader, Records, Str, Writer};
use crate::ErrorCode;

/// The version that a message is read or written at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version {
    /// The number on the wire.
    pub number: i16,
    /// Whether it has compact lengths and tagged fields (KIP-482).
    pub flexible: bool,
}

/// A type that a message can hold.
pub trait Wire: Sized {
    /// Reads one.
    fn read(reader: &mut Reader, version: Version) -> Result<Self, DecodeError>;

    /// Writes it.
    fn write(&self, writer: &mut Writer, version: Version) -> Result<(), EncodeError>;

    /// The fewest bytes that one takes: what an array's claimed length is checked with.
    fn least_size(version: Version) -> usize;

    /// Whether this is null.
    fn is_null(&self) -> bool {
        false
    }

    /// Calls `visit` with each error code in here that is not [`ErrorCode::NONE`].
    fn visit_errors(&self, _visit: &mut dyn FnMut(ErrorCode)) {}
}

/// A type that can stand for null on the wire. The provided methods are those of a structure: a byte before it says
/// whether it is there.
pub trait Nullable: Wire {
    /// Reads one, or null.
    fn read_nullable(reader: &mut Reader, version: Version) -> Result<Option<Self>, DecodeError> {
        if reader.i8()? < 0 { Ok(None) } else { Self::read(reader, version).map(Some) }
    }

    /// Writes one, or null.
    fn write_nullable(value: Option<&Self>, writer: &mut Writer, version: Version) -> Result<(), EncodeError> {
        writer.i8(if value.is_some() { 1 } else { -1 });
        value.map_or(Ok(()), |value| value.write(writer, version))
    }

    /// The fewest bytes that null takes.
    fn null_size(_version: Version) -> usize {
        1
    }
}

/// Types that hold others, for [`Wire::visit_errors`].
trait Elements {
    fn visit_errors_within(&self, _visit: &mut dyn FnMut(ErrorCode)) {}
}

impl Elements for Str {}
impl Elements for Bytes {}
impl Elements for Records {}

impl<T: Wire> Elements for Vec<T> {
    fn visit_errors_within(&self, visit: &mut dyn FnMut(ErrorCode)) {
        self.iter().for_each(|element| element.visit_errors(visit));
    }
}

macro_rules! number {
    ($($type:ty: $method:ident),+) => {$(
        impl Wire for $type {
            #[inline]
            fn read(reader: &mut Reader, _version: Version) -> Result<Self, DecodeError> {
                reader.$method()
            }

            #[inline]
            fn write(&self, writer: &mut Writer, _version: Version) -> Result<(), EncodeError> {
                writer.$method(*self);
                Ok(())
            }

            fn least_size(_version: Version) -> usize {
                size_of::<$type>()
            }
        }
    )+};
}

number!(i8: i8, i16: i16, u16: u16, i32: i32, u32: u32, i64: i64, f64: f64);

impl Wire for bool {
    fn read(reader: &mut Reader, _version: Version) -> Result<Self, DecodeError> {
        Ok(reader.i8()? != 0)
    }

    fn write(&self, writer: &mut Writer, _version: Version) -> Result<(), EncodeError> {
        writer.i8(i8::from(*self));
        Ok(())
    }

    fn least_size(_version: Version) -> usize {
        1
    }
}

impl Wire for ErrorCode {
    fn read(reader: &mut Reader, _version: Version) -> Result<Self, DecodeError> {
        Ok(Self(reader.i16()?))
    }

    fn write(&self, writer: &mut Writer, _version: Version) -> Result<(), EncodeError> {
        writer.i16(self.0);
        Ok(())
    }

    fn least_size(_version: Version) -> usize {
        2
    }

    fn visit_errors(&self, visit: &mut dyn FnMut(ErrorCode)) {
        if self.is_error() {
            visit(*self);
        }
    }
}

impl Wire for Uuid {
    fn read(reader: &mut Reader, _version: Version) -> Result<Self, DecodeError> {
        reader.uuid()
    }

    fn write(&self, writer: &mut Writer, _version: Version) -> Result<(), EncodeError> {
        writer.raw(self.as_bytes());
        Ok(())
    }

    fn least_size(_version: Version) -> usize {
        16
    }
}

/// Derives [`Wire`] from [`Nullable`] for types whose null is a special length.
macro_rules! wire_by_length {
    ($([$($generic:tt)*] $type:ty: $name:literal);+ $(;)?) => {$(
        impl $($generic)* Wire for $type {
            #[inline]
            fn read(reader: &mut Reader, version: Version) -> Result<Self, DecodeError> {
                Self::read_nullable(reader, version)?.ok_or(DecodeError::UnexpectedNull($name))
            }

            #[inline]
            fn write(&self, writer: &mut Writer, version: Version) -> Result<(), EncodeError> {
                Self::write_nullable(Some(self), writer, version)
            }

            fn least_size(version: Version) -> usize {
                Self::null_size(version)
            }

            fn visit_errors(&self, visit: &mut dyn FnMut(ErrorCode)) {
                self.visit_errors_within(visit);
            }
        }
    )+};
}

wire_by_length! {
    [] Str: "a string";
    [] Bytes: "bytes";
    [] Records: "records";
    [<T: Wire>] Vec<T>: "an array";
}

impl Nullable for Str {
    #[inline]
    fn read_nullable(reader: &mut Reader, version: Version) -> Result<Option<Self>, DecodeError> {
        reader.string(version.flexible)
    }

    #[inline]
    fn write_nullable(value: Option<&Self>, writer: &mut Writer, version: Version) -> Result<(), EncodeError> {
        writer.string(value.map(|text| &text.as_bytes()[..]), version.flexible)
    }

    fn null_size(version: Version) -> usize {
        if version.flexible { 1 } else { 2 }
    }
}

impl Nullable for Bytes {
    fn read_nullable(reader: &mut Reader, version: Version) -> Result<Option<Self>, DecodeError> {
        reader.length(version.flexible)?.map(|length| reader.bytes(length)).transpose()
    }

    fn write_nullable(value: Option<&Self>, writer: &mut Writer, version: Version) -> Result<(), EncodeError> {
        writer.length(value.map(Bytes::len), version.flexible)?;
        writer.raw(value.map_or(&[], |bytes| &bytes[..]));
        Ok(())
    }

    fn null_size(version: Version) -> usize {
        if version.flexible { 1 } else { 4 }
    }
}

impl Nullable for Records {
    fn read_nullable(reader: &mut Reader, version: Version) -> Result<Option<Self>, DecodeError> {
        Ok(Bytes::read_nullable(reader, version)?.map(Self::Bytes))
    }

    fn write_nullable(value: Option<&Self>, writer: &mut Writer, version: Version) -> Result<(), EncodeError> {
        writer.length(value.map(Self::len), version.flexible)?;
        match value {
            Some(Self::Bytes(bytes)) => writer.raw(bytes),
            Some(Self::External { len, token }) => writer.external(*len, *token),
            None => {}
        }
        Ok(())
    }

    fn null_size(version: Version) -> usize {
        Bytes::null_size(version)
    }
}

impl<T: Wire> Nullable for Vec<T> {
    #[inline]
    fn read_nullable(reader: &mut Reader, version: Version) -> Result<Option<Self>, DecodeError> {
        let Some(count) = reader.array_length(version.flexible, T::least_size(version))? else { return Ok(None) };
        reader.charge(count, size_of::<T>())?;
        let mut elements = Self::with_capacity(count);
        for _ in 0..count {
            elements.push(T::read(reader, version)?);
        }
        Ok(Some(elements))
    }

    #[inline]
    fn write_nullable(value: Option<&Self>, writer: &mut Writer, version: Version) -> Result<(), EncodeError> {
        writer.length(value.map(Self::len), version.flexible)?;
        value.into_iter().flatten().try_for_each(|element| element.write(writer, version))
    }

    fn null_size(version: Version) -> usize {
        if version.flexible { 1 } else { 4 }
    }
}

impl<T: Nullable> Wire for Option<T> {
    #[inline]
    fn read(reader: &mut Reader, version: Version) -> Result<Self, DecodeError> {
        T::read_nullable(reader, version)
    }

    #[inline]
    fn write(&self, writer: &mut Writer, version: Version) -> Result<(), EncodeError> {
        T::write_nullable(self.as_ref(), writer, version)
    }

    fn least_size(version: Version) -> usize {
        T::null_size(version)
    }

    fn is_null(&self) -> bool {
        self.is_none()
    }

    fn visit_errors(&self, visit: &mut dyn FnMut(ErrorCode)) {
        if let Some(value) = self {
            value.visit_errors(visit);
        }
    }
}

impl Field {
    /// Reads this field's value, refusing null in versions that have none.
    #[inline]
    pub(crate) fn read<T: Wire>(
        self,
        name: &'static str,
        reader: &mut Reader,
        version: Version,
    ) -> Result<T, DecodeError> {
        let value = T::read(reader, version)?;
        if value.is_null() && !self.may_be_null_in(version) {
            return Err(DecodeError::UnexpectedNull(name));
        }
        Ok(value)
    }

    /// Writes this field's value, refusing null in versions that have none.
    #[inline]
    pub(crate) fn write<T: Wire>(
        self,
        name: &'static str,
        value: &T,
        writer: &mut Writer,
        version: Version,
    ) -> Result<(), EncodeError> {
        if value.is_null() && !self.may_be_null_in(version) {
            return Err(EncodeError::UnexpectedNull(name));
        }
        value.write(writer, version)
    }
}
