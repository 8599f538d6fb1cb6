//! Waiting for the process that worked in the log directories before.
//!
//! A pod that is deleted by force is replaced at once, while its process still hands over on the same disk. To end then
//! would look like a disk that fails, and would cost the time until the process is started again.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tracing::{info, warn};

/// A broker that stops in order hands over for up to half of it.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(100);

/// Waits until no other process works in `directories`. One that outlasts every patience is met when they are opened.
pub(super) async fn has_left(directories: &[PathBuf]) {
    wait_while(|| directories.iter().find(|path| ottla_storage::is_in_use(path)).map(PathBuf::as_path)).await;
}

async fn wait_while<'a>(in_use: impl Fn() -> Option<&'a Path>) {
    let Some(dir) = in_use() else { return };
    warn!(dir = %dir.display(), "another process works in this log directory: waiting until it has stopped");
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        sleep(PAUSE).await;
        if in_use().is_none() {
            info!(after = ?began.elapsed(), "the other process has stopped");
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// How long is waited for a directory that `looks` looks find in use.
    async fn waited_for(looks: u32) -> Duration {
        let (left, began) = (Cell::new(looks), Instant::now());
        wait_while(|| {
            let now = left.get();
            left.set(now.saturating_sub(1));
            (now > 0).then_some(Path::new("/data"))
        })
        .await;
        began.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_process_that_still_works_there_is_waited_for_but_not_for_ever() {
        assert_eq!(waited_for(0).await, Duration::ZERO);
        let soon = waited_for(5).await;
        assert!(soon >= PAUSE * 5 && soon < PAUSE * 6, "{soon:?}");
        let never = waited_for(u32::MAX).await;
        assert!(never >= PATIENCE && never < PATIENCE + PAUSE * 2, "{never:?}");
    }
}
