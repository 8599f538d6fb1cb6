//! Which brokers live, as the active controller knows from their sessions.
//!
//! A broken session is probed: a broker whose CONTROLLER listener refuses is dead and fenced at once; one that accepts
//! lives and has until the session time-out to come back; one that says nothing is fenced by the time-out. A new reign
//! begins with a fresh machine, which knows no session and so probes every broker that is in service. What is fenced is
//! always one uptime of a broker: a session of an earlier one says nothing about it.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use uuid::Uuid;

use crate::metadata::{Broker, Image};
use crate::{BrokerEpoch, BrokerId};

/// How long after a probe that proved nothing the next one is made.
const PROBE_AGAIN: Duration = Duration::from_millis(100);
/// How long a fencing may take to show in the image before it is asked for again.
const FENCE_AGAIN: Duration = Duration::from_secs(1);
/// The machine is ticked at least this often while it watches anyone.
const TICK: Duration = Duration::from_millis(500);
/// A tick later than this says that the controller itself was stopped or starved.
const LATE: Duration = Duration::from_millis(1500);

/// One stream of heartbeats, numbered by the driver in the order in which they are opened; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SessionId(pub u64);

/// What a dial to a broker's CONTROLLER listener came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probed {
    /// Its host refused: no such process.
    Refused,
    /// Somebody accepted: the process lives, or its successor does.
    Connected,
    /// No answer in time, or no way there.
    Silent,
}

/// What the machine is told.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// The cluster as it is now committed.
    Image(&'a Image),
    /// A heartbeat arrived. Each tells whose it is: the session may have been opened before this reign.
    Heard {
        /// The session.
        session: SessionId,
        /// The broker.
        broker: BrokerId,
        /// Its uptime.
        epoch: BrokerEpoch,
    },
    /// A session broke, or was ended by the broker.
    Closed(SessionId),
    /// A probe is done.
    Probed {
        /// Whom it was for.
        broker: BrokerId,
        /// The uptime that it was for.
        epoch: BrokerEpoch,
        /// What it came to.
        result: Probed,
    },
    /// Time has passed.
    Tick,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Dial the broker's CONTROLLER listener anew, and tell what came of it.
    Probe {
        /// The broker.
        broker: BrokerId,
        /// The uptime in question.
        epoch: BrokerEpoch,
    },
    /// Fence this uptime of the broker.
    Fence {
        /// The broker.
        broker: BrokerId,
        /// The uptime.
        epoch: BrokerEpoch,
        /// Why.
        reason: Reason,
    },
}

/// Why a broker is fenced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Its session broke, and its host refuses connections.
    Gone,
    /// It has not been heard for the session time-out.
    Silent,
    /// It had handed over and left.
    Left,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gone => "its session broke and nobody listens there",
            Self::Silent => "it has been silent for the session time-out",
            Self::Left => "it has handed over and left",
        })
    }
}

/// The sessions of one reign of a controller.
#[derive(Clone, Debug)]
pub struct Sessions {
    me: BrokerId,
    incarnation: Uuid,
    timeout: Duration,
    last: Duration,
    open: BTreeMap<SessionId, (BrokerId, BrokerEpoch)>,
    /// Brokers in service.
    watched: BTreeMap<BrokerId, Watched>,
}

#[derive(Clone, Debug)]
struct Watched {
    epoch: BrokerEpoch,
    session: Option<SessionId>,
    /// It is handing over what it leads, and will then end.
    stopping: bool,
    /// When it is fenced unless it is heard before.
    deadline: Duration,
    /// When to probe, while there is no session.
    probe_at: Option<Duration>,
}

impl Sessions {
    /// The sessions of a controller on broker `me`, whose process registers as `incarnation`. It fences after `timeout`
    /// (`broker.session.timeout.ms`).
    pub fn new(me: BrokerId, incarnation: Uuid, timeout: Duration, now: Duration) -> Self {
        Self { me, incarnation, timeout, last: now, open: BTreeMap::new(), watched: BTreeMap::new() }
    }

