//! An ordinary client at work beside the hostile ones: what it waits for, and what the broker's memory does meanwhile.
//!
//! The same is asked at the same moments of a broker that nobody else uses: what that one takes is the machine's doing.

use std::time::{Duration, Instant};

use bytes::Bytes;
use ottla_protocol::client::{Client, FetchLimits};
use ottla_protocol::messages::metadata::MetadataRequest;
use ottla_records::{BatchBuilder, Compression};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::process::{Process, resident};
use super::wire::Wire;
use super::{ANSWERED, GROWTH};

/// How often memory is looked at and each thing is asked for.
const PACE: Duration = Duration::from_millis(50);
/// No answer at all.
const NEVER: Duration = Duration::from_secs(60);

/// The longest that each thing took.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Waits {
    metadata: Duration,
    produce: Duration,
    fetch: Duration,
}

impl Waits {
    fn worst(self, other: Self) -> Self {
        Self {
            metadata: self.metadata.max(other.metadata),
            produce: self.produce.max(other.produce),
            fetch: self.fetch.max(other.fetch),
        }
    }

    fn longest(self) -> Duration {
        self.metadata.max(self.produce).max(self.fetch)
    }
}

/// The worst that was seen.
#[derive(Debug, Default)]
pub(crate) struct Worst {
    waits: Waits,
    /// Of the broker that nobody else uses.
    alone: Waits,
    rounds: usize,
    grown: usize,
}

/// A client with a topic of its own.
struct Ordinary {
    client: Client,
    address: String,
}

impl Ordinary {
    async fn new(broker: &Process) -> Self {
        let client = broker.client().await;
        client.create_topic("ordinary", 1, 1, &[]).await.unwrap();
        client.produce("ordinary", 0, batch(0), -1, NEVER).await.unwrap();
        Self { client, address: broker.address.clone() }
    }

    /// Asks for each thing once.
    async fn round(&self, round: usize) -> Waits {
        // A connection of its own each time: accepting must not be held up either.
        let begun = Instant::now();
        Wire::connect(&self.address).await.call(&MetadataRequest::default(), 12).await;
        let metadata = begun.elapsed();
        let begun = Instant::now();
        let produced = self.client.produce("ordinary", 0, batch(round), -1, NEVER).await.unwrap();
        assert!(produced.error_code.is_none(), "{:?}", produced.error_code);
        let produce = begun.elapsed();
        let begun = Instant::now();
        let fetched = self.client.fetch("ordinary", 0, produced.base_offset, FetchLimits::default()).await.unwrap();
        assert!(fetched.error_code.is_none(), "{:?}", fetched.error_code);
        Waits { metadata, produce, fetch: begun.elapsed() }
    }
}

/// Watches a broker from [`Watch::begin`] to [`Watch::end`].
pub(crate) struct Watch {
    stop: oneshot::Sender<()>,
    work: JoinHandle<Worst>,
}

impl Watch {
    /// Makes a topic for the ordinary client, takes note of the broker's memory, and sets to work.
    pub(crate) async fn begin(broker: &Process) -> Self {
        let unused = Process::start(&[]);
        let (here, there) = (Ordinary::new(broker).await, Ordinary::new(&unused).await);
        let (stop, mut stopped) = oneshot::channel();
        let status = broker.status_file();
        let before = resident(&status);
        let work = tokio::spawn(async move {
            let _unused = unused;
            let mut worst = Worst::default();
            let mut pace = tokio::time::interval(PACE);
            loop {
                tokio::select! {
                    _ = &mut stopped => return worst,
                    _ = pace.tick() => {}
                }
                worst.grown = worst.grown.max(resident(&status).saturating_sub(before));
                let (waits, alone) = tokio::join!(here.round(worst.rounds), there.round(worst.rounds));
                worst.waits = worst.waits.worst(waits);
                worst.alone = worst.alone.worst(alone);
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
        let (waited, alone) = (worst.waits.longest(), worst.alone.longest());
        assert!(waited <= ANSWERED + alone, "{what}: an ordinary client waited {waited:?}, {alone:?} elsewhere");
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
