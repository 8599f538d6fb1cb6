//! An ordinary client at work beside the hostile ones: what it waits for, and what the broker's memory does meanwhile.

use std::time::{Duration, Instant};

use bytes::Bytes;
use ottla_protocol::client::FetchLimits;
use ottla_protocol::messages::metadata::MetadataRequest;
use ottla_records::{BatchBuilder, Compression};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::process::{Process, resident};
use super::wire::Wire;
use super::{ANSWERED, GROWTH};

/// How often memory is looked at and each thing is asked for.
const PACE: Duration = Duration::from_millis(50);

/// The worst that was seen.
#[derive(Debug, Default)]
pub(crate) struct Worst {
    pub(crate) metadata: Duration,
    pub(crate) produce: Duration,
    pub(crate) fetch: Duration,
    pub(crate) rounds: usize,
    pub(crate) grown: usize,
}

/// Watches a broker from [`Watch::begin`] to [`Watch::end`].
pub(crate) struct Watch {
    stop: oneshot::Sender<()>,
    work: JoinHandle<Worst>,
}

impl Watch {
    /// Makes a topic for the ordinary client, takes note of the broker's memory, and sets to work.
    pub(crate) async fn begin(broker: &Process) -> Self {
        let client = broker.client().await;
        client.create_topic("ordinary", 1, 1, &[]).await.unwrap();
        client.produce("ordinary", 0, batch(0), -1, ANSWERED).await.unwrap();
        let (stop, mut stopped) = oneshot::channel();
        let (status, address) = (broker.status_file(), broker.address.clone());
        let before = resident(&status);
        let work = tokio::spawn(async move {
            let mut worst = Worst::default();
            let mut pace = tokio::time::interval(PACE);
            loop {
                tokio::select! {
                    _ = &mut stopped => return worst,
                    _ = pace.tick() => {}
                }
                worst.grown = worst.grown.max(resident(&status).saturating_sub(before));
                // A connection of its own each time: accepting must not be held up either.
                let begun = Instant::now();
                Wire::connect(&address).await.call(&MetadataRequest::default(), 12).await;
                worst.metadata = worst.metadata.max(begun.elapsed());
                let begun = Instant::now();
                let produced = client.produce("ordinary", 0, batch(worst.rounds), -1, ANSWERED).await.unwrap();
                assert!(produced.error_code.is_none(), "{:?}", produced.error_code);
                worst.produce = worst.produce.max(begun.elapsed());
                let begun = Instant::now();
                let fetched = client.fetch("ordinary", 0, produced.base_offset, FetchLimits::default()).await.unwrap();
                assert!(fetched.error_code.is_none(), "{:?}", fetched.error_code);
                worst.fetch = worst.fetch.max(begun.elapsed());
                worst.rounds += 1;
            }
        });
        Self { stop, work }
    }

    /// Stops, and fails if anything was worse than it may be.
    pub(crate) async fn end(self, what: &str) -> Worst {
        let _ = self.stop.send(());
        let worst = self.work.await.unwrap();
        eprintln!("{what}: {} MiB more, {worst:?}", worst.grown >> 20);
        assert!(worst.rounds > 0);
        for waited in [worst.metadata, worst.produce, worst.fetch] {
            assert!(waited <= ANSWERED, "{what}: an ordinary client waited {waited:?}");
        }
        assert!(worst.grown <= GROWTH, "{what}: {} MiB more", worst.grown >> 20);
        worst
    }
}

/// A batch of one record.
fn batch(round: usize) -> Bytes {
    let mut builder = BatchBuilder::new(Compression::None);
    builder.append(super::bombs::now(), None, Some(round.to_string().as_bytes()), &[]);
    builder.build(0)
}
