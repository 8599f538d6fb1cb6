//! Commands of clients whose quota of changes (KIP-599) is heeded: Kafka refuses what is beyond it from a version of the
//! request on, and only slows older clients down.

use std::time::Duration;

use ottla_core::controller::{Error, Operation};

use super::Context;
use crate::controller::SubmitError;
use crate::quota;

/// What the controller has decided, and how long it takes until the client's quota allows more.
pub(super) struct Decided<R> {
    pub(super) response: R,
    wait: Duration,
    is_strict: bool,
}

/// Has `operation` decided by the quota of the client, which understands a refusal from version `strict_since` on.
pub(super) async fn submit<O: Operation>(
    context: &Context,
    operation: O,
    patience: Duration,
    strict_since: i16,
) -> Result<Decided<O::Response>, SubmitError> {
    let is_strict = context.version >= strict_since;
    let by = quota::mutator(context.client_name(), is_strict);
    let (response, wait) = context.broker.controller.submit_for(by, operation, patience).await?;
    Ok(Decided { response, wait, is_strict })
}

impl<R> Decided<R> {
    /// Holds the client back if one of its `refusals` is for the quota, or if it was to be slowed down instead; gives for
    /// how many milliseconds.
    pub(super) fn throttle<'a>(&self, context: &Context, refusals: impl IntoIterator<Item = &'a Error>) -> i32 {
        let is_refused = refusals.into_iter().any(|error| *error == Error::ThrottlingQuotaExceeded);
        let wait = if is_refused || !self.is_strict { self.wait } else { Duration::ZERO };
        quota::hold_back(&context.peer, wait)
    }
}
