//! Who may write, and for how long: the rule of the election, without a clock or a network.
//!
//! Only one's own monotonic clock counts: a Lease of another is over once it stayed the same for its whole duration, and
//! one's own ends at a time after the last renewal *began* that is well within that duration. Times in the Lease are for
//! people. So at most one operator may write at a time, whatever their clocks say, as long as they run at about one rate.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use kube::ResourceExt;
use tokio::time::Instant;

/// The durations of an election.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// After that long without a renewal another may take over.
    pub lease: Duration,
    /// How often the holder renews.
    pub renew_every: Duration,
    /// How long after the beginning of its last renewal the holder writes: what is left of `lease` is for writes under way.
    pub writes_for: Duration,
    /// How often one that waits looks.
    pub look_every: Duration,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(15),
            renew_every: Duration::from_secs(2),
            writes_for: Duration::from_secs(10),
            look_every: Duration::from_secs(2),
        }
    }
}

/// What matters of a stored Lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its resourceVersion: another one is another renewal.
    pub version: String,
    /// Who holds it, if anybody does.
    pub holder: Option<String>,
    /// For how long it holds without a renewal.
    pub lease: Duration,
    /// How often it changed hands.
    pub transitions: i32,
}

impl Record {
    /// The record in `lease`. One that says no duration is over at once.
    pub fn of(lease: &Lease) -> Self {
        let spec = lease.spec.clone().unwrap_or_default();
        let seconds = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok()).unwrap_or(0);
        Self {
            version: lease.resource_version().unwrap_or_default(),
            holder: spec.holder_identity.filter(|holder| !holder.is_empty()),
            lease: Duration::from_secs(seconds),
            transitions: spec.lease_transitions.unwrap_or(0),
        }
    }
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Write the Lease in one's own name, in place of what was looked at.
    Write {
        /// How often it changed hands, this time included.
        transitions: i32,
        /// Whether that makes one the holder who was not.
        begins: bool,
    },
    /// Look again after that long.
    Wait(Duration),
    /// Another holds what one held: never write again.
    Deposed,
}

/// One operator in the election.
#[derive(Clone, Debug)]
pub struct Candidate {
    me: String,
    terms: Terms,
    /// The version of another's Lease, and since when it is the same.
    seen: Option<(String, Instant)>,
    /// When the last renewal that went through began.
    renewed: Option<Instant>,
}

impl Candidate {
    /// The one called `me`.
    pub fn new(me: String, terms: Terms) -> Self {
        Self { me, terms, seen: None, renewed: None }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.me
    }

    /// Its durations.
    pub fn terms(&self) -> Terms {
        self.terms
    }

    /// Whether `record` is in its name.
    pub fn is_holder(&self, record: &Record) -> bool {
        record.holder.as_deref() == Some(&self.me)
    }

    /// Until when it may write, if it was ever elected.
    pub fn holds_until(&self) -> Option<Instant> {
        self.renewed.map(|renewed| renewed + self.terms.writes_for)
    }

    /// What to do at `now`, with the Lease as it was just `found`.
    pub fn decide(&mut self, now: Instant, found: Option<&Record>) -> Step {
        let Some(record) = found else {
            return Step::Write { transitions: 0, begins: true };
        };
        if self.is_holder(record) {
            return match self.renewed {
                Some(renewed) if now < renewed + self.terms.renew_every => {
                    Step::Wait(renewed + self.terms.renew_every - now)
                }
                // Not renewed by this process: it is of one that had its name, and is gone.
                renewed => Step::Write { transitions: record.transitions, begins: renewed.is_none() },
            };
        }
        if self.renewed.is_some() {
            return Step::Deposed;
        }
        let take_over = Step::Write { transitions: record.transitions.saturating_add(1), begins: true };
        if record.holder.is_none() {
            return take_over;
        }
        let since = match &self.seen {
            Some((version, since)) if *version == record.version => *since,
            _ => {
                self.seen = Some((record.version.clone(), now));
                now
            }
        };
        let left = (since + record.lease).saturating_duration_since(now);
        if left.is_zero() { take_over } else { Step::Wait(left.min(self.terms.look_every)) }
    }

    /// A write that began at `began` went through: until when it may write now.
    pub fn wrote(&mut self, began: Instant) -> Instant {
        self.renewed = Some(began);
        began + self.terms.writes_for
    }
}
