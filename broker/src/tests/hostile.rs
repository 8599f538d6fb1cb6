use ottla_protocol::messages::api_versions::{ApiVersionsRequest, ApiVersionsResponse};
use ottla_protocol::messages::metadata::MetadataRequest;
use ottla_protocol::{ErrorCode, codec::Message as _, codec::Reader};

use super::raw::Raw;
use crate::testing::{TestBroker, eventually};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_that_no_broker_takes_close_the_connection() {
    let broker = TestBroker::start().await;
    let frames: [&[u8]; 9] = [
        &[0, 0, 0, 0],                                                              // empty
        &[0xff, 0xff, 0xff, 0xff],                                                  // negative
        &[0x06, 0x40, 0, 1],                                                        // above socket.request.max.bytes
        &[0, 0, 0, 4, 0, 3, 0, 1],                                                  // shorter than a header
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",                                       // another protocol
        &[0, 0, 0, 10, 3, 0xe7, 0, 0, 0, 0, 0, 7, 0xff, 0xff],                      // unknown api
        &[0, 0, 0, 10, 0, 3, 0, 14, 0, 0, 0, 7, 0xff, 0xff],                        // Metadata 14
        &[0, 0, 0, 10, 0, 0, 0, 2, 0, 0, 0, 7, 0xff, 0xff],                         // Produce 2: advertised, not served
        &[0, 0, 0, 14, 0, 3, 0, 1, 0, 0, 0, 7, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff], // two thousand million topics
    ];
    for bytes in frames {
        let mut raw = Raw::connect(broker.address()).await;
        raw.send_bytes(bytes).await;
        assert_eq!(raw.frame().await, None, "{bytes:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_after_a_request_are_ignored() {
    let broker = TestBroker::start().await;
    let mut raw = Raw::connect(broker.address()).await;
    raw.send_bytes(&[0, 0, 0, 17, 0, 3, 0, 1, 0, 0, 0, 7, 0xff, 0xff, 0, 0, 0, 0, 1, 2, 3]).await;
    assert_eq!(raw.answer::<MetadataRequest>(1).await.0, 7);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_version_of_api_versions_is_told_the_range_in_version_0() {
    let broker = TestBroker::start().await;
    for version in [5i16, 127, -1] {
        let mut raw = Raw::connect(broker.address()).await;
        let [high, low] = version.to_be_bytes();
        raw.send_bytes(&[0, 0, 0, 10, 0, 18, high, low, 0, 0, 0, 7, 0xff, 0xff]).await;
        let frame = raw.frame().await.unwrap();
        assert_eq!(frame[..], [0, 0, 0, 7, 0, 35, 0, 0, 0, 1, 0, 18, 0, 0, 0, 4]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn api_versions_tells_what_the_table_serves() {
    let broker = TestBroker::start().await;
    let mut raw = Raw::connect(broker.address()).await;
    let request = ApiVersionsRequest { client_software_name: "x".into(), client_software_version: "1".into() };
    let response = raw.call(&request, 4).await;
    let of = |key: i16| response.api_keys.iter().find(|api| api.api_key == key).map(|a| (a.min_version, a.max_version));
    assert_eq!(of(0), Some((0, 13)));
    assert_eq!(of(1), Some((4, 18)));
    let bad = ApiVersionsRequest { client_software_name: "bad name!".into(), ..request };
    assert_eq!(raw.call(&bad, 3).await.error_code, ErrorCode::INVALID_REQUEST);
    let frame = {
        raw.send_bytes(&[0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 7, 0xff, 0xff]).await;
        raw.frame().await.unwrap()
    };
    let mut reader = Reader::new(frame.slice(4..));
    assert!(ApiVersionsResponse::decode(&mut reader, 0).unwrap().api_keys.len() > 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_beyond_the_limit_are_closed_at_once() {
    let broker = TestBroker::start_with(&[("max.connections.per.ip", "2")]).await;
    let _first = Raw::connect(broker.address()).await;
    let second = Raw::connect(broker.address()).await;
    eventually("two connections", || broker.running.open_connections() == 2).await;
    let mut third = Raw::connect(broker.address()).await;
    assert_eq!(third.frame().await, None);
    drop(second);
    eventually("one connection", || broker.running.open_connections() == 1).await;
    let mut fourth = Raw::connect(broker.address()).await;
    fourth.call(&MetadataRequest::default(), 9).await;
}
