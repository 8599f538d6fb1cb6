//! A response as the client takes it: two bytes choose the API and the version, the rest is the message.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use ottla_protocol::codec::Reader;
use ottla_protocol::{ApiKey, messages};

fuzz_target!(|input: (u8, u8, &[u8])| {
    let (key, version, message) = input;
    let Some(key) = ApiKey::from_number(i16::from(key)) else { return };
    let mut reader = Reader::new(Bytes::copy_from_slice(message));
    if let Ok(Some(problem)) = messages::check_response(key, i16::from(version), &mut reader) {
        panic!("{key} v{version}: {problem}");
    }
});
