//! Incremental fetch sessions (KIP-227): the broker remembers what a client fetches, the client says what changes.
//!
//! Bounded: as many sessions as `max.incremental.fetch.session.cache.slots`. When they are all in use, one that has been
//! quiet for long enough makes place; else the client goes on without a session.
//!
//! A fetch of a consumer's session reads all its partitions in turn. A follower's reads those only that have changed since
//! the last one looked, by its own naming or by what their watch has noted.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use indexmap::{IndexMap, IndexSet};
use ottla_core::{BrokerEpoch, BrokerId};
use ottla_protocol::ErrorCode;
use ottla_protocol::codec::Str;
use ottla_protocol::messages::fetch::{FetchPartition, FetchRequest};
use parking_lot::Mutex;
use tokio::time::Instant;
use uuid::Uuid;

use crate::replica::{FetchWait, FollowerWatch, Read};

/// `min.incremental.fetch.session.eviction.ms`.
const QUIET: Duration = Duration::from_secs(120);
/// Session epoch that opens a session.
const INITIAL: i32 = 0;
/// Session epoch without a session, or to end one.
const FINAL: i32 = -1;

/// A partition that a client wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    /// Name of the topic; empty where the version has ids.
    pub(super) topic: Str,
    /// Id of the topic; zero where the version has names.
    pub(super) topic_id: Uuid,
    pub(super) partition: i32,
    pub(super) offset: i64,
    pub(super) current_epoch: i32,
    pub(super) last_fetched_epoch: i32,
    pub(super) max_bytes: i32,
    /// Where a follower's log starts; -1 for a consumer.
    pub(super) log_start: i64,
    /// What a follower holds on the disk; -1 for a consumer.
    pub(super) flushed: i64,
    /// Whether the client has named the partition in this very fetch.
    pub(super) is_named: bool,
    /// A follower's: by which its watch knows the partition.
    pub(super) place: u32,
}

type Key = (Str, Uuid, i32);

impl Wanted {
    fn new(topic: &Str, topic_id: Uuid, partition: &FetchPartition) -> Self {
        Self {
            topic: topic.clone(),
            topic_id,
            partition: partition.partition,
            offset: partition.fetch_offset,
            current_epoch: partition.current_leader_epoch,
            last_fetched_epoch: partition.last_fetched_epoch,
            max_bytes: partition.partition_max_bytes,
            log_start: partition.log_start_offset,
            flushed: partition.flushed_offset,
            is_named: true,
            place: 0,
        }
    }

    pub(super) fn key(&self) -> Key {
        (self.topic.clone(), self.topic_id, self.partition)
    }
}

/// What the client was told last of a partition: only changes are told again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) high_watermark: i64,
    pub(super) log_start: i64,
}

impl Told {
    /// The client is to be told whatever comes next.
    pub(super) const NOTHING: Self = Self { high_watermark: -1, log_start: -1 };

    /// What an answer with `read` tells.
    pub(super) fn of(read: &Read) -> Self {
        Self { high_watermark: read.high_watermark.0, log_start: read.log_start.0 }
    }
}

#[derive(Debug)]
struct State {
    /// The epoch that the next fetch must have.
    epoch: i32,
    by_id: bool,
    partitions: IndexMap<Key, (Wanted, Told)>,
    /// Place of the partition to begin with, so that those at the end get their turn.
    first: usize,
    last_used: Instant,
    /// The follower whose session it is. Those are never evicted, and a follower has one.
    replica: Option<Followed>,
    /// A follower's: the bytes that its last fetch for records asked for.
    max_bytes: i32,
    /// A follower's: the fetch that waits.
    parked: Weak<FetchWait>,
}

/// What a follower's session has besides.
#[derive(Debug)]
struct Followed {
    by: i32,
    watch: Arc<FollowerWatch>,
    places: HashMap<u32, Key>,
    next_place: u32,
    /// What it has named since a fetch last looked.
    named: IndexSet<u32>,
}

/// The sessions of a broker.
#[derive(Debug)]
pub struct FetchSessions {
    slots: usize,
    sessions: Mutex<HashMap<i32, Arc<Mutex<State>>>>,
}

