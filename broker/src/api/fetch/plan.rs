//! What one fetch is to read, and reading it.

use std::sync::Arc;
use std::time::Duration;

use ottla_core::metadata::Image;
use ottla_core::{BrokerEpoch, BrokerId, LeaderEpoch, Offset, TopicId};
use ottla_protocol::codec::Str;
use ottla_protocol::messages::fetch::{FetchRequest, FetchableTopicResponse, NodeEndpoint};
use tokio::time::Instant;

use super::session::{FetchSession, Wanted, replica_of};
use crate::api::stopwatch::Stopwatch;
use crate::api::{Context, leaders};
use crate::broker::Broker;
use crate::net::Peer;
use crate::replica::{Consumer, Error, FollowerRead, Partition, Read, ReadLimits};

/// A fetch under way.
pub(super) struct Plan {
    broker: Arc<Broker>,
    peer: Arc<Peer>,
    client_id: Option<Str>,
    stopwatch: Stopwatch,
    pub(super) session: FetchSession,
    pub(super) items: Vec<Item>,
    by_id: bool,
    replica: Option<(BrokerId, BrokerEpoch)>,
    pub(super) consumer: Consumer,
    /// Where the consumer stands, if this broker is to tell it of nearer replicas.
    near: Option<Near>,
    /// There is a place in the answer for where leaders are.
    may_point_on: bool,
    max_bytes: usize,
    min_bytes: usize,
    pub(super) deadline: Instant,
}

/// One partition of it.
pub(super) struct Item {
    pub(super) wanted: Wanted,
    /// Found anew for each read, since topics come and go while a fetch waits.
    pub(super) partition: Option<Arc<Partition>>,
}

/// The rack of a consumer (KIP-392).
struct Near {
    image: Arc<Image>,
    rack: Str,
}

impl Near {
    /// The one that `request` names, if the broker is told to heed it (`replica.selector.class`).
    fn of(broker: &Broker, request: &FetchRequest) -> Option<Self> {
        let selector = broker.config.fixed.get("replica.selector.class");
        let heeds = selector.is_some_and(|class| class.trim().ends_with("RackAwareReplicaSelector"));
        (heeds && !request.rack_id.is_empty()).then(|| Self { image: broker.image(), rack: request.rack_id.clone() })
    }

    /// A replica of `partition` in this rack, unless the leader is in it too.
    fn of_partition(&self, partition: &Partition, offset: Offset) -> Option<BrokerId> {
        let is_near = |id: BrokerId| {
            self.image.broker(id).is_some_and(|broker| broker.rack.as_deref() == Some(&*self.rack) && !broker.fenced)
        };
        partition.nearest_replica(offset, is_near)
    }
}

/// What the read of one partition came to.
pub(super) type ReadResult = Result<Read, Error>;