    /// Takes in an event at monotonic time `now`.
    pub fn handle(&mut self, now: Duration, event: Event<'_>) -> Vec<Effect> {
        self.forgive_own_absence(now);
        let mut effects = Vec::new();
        match event {
            Event::Image(image) => self.follow(now, image),
            Event::Heard { session, broker, epoch } => {
                self.open.insert(session, (broker, epoch));
                let watched = self.watched.get_mut(&broker).filter(|watched| watched.epoch == epoch);
                // Of two sessions the later one is the present one.
                if let Some(watched) = watched.filter(|watched| watched.session <= Some(session)) {
                    watched.session = Some(session);
                    watched.probe_at = None;
                    watched.deadline = now + self.timeout;
                }
            }
            Event::Closed(session) => {
                if let Some((broker, watched)) = self.of(session) {
                    watched.session = None;
                    if watched.stopping {
                        effects.push(watched.fence(now, broker, Reason::Left));
                    } else {
                        watched.probe_at = Some(now);
                    }
                }
                self.open.remove(&session);
            }
            Event::Probed { broker, epoch, result } => {
                let watched = self.watched.get_mut(&broker).filter(|watched| watched.epoch == epoch);
                if let Some(watched) = watched.filter(|watched| watched.session.is_none()) {
                    match result {
                        Probed::Refused => effects.push(watched.fence(now, broker, Reason::Gone)),
                        Probed::Connected | Probed::Silent => watched.probe_at = Some(now + PROBE_AGAIN),
                    }
                }
            }
            Event::Tick => {}
        }
        self.look_at_the_clock(now, &mut effects);
        effects
    }

    /// When the machine wants to be ticked.
    pub fn next_deadline(&self) -> Option<Duration> {
        let of = |watched: &Watched| watched.probe_at.map_or(watched.deadline, |at| at.min(watched.deadline));
        self.watched.values().map(of).min().map(|deadline| deadline.min(self.last + TICK))
    }

    /// A controller that was stopped for a while has heard nobody, which says nothing about them.
    fn forgive_own_absence(&mut self, now: Duration) {
        let absence = now.saturating_sub(self.last);
        self.last = now;
        if absence > LATE {
            self.watched.values_mut().for_each(|watched| watched.deadline += absence);
        }
    }

    fn follow(&mut self, now: Duration, image: &Image) {
        let in_service = |broker: BrokerId, epoch: BrokerEpoch| {
            image.broker(broker).is_some_and(|registered| registered.epoch == epoch && !registered.fenced)
        };
        self.watched.retain(|broker, watched| in_service(*broker, watched.epoch));
        // Of its own broker the controller knows that an uptime of another process is over. Nobody else would say so: with
        // other directories, as after the loss of a disk, its successor may register only once it is fenced.
        let is_own = |broker: &Broker| broker.id == self.me && broker.incarnation == self.incarnation;
        for broker in image.brokers().values().filter(|broker| !broker.fenced && !is_own(broker)) {
            let is_over = broker.id == self.me;
            let open = &self.open;
            let watched = self.watched.entry(broker.id).or_insert_with(|| {
                let own = |(_, of): &(&SessionId, &(BrokerId, BrokerEpoch))| **of == (broker.id, broker.epoch);
                let session = open.iter().rfind(own).map(|(session, _)| *session);
                Watched {
                    epoch: broker.epoch,
                    session,
                    stopping: false,
                    deadline: if is_over { now } else { now + self.timeout },
                    probe_at: session.is_none().then_some(now),
                }
            });
            watched.stopping = broker.in_controlled_shutdown;
        }
    }

    /// The broker whose present session this is.
    fn of(&mut self, session: SessionId) -> Option<(BrokerId, &mut Watched)> {
        let (broker, _) = *self.open.get(&session)?;
        let watched = self.watched.get_mut(&broker).filter(|watched| watched.session == Some(session))?;
        Some((broker, watched))
    }

    fn look_at_the_clock(&mut self, now: Duration, effects: &mut Vec<Effect>) {
        for (broker, watched) in &mut self.watched {
            if now >= watched.deadline {
                effects.push(watched.fence(now, *broker, Reason::Silent));
            } else if watched.probe_at.is_some_and(|at| now >= at) {
                // Its result sets the next one.
                watched.probe_at = None;
                effects.push(Effect::Probe { broker: *broker, epoch: watched.epoch });
            }
        }
    }
}