/// The session that one fetch belongs to, if any.
#[derive(Debug)]
pub(super) struct FetchSession {
    /// 0 for none.
    pub(super) id: i32,
    state: Option<Arc<Mutex<State>>>,
    /// The partitions of a fetch that names them all.
    listed: Vec<Wanted>,
    /// Every partition is answered for, changed or not.
    pub(super) is_full: bool,
    /// A follower's: how many bytes to answer with, where the session says so.
    pub(super) max_bytes: Option<i32>,
    /// A follower's that only tells where it stands: it gets its answer at once.
    pub(super) is_update: bool,
    /// A follower's: what notes which of its partitions change.
    pub(super) watch: Option<Arc<FollowerWatch>>,
}

impl FetchSessions {
    /// Room for `slots` sessions.
    pub fn new(slots: usize) -> Self {
        Self { slots, sessions: Mutex::default() }
    }

    /// Number of sessions.
    pub fn len(&self) -> usize {
        self.sessions.lock().len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Finds, opens or ends the session that `request` speaks of. A new one is opened for consumers, and for followers
    /// whose broker is `known` to the cluster, so that there are no more of those than brokers.
    pub(super) fn open(
        &self,
        request: &FetchRequest,
        version: i16,
        known: impl FnOnce(BrokerId) -> Option<BrokerEpoch>,
    ) -> Result<FetchSession, ErrorCode> {
        let (id, epoch) = (request.session_id, request.session_epoch);
        if epoch == FINAL || epoch == INITIAL {
            if id != 0 {
                self.sessions.lock().remove(&id);
            }
            let listed = listed(request);
            let watch = replica_of(request).map(|_| Arc::new(FollowerWatch::default()));
            let may_open = epoch == INITIAL && is_known(request, known);
            let opened = if may_open { self.create(&listed, request, version, watch.as_ref()) } else { None };
            let (id, state) = opened.map_or((0, None), |(id, state)| (id, Some(state)));
            return Ok(FetchSession { id, state, listed, is_full: true, max_bytes: None, is_update: false, watch });
        }
        let state = self.sessions.lock().get(&id).cloned().ok_or(ErrorCode::FETCH_SESSION_ID_NOT_FOUND)?;
        let ((max_bytes, is_update), watch) = {
            let mut state = state.lock();
            if state.epoch != epoch {
                return Err(ErrorCode::INVALID_FETCH_SESSION_EPOCH);
            }
            if state.by_id != (version >= 13) {
                return Err(ErrorCode::FETCH_SESSION_TOPIC_ID_ERROR);
            }
            state.update(request);
            let watch = state.replica.as_ref().map(|followed| Arc::clone(&followed.watch));
            (state.overtake(request), watch)
        };
        let (state, listed, is_full) = (Some(state), Vec::new(), false);
        Ok(FetchSession { id, state, listed, is_full, max_bytes, is_update, watch })
    }

    fn create(
        &self,
        listed: &[Wanted],
        request: &FetchRequest,
        version: i16,
        watch: Option<&Arc<FollowerWatch>>,
    ) -> Option<(i32, Arc<Mutex<State>>)> {
        let now = Instant::now();
        let replica = replica_of(request);
        let mut sessions = self.sessions.lock();
        if replica.is_some() {
            // The one before ended with its connection.
            sessions.retain(|_, state| state.lock().replica.as_ref().map(|followed| followed.by) != replica);
        } else if sessions.len() >= self.slots {
            let of_consumers = sessions.iter().filter(|(_, state)| state.lock().replica.is_none());
            let quietest = of_consumers.map(|(id, state)| (state.lock().last_used, *id)).min()?;
            if now - quietest.0 < QUIET {
                return None;
            }
            sessions.remove(&quietest.1);
        }
        let id = loop {
            let id = rand::random_range(1..i32::MAX);
            if !sessions.contains_key(&id) {
                break id;
            }
        };
        let followed = replica.zip(watch).map(|(by, watch)| Followed {
            by,
            watch: Arc::clone(watch),
            places: listed.iter().map(|wanted| (wanted.place, wanted.key())).collect(),
            next_place: listed.len() as u32,
            named: IndexSet::new(),
        });
        let partitions = listed.iter().map(|wanted| (wanted.key(), (wanted.clone(), Told::NOTHING))).collect();
        let state = State {
            epoch: 1,
            by_id: version >= 13,
            partitions,
            first: 0,
            last_used: now,
            replica: followed,
            max_bytes: request.max_bytes,
            parked: Weak::new(),
        };
        let state = Arc::new(Mutex::new(state));
        sessions.insert(id, Arc::clone(&state));
        Some((id, state))
    }
}

impl State {
    /// Takes in what the client changes.
    fn update(&mut self, request: &FetchRequest) {
        self.epoch = if self.epoch == i32::MAX { 1 } else { self.epoch + 1 };
        self.last_used = Instant::now();
        for mut wanted in listed(request) {
            let key = wanted.key();
            let known = self.partitions.get_mut(&key);
            if let Some(followed) = &mut self.replica {
                wanted.place = known.as_ref().map_or_else(|| followed.place(&key), |(known, _)| known.place);
                followed.named.insert(wanted.place);
            }
            match known {
                Some((known, _)) => *known = wanted,
                None => {
                    self.partitions.insert(key, (wanted, Told::NOTHING));
                }
            }
        }
        for topic in &request.forgotten_topics_data {
            for partition in &topic.partitions {
                let forgotten = self.partitions.shift_remove(&(topic.topic.clone(), topic.topic_id, *partition));
                if let (Some((wanted, _)), Some(followed)) = (forgotten, &mut self.replica) {
                    followed.places.remove(&wanted.place);
                }
            }
        }
    }

