//! How a person or a kubelet asks this process to end.

/// Ends on Ctrl-C, SIGTERM or when the terminal goes.
pub async fn asked_to_stop() {
    use tokio::signal::unix::{SignalKind, signal};
    let one = async |kind| match signal(kind) {
        Ok(mut signal) => {
            signal.recv().await;
        }
        Err(_) => std::future::pending().await,
    };
    tokio::select! {
        () = one(SignalKind::interrupt()) => {}
        () = one(SignalKind::terminate()) => {}
        () = one(SignalKind::hangup()) => {}
    }
}
