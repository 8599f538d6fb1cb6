//! Zig-zag variable-length integers, as records use them.

/// Appends `value` as a zig-zag varint of at most ten bytes.
pub(crate) fn put(out: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// How many bytes [`put`] writes for `value`.
pub(crate) fn len(value: i64) -> usize {
    let zigzag = ((value << 1) ^ (value >> 63)) as u64;
    (64 - (zigzag | 1).leading_zeros() as usize).div_ceil(7)
}

/// Takes a varint from the front of `rest`; none if it has no end there.
pub(crate) fn take(rest: &mut &[u8]) -> Option<i64> {
    let mut raw = 0u64;
    for shift in (0..64).step_by(7) {
        let (byte, behind) = rest.split_first()?;
        *rest = behind;
        raw |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(unzigzag(raw));
        }
    }
    None
}

/// The value behind a decoded unsigned varint.
pub(crate) fn unzigzag(raw: u64) -> i64 {
    (raw >> 1) as i64 ^ -((raw & 1) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_and_bytes_agree() {
        for value in [0, 1, -1, 63, 64, -64, -65, 8191, 8192, i64::from(i32::MAX), i64::MAX, i64::MIN] {
            let mut out = Vec::new();
            put(&mut out, value);
            assert_eq!(out.len(), len(value), "{value}");
            let raw = out.iter().rev().fold(0u64, |raw, byte| raw << 7 | u64::from(byte & 0x7f));
            assert_eq!(unzigzag(raw), value);
            let mut rest = &out[..];
            assert_eq!((take(&mut rest), rest), (Some(value), &[][..]));
            assert_eq!(take(&mut &out[..out.len() - 1]), None);
        }
    }
}