    /// What is wanted of a follower's partition, for a fetch that looks at it.
    fn look(&mut self, place: u32) -> Option<Wanted> {
        let key = self.replica.as_ref()?.places.get(&place)?;
        let (known, _) = self.partitions.get_mut(key)?;
        let wanted = known.clone();
        known.is_named = false;
        Some(wanted)
    }

    /// Has a follower's fetch take the place of the one that is parked. Gives the bytes to answer with, and whether the
    /// fetch is an update with nothing to take the place of: its records are on their way.
    fn overtake(&mut self, request: &FetchRequest) -> (Option<i32>, bool) {
        if self.replica.is_none() {
            return (None, false);
        }
        let was_parked = std::mem::take(&mut self.parked).upgrade().is_some_and(|parked| parked.interrupt());
        if request.max_bytes > 0 {
            self.max_bytes = request.max_bytes;
        }
        (Some(self.max_bytes), request.max_bytes == 0 && !was_parked)
    }
}

impl Followed {
    /// A place for a partition that has none yet.
    fn place(&mut self, key: &Key) -> u32 {
        let place = self.next_place;
        self.next_place += 1;
        self.places.insert(place, key.clone());
        place
    }
}

/// The follower that asks, if one does.
pub(super) fn replica_of(request: &FetchRequest) -> Option<i32> {
    Some(request.replica_id.max(request.replica_state.replica_id)).filter(|id| *id >= 0)
}

/// Whether the follower that asks, if one does, is a broker of the cluster. It may be of a later epoch than the one that
/// is `known`: what a broker has registered is with its leaders a moment later. Old versions tell no epoch.
fn is_known(request: &FetchRequest, known: impl FnOnce(BrokerId) -> Option<BrokerEpoch>) -> bool {
    let told = BrokerEpoch(request.replica_state.replica_epoch);
    let is_of = |id| known(BrokerId(id)).is_some_and(|epoch| told.0 < 0 || epoch <= told);
    replica_of(request).is_none_or(is_of)
}

impl FetchSession {
    /// The fetch is parked with `wait`, for the next one to take its place.
    pub(super) fn parked(&self, wait: &Arc<FetchWait>) {
        if let Some(state) = &self.state {
            let mut state = state.lock();
            if state.replica.is_some() {
                state.parked = Arc::downgrade(wait);
            }
        }
    }

    /// What this fetch is to read, in the order in which partitions have their turn.
    pub(super) fn wanted(&self) -> Vec<Wanted> {
        let Some(state) = self.state.as_ref().filter(|_| !self.is_full) else { return self.listed.clone() };
        let mut state = state.lock();
        if let Some(followed) = &mut state.replica {
            let mut places = followed.watch.take();
            places.extend(followed.named.drain(..));
            return places.into_iter().filter_map(|place| state.look(place)).collect();
        }
        let (first, count) = (state.first, state.partitions.len());
        let in_turn = (0..count).map(|n| (first + n) % count.max(1));
        let mut take = |n: usize| {
            let (_, (known, _)) = state.partitions.get_index_mut(n)?;
            let wanted = known.clone();
            known.is_named = false;
            Some(wanted)
        };
        in_turn.filter_map(&mut take).collect()
    }

