//! One client instance: what it was offered, and when it may ask and push.

use std::time::Duration;

use super::client::Client;
use super::subscription::Offer;

/// A push, without what it tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Push {
    /// The offer that it answers.
    pub subscription_id: i32,
    /// Whether it is the last of this client.
    pub terminating: bool,
    /// Whether there is a codec of the id that it names.
    pub codec_is_known: bool,
    /// How many bytes it has, as they came.
    pub bytes: usize,
}

/// Why a client is not offered anything, or a push is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// An id that no client may have.
    #[error("the client instance id is reserved")]
    ReservedInstance,
    /// It pushes after its last push.
    #[error("the client has pushed for the last time")]
    Terminated,
    /// It asks or pushes before its time.
    #[error("the push interval has not passed")]
    TooEarly,
    /// The push answers another offer than the present one; the client is to ask anew.
    #[error("the subscription is not the present one")]
    UnknownSubscription,
    /// There is no such codec.
    #[error("the compression type is unknown")]
    UnknownCodec,
    /// The push is larger than may be.
    #[error("the push is too large")]
    TooLarge,
}

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Instance {
    pub(super) client: Client,
    pub(super) offer: Offer,
    /// Which subscriptions the offer was made of.
    pub(super) version: u64,
    asked: Option<Duration>,
    pushed: Option<Duration>,
    terminated: bool,
    refused: Option<Refusal>,
}

impl Instance {
    /// One that has done nothing yet.
    pub(super) fn new(client: Client, offer: Offer, version: u64) -> Self {
        Self { client, offer, version, asked: None, pushed: None, terminated: false, refused: None }
    }

    /// It asks what to push. That is due once an interval, and after a push that was refused for what the answer tells.
    pub(super) fn ask(&mut self, now: Duration) -> Result<(), Refusal> {
        if self.is_due(self.asked.max(self.pushed), now) {
            self.asked = Some(now);
        } else if !matches!(self.refused, Some(Refusal::UnknownSubscription | Refusal::UnknownCodec)) {
            return Err(Refusal::TooEarly);
        }
        self.refused = None;
        Ok(())
    }

    /// It pushes. That is due once an interval, at once after it has asked, and at its end.
    pub(super) fn push(&mut self, push: Push, max_bytes: usize, now: Duration) -> Result<(), Refusal> {
        let outcome = self.check(push, max_bytes, now);
        self.terminated |= push.terminating;
        self.refused = outcome.err();
        outcome
    }

    fn check(&mut self, push: Push, max_bytes: usize, now: Duration) -> Result<(), Refusal> {
        if self.terminated {
            return Err(Refusal::Terminated);
        }
        // Clients spread their pushes around the interval, so the first one after an answer may come early.
        if self.asked > self.pushed || self.is_due(self.pushed, now) {
            self.pushed = Some(now);
        } else if !push.terminating {
            return Err(Refusal::TooEarly);
        }
        if push.subscription_id != self.offer.subscription_id {
            return Err(Refusal::UnknownSubscription);
        }
        if !push.codec_is_known {
            return Err(Refusal::UnknownCodec);
        }
        if push.bytes > max_bytes { Err(Refusal::TooLarge) } else { Ok(()) }
    }

    fn is_due(&self, last: Option<Duration>, now: Duration) -> bool {
        last.is_none_or(|last| now.saturating_sub(last) >= self.offer.push_interval)
    }
}
