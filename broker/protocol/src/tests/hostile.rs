//! Bytes that lie: no decoder may panic, allocate what they claim, or take long.

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::{encoded, message_of_seed};
use crate::ApiKey;
use crate::codec::generate::Generate;
use crate::codec::{DecodeError, Message, Reader, Request, Writer};
use crate::frame::RequestHeader;
use crate::messages::*;

fn decode<M: Message>(bytes: &[u8], version: i16) -> Result<M, DecodeError> {
    M::decode(&mut Reader::new(Bytes::copy_from_slice(bytes)), version)
}

#[test]
fn a_twelve_byte_request_that_claims_2_31_topics_is_refused() {
    let claim = decode::<MetadataRequest>(&i32::MAX.to_be_bytes(), 1);
    let needed = i32::MAX as u64 * 2;
    assert_eq!(claim, Err(DecodeError::Truncated { needed, remaining: 0 }));

    let mut produce = vec![0, 1, 0, 0, 0, 0];
    produce.extend(i32::MAX.to_be_bytes());
    assert!(matches!(decode::<ProduceRequest>(&produce, 2), Err(DecodeError::Truncated { remaining: 0, .. })));
}

#[test]
fn an_array_may_not_have_more_elements_than_the_frame_has_room_for() {
    // Seven partitions of 4 bytes in 27: each fits alone, not all of them.
    let mut bytes = vec![0, 0, 0, 7];
    bytes.extend([0; 27]);
    let mut reader = Reader::new(Bytes::from(bytes));
    assert_eq!(reader.array_length(false, 4), Err(DecodeError::Truncated { needed: 28, remaining: 27 }));
}

#[test]
fn structures_that_are_small_on_the_wire_and_large_in_memory_exhaust_their_budget_instead_of_the_machine() {
    // A flexible Metadata topic takes 18 bytes; 4 million of them are 72 MB of frame.
    let count = 4_000_000u32;
    let mut writer = Writer::new();
    writer.unsigned_varint(count + 1);
    let mut bytes = writer.finish().bytes.to_vec();
    bytes.resize(bytes.len() + 18 * count as usize, 0);
    let limit = Reader::DEFAULT_MEMORY_LIMIT;
    let refused = MetadataRequest::decode(&mut Reader::new(Bytes::from(bytes)), 12);
    assert_eq!(refused, Err(DecodeError::TooMuchMemory { limit }));
}

#[test]
fn any_negative_length_is_null_as_in_kafka() {
    for length in [-1i32, -2, i32::MIN] {
        let topics = decode::<MetadataRequest>(&length.to_be_bytes(), 1).map(|request| request.topics);
        assert_eq!(topics, Ok(None), "{length}");
        assert_eq!(decode::<MetadataRequest>(&length.to_be_bytes(), 0), Err(DecodeError::UnexpectedNull("topics")));
    }
}

#[test]
fn a_varint_must_end_within_five_bytes_and_fit_32_bits() {
    for bytes in [[0xff; 5], [0x80; 5], [0xff, 0xff, 0xff, 0xff, 0x1f]] {
        let mut reader = Reader::new(Bytes::copy_from_slice(&bytes));
        assert_eq!(reader.unsigned_varint(), Err(DecodeError::VarintTooLong), "{bytes:x?}");
    }
    let mut reader = Reader::new(Bytes::from_static(&[0xff, 0xff, 0xff, 0xff, 0x0f]));
    assert_eq!(reader.unsigned_varint(), Ok(u32::MAX));
}

#[test]
fn a_compact_length_beyond_31_bits_is_refused() {
    let mut reader = Reader::new(Bytes::from_static(&[0xff, 0xff, 0xff, 0xff, 0x0f]));
    assert_eq!(reader.compact_length(), Err(DecodeError::LengthTooLarge(u64::from(u32::MAX) - 1)));
}

