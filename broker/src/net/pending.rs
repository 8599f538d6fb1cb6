//! Answers that come later.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::time::Instant;

use super::Step;

/// An answer that something else has to happen for first.
pub trait Pending: Send {
    /// Whether it is due; registers to be woken otherwise. Must not return [`Step::Wait`].
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Step>;

    /// When [`Pending::expire`] is to be called at the latest.
    fn deadline(&self) -> Option<Instant> {
        None
    }

    /// The answer to give now that the deadline has passed. Must not return [`Step::Wait`].
    fn expire(&mut self) -> Step;

    /// Whether the connection's next request may begin before this one is answered. True only where the order among
    /// them is fixed already, as for a produce that has been appended.
    fn may_overlap(&self) -> bool {
        false
    }
}

/// A [`Pending`] made of a future.
pub struct FuturePending(Pin<Box<dyn Future<Output = Step> + Send>>);

impl FuturePending {
    /// Waits for `future`.
    pub fn boxed(future: impl Future<Output = Step> + Send + 'static) -> Box<dyn Pending> {
        Box::new(Self(Box::pin(future)))
    }
}

impl Pending for FuturePending {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        self.0.as_mut().poll(cx)
    }

    fn expire(&mut self) -> Step {
        Step::NoAnswer
    }
}