impl Watched {
    /// It stays watched until the image says that it is fenced.
    fn fence(&mut self, now: Duration, broker: BrokerId, reason: Reason) -> Effect {
        self.deadline = now + FENCE_AGAIN;
        self.probe_at = None;
        Effect::Fence { broker, epoch: self.epoch, reason }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Cluster, registration};
    use super::super::{BrokerHeartbeat, Wish};
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(3);

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    /// A cluster whose controller is broker 0, elected at time 0.
    struct Reign {
        cluster: Cluster,
        sessions: Sessions,
    }

    impl Reign {
        fn of(brokers: usize) -> Self {
            Self {
                cluster: Cluster::with_brokers(brokers),
                sessions: Sessions::new(BrokerId(0), Uuid::from_u128(1), TIMEOUT, ms(0)),
            }
        }

        /// A reign in which brokers 1… opened their sessions 1… at time 0.
        fn with_sessions(brokers: usize) -> Self {
            let mut reign = Self::of(brokers);
            for id in 1..i32::try_from(brokers).unwrap() {
                assert_eq!(reign.heard(0, u64::try_from(id).unwrap(), id), []);
            }
            assert_eq!(reign.image(0), []);
            reign
        }

        fn at(&mut self, now: u64, event: Event<'_>) -> Vec<Effect> {
            self.sessions.handle(ms(now), event)
        }

        fn image(&mut self, now: u64) -> Vec<Effect> {
            self.sessions.handle(ms(now), Event::Image(&self.cluster.image))
        }

        fn heard(&mut self, now: u64, session: u64, id: i32) -> Vec<Effect> {
            let epoch = self.cluster.epoch(id);
            self.at(now, Event::Heard { session: SessionId(session), broker: BrokerId(id), epoch })
        }

        fn probed(&mut self, now: u64, id: i32, result: Probed) -> Vec<Effect> {
            let epoch = self.cluster.epoch(id);
            self.at(now, Event::Probed { broker: BrokerId(id), epoch, result })
        }

        fn probe(&self, id: i32) -> Effect {
            Effect::Probe { broker: BrokerId(id), epoch: self.cluster.epoch(id) }
        }

        fn fence(&self, id: i32, reason: Reason) -> Effect {
            Effect::Fence { broker: BrokerId(id), epoch: self.cluster.epoch(id), reason }
        }
    }

    #[test]
    fn a_broken_session_is_probed_and_a_refusal_fences_at_once() {
        let mut reign = Reign::with_sessions(3);
        assert_eq!(reign.at(10, Event::Closed(SessionId(1))), [reign.probe(1)]);
        assert_eq!(reign.probed(11, 1, Probed::Refused), [reign.fence(1, Reason::Gone)]);
        assert_eq!(reign.probed(12, 2, Probed::Refused), [], "it has a session");
        reign.cluster.fence(1);
        assert_eq!(reign.image(13), []);
        reign.heard(14, 2, 2);
        assert_eq!(reign.sessions.next_deadline(), Some(ms(514)), "only broker 2 is watched");
    }

    #[test]
    fn a_process_that_lives_has_until_the_time_out_and_is_probed_until_then() {
        let mut reign = Reign::with_sessions(2);
        reign.heard(1000, 1, 1);
        assert_eq!(reign.at(1100, Event::Closed(SessionId(1))), [reign.probe(1)]);
        assert_eq!(reign.probed(1101, 1, Probed::Connected), []);
        assert_eq!(reign.at(1200, Event::Tick), []);
        assert_eq!(reign.at(1201, Event::Tick), [reign.probe(1)]);
        assert_eq!(reign.probed(1202, 1, Probed::Silent), []);
        assert_eq!(reign.heard(1250, 7, 1), []);
        assert_eq!(reign.at(1302, Event::Tick), [], "it is back");
        assert_eq!(reign.at(1400, Event::Closed(SessionId(7))), [reign.probe(1)]);
        for now in (1500..4250).step_by(250) {
            assert_eq!(reign.at(now, Event::Tick), []);
        }
        assert_eq!(reign.at(4250, Event::Tick), [reign.fence(1, Reason::Silent)]);
        assert_eq!(
            reign.at(5250, Event::Tick),
            [reign.fence(1, Reason::Silent)],
            "again, since the image does not show it"
        );
    }

