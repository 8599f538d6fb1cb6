//! Writes Kafka's primitive types, with fixed lengths and compact ones (KIP-482).

use bytes::{BufMut, BytesMut};

/// The longest string that a record without compact lengths can hold.
pub(crate) const MAX_STRING: usize = i16::MAX as usize;

/// Writes a text, cut at a character if it is longer than [`MAX_STRING`].
pub(crate) fn put_string(out: &mut BytesMut, text: &str) {
    let mut end = text.len().min(MAX_STRING);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    out.put_i16(i16::try_from(end).expect("MAX_STRING is the greatest i16"));
    out.put_slice(&text.as_bytes()[..end]);
}

pub(crate) fn put_nullable_string(out: &mut BytesMut, text: Option<&str>) {
    match text {
        Some(text) => put_string(out, text),
        None => out.put_i16(-1),
    }
}

pub(crate) fn put_count(out: &mut BytesMut, count: usize) {
    out.put_i32(i32::try_from(count).expect("what is stored came in requests, which are smaller than 2 GiB"));
}

pub(crate) fn put_bytes(out: &mut BytesMut, bytes: &[u8]) {
    put_count(out, bytes.len());
    out.put_slice(bytes);
}

/// Writes a text with a compact length.
pub(crate) fn put_compact_string(out: &mut BytesMut, text: &str) {
    put_compact_count(out, text.len());
    out.put_slice(text.as_bytes());
}

pub(crate) fn put_nullable_compact_string(out: &mut BytesMut, text: Option<&str>) {
    match text {
        Some(text) => put_compact_string(out, text),
        None => put_varint(out, 0),
    }
}

/// Writes bytes with a compact length.
pub(crate) fn put_compact_bytes(out: &mut BytesMut, bytes: &[u8]) {
    put_compact_count(out, bytes.len());
    out.put_slice(bytes);
}

/// Writes the compact length of an array or text that is not null.
pub(crate) fn put_compact_count(out: &mut BytesMut, count: usize) {
    put_varint(out, u32::try_from(count).expect("what is stored came in requests, which are smaller than 2 GiB") + 1);
}

/// Writes the tagged fields that end a flexible struct: `(tag, bytes)`, by ascending tag.
pub(crate) fn put_tagged(out: &mut BytesMut, fields: &[(u32, Vec<u8>)]) {
    put_varint(out, u32::try_from(fields.len()).expect("fields are written out in code, a few of them"));
    for (tag, value) in fields {
        put_varint(out, *tag);
        put_varint(
            out,
            u32::try_from(value.len()).expect("what is stored came in requests, which are smaller than 2 GiB"),
        );
        out.put_slice(value);
    }
}

fn put_varint(out: &mut BytesMut, mut value: u32) {
    while value >= 0x80 {
        out.put_u8(value.to_be_bytes()[3] | 0x80);
        value >>= 7;
    }
    out.put_u8(value.to_be_bytes()[3]);
}