    /// What is wanted of a follower's partition whose watch has noted a change; none if it is forgotten by now.
    pub(super) fn look(&self, place: u32) -> Option<Wanted> {
        match &self.state {
            Some(state) => state.lock().look(place),
            None => self.listed.get(place as usize).cloned().map(|wanted| Wanted { is_named: false, ..wanted }),
        }
    }

    /// Whether the client was told something else last than what is to be told `now`.
    pub(super) fn is_behind(&self, wanted: &Wanted, now: Told) -> bool {
        let Some(state) = &self.state else { return false };
        let state = state.lock();
        state.partitions.get(&wanted.key()).is_some_and(|(_, told)| *told != now)
    }

    /// Notes what the client is told now of a partition; whether that is a change, or `has_news` besides.
    pub(super) fn tell(&self, wanted: &Wanted, told: Told, has_news: bool) -> bool {
        let Some(state) = &self.state else { return true };
        let mut state = state.lock();
        let Some((place, _, (_, before))) = state.partitions.get_full_mut(&wanted.key()) else { return self.is_full };
        let changed = *before != told || told == Told::NOTHING;
        *before = told;
        if has_news {
            state.first = place + 1;
        }
        self.is_full || changed || has_news
    }
}

fn listed(request: &FetchRequest) -> Vec<Wanted> {
    let of_topic = |topic: &ottla_protocol::messages::fetch::FetchTopic| {
        let (name, id) = (topic.topic.clone(), topic.topic_id);
        topic.partitions.iter().map(move |partition| Wanted::new(&name, id, partition)).collect::<Vec<_>>()
    };
    let all = request.topics.iter().flat_map(of_topic).enumerate();
    all.map(|(place, wanted)| Wanted { place: place as u32, ..wanted }).collect()
}

#[cfg(test)]
mod tests {
    use ottla_protocol::messages::fetch::{FetchTopic, ForgottenTopic, ReplicaState};

    use super::*;

    /// The cluster has one broker, 2, registered in epoch 7.
    fn brokers(id: BrokerId) -> Option<BrokerEpoch> {
        (id == BrokerId(2)).then_some(BrokerEpoch(7))
    }

    fn request(id: i32, epoch: i32, partitions: &[i32]) -> FetchRequest {
        let partition = |n: &i32| FetchPartition { partition: *n, fetch_offset: 10, ..FetchPartition::default() };
        let topic = FetchTopic {
            topic: "t".into(),
            partitions: partitions.iter().map(partition).collect(),
            ..FetchTopic::default()
        };
        FetchRequest { session_id: id, session_epoch: epoch, topics: vec![topic], ..FetchRequest::default() }
    }

    fn partitions(session: &FetchSession) -> Vec<i32> {
        session.wanted().iter().map(|wanted| wanted.partition).collect()
    }

    const TOLD: Told = Told { high_watermark: 5, log_start: 0 };

    #[tokio::test(start_paused = true)]
    async fn a_session_remembers_what_was_asked_and_tells_changes_only() {
        let sessions = FetchSessions::new(10);
        let first = sessions.open(&request(0, 0, &[0, 1]), 12, brokers).unwrap();
        assert!(first.id > 0 && first.is_full);
        for wanted in first.wanted() {
            assert!(first.tell(&wanted, TOLD, false));
        }
        let next = sessions.open(&request(first.id, 1, &[]), 12, brokers).unwrap();
        assert_eq!(partitions(&next), [0, 1]);
        let wanted = next.wanted();
        assert!(!next.tell(&wanted[0], TOLD, false));
        assert!(next.tell(&wanted[1], Told { high_watermark: 6, ..TOLD }, false));
        assert!(next.tell(&wanted[0], TOLD, true), "records are news");
        let after = sessions.open(&request(first.id, 2, &[]), 12, brokers).unwrap();
        assert_eq!(partitions(&after), [1, 0], "the one that had records comes last");
    }

