//! How many batches are unpacked at a time: what a batch expands to is bounded, yet takes a thread for a while, and many
//! of them at once would leave none for other clients.

use std::thread::available_parallelism;

use tokio::runtime::Handle;
use tokio::sync::Semaphore;

/// Permits to unpack, given in the order they are asked for.
#[derive(Debug)]
pub struct Unpacking(Semaphore);

impl Default for Unpacking {
    /// Leaves half of the processors to everything else.
    fn default() -> Self {
        Self(Semaphore::new(available_parallelism().map_or(1, |count| count.get() / 2).max(1)))
    }
}

impl Unpacking {
    /// Runs `unpack` on this thread, once it is its turn; the thread's other tasks go on elsewhere meanwhile.
    pub fn in_place<T>(&self, unpack: impl FnOnce() -> T) -> T {
        tokio::task::block_in_place(|| {
            let _permit = Handle::current().block_on(self.0.acquire());
            unpack()
        })
    }

    /// Runs `unpack` on a thread for blocking work, once it is its turn.
    pub async fn apart<T: Send + 'static>(&self, unpack: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let _permit = self.0.acquire().await;
        tokio::task::spawn_blocking(unpack).await.ok()
    }
}
