//! The brokers that are asked, one connection to the first of them, and what is noted of what was asked.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use ottla_protocol::ApiKey;
use ottla_protocol::client::{Client, ClientConfig, Connection, FetchLimits};
use ottla_protocol::codec::{Records, Request, Str};
use ottla_protocol::messages::ApiVersionsRequest;
use ottla_records::{BatchBuilder, Compression, Limits, RecordReader, batches};
use ottla_tests::cluster::{Cluster, DEADLINE};
use tokio::net::TcpListener;
use uuid::Uuid;

/// Asks an API at a version, and asserts what it answers and what comes of it.
pub type Scenario = for<'w> fn(&'w mut World, i16) -> Pin<Box<dyn Future<Output = ()> + 'w>>;

/// A scenario of an `async fn(&mut World, i16)`.
macro_rules! scenario {
    ($key:ident, $function:path) => {
        (ottla_protocol::ApiKey::$key, |world, version| Box::pin($function(world, version)))
    };
}
pub(crate) use scenario;

/// The time of the first record of a batch, in milliseconds; the others follow by a second each.
pub const FIRST_TIMESTAMP: i64 = 1_700_000_000_000;

/// A topic.
#[derive(Clone, Debug)]
pub struct Topic {
    pub name: Str,
    pub id: Uuid,
    /// The leader epoch of its first partition.
    pub epoch: i32,
}

impl Topic {
    /// One that nobody has made.
    pub fn unknown() -> Self {
        Self { name: "nobody-made-it".into(), id: Uuid::new_v4(), epoch: 0 }
    }
}

/// See the module.
pub struct World {
    pub cluster: Cluster,
    pub client: Client,
    connection: Connection,
    /// Where metrics of clients are sent to.
    pub collector: TcpListener,
    /// What was answered, or refused as it should be.
    pub asked: BTreeSet<(ApiKey, i16)>,
    names: usize,
}

impl World {
    pub async fn start(brokers: usize) -> Self {
        let collector = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", collector.local_addr().unwrap());
        let properties = [
            ("ottla.client.metrics.collector", address.as_str()),
            ("auto.create.topics.enable", "false"),
            ("auto.leader.rebalance.enable", "false"),
            ("group.streams.initial.rebalance.delay.ms", "0"),
            ("group.streams.assignment.interval.ms", "0"),
            ("offsets.topic.replication.factor", "1"),
            ("offsets.topic.num.partitions", "1"),
            ("transaction.state.log.replication.factor", "1"),
            ("transaction.state.log.min.isr", "1"),
            ("transaction.state.log.num.partitions", "1"),
            ("share.coordinator.state.topic.replication.factor", "1"),
            ("share.coordinator.state.topic.min.isr", "1"),
            ("share.coordinator.state.topic.num.partitions", "1"),
        ];
        let cluster = Cluster::start_with(brokers, &properties).await;
        cluster.settled().await;
        let connection = connect(&cluster.address(0)).await;
        Self { client: cluster.client().await, cluster, connection, collector, asked: BTreeSet::new(), names: 0 }
    }

    /// What the broker says that it serves.
    pub async fn advertised(&mut self) -> BTreeMap<ApiKey, RangeInclusive<i16>> {
        let request = ApiVersionsRequest { client_software_name: "test".into(), client_software_version: "1".into() };
        let answer = self.call(&request, 4).await;
        let entry = |api: &ottla_protocol::messages::api_versions::ApiVersion| {
            (ApiKey::from_number(api.api_key).unwrap(), api.min_version..=api.max_version)
        };
        answer.api_keys.iter().map(entry).collect()
    }

    /// Asks the first broker, at just this version.
    pub async fn call<R: Request>(&mut self, request: &R, version: i16) -> R::Response {
        assert_eq!(self.connection.version::<R>(version).unwrap(), version, "{} is not asked at {version}", R::KEY);
        let answer = self.connection.call(request, version).await.unwrap_or_else(|error| panic!("{error}"));
        self.asked.insert((R::KEY, version));
        answer
    }

    /// Asks broker `id`, at just this version.
    pub async fn call_broker<R: Request>(&mut self, id: usize, request: &R, version: i16) -> R::Response {
        self.connection = connect(&self.cluster.address(id)).await;
        let answer = self.call(request, version).await;
        self.reconnect().await;
        answer
    }

    /// Whether the broker closes the connection upon the request.
    pub async fn is_refused<R: Request>(&mut self, request: &R, version: i16) -> bool {
        assert_eq!(self.connection.version::<R>(version).unwrap(), version);
        let outcome = self.connection.call(request, version).await;
        self.asked.insert((R::KEY, version));
        self.reconnect().await;
        matches!(outcome, Err(ottla_protocol::client::Error::Disconnected { .. }))
    }

