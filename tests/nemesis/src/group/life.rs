//! A life of a member: the task that sends its heartbeats and notes what it owns, from its joining to its end.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, ensure};
use ottla_protocol::ErrorCode;
use ottla_protocol::client::Client;
use ottla_protocol::messages::{ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::ledger::Ledger;
use super::member::{Departure, Effect, Identity, Member};
use crate::history::Micros;

/// What all members have.
#[derive(Clone, Debug)]
pub(super) struct Shared {
    pub(super) client: Client,
    pub(super) ledger: Ledger,
    /// Heartbeats that were answered.
    pub(super) beats: Arc<AtomicU64>,
    /// How often a member was told that it is in the group no more.
    pub(super) fenced: Arc<AtomicU64>,
}

/// A member that lives; its end is awaited by [`Life::leave`] or [`Life::kill`].
#[derive(Debug)]
pub(super) struct Life {
    id: Arc<str>,
    ledger: Ledger,
    /// When it sent its last heartbeat.
    last_beat: Arc<AtomicU64>,
    departure: oneshot::Sender<Departure>,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Life {
    /// Begins to live.
    pub(super) fn begin(shared: &Shared, identity: Identity) -> Self {
        let id: Arc<str> = identity.id.as_str().into();
        let (departure, departed) = oneshot::channel();
        let last_beat = Arc::default();
        // A broker answers what comes over one connection in order, and members are processes of their own.
        let shared = Shared { client: shared.client.with_own_connections(), ..shared.clone() };
        let ledger = shared.ledger.clone();
        let living =
            Living { shared, id: Arc::clone(&id), last_beat: Arc::clone(&last_beat), member: Member::new(identity) };
        Self { id, ledger, last_beat, departure, task: tokio::spawn(living.run(departed)) }
    }

    /// Whether it ended without having been told to.
    pub(super) fn has_failed(&self) -> bool {
        self.task.is_finished()
    }

    /// Has it give everything up and say goodbye.
    pub(super) async fn leave(self, departure: Departure) -> anyhow::Result<()> {
        // Who does not listen has failed, which its outcome tells.
        let _ = self.departure.send(departure);
        self.task.await.context("a member panicked")?
    }

    /// Ends it in the midst of whatever it does; when it was last heard.
    pub(super) async fn kill(self) -> anyhow::Result<Micros> {
        self.task.abort();
        match self.task.await {
            Err(error) if error.is_cancelled() => {}
            Err(error) => return Err(error).context("a member panicked"),
            Ok(outcome) => outcome?,
        }
        self.ledger.release_all(&self.id);
        Ok(self.last_beat.load(Ordering::Relaxed))
    }
}

/// The inside of the task.
struct Living {
    shared: Shared,
    id: Arc<str>,
    last_beat: Arc<AtomicU64>,
    member: Member,
}

impl Living {
    async fn run(mut self, mut departed: oneshot::Receiver<Departure>) -> anyhow::Result<()> {
        loop {
            let pause = self.beat().await?;
            let departure = match tokio::time::timeout(pause, &mut departed).await {
                Err(_) => continue,
                Ok(departure) => departure.context("the member was forgotten")?,
            };
            // It has given everything up before it says so.
            self.shared.ledger.release_all(&self.id);
            let answer = self.send(&self.member.leave(departure)).await?;
            ensure!(answer.error_code == ErrorCode::NONE, "{} cannot leave: {:?}", self.id, answer.error_code);
            return Ok(());
        }
    }

    /// Sends a heartbeat and does what the answer says; when the next one is due.
    async fn beat(&mut self) -> anyhow::Result<Duration> {
        let answer = self.send(&self.member.beat()).await?;
        if matches!(answer.error_code, ErrorCode::FENCED_MEMBER_EPOCH | ErrorCode::UNKNOWN_MEMBER_ID) {
            self.shared.fenced.fetch_add(1, Ordering::Relaxed);
        }
        let mut pause = Duration::ZERO;
        for effect in self.member.answered(&answer)? {
            match effect {
                Effect::Release(partitions) => self.shared.ledger.release(&self.id, &partitions),
                Effect::Take(partitions) => self.shared.ledger.take(&self.id, &partitions),
                Effect::BeatIn(duration) => pause = duration,
            }
        }
        Ok(pause)
    }

    async fn send(&self, request: &ConsumerGroupHeartbeatRequest) -> anyhow::Result<ConsumerGroupHeartbeatResponse> {
        self.last_beat.store(self.shared.ledger.now(), Ordering::Relaxed);
        let answer = self.shared.client.send_to_coordinator(&request.group_id, request).await?;
        self.shared.beats.fetch_add(1, Ordering::Relaxed);
        Ok(answer)
    }
}
