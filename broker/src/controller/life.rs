//! This broker's side of its session with the active controller: says that it lives and what it wants, wherever the
//! controller is, for as long as the uptime lasts.
//!
//! A broker that was fenced goes on asking to serve. The session itself ends with the value, whose last act it is.

use std::sync::Arc;
use std::time::Duration;

use ottla_core::controller::{BrokerHeartbeat, Wish};
use ottla_core::metadata::{Broker, Image};
use ottla_core::{BrokerEpoch, BrokerId};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tracing::{debug, error, info, warn};

use super::handle::{ControllerHandle, SubmitError};
use super::log::{Role, other_than};
use super::proto::{Heartbeat, Status};

/// How long to wait before trying again unless the lead moves.
const RETRY: Duration = Duration::from_millis(20);
/// How long a broker that stops waits to hand over at most.
const HAND_OVER: Duration = Duration::from_secs(30);
/// It waits no longer than this for a controller to answer at all: an election takes a fraction of it.
const UNHEARD: Duration = Duration::from_secs(2);
/// For how long a broker that has handed over still tells its clients who leads instead.
const LINGER: Duration = Duration::from_millis(200);

/// Where this broker stands, as the controller said last.
#[derive(Clone, Copy, Debug, Default)]
struct Standing {
    may_stop: bool,
    superseded: bool,
    heard: Option<Instant>,
}

/// An uptime that is registered.
pub struct Life {
    me: Me,
    wish: watch::Sender<Wish>,
    standing: watch::Receiver<Standing>,
    task: JoinHandle<()>,
}

/// Who this is, and how to ask.
#[derive(Clone)]
struct Me {
    controller: ControllerHandle,
    broker: BrokerId,
    epoch: BrokerEpoch,
}

impl Life {
    /// Opens the session of the uptime that is registered as `epoch`, and wants to serve. A heartbeat is sent every
    /// `interval`.
    pub(super) fn begin(
        controller: ControllerHandle,
        broker: BrokerId,
        epoch: BrokerEpoch,
        interval: Duration,
    ) -> Self {
        let me = Me { controller, broker, epoch };
        let (wish, wishes) = watch::channel(Wish::Serve);
        let (told, standing) = watch::channel(Standing::default());
        let session = Session { me: me.clone(), wishes, told, interval };
        Self { me, wish, standing, task: tokio::spawn(session.run()) }
    }

    /// This uptime.
    pub fn epoch(&self) -> BrokerEpoch {
        self.me.epoch
    }

    /// Resolves once this broker is unfenced and has made its own what that means.
    pub async fn in_service(&self) -> Result<(), SubmitError> {
        let mut images = self.me.controller.watch();
        let served = images.wait_for(|image| self.me.registered(image).is_some_and(|broker| !broker.fenced)).await;
        served.map(drop).map_err(|_| SubmitError::Stopped)
    }

    /// Resolves once another process has registered this broker's id: this one has no place any more.
    pub async fn superseded(&self) {
        let mut images = self.me.controller.watch();
        let newer = |image: &Arc<Image>| image.broker(self.me.broker).is_some_and(|now| now.epoch > self.me.epoch);
        if images.wait_for(newer).await.is_err() {
            std::future::pending().await
        }
    }

    /// Resolves once the cluster has forgotten this uptime (UnregisterBroker) though the broker goes on: it has to begin
    /// anew. One that was cordoned is meant to leave, and waits to be stopped.
    pub async fn forgotten(&self) {
        let mut images = self.me.controller.watch();
        let mut is_cordoned = false;
        let is_gone = |image: &Arc<Image>| match image.broker(self.me.broker) {
            Some(now) => {
                is_cordoned = now.cordoned;
                false
            }
            None => !is_cordoned && i64::try_from(image.index().0).is_ok_and(|index| index >= self.me.epoch.0),
        };
        if images.wait_for(is_gone).await.is_err() {
            std::future::pending().await
        }
    }

    /// Controlled shutdown: has the controller give what this broker leads to others, and returns once that is done and
    /// clients were told. Returns without it when no controller answers, and when there is no other broker.
    pub async fn hand_over(&self) {
        let others = |image: &Image| image.brokers().values().any(|other| other.id != self.me.broker && !other.fenced);
        if !others(&self.me.controller.image()) {
            return;
        }
        info!("handing over");
        self.wish.send_replace(Wish::Stop);
        match timeout(HAND_OVER, self.released()).await {
            Ok(true) => info!("everything is handed over"),
            Ok(false) => warn!("no controller lets this broker go: stopping without having handed over"),
            Err(_) => warn!("could not hand over in time: stopping all the same"),
        }
    }