    #[tokio::test(start_paused = true)]
    async fn partitions_are_added_changed_and_forgotten() {
        let sessions = FetchSessions::new(10);
        let id = sessions.open(&request(0, 0, &[0, 1]), 12, brokers).unwrap().id;
        let forgotten = ForgottenTopic { topic: "t".into(), partitions: vec![0], ..ForgottenTopic::default() };
        let change = FetchRequest { forgotten_topics_data: vec![forgotten], ..request(id, 1, &[7]) };
        assert_eq!(partitions(&sessions.open(&change, 12, brokers).unwrap()), [1, 7]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_follower_is_read_what_it_names_and_what_its_watch_has_noted() {
        let sessions = FetchSessions::new(10);
        let of = |id, epoch, named: &[i32]| FetchRequest { replica_id: 2, ..request(id, epoch, named) };
        let first = sessions.open(&of(0, 0, &[0, 1, 2]), 12, brokers).unwrap();
        assert_eq!(partitions(&first), [0, 1, 2]);
        let (id, watch) = (first.id, first.watch.clone().unwrap());
        let idle = sessions.open(&of(id, 1, &[]), 12, brokers).unwrap();
        assert!(partitions(&idle).is_empty());
        watch.look_again(2);
        let next = sessions.open(&of(id, 2, &[1, 9]), 12, brokers).unwrap();
        assert_eq!(partitions(&next), [2, 1, 9], "what has waited comes first");
        assert_eq!(next.look(2).map(|wanted| wanted.partition), Some(2));
        let forgotten = ForgottenTopic { topic: "t".into(), partitions: vec![2], ..ForgottenTopic::default() };
        watch.look_again(2);
        let last = FetchRequest { forgotten_topics_data: vec![forgotten], ..of(id, 3, &[]) };
        assert!(partitions(&sessions.open(&last, 12, brokers).unwrap()).is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn wrong_ids_epochs_and_versions_are_refused() {
        let sessions = FetchSessions::new(10);
        let id = sessions.open(&request(0, 0, &[0]), 12, brokers).unwrap().id;
        let code = |id, epoch, version| sessions.open(&request(id, epoch, &[]), version, brokers).unwrap_err();
        assert_eq!(code(0, 5, 12), ErrorCode::FETCH_SESSION_ID_NOT_FOUND);
        assert_eq!(code(id, 9, 12), ErrorCode::INVALID_FETCH_SESSION_EPOCH);
        assert_eq!(code(id, 1, 13), ErrorCode::FETCH_SESSION_TOPIC_ID_ERROR);
        assert_eq!(sessions.open(&request(id, FINAL, &[0]), 12, brokers).unwrap().id, 0);
        assert_eq!(code(id, 1, 12), ErrorCode::FETCH_SESSION_ID_NOT_FOUND);
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_cache_evicts_only_what_has_been_quiet() {
        let sessions = FetchSessions::new(1);
        let old = sessions.open(&request(0, 0, &[0]), 12, brokers).unwrap().id;
        assert_eq!(sessions.open(&request(0, 0, &[0]), 12, brokers).unwrap().id, 0);
        tokio::time::advance(QUIET).await;
        let new = sessions.open(&request(0, 0, &[0]), 12, brokers).unwrap().id;
        assert!(new > 0 && new != old);
        assert_eq!(sessions.len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn only_brokers_of_the_cluster_have_sessions_without_a_slot() {
        let sessions = FetchSessions::new(0);
        let of = |replica_id, replica_epoch| {
            let replica_state = ReplicaState { replica_id, replica_epoch };
            let request = FetchRequest { replica_state, ..request(0, 0, &[0]) };
            sessions.open(&request, 17, brokers).unwrap()
        };
        for (id, epoch) in [(1, 7), (3, -1), (i32::MAX, i64::MAX), (2, 6)] {
            let refused = of(id, epoch);
            assert_eq!(
                (refused.id, partitions(&refused)),
                (0, vec![0]),
                "{id} in epoch {epoch} is read to all the same"
            );
        }
        assert!(sessions.is_empty());
        let first = of(2, 7).id;
        assert!(first > 0);
        assert_eq!(of(2, 6).id, 0);
        assert!(
            sessions.open(&request(first, 1, &[]), 17, brokers).is_ok(),
            "a request of an earlier uptime ends nothing"
        );
        for epoch in [7, 8, -1] {
            assert!(of(2, epoch).id > 0, "epoch {epoch}");
            assert_eq!(sessions.len(), 1);
        }
    }
}
