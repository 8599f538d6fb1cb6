//! What is written is read back.

use bytes::Bytes;
use proptest::prelude::*;

use super::{encoded, message_of_bytes};
use crate::codec::generate::Generate;
use crate::codec::{DecodeError, Message, Reader, Request};
use crate::{ApiKey, messages::*};

fn round_trips<M: Message + Generate>(random: &[u8]) -> Result<(), TestCaseError> {
    for version in M::VERSIONS {
        let message: M = message_of_bytes(random, version);
        let bytes = encoded(&message, version);
        let mut reader = Reader::new(bytes.clone());
        let again = M::decode(&mut reader, version);
        prop_assert_eq!(again, Ok(message), "{} v{}", M::NAME, version);
        prop_assert_eq!(reader.expect_end(), Ok(()));
        prefixes_are_truncated::<M>(&bytes, version)?;
    }
    Ok(())
}

/// A frame cut short is an error that says so, wherever it was cut.
fn prefixes_are_truncated<M: Message>(bytes: &Bytes, version: i16) -> Result<(), TestCaseError> {
    for length in (0..bytes.len()).step_by(1 + bytes.len() / 20) {
        let prefix = bytes.slice(..length);
        let truncated = M::decode(&mut Reader::new(prefix), version);
        let is_expected = matches!(truncated, Err(DecodeError::Truncated { .. }));
        prop_assert!(is_expected, "{} v{version}, {length} bytes: {truncated:?}", M::NAME);
    }
    Ok(())
}

macro_rules! round_trip_all {
    ($($name:ident: $request:ident,)+) => {
        fn round_trip_all(random: &[u8]) -> Result<(), TestCaseError> {
            $(
                round_trips::<$request>(random)?;
                round_trips::<<$request as Request>::Response>(random)?;
            )+
            Ok(())
        }
    };
}

for_each_api!(round_trip_all);

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10))]

    #[test]
    fn every_message_survives_the_wire(random in prop::collection::vec(any::<u8>(), 0..1500)) {
        round_trip_all(&random)?;
    }
}

#[test]
fn what_is_no_number_is_written_as_it_was_read() {
    let op = alter_client_quotas::OpData { value: f64::NAN, ..Default::default() };
    let entry = alter_client_quotas::EntryData { ops: vec![op], ..Default::default() };
    let request = AlterClientQuotasRequest { entries: vec![entry], validate_only: false };
    for version in AlterClientQuotasRequest::VERSIONS {
        let mut reader = Reader::new(encoded(&request, version));
        assert_eq!(check_request(ApiKey::AlterClientQuotas, version, &mut reader), Ok(None));
    }
}
