//! How far a broker is in its life, as its probes answer it.

use parking_lot::Mutex;

/// The states that probes tell apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Recovering logs and registering; the text says at what it is.
    Starting(String),
    /// Unfenced, with the metadata log caught up.
    Ready,
    /// Registered but fenced by the controller, or behind the metadata log.
    Fenced(String),
    /// Handing over and flushing.
    Stopping,
}

/// The current state; written by the composition root, read by the probes.
#[derive(Debug)]
pub struct Health(Mutex<State>);

impl Health {
    /// A broker that has just begun to start.
    pub fn new() -> Self {
        Self(Mutex::new(State::Starting("opening log directories".into())))
    }

    /// Enters `state`. Nothing comes after [`State::Stopping`].
    pub fn set(&self, state: State) {
        let mut now = self.0.lock();
        if *now != State::Stopping {
            *now = state;
        }
    }

    /// Whether the start is over: `/startupz`. The text is the answer's body.
    pub fn started(&self) -> Result<&'static str, String> {
        match &*self.0.lock() {
            State::Starting(at) => Err(format!("starting: {at}")),
            _ => Ok("started"),
        }
    }

    /// Whether clients may be sent here: `/readyz`.
    pub fn ready(&self) -> Result<&'static str, String> {
        match &*self.0.lock() {
            State::Ready => Ok("ready"),
            State::Starting(at) => Err(format!("starting: {at}")),
            State::Fenced(why) => Err(format!("fenced: {why}")),
            State::Stopping => Err("stopping".into()),
        }
    }
}

impl Default for Health {
    fn default() -> Self {
        Self::new()
    }
}
