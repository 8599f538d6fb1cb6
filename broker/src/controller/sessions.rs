//! Runs the controller's sessions where the metadata log is led: feeds [`sessions::Sessions`] with what streams, dials
//! and the image tell, dials whom it wants probed and has fenced whom it says is dead.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ottla_core::controller::sessions::{Effect, Event, Probed, SessionId, Sessions};
use ottla_core::controller::{BrokerHeartbeat, FenceBroker, Operation as _, Settings};
use ottla_core::metadata::Image;
use ottla_core::{BrokerEpoch, BrokerId};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};
use tracing::{debug, info, warn};
use uuid::Uuid;

use super::handle::{Pending, ask_driver};
use super::log::{Role, other_than};
use super::remote::Remote;

/// What the streams and dials tell the keeper.
#[derive(Clone, Copy, Debug)]
enum Note {
    Heard(SessionId, BrokerId, BrokerEpoch),
    Closed(SessionId),
    Probed(BrokerId, BrokerEpoch, Probed),
}

/// Where sessions announce themselves. Cheap to clone.
#[derive(Clone)]
pub(super) struct Doorbell {
    notes: mpsc::UnboundedSender<Note>,
    next: Arc<AtomicU64>,
}

impl Doorbell {
    /// A session of this uptime of `broker` begins with a heartbeat; it ends when what is returned is dropped.
    pub(super) fn ring(&self, broker: BrokerId, epoch: BrokerEpoch) -> Visitor {
        let session = SessionId(self.next.fetch_add(1, Ordering::Relaxed));
        let visitor = Visitor { broker, epoch, session, notes: self.notes.clone() };
        visitor.heard();
        visitor
    }
}

/// A session that is open.
pub(super) struct Visitor {
    broker: BrokerId,
    epoch: BrokerEpoch,
    session: SessionId,
    notes: mpsc::UnboundedSender<Note>,
}

impl Visitor {
    /// Whether the heartbeat is of the uptime that opened the session.
    pub(super) fn is(&self, heartbeat: &BrokerHeartbeat) -> bool {
        (heartbeat.broker, heartbeat.epoch) == (self.broker, self.epoch)
    }

    /// A heartbeat came.
    pub(super) fn heard(&self) {
        // Without a keeper this node stops, and nobody is fenced by it.
        let _ = self.notes.send(Note::Heard(self.session, self.broker, self.epoch));
    }
}

impl Drop for Visitor {
    fn drop(&mut self) {
        let _ = self.notes.send(Note::Closed(self.session));
    }
}

/// Watches over the other brokers while this node leads.
pub(super) struct Keeper {
    me: BrokerId,
    incarnation: Uuid,
    settings: Settings,
    role: watch::Receiver<Role>,
    committed: watch::Receiver<Arc<Image>>,
    local: mpsc::Sender<Pending>,
    remote: Remote,
    notes: mpsc::UnboundedReceiver<Note>,
    /// For dials to tell what they came to.
    answers: mpsc::UnboundedSender<Note>,
    start: Instant,
}

impl Keeper {
    /// The keeper on broker `me`, in the process that registers as `incarnation`, and where sessions announce themselves.
    pub(super) fn new(
        (me, incarnation): (BrokerId, Uuid),
        settings: Settings,
        role: watch::Receiver<Role>,
        committed: watch::Receiver<Arc<Image>>,
        (local, remote): (mpsc::Sender<Pending>, Remote),
    ) -> (Self, Doorbell) {
        let (answers, notes) = mpsc::unbounded_channel();
        let doorbell = Doorbell { notes: answers.clone(), next: Arc::default() };
        (
            Self { me, incarnation, settings, role, committed, local, remote, notes, answers, start: Instant::now() },
            doorbell,
        )
    }

    /// Keeps watch in every reign of this node, until the metadata log has stopped.
    pub(super) async fn run(mut self) {
        loop {
            if self.role.wait_for(|role| *role == Role::Leader).await.is_err() {
                return;
            }
            self.reign().await;
        }
    }

    async fn reign(&mut self) {
        let mut sessions = Sessions::new(self.me, self.incarnation, self.settings.session_timeout(), self.now());
        self.committed.mark_changed();
        loop {
            let tick = sessions.next_deadline().map(|deadline| self.start + deadline);
            let effects = tokio::select! {
                () = other_than(Role::Leader, &mut self.role) => return,
                Some(note) = self.notes.recv() => sessions.handle(self.now(), event(note)),
                Ok(()) = self.committed.changed() => {
                    let image = Arc::clone(&self.committed.borrow_and_update());
                    sessions.handle(self.now(), Event::Image(&image))
                }
                () = wake_at(tick) => sessions.handle(self.now(), Event::Tick),
            };
            effects.into_iter().for_each(|effect| self.perform(effect));
        }
    }

    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    fn perform(&self, effect: Effect) {
        match effect {
            Effect::Probe { broker, epoch } => {
                let (remote, answers) = (self.remote.clone(), self.answers.clone());
                tokio::spawn(async move {
                    let result = probe(&remote, broker).await;
                    debug!(%broker, ?result, "probed");
                    let _ = answers.send(Note::Probed(broker, epoch, result));
                });
            }
            Effect::Fence { broker, epoch, reason } => {
                warn!(%broker, %epoch, %reason, "fencing a broker");
                let local = self.local.clone();
                tokio::spawn(async move {
                    match ask_driver(&local, FenceBroker { broker, epoch }.into_command()).await.map(|a| a.result) {
                        Ok(Ok(_)) => info!(%broker, %epoch, "fenced"),
                        Ok(Err(refusal)) => debug!(%broker, %refusal, "it needed no fencing"),
                        // Whoever leads now probes it as well.
                        Err(why) => debug!(%broker, ?why, "could not fence"),
                    }
                });
            }
        }
    }
}

fn event(note: Note) -> Event<'static> {
    match note {
        Note::Heard(session, broker, epoch) => Event::Heard { session, broker, epoch },
        Note::Closed(session) => Event::Closed(session),
        Note::Probed(broker, epoch, result) => Event::Probed { broker, epoch, result },
    }
}

async fn wake_at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

async fn probe(remote: &Remote, broker: BrokerId) -> Probed {
    let Some(address) = remote.address_of(broker) else { return Probed::Silent };
    match remote.peers().probe(&address).await {
        Ok(()) => Probed::Connected,
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Probed::Refused,
        Err(_) => Probed::Silent,
    }
}
