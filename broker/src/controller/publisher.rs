//! Makes each committed image this broker's own: first the replicas do what it asks of them and its quotas count, then all
//! others see it.

use std::sync::Arc;

use ottla_core::BrokerId;
use ottla_core::metadata::{Image, LocalChanges, local_changes};
use tokio::sync::watch;
use tracing::error;
use uuid::Uuid;

use crate::quota::Quotas;

/// From so many partitions on that one image changes here, the memory that this took for a moment is given back at once.
const MANY: usize = 1000;

/// What does the file work of a new image: the replica manager.
pub trait Replicas: Send + Sync + 'static {
    /// Does what leads to `image`, in the order of the fields of [`LocalChanges`]. May block. Returns when the
    /// partitions are usable; what fails for one partition must not stop the others.
    fn apply(&self, changes: &LocalChanges, image: &Arc<Image>);
}

/// Publishes committed images.
///
/// Until this uptime of the broker has been registered and unfenced, images are shown to watchers but not given to the
/// replicas: what an image says of the uptime before, such as what it led, is not for this one to do.
pub struct Publisher {
    me: BrokerId,
    incarnation: Uuid,
    committed: watch::Receiver<Arc<Image>>,
    published: watch::Sender<Arc<Image>>,
    replicas: Arc<dyn Replicas>,
    quotas: Arc<Quotas>,
    /// The image that the replicas have been brought to.
    local: Image,
    serving: bool,
}

impl Publisher {
    /// A publisher of what is `committed` for the broker `me` in the uptime that registers as `incarnation`.
    pub fn new(
        me: BrokerId,
        incarnation: Uuid,
        committed: watch::Receiver<Arc<Image>>,
        replicas: Arc<dyn Replicas>,
        quotas: Arc<Quotas>,
    ) -> Self {
        let published = watch::Sender::new(Arc::new(Image::default()));
        Self { me, incarnation, committed, published, replicas, quotas, local: Image::default(), serving: false }
    }

    /// What is published.
    pub fn published(&self) -> watch::Receiver<Arc<Image>> {
        self.published.subscribe()
    }

    /// Publishes until the log has stopped.
    pub async fn run(mut self) {
        self.committed.mark_changed();
        while self.committed.changed().await.is_ok() {
            let image = Arc::clone(&self.committed.borrow_and_update());
            if !self.publish(image).await {
                return;
            }
        }
    }

    /// Publishes one image; false when the replicas have failed in a way that cannot be gone on from.
    async fn publish(&mut self, image: Arc<Image>) -> bool {
        self.serving = self.serving || self.is_in_service(&image);
        let mut changed = 0;
        if self.serving {
            let changes = local_changes(&self.local, &image, self.me);
            if !changes.is_empty() {
                changed = changes.partitions();
                let (replicas, image) = (Arc::clone(&self.replicas), Arc::clone(&image));
                let work = tokio::task::spawn_blocking(move || replicas.apply(&changes, &image));
                if let Err(error) = work.await {
                    error!(%error, "cannot make the metadata this broker's own");
                    return false;
                }
            }
            self.local = Image::clone(&image);
        }
        self.quotas.follow(&image);
        self.published.send_replace(image);
        if changed >= MANY {
            tokio::task::spawn_blocking(crate::allocator::give_free_pages_back);
        }
        true
    }

    fn is_in_service(&self, image: &Image) -> bool {
        image.broker(self.me).is_some_and(|broker| broker.incarnation == self.incarnation && !broker.fenced)
    }
}