    #[test]
    fn a_silent_session_is_fenced_by_the_time_out() {
        let mut reign = Reign::with_sessions(3);
        for now in (500..3000).step_by(500) {
            assert_eq!(reign.heard(now, 2, 2), []);
        }
        assert_eq!(reign.sessions.next_deadline(), Some(ms(3000)));
        assert_eq!(reign.at(3000, Event::Tick), [reign.fence(1, Reason::Silent)]);
    }

    #[test]
    fn a_session_that_was_opened_in_an_earlier_reign_is_known_by_its_next_heartbeat() {
        let mut reign = Reign::with_sessions(2);
        reign.sessions = Sessions::new(BrokerId(0), Uuid::from_u128(1), TIMEOUT, ms(1000));
        assert_eq!(reign.image(1000), [reign.probe(1)]);
        assert_eq!(reign.probed(1001, 1, Probed::Connected), []);
        for now in (1100..6000).step_by(500) {
            assert_eq!(reign.heard(now, 1, 1), []);
        }
        assert_eq!(reign.at(6000, Event::Closed(SessionId(1))), [reign.probe(1)], "its end is noticed as well");
    }

    #[test]
    fn a_new_controller_probes_every_broker_in_service_but_itself() {
        let mut reign = Reign::of(4);
        reign.cluster.fence(3);
        assert_eq!(reign.heard(5, 1, 2), []);
        assert_eq!(reign.image(10), [reign.probe(1)], "2 has come by itself, 3 is fenced");
        assert_eq!(reign.image(11), [], "one probe at a time");
        assert_eq!(reign.probed(12, 1, Probed::Refused), [reign.fence(1, Reason::Gone)]);
    }

    #[test]
    fn an_uptime_of_the_controllers_own_broker_that_is_another_process_is_fenced_at_once() {
        let mut reign = Reign::of(1);
        assert_eq!(reign.image(10), [], "its own");
        reign.sessions = Sessions::new(BrokerId(0), Uuid::from_u128(7), TIMEOUT, ms(20));
        assert_eq!(reign.image(20), [reign.fence(0, Reason::Silent)]);
        reign.cluster.fence(0);
        assert_eq!(reign.image(21), []);
    }

    #[test]
    fn the_end_of_an_earlier_uptime_fences_nobody() {
        let mut reign = Reign::with_sessions(2);
        let first = reign.cluster.epoch(1);
        reign.cluster.run(registration(1, 2)).unwrap();
        assert_eq!(reign.image(10), [], "it is fenced until it says that it serves");
        assert_eq!(reign.heard(20, 2, 1), []);
        reign.cluster.unfence(1);
        assert_eq!(reign.image(30), []);
        assert_eq!(reign.at(40, Event::Closed(SessionId(1))), []);
        assert_eq!(reign.at(41, Event::Probed { broker: BrokerId(1), epoch: first, result: Probed::Refused }), []);
        assert_eq!(reign.at(42, Event::Closed(SessionId(2))), [reign.probe(1)]);
    }

    #[test]
    fn an_older_session_that_ends_after_a_newer_was_opened_says_nothing() {
        let mut reign = Reign::with_sessions(2);
        assert_eq!(reign.heard(10, 2, 1), []);
        assert_eq!(reign.at(20, Event::Closed(SessionId(1))), []);
        assert_eq!(reign.heard(2990, 1, 1), []);
    }

    #[test]
    fn a_broker_that_has_handed_over_is_fenced_when_it_leaves() {
        let mut reign = Reign::with_sessions(2);
        let (broker, epoch, applied) = (BrokerId(1), reign.cluster.epoch(1), reign.cluster.image.index());
        reign.cluster.run(BrokerHeartbeat { broker, epoch, applied, wish: Wish::Stop }).unwrap();
        assert_eq!(reign.image(10), []);
        assert_eq!(reign.at(20, Event::Closed(SessionId(1))), [reign.fence(1, Reason::Left)]);
    }

    #[test]
    fn a_controller_that_was_away_blames_itself() {
        let mut reign = Reign::with_sessions(2);
        assert_eq!(reign.at(10_000, Event::Tick), []);
        assert_eq!(reign.heard(10_001, 1, 1), []);
        for now in (10_500..13_000).step_by(500) {
            assert_eq!(reign.at(now, Event::Tick), []);
        }
        assert_eq!(reign.at(13_001, Event::Tick), [reign.fence(1, Reason::Silent)]);
    }
}
