//! A request frame as a broker takes it: header, then the message of whatever API and version the header names.
//! What is understood must be written again to something that is understood.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use ottla_protocol::codec::Reader;
use ottla_protocol::frame::RequestHeader;
use ottla_protocol::messages;

fuzz_target!(|frame: &[u8]| {
    let mut reader = Reader::new(Bytes::copy_from_slice(frame));
    let Ok(header) = RequestHeader::read_known(&mut reader) else { return };
    let Some(key) = header.key() else { return };
    if let Ok(Some(problem)) = messages::check_request(key, header.api_version, &mut reader) {
        panic!("{key} v{}: {problem}", header.api_version);
    }
});
