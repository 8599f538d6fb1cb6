//! What hostile clients may do to a broker process: nothing that another client notices. Others are answered within
//! [`ANSWERED`], memory grows by [`GROWTH`] at most, and nothing in the background dies of it.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]
#![expect(clippy::print_stderr, reason = "what is measured is worth reading")]

mod bombs;
mod dribblers;
mod mutants;
mod process;
mod watch;
mod wire;

use std::time::Duration;

/// How long anybody waits for an answer at most.
const ANSWERED: Duration = Duration::from_secs(2);
/// By how much the broker's memory may grow, in bytes.
const GROWTH: usize = 128 << 20;
