//! Throttle times of answers (KIP-219).

use super::encoded;
use crate::codec::{Reader, Request, Response};
use crate::messages::*;

/// Whether an answer of any version tells a throttle time. Those that do not must be as they were.
fn is_told<R: Response>() -> bool {
    let mut response = R::default();
    response.tell_throttle_time(7);
    response.tell_throttle_time(3);
    let again = |version| R::decode(&mut Reader::new(encoded(&response, version)), version).unwrap();
    let told: Vec<R> = R::VERSIONS.map(again).filter(|again| *again != R::default()).collect();
    told.iter().all(|again| *again == response) && !told.is_empty()
}

macro_rules! untold {
    ($($name:ident: $request:ident,)+) => {
        fn untold() -> Vec<&'static str> {
            let all = [$((stringify!($name), is_told::<<$request as Request>::Response>())),+];
            all.into_iter().filter(|(_, is_told)| !is_told).map(|(name, _)| name).collect()
        }
    };
}

for_each_api!(untold);

#[test]
fn every_answer_with_a_place_for_it_tells_the_longest_time_it_was_given_in_all_versions_that_can() {
    let between_brokers = [
        "InitializeShareGroupState",
        "ReadShareGroupState",
        "WriteShareGroupState",
        "DeleteShareGroupState",
        "ReadShareGroupStateSummary",
    ];
    let others = ["SaslHandshake", "WriteTxnMarkers", "SaslAuthenticate", "DescribeQuorum"];
    assert_eq!(untold(), [&others[..], &between_brokers].concat());
}