#[test]
fn tagged_fields_are_capped_skipped_if_unknown_and_must_fill_their_size_if_known() {
    let section = |build: &dyn Fn(&mut Writer)| {
        let mut writer = Writer::new();
        build(&mut writer);
        writer.finish().bytes
    };
    let too_many = section(&|writer| writer.unsigned_varint(257));
    let error = Reader::new(too_many).tagged_fields(|_, _| Ok(false));
    assert_eq!(error, Err(DecodeError::TooManyTaggedFields(257)));

    let unknown = section(&|writer| writer.raw(&[2, 9, 3, b'a', b'b', b'c', 10, 0, 42]));
    let mut reader = Reader::new(unknown);
    assert_eq!(reader.tagged_fields(|_, _| Ok(false)), Ok(()));
    assert_eq!(reader.i8(), Ok(42));

    let short = section(&|writer| writer.raw(&[1, 0, 3, 0, 0, 0]));
    let error = Reader::new(short).tagged_fields(|reader, _| reader.i8().map(|_| true));
    assert_eq!(error, Err(DecodeError::TaggedFieldSize { tag: 0, size: 3 }));

    let beyond = section(&|writer| writer.raw(&[1, 0, 1, 0, 0, 0, 0]));
    let error = Reader::new(beyond).tagged_fields(|reader, _| reader.i32().map(|_| true));
    assert_eq!(error, Err(DecodeError::Truncated { needed: 4, remaining: 1 }));

    let oversized = section(&|writer| writer.raw(&[1, 0, 0xff, 0xff, 0xff, 0xff, 0x0f]));
    let error = Reader::new(oversized).tagged_fields(|_, _| Ok(false));
    assert_eq!(error, Err(DecodeError::Truncated { needed: u64::from(u32::MAX), remaining: 0 }));
}

#[test]
fn text_that_is_not_utf_8_is_repaired_as_kafka_does() {
    let mut reader = Reader::new(Bytes::from_static(&[0, 3, b'a', 0xff, b'b']));
    assert_eq!(reader.string(false).unwrap().unwrap(), "a\u{fffd}b");
}

#[test]
fn a_request_header_shorter_than_eight_bytes_is_refused() {
    let header = RequestHeader::read_known(&mut Reader::new(Bytes::from_static(&[0, 3, 0, 1])));
    assert_eq!(header, Err(DecodeError::Truncated { needed: 4, remaining: 0 }));
}

/// Random damage to valid messages: only the absence of panics and endless work is checked.
fn mangle<M: Message + Generate>(seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    for version in M::VERSIONS {
        let mut bytes = encoded(&message_of_seed::<M>(seed, version), version).to_vec();
        for _ in 0..random.random_range(1..4) {
            if bytes.is_empty() {
                break;
            }
            let at = random.random_range(0..bytes.len());
            match random.random_range(0..4) {
                0 => bytes[at] = random.random(),
                1 => bytes[at] = 0xff,
                2 => bytes.truncate(at),
                _ => bytes[at..].fill(0x7f),
            }
        }
        if let Ok(message) = decode::<M>(&bytes, version) {
            // What was understood can be written again.
            encoded(&message, version);
        }
    }
}

macro_rules! mangle_all {
    ($($name:ident: $request:ident,)+) => {
        fn mangle_all(seed: u64) {
            $(
                mangle::<$request>(seed);
                mangle::<<$request as Request>::Response>(seed);
            )+
        }
    };
}

for_each_api!(mangle_all);

#[test]
fn damaged_messages_never_panic() {
    for seed in 0..20 {
        println!("seed {seed}");
        mangle_all(seed);
    }
}

#[test]
fn random_bytes_never_panic_in_any_request_decoder() {
    let mut random = StdRng::seed_from_u64(7);
    for &key in ApiKey::ALL {
        for version in versions(key).into_iter().flatten() {
            for _ in 0..50 {
                let length = random.random_range(0..200);
                let bytes: Vec<u8> = (0..length).map(|_| if random.random() { random.random() } else { 0 }).collect();
                let _ = check_request(key, version, &mut Reader::new(Bytes::from(bytes)));
            }
        }
    }
}
