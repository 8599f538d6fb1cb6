//! Two hundred connections that claim a large frame each and send hardly any of it.

use std::time::{Duration, Instant};

use ottla_protocol::ApiKey;
use tokio::io::AsyncWriteExt as _;

use super::process::Process;
use super::watch::Watch;
use super::wire::Wire;

const DRIBBLERS: usize = 200;
/// The size that each frame claims.
const CLAIM: u32 = 50 << 20;
const BETWEEN_BYTES: Duration = Duration::from_millis(50);
/// So long would whoever is held up by the dribblers wait.
const MAX_IDLE: Duration = Duration::from_secs(15);
const LIMIT: Duration = Duration::from_secs(40);
/// What a dribbler of real data sends before it begins to dribble: more than all of them are let in with.
const REAL_DATA: usize = 2 << 20;

/// The beginning of a frame that is dribbled.
fn beginning(index: usize) -> Vec<u8> {
    let (key, version): (i16, i16) = match index % 3 {
        0 => (ApiKey::Produce.number(), 9),
        1 => (ApiKey::OffsetCommit.number(), 8),
        _ => (999, 0),
    };
    let mut bytes = CLAIM.to_be_bytes().to_vec();
    bytes.extend(key.to_be_bytes());
    bytes.extend(version.to_be_bytes());
    bytes.extend([0, 0, 0, 7, 0xff, 0xff, 0]);
    bytes
}

/// Sends the beginning of a frame and `burst` bytes of it, then a byte at a time until the broker has closed.
async fn dribble(address: String, index: usize, burst: usize) {
    let mut wire = Wire::connect(&address).await;
    let mut bytes = beginning(index);
    bytes.resize(bytes.len() + burst, 0);
    let mut closed = wire.0.write_all(&bytes).await.is_err();
    while !closed {
        closed = wire.drain(BETWEEN_BYTES).await.1 || wire.0.write_all(&[0]).await.is_err();
    }
}

async fn two_hundred_dribblers(burst: usize) {
    let idle = format!("connections.max.idle.ms={}", MAX_IDLE.as_millis());
    let mut broker = Process::start(&[&idle]);
    let watch = Watch::begin(&broker).await;
    let begun = Instant::now();
    let dribblers: Vec<_> =
        (0..DRIBBLERS).map(|index| tokio::spawn(dribble(broker.address.clone(), index, burst))).collect();
    for dribbler in dribblers {
        let left = LIMIT.saturating_sub(begun.elapsed());
        tokio::time::timeout(left, dribbler).await.expect("every dribbler is closed in time").unwrap();
    }
    watch.end(&format!("{DRIBBLERS} dribblers of {burst} bytes at once, gone after {:?}", begun.elapsed())).await;
    // A client may see its connection closed before the line about it has come through.
    let deadline = Instant::now() + Duration::from_secs(5);
    while broker.logged("connection closed") < DRIBBLERS && Instant::now() < deadline {
        tokio::task::yield_now().await;
    }
    let reasons = broker.logged("connection closed");
    assert_eq!(reasons, DRIBBLERS, "a reason is logged for each");
    assert_eq!(broker.logged("api key 999 in version 0 is not served"), DRIBBLERS / 3);
    assert!(broker.client().await.produce("ordinary", 0, super::bombs::plain(), -1, LIMIT).await.is_ok());
    assert_eq!(broker.complaints(), [""; 0]);
    assert!(broker.is_running());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_send_a_byte_at_a_time_hold_up_nobody() {
    two_hundred_dribblers(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_fill_the_request_memory_and_then_dribble_hold_up_nobody() {
    two_hundred_dribblers(REAL_DATA).await;
}
