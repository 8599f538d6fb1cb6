//! The proof that the cluster works: a few records produced with acks=all and consumed again.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail, ensure};
use ottla_protocol::client::{Client, ClientConfig, HostsFileThenDns};
use ottla_records::{BatchBuilder, Compression};

use crate::check;

/// How many records make the proof.
pub const COUNT: usize = 3;
/// For the first connection.
const CONNECT: Duration = Duration::from_secs(2);
/// For each request, retries included.
const PATIENCE: Duration = Duration::from_secs(20);

/// Produces records to partition 0 of `topic`, in the cluster at `bootstrap` (`host:port`, several with commas), and consumes
/// them again; `hosts` knows the names of the pods.
pub async fn there_and_back(bootstrap: &str, hosts: &Path, topic: &str) -> anyhow::Result<()> {
    let config = ClientConfig {
        deadline: CONNECT,
        resolver: Arc::new(HostsFileThenDns::with_file(hosts)),
        ..ClientConfig::new("ottla-local")
    };
    let servers = bootstrap.split(',').map(str::to_owned);
    let client = Client::connect(servers, config).await.with_context(|| format!("no broker answers at {bootstrap}"))?;
    let client = client.with_deadline(PATIENCE);
    let sent: Vec<String> = (1..=COUNT).map(|number| format!("hello {number} from ottla local")).collect();
    let mut batch = BatchBuilder::new(Compression::None);
    let now =
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(0));
    for text in &sent {
        batch.append(now, Some(b"ottla-local"), Some(text.as_bytes()), &[]);
    }
    let produced =
        client.produce(topic, 0, batch.build(0), -1, PATIENCE).await.with_context(|| format!("produce to {topic}"))?;
    if produced.error_code.is_error() {
        bail!("produce to {topic} was refused: {}", produced.error_code);
    }
    let offsets = produced.base_offset..produced.base_offset + i64::try_from(COUNT)?;
    let mut received = Vec::new();
    check::read(&client, topic, 0, offsets, |record| {
        received.push(String::from_utf8_lossy(record.value.as_deref().unwrap_or_default()).into_owned());
    })
    .await?;
    ensure!(received == sent, "what was consumed from {topic} is not what was produced: {received:?}");
    Ok(())
}