impl Plan {
    pub(super) fn new(context: &Context, request: &FetchRequest, session: FetchSession) -> Self {
        let items = session.wanted().into_iter().map(|wanted| Item { wanted, partition: None }).collect();
        let wait = Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0));
        let (broker, version) = (Arc::clone(&context.broker), context.version);
        let most = broker.config.storage.fetch_max_bytes;
        let limit = usize::try_from(session.max_bytes.unwrap_or(request.max_bytes)).unwrap_or(0).min(most);
        let limit = match replica_of(request) {
            Some(_) => limit,
            None => limit.min(broker.quotas.most_consumed_at_once(context.client_name())),
        };
        let replica = replica_of(request).map(|id| (BrokerId(id), BrokerEpoch(request.replica_state.replica_epoch)));
        let near = Near::of(&broker, request).filter(|_| replica.is_none());
        Self {
            max_bytes: limit,
            min_bytes: usize::try_from(request.min_bytes).unwrap_or(0).min(limit),
            broker,
            peer: Arc::clone(&context.peer),
            client_id: context.client_id.clone(),
            stopwatch: if replica.is_none() { Stopwatch::of(context) } else { Stopwatch::default() },
            session,
            items,
            by_id: version >= 13,
            replica,
            consumer: Consumer { from_follower: version >= 11, read_committed: request.isolation_level == 1 },
            near,
            may_point_on: version >= 16,
            deadline: Instant::now() + wait,
        }
    }

    /// Takes up another partition; gives its place in the plan.
    pub(super) fn add(&mut self, wanted: Wanted) -> usize {
        self.items.push(Item { wanted, partition: None });
        self.items.len() - 1
    }

    /// Does some of the work, which takes its time.
    pub(super) fn timed<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> T {
        let mut stopwatch = std::mem::take(&mut self.stopwatch);
        let result = stopwatch.time(|| work(self));
        self.stopwatch = stopwatch;
        result
    }

    /// Reads every partition within the limits of the whole.
    pub(super) fn read(&mut self) -> Vec<ReadResult> {
        self.timed(Self::read_all)
    }

    fn read_all(&mut self) -> Vec<ReadResult> {
        let mut left = self.max_bytes;
        let mut nothing_yet = !self.session.is_update;
        if self.session.is_update {
            left = 0;
        }
        (0..self.items.len())
            .map(|place| {
                let limits = ReadLimits { max_bytes: left, at_least_one_batch: nothing_yet };
                let result = self.read_one(place, limits);
                let bytes = bytes_of(&result);
                left = left.saturating_sub(bytes);
                nothing_yet &= bytes == 0;
                result
            })
            .collect()
    }

    /// Single reads as the results of the whole: as they are, or anew if together they are more than the whole may have.
    pub(super) fn fit(&mut self, mut results: Vec<ReadResult>) -> Vec<ReadResult> {
        if results.iter().map(bytes_of).sum::<usize>() > self.max_bytes {
            return self.read();
        }
        for (item, result) in self.items.iter().zip(&mut results) {
            // Nobody is woken to read for a follower when only the watermark moves.
            if let (Some(partition), Ok(read)) = (&item.partition, result) {
                read.high_watermark = read.high_watermark.max(partition.high_watermark());
                read.log_start = read.log_start.max(partition.reader().log_start());
            }
        }
        results
    }

    /// Only what is to be told besides records.
    pub(super) fn read_no_records(&mut self) -> Vec<ReadResult> {
        let limits = ReadLimits { max_bytes: 0, at_least_one_batch: false };
        (0..self.items.len()).map(|place| self.read_one(place, limits)).collect()
    }

    /// Reads the partition at `place`.
    pub(super) fn read_one(&mut self, place: usize, limits: ReadLimits) -> ReadResult {
        let partition = self.find(&self.items[place].wanted)?;
        let item = &mut self.items[place];
        let partition = item.partition.insert(partition);
        let wanted = &mut item.wanted;
        let max_bytes = limits.max_bytes.min(usize::try_from(wanted.max_bytes).unwrap_or(0));
        let limits = ReadLimits { max_bytes, ..limits };
        let (offset, current_epoch) = (Offset(wanted.offset), LeaderEpoch(wanted.current_epoch));
        let last_fetched_epoch = LeaderEpoch(wanted.last_fetched_epoch);
        let Some((broker, broker_epoch)) = self.replica else {
            if let Some(preferred) = self.near.as_ref().and_then(|near| near.of_partition(partition, offset)) {
                partition.check_leader(current_epoch)?;
                let nothing = ReadLimits { max_bytes: 0, at_least_one_batch: false };
                let read = partition.read(offset, current_epoch, last_fetched_epoch, Consumer::default(), nothing)?;
                return Ok(Read { preferred: Some(preferred), records: None, ..read });
            }
            return partition.read(offset, current_epoch, last_fetched_epoch, self.consumer, limits);
        };
        if let Some(watch) = &self.session.watch {
            // Before the read, lest a move in between be missed.
            partition.watch(watch, wanted.place);
        }
        let fetch = FollowerRead {
            broker,
            broker_epoch,
            // A fetch that is read again has been counted.
            is_news: std::mem::take(&mut wanted.is_named),
            offset,
            log_start: Offset(wanted.log_start),
            flushed: Offset(wanted.flushed),
            current_epoch,
            last_fetched_epoch,
        };
        partition.read_as_follower(&fetch, limits, self.broker.replicas.clock().now())
    }

    /// Notes which partitions of a follower have records that this answer lacks: the next one has to look at them.
    pub(super) fn note_unread(&self, results: &[ReadResult]) {
        let Some(watch) = &self.session.watch else { return };
        for (item, result) in self.items.iter().zip(results) {
            let has_more = |read: &Read| {
                read.records.is_none() && read.diverging.is_none() && Offset(item.wanted.offset) < read.end
            };
            if result.as_ref().is_ok_and(has_more) {
                watch.look_again(item.wanted.place);
            }
        }
    }

    /// Counts what is answered to followers that are throttled: now, since what was read before may be read anew.
    pub(super) fn count_throttled(&self, results: &[ReadResult]) {
        let is_throttled = |result: &&ReadResult| result.as_ref().is_ok_and(|read| read.is_throttled);
        let bytes = results.iter().filter(is_throttled).map(bytes_of).sum();
        if bytes > 0 {
            let replicas = &self.broker.replicas;
            replicas.throttles().leader.take(bytes, replicas.clock().now());
        }
    }

    /// Counts what a consumer is answered, and the time that took; gives for how many milliseconds it is held back.
    pub(super) fn count_consumed(&self, results: &[ReadResult]) -> i32 {
        if self.replica.is_some() {
            return 0;
        }
        let (quotas, client_id) = (&self.broker.quotas, self.client_id.as_deref().unwrap_or_default());
        let bytes = results.iter().map(bytes_of).sum();
        let of_time = quotas.worked(&self.peer, client_id, self.stopwatch.spent());
        quotas.consumed(&self.peer, client_id, bytes).max(of_time)
    }

    fn find(&self, wanted: &Wanted) -> Result<Arc<Partition>, Error> {
        let topics = self.broker.replicas.topics();
        let found = if self.by_id {
            match topics.by_id(TopicId(wanted.topic_id)) {
                Some(topic) => self.broker.replica(Some(&topic), topic.name.as_str(), wanted.partition)?,
                None => self.find_elsewhere(wanted)?,
            }
        } else {
            match topics.partition(&wanted.topic, wanted.partition) {
                Ok(partition) => partition,
                Err(_) => self.broker.replica(None, &wanted.topic, wanted.partition)?,
            }
        };
        Ok(found)
    }

    fn find_elsewhere(&self, wanted: &Wanted) -> Result<Arc<Partition>, Error> {
        let image = self.broker.image();
        match image.topics().by_id(TopicId(wanted.topic_id)) {
            Some(topic) => self.broker.replica(None, topic.name.as_str(), wanted.partition),
            None => Err(Error::UnknownTopicId),
        }
    }

    /// Where the leaders are that `topics` point to (KIP-951).
    pub(super) fn leaders_of(&self, topics: &[FetchableTopicResponse]) -> Vec<NodeEndpoint> {
        let partitions = topics.iter().flat_map(|topic| &topic.partitions);
        let mut pointed_to = partitions.map(|p| p.current_leader.leader_id).filter(|id| *id >= 0).peekable();
        if !self.may_point_on || pointed_to.peek().is_none() {
            return Vec::new();
        }
        let addresses = leaders::addresses(&self.broker.image(), &self.peer.listener, pointed_to);
        let endpoint = |leaders::Address { id, host, port, rack }| NodeEndpoint { node_id: id, host, port, rack };
        addresses.into_iter().map(endpoint).collect()
    }

    /// Whether the answer is due now: enough bytes, something to tell at once, or nothing to wait for.
    pub(super) fn is_due(&self, results: &[ReadResult]) -> bool {
        let bytes: usize = results.iter().map(bytes_of).sum();
        let urgent = |result: &ReadResult| {
            result.as_ref().map_or(true, |read| read.diverging.is_some() || read.preferred.is_some())
        };
        bytes >= self.min_bytes
            || (results.is_empty() && self.session.watch.is_none())
            || self.session.is_update
            || self.deadline <= Instant::now()
            || results.iter().any(urgent)
    }
}

/// Bytes of records that a read found.
pub(super) fn bytes_of(result: &ReadResult) -> usize {
    result.as_ref().ok().and_then(|read| read.records.as_ref()).map_or(0, |slice| slice.len)
}