    /// Another connection to the first broker.
    pub async fn reconnect(&mut self) {
        self.connection = connect(&self.cluster.address(0)).await;
    }

    /// A name that nothing has yet.
    pub fn name(&mut self, what: &str) -> Str {
        self.names += 1;
        format!("{what}-{}", self.names).into()
    }

    /// A topic that is served, with a copy of each partition.
    pub async fn topic(&mut self, partitions: i32) -> Topic {
        let name = self.name("topic");
        self.client.create_topic(&name, partitions, 1, &[]).await.unwrap();
        self.found(name).await
    }

    /// A topic that is there, once it is served.
    pub async fn found(&self, name: Str) -> Topic {
        self.client.list_offset(&name, 0, -1).await.unwrap();
        self.cluster.settled().await;
        let known = self.client.refresh_metadata(&[&*name]).await.unwrap().topics[&*name].clone();
        Topic { name, id: known.id, epoch: known.partitions[&0].leader_epoch }
    }

    /// Appends the values to the first partition as one batch.
    pub async fn write(&self, topic: &Topic, values: &[&str]) {
        let answer = self.client.produce(&topic.name, 0, batch(values), -1, DEADLINE).await.unwrap();
        assert!(!answer.error_code.is_error(), "{:?}", answer.error_code);
    }

    /// All values of the first partition, aborted ones apart.
    pub async fn read(&self, topic: &Topic) -> Vec<String> {
        let limits = FetchLimits { max_wait: Duration::ZERO, read_committed: true, ..FetchLimits::default() };
        let (mut offset, mut values) = (self.first_offset(topic).await, Vec::new());
        while offset < self.end(topic).await {
            let answer = self.client.fetch(&topic.name, 0, offset, limits).await.unwrap();
            assert!(!answer.error_code.is_error(), "{:?}", answer.error_code);
            let told = answer.aborted_transactions.iter().flatten().map(|one| (one.producer_id, one.first_offset));
            // Those whose marker is still to come.
            let mut aborted: Vec<(i64, i64)> = told.collect();
            for batch in batches(&bytes(answer.records.as_ref())) {
                let batch = batch.unwrap();
                let (header, from) = (batch.header, offset);
                offset = header.next_offset();
                if header.attributes.is_control() {
                    aborted.retain(|(id, first)| *id != header.producer_id || *first > header.base_offset);
                    continue;
                }
                let is_of = |(id, first): &(i64, i64)| *id == header.producer_id && *first <= header.base_offset;
                let is_aborted = aborted.iter().any(is_of);
                values
                    .extend(records(batch.bytes).filter(|(at, _)| *at >= from && !is_aborted).map(|(_, value)| value));
            }
        }
        values
    }

    pub async fn first_offset(&self, topic: &Topic) -> i64 {
        self.client.list_offset(&topic.name, 0, -2).await.unwrap()
    }

    pub async fn end(&self, topic: &Topic) -> i64 {
        self.client.list_offset(&topic.name, 0, -1).await.unwrap()
    }
}

async fn connect(address: &str) -> Connection {
    let (host, port) = address.rsplit_once(':').unwrap();
    let config = ClientConfig { max_versions: Vec::new(), ..ClientConfig::new("versions") };
    Connection::open(host, port.parse().unwrap(), &config).await.unwrap()
}

/// Asks until `ask` gives something, which `what` describes.
pub async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let asking = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(DEADLINE, asking).await.unwrap_or_else(|_| panic!("never came true: {what}"))
}

/// Records with these values, a second apart.
pub fn batch(values: &[&str]) -> Bytes {
    batch_of(BatchBuilder::new(Compression::None), values)
}

pub fn batch_of(mut builder: BatchBuilder, values: &[&str]) -> Bytes {
    for (second, value) in (0..).zip(values) {
        builder.append(FIRST_TIMESTAMP + 1000 * second, None, Some(value.as_bytes()), &[]);
    }
    builder.build(0)
}

pub fn bytes(records: Option<&Records>) -> Bytes {
    records.and_then(|records| records.as_bytes().cloned()).unwrap_or_default()
}

/// Offset and value of each record of an answer.
pub fn values(answered: Option<&Records>) -> Vec<(i64, String)> {
    batches(&bytes(answered)).flat_map(|batch| records(batch.unwrap().bytes).collect::<Vec<_>>()).collect()
}

fn records(batch: &[u8]) -> impl Iterator<Item = (i64, String)> {
    let mut reader = RecordReader::new(batch, Limits::default()).unwrap();
    let mut records = Vec::new();
    while let Some(record) = reader.next_record().unwrap() {
        records.push((record.offset, String::from_utf8(record.value.unwrap_or_default().to_vec()).unwrap()));
    }
    records.into_iter()
}
