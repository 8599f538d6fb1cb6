//! Which of several operators works: the holder of a Lease.
//!
//! The rule is pure (`rule`), the gate (`gate`) is what every write to Kubernetes passes, and this shell asks and writes the
//! Lease. A holder that cannot renew stops writing well before another may take over, without being told.

mod gate;
mod rule;
#[cfg(test)]
mod tests;

use std::time::Duration;

use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
    jiff::Timestamp,
};
use kube::{Api, Client, api::PostParams};
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};
use tracing::{info, warn};

pub use gate::{Gate, fenced};
pub use rule::Terms;
use rule::{Candidate, Record, Step};

use crate::names::FIELD_MANAGER;

/// For one request about the Lease.
const REQUEST: Duration = Duration::from_secs(3);
/// Before the Lease is asked for again after a failure.
const BREATH: Duration = Duration::from_secs(1);

/// Where the Lease is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseName {
    /// Its namespace.
    pub namespace: String,
    /// metadata.name.
    pub name: String,
}

impl std::str::FromStr for LeaseName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('/') {
            Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() => {
                Ok(Self { namespace: namespace.to_owned(), name: name.to_owned() })
            }
            _ => Err("a lease is named as NAMESPACE/NAME".to_owned()),
        }
    }
}

/// One operator's part in the election.
pub struct Election {
    api: Api<Lease>,
    lease: LeaseName,
    candidate: Candidate,
    gate: Gate,
}

/// What became of one look at the Lease.
enum Round {
    /// It is held by this operator; to be renewed after that long.
    Held(Duration),
    /// Another one holds it; to be looked at again after that long.
    Waiting(Duration),
    /// Another one took it although this one held it.
    Deposed,
}

impl Election {
    /// The part of the operator called `me`, whose name no other may bear, in the election for `lease`.
    pub fn new(client: Client, lease: LeaseName, me: String, terms: Terms) -> Self {
        let api = Api::namespaced(client, &lease.namespace);
        Self { api, lease, candidate: Candidate::new(me, terms), gate: Gate::closed() }
    }

    /// The gate that is open while this operator may write.
    pub fn gate(&self) -> Gate {
        self.gate.clone()
    }

    /// Waits until this operator holds the Lease.
    pub async fn win(&mut self) {
        let mut said = false;
        loop {
            let pause = match self.round().await {
                Ok(Round::Held(_)) => {
                    info!(lease = %self.lease.name, "elected");
                    return;
                }
                Ok(Round::Waiting(pause)) => {
                    if !said {
                        info!(lease = %self.lease.name, "another operator is at work; standing by");
                        said = true;
                    }
                    pause
                }
                Ok(Round::Deposed) => BREATH,
                Err(error) => {
                    warn!(lease = %self.lease.name, %error, "the lease cannot be had");
                    BREATH
                }
            };
            sleep(pause).await;
        }
    }

    /// Renews the Lease until it is lost: taken by another, or not renewed in time.
    pub async fn hold(&mut self) {
        while let Some(until) = self.candidate.holds_until().filter(|until| Instant::now() < *until) {
            let pause = match timeout_at(until, self.round()).await {
                Ok(Ok(Round::Held(pause))) => pause,
                Ok(Ok(Round::Waiting(_) | Round::Deposed)) | Err(_) => break,
                Ok(Err(error)) => {
                    warn!(lease = %self.lease.name, %error, "the lease is not renewed, trying again");
                    BREATH
                }
            };
            let until = self.candidate.holds_until().unwrap_or(until);
            sleep_until(until.min(Instant::now() + pause)).await;
        }
        self.gate.close();
        warn!(lease = %self.lease.name, "the lease is lost");
    }

    /// Lets go of the Lease, so that another need not wait for its end. Best effort.
    pub async fn release(&mut self) {
        self.gate.close();
        let released = timeout(REQUEST, async {
            let Some(lease) = self.api.get_opt(&self.lease.name).await? else { return Ok(false) };
            let record = Record::of(&lease);
            if !self.candidate.is_holder(&record) {
                return Ok(false);
            }
            let spec = LeaseSpec {
                holder_identity: None,
                lease_duration_seconds: Some(1),
                renew_time: Some(MicroTime(Timestamp::now())),
                ..lease.spec.clone().unwrap_or_default()
            };
            self.put(Some(lease), spec).await.map(|()| true)
        });
        match released.await {
            Ok(Ok(true)) => info!(lease = %self.lease.name, "the lease is released"),
            Ok(Ok(false)) => {}
            Ok(Err(error)) => warn!(lease = %self.lease.name, %error, "the lease is not released"),
            Err(_) => warn!(lease = %self.lease.name, "the lease is not released in time"),
        }
    }

    /// Looks at the Lease, and writes it if that is due.
    async fn round(&mut self) -> kube::Result<Round> {
        let found = timeout(REQUEST, self.api.get_opt(&self.lease.name)).await.map_err(too_slow)??;
        let record = found.as_ref().map(Record::of);
        let began = Instant::now();
        match self.candidate.decide(began, record.as_ref()) {
            Step::Wait(pause) if self.candidate.holds_until().is_some() => Ok(Round::Held(pause)),
            Step::Wait(pause) => Ok(Round::Waiting(pause)),
            Step::Deposed => Ok(Round::Deposed),
            Step::Write { transitions, begins } => {
                let spec = self.spec(found.as_ref(), transitions, begins);
                timeout(REQUEST, self.put(found, spec)).await.map_err(too_slow)??;
                let until = self.candidate.wrote(began);
                self.gate.open_until(until);
                Ok(Round::Held(self.candidate.terms().renew_every))
            }
        }
    }

    fn spec(&self, found: Option<&Lease>, transitions: i32, begins: bool) -> LeaseSpec {
        let now = MicroTime(Timestamp::now());
        let acquired = found.and_then(|lease| lease.spec.as_ref()?.acquire_time.clone()).filter(|_| !begins);
        LeaseSpec {
            holder_identity: Some(self.candidate.name().to_owned()),
            lease_duration_seconds: i32::try_from(self.candidate.terms().lease.as_secs()).ok(),
            acquire_time: Some(acquired.unwrap_or_else(|| now.clone())),
            renew_time: Some(now),
            lease_transitions: Some(transitions),
            ..LeaseSpec::default()
        }
    }

    /// Writes in place of exactly the version that was looked at.
    async fn put(&self, found: Option<Lease>, spec: LeaseSpec) -> kube::Result<()> {
        let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        match found {
            Some(lease) => {
                let lease = Lease { spec: Some(spec), ..lease };
                self.api.replace(&self.lease.name, &params, &lease).await.map(drop)
            }
            None => {
                let metadata = ObjectMeta { name: Some(self.lease.name.clone()), ..ObjectMeta::default() };
                self.api.create(&params, &Lease { metadata, spec: Some(spec) }).await.map(drop)
            }
        }
    }
}

fn too_slow(_: tokio::time::error::Elapsed) -> kube::Error {
    kube::Error::Service("the API server did not answer in time".into())
}
