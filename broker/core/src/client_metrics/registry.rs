//! The client instances that a broker knows, in bounded memory.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::client::Client;
use super::instance::{Instance, Push, Refusal};
use super::subscription::{Offer, Subscriptions};

/// The most instances that are remembered; of more the one is forgotten that was heard of longest ago. A forgotten one is
/// taken for new, which costs nothing but that it may push early.
pub const MAX_INSTANCES: usize = 16_384;

/// How long an instance is remembered at least after it was heard of, and three of its intervals if that is longer.
const MIN_MEMORY: Duration = Duration::from_secs(60);

/// Ids that no client may have: zero asks for one, and one is that of Kafka's metadata topic.
const RESERVED: [Uuid; 2] = [Uuid::nil(), Uuid::from_u128(1)];

type Configured = BTreeMap<String, Arc<BTreeMap<String, String>>>;

/// See the module.
#[derive(Debug)]
pub struct Registry {
    max_bytes: usize,
    configured: Arc<Configured>,
    subscriptions: Subscriptions,
    /// How often the subscriptions have changed.
    version: u64,
    instances: HashMap<Uuid, Known>,
    /// The instances by when they were heard of last.
    by_use: BTreeMap<u64, Uuid>,
    uses: u64,
}

#[derive(Debug)]
struct Known {
    instance: Instance,
    /// Its key in `by_use`.
    used: u64,
    at: Duration,
}

impl Known {
    fn is_over(&self, now: Duration) -> bool {
        now.saturating_sub(self.at) > MIN_MEMORY.max(3 * self.instance.offer.push_interval)
    }
}

impl Registry {
    /// One without subscriptions that takes pushes of `max_bytes` at most (`telemetry.max.bytes`).
    pub fn new(max_bytes: usize) -> Self {
        Self {
            max_bytes,
            configured: Arc::default(),
            subscriptions: Subscriptions::default(),
            version: 0,
            instances: HashMap::new(),
            by_use: BTreeMap::new(),
            uses: 0,
        }
    }

    /// Goes by these subscriptions from now on. Costs nothing while they are the same `Arc`.
    pub fn heed(&mut self, configured: &Arc<Configured>) {
        if Arc::ptr_eq(&self.configured, configured) {
            return;
        }
        if self.configured != *configured {
            self.subscriptions = Subscriptions::read(configured);
            self.version += 1;
        }
        self.configured = Arc::clone(configured);
    }

    /// The client asks what to push at the monotonic time `now`.
    pub fn ask(&mut self, id: Uuid, client: Client, now: Duration) -> Result<Offer, Refusal> {
        let instance = self.instance(id, client, now);
        instance.ask(now)?;
        Ok(instance.offer.clone())
    }

    /// The client pushes at the monotonic time `now`; what it tells is to be handed on if this is no refusal.
    pub fn push(&mut self, id: Uuid, client: Client, push: Push, now: Duration) -> Result<(), Refusal> {
        if RESERVED.contains(&id) {
            return Err(Refusal::ReservedInstance);
        }
        let max_bytes = self.max_bytes;
        self.instance(id, client, now).push(push, max_bytes, now)
    }

    /// How many instances are remembered.
    pub fn len(&self) -> usize {
        self.instances.len()
    }

    /// Whether none is remembered.
    pub fn is_empty(&self) -> bool {
        self.instances.is_empty()
    }

    /// The instance `id`: the one that is known, or a new one where it comes by another connection, is offered something
    /// else by now, or has not been heard of for too long.
    fn instance(&mut self, id: Uuid, client: Client, now: Duration) -> &mut Instance {
        self.uses += 1;
        if let Some(known) = self.instances.get(&id) {
            self.by_use.remove(&known.used);
        }
        self.forget(&id, now);
        self.by_use.insert(self.uses, id);
        let (version, used, subscriptions) = (self.version, self.uses, &self.subscriptions);
        let fresh = |client| {
            let offer = subscriptions.offer(id, &client);
            Known { instance: Instance::new(client, offer, version), used, at: now }
        };
        let known = self.instances.entry(id).or_insert_with(|| fresh(client.clone()));
        let is_same = known.instance.version == version && known.instance.client == client && !known.is_over(now);
        if !is_same {
            *known = fresh(client);
        }
        (known.used, known.at) = (used, now);
        &mut known.instance
    }

    /// Makes room for `id`: forgets whom nothing was heard of for too long, and one more if it has to be.
    fn forget(&mut self, id: &Uuid, now: Duration) {
        let is_full = !self.instances.contains_key(id) && self.instances.len() >= MAX_INSTANCES;
        let mut must_go = usize::from(is_full);
        while let Some((used, oldest)) = self.by_use.first_key_value().map(|(used, oldest)| (*used, *oldest)) {
            let is_over = self.instances.get(&oldest).is_none_or(|known| known.is_over(now));
            if must_go == 0 && !is_over {
                break;
            }
            must_go = must_go.saturating_sub(1);
            self.by_use.remove(&used);
            self.instances.remove(&oldest);
        }
    }
}