    /// Whether the controller let this broker go, rather than say nothing for long.
    async fn released(&self) -> bool {
        let (mut standing, begun) = (self.standing.clone(), Instant::now());
        loop {
            let Standing { may_stop, superseded, heard } = *standing.borrow_and_update();
            if superseded {
                return false;
            }
            if may_stop {
                break;
            }
            let heard = heard.map_or(begun, |heard| heard.max(begun));
            match tokio::time::timeout_at(heard + UNHEARD, standing.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) | Err(_) => return false,
            }
        }
        let mut images = self.me.controller.watch();
        let leads_nothing = |image: &Arc<Image>| self.me.registered(image).is_none_or(|me| !me.is_active());
        // What it resolves to locks the image for the publisher: it must not be kept while this waits.
        let seen = timeout(UNHEARD, images.wait_for(leads_nothing)).await.is_ok();
        sleep(LINGER).await;
        seen
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Me {
    fn registered<'a>(&self, image: &'a Image) -> Option<&'a Arc<Broker>> {
        image.broker(self.broker).filter(|broker| broker.epoch == self.epoch)
    }

    fn heartbeat(&self, wish: Wish) -> BrokerHeartbeat {
        BrokerHeartbeat { broker: self.broker, epoch: self.epoch, applied: self.controller.image().index(), wish }
    }

    /// Whether the image says otherwise than `wish`.
    fn wants_a_change(&self, image: &Image, wish: Wish) -> bool {
        self.registered(image).is_some_and(|me| match wish {
            Wish::Serve => me.fenced,
            Wish::Pause => !me.fenced,
            Wish::Stop => !me.in_controlled_shutdown,
        })
    }
}

/// The task that keeps the session.
struct Session {
    me: Me,
    wishes: watch::Receiver<Wish>,
    told: watch::Sender<Standing>,
    interval: Duration,
}

impl Session {
    async fn run(mut self) {
        let mut role = self.me.controller.leader();
        loop {
            let now = *role.borrow_and_update();
            tokio::select! {
                () = other_than(now, &mut role) => {}
                () = self.with(now) => {}
            }
            tokio::select! {
                changed = role.changed() => if changed.is_err() { return },
                () = sleep(RETRY) => {}
            }
        }
    }

    /// Keeps the session with whoever leads, while it lasts.
    async fn with(&mut self, leader: Role) {
        match leader {
            Role::Leader => self.at_home().await,
            Role::Follower { leader: Some(leader) } => self.abroad(leader).await,
            Role::Follower { leader: None } => std::future::pending().await,
        }
    }

    /// The controller is on this broker: what is to be said is said to it directly.
    async fn at_home(&mut self) {
        let mut images = self.me.controller.watch();
        loop {
            let wish = *self.wishes.borrow_and_update();
            let wants = self.me.wants_a_change(&images.borrow_and_update(), wish);
            if wants || (wish == Wish::Stop && !self.told.borrow().may_stop) {
                match self.me.controller.submit_within(self.me.heartbeat(wish), self.interval).await {
                    Ok(status) => self.hear(status.into()),
                    Err(error) => debug!(%error, "the heartbeat was not taken"),
                }
            }
            tokio::select! {
                changed = self.wishes.changed() => if changed.is_err() { return },
                changed = images.changed() => if changed.is_err() { return },
                () = sleep(self.interval) => {}
            }
        }
    }

    async fn abroad(&mut self, leader: BrokerId) {
        let Some(mut client) = self.me.controller.remote().client(leader) else { return };
        let (heartbeats, stream) = mpsc::channel(4);
        let wish = *self.wishes.borrow_and_update();
        // The first is on its way when the stream opens.
        let _ = heartbeats.try_send(Heartbeat::from(&self.me.heartbeat(wish)));
        let mut statuses = match client.session(ReceiverStream::new(stream)).await {
            Ok(response) => response.into_inner(),
            Err(status) => return debug!(%leader, %status, "no session"),
        };
        debug!(%leader, "the session is open");
        let mut images = self.me.controller.watch();
        let mut tick = interval(self.interval);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                status = statuses.message() => match status {
                    Ok(Some(status)) => {
                        self.hear(status);
                        continue;
                    }
                    Ok(None) => return debug!(%leader, "the session was ended"),
                    Err(status) => return debug!(%leader, %status, "the session broke"),
                },
                _ = tick.tick() => {}
                changed = self.wishes.changed() => if changed.is_err() { return },
                changed = images.changed() => {
                    let wish = *self.wishes.borrow();
                    let wants = self.me.wants_a_change(&images.borrow_and_update(), wish);
                    if changed.is_err() { return }
                    if !wants { continue }
                }
            }
            let wish = *self.wishes.borrow_and_update();
            // Full when the controller takes none: then it is for it to say that this broker is silent.
            let _ = heartbeats.try_send(Heartbeat::from(&self.me.heartbeat(wish)));
        }
    }

    fn hear(&self, status: Status) {
        if status.superseded && !self.told.borrow().superseded {
            error!(broker = %self.me.broker, epoch = %self.me.epoch, "this uptime is over: registered anew, or forgotten");
        }
        let Status { may_stop, superseded, .. } = status;
        self.told.send_replace(Standing { may_stop, superseded, heard: Some(Instant::now()) });
    }
}
