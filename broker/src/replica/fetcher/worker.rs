//! The loop that follows one leader broker: connects, keeps the session going, connects again.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use ottla_protocol::ErrorCode;
use ottla_protocol::client::{ClientConfig, DirectConnection, Error as ClientError};
use ottla_protocol::messages::FetchRequest;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use super::session::{Brought, Session};
use super::{Context, Followed};

/// The first pause between two failed attempts, and the longest; the very first attempt after a failure is at once.
const PAUSE: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(500));
/// A leader that answers nothing for this much longer than it may hold an answer back is taken for gone.
const PATIENCE: Duration = Duration::from_secs(3);
/// After an answer with little in it, all of it to be flushed, the next fetch waits this long for the end of the flush,
/// to tell of it too. What the leader gets meanwhile would wait here for the same flush.
const FLUSH_AWAITED: Duration = Duration::from_millis(1);

/// Why a session ended.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("the broker is not registered, or has no listener for brokers")]
    NoAddress,
    #[error(transparent)]
    Connection(#[from] ClientError),
    #[error("the leader does not answer")]
    Silent,
    #[error("the leader ended the session: {0}")]
    Refused(ErrorCode),
}

/// The requests that have no answer yet, oldest first: their numbers, and when they were sent.
#[derive(Default)]
struct Out(VecDeque<(u64, Instant)>);

impl Out {
    /// When the leader has been silent for too long.
    fn deadline(&self, patience: Duration) -> Option<Instant> {
        self.0.front().map(|(_, sent)| *sent + patience)
    }
}

/// Follows until `shutdown`.
pub(super) async fn run(followed: Arc<Followed>, context: Arc<Context>, shutdown: CancellationToken) {
    let mut images = context.controller.watch();
    let mut pause = Duration::ZERO;
    loop {
        while followed.partitions.lock().is_empty() {
            followed.touched.lock().clear();
            if shutdown.run_until_cancelled(followed.wake.notified()).await.is_none() {
                return;
            }
        }
        let mut answered = false;
        let Some(ended) = shutdown.run_until_cancelled(follow(&followed, &context, &mut answered)).await else {
            return;
        };
        if answered {
            pause = Duration::ZERO;
        }
        match ended {
            Ok(()) => debug!(leader = %followed.leader, "nothing is followed here any more"),
            Err(error) => info!(leader = %followed.leader, %error, ?pause, "replication session ended"),
        }
        let waited = async {
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                // It may be a new address, or that nothing is to be followed here any more.
                Ok(()) = images.changed(), if pause > PAUSE.0 => {}
            }
        };
        if shutdown.run_until_cancelled(waited).await.is_none() {
            return;
        }
        pause = (pause * 2).clamp(PAUSE.0, PAUSE.1);
    }
}

/// One connection and the session on it, until it fails or nothing is left to be followed.
async fn follow(followed: &Followed, context: &Context, answered: &mut bool) -> Result<(), Ended> {
    let mut connection = connect(followed, context).await?;
    debug!(leader = %followed.leader, address = connection.address(), "replication session begins");
    let all: Vec<u64> = followed.partitions.lock().keys().copied().collect();
    followed.touched.lock().extend(all);
    let mut session = Session::default();
    let mut out = Out::default();
    let patience = context.settings.max_wait + PATIENCE;
    let mut silence = Box::pin(tokio::time::sleep(patience));
    // The update that is out will be answered at once: what it was to overtake has brought something.
    let mut is_settling = false;
    let mut flush_awaited: Option<Instant> = None;
    loop {
        let is_update = !out.0.is_empty();
        let may_send =
            flush_awaited.is_none() && (!is_update || (out.0.len() == 1 && session.is_open() && !is_settling));
        if may_send && let Some((number, request)) = session.next(followed, context, is_update) {
            connection.send(&request)?;
            out.0.push_back((number, Instant::now()));
        }
        if out.0.is_empty() && followed.partitions.lock().is_empty() {
            return Ok(());
        }
        let now = context.clock.now().monotonic;
        let resumes = session.resumes_at().map(|at| at.saturating_sub(now));
        tokio::select! {
            biased;
            response = connection.receive(), if !out.0.is_empty() => {
                *answered = true;
                let response = response?;
                let Some((number, _)) = out.0.pop_front() else { continue };
                let brought = session.answered(number, response, followed, context).map_err(Ended::Refused)?;
                is_settling = brought != Brought::Nothing && !out.0.is_empty();
                let awaits = brought == Brought::LittleToFlush && out.0.is_empty();
                flush_awaited = awaits.then(|| Instant::now() + FLUSH_AWAITED);
                continue;
            }
            () = followed.wake.notified() => {}
            () = tokio::time::sleep(resumes.unwrap_or_default()), if resumes.is_some() => {}
            () = until(flush_awaited), if flush_awaited.is_some() => {}
            // Set to a deadline only when it fires, so that a request that is answered in time costs no timer.
            () = &mut silence => {
                let deadline = out.deadline(patience);
                if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                    return Err(Ended::Silent);
                }
                silence.as_mut().reset(deadline.unwrap_or_else(|| Instant::now() + patience));
                continue;
            }
        }
        flush_awaited = None;
    }
}

async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

async fn connect(followed: &Followed, context: &Context) -> Result<DirectConnection<FetchRequest>, Ended> {
    let image = context.controller.image();
    let endpoint = image.broker(followed.leader).and_then(|broker| broker.endpoint(&context.listener));
    let endpoint = endpoint.ok_or(Ended::NoAddress)?;
    let config =
        ClientConfig { connect_timeout: PATIENCE, ..ClientConfig::new(format!("broker-{}-fetcher", context.me)) };
    Ok(DirectConnection::open(&endpoint.host, endpoint.port, &config).await?)
}
