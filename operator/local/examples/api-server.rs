//! The API server alone: `cargo run -p ottla-local --example api-server -- KUBECONFIG [DATA_DIR]`.
//!
//! Listens on a free port of 127.0.0.1, writes a kubeconfig for it, and serves until interrupted.

use std::path::PathBuf;

use anyhow::Context;
use ottla_local::{ApiServer, ApiServerConfig, kubeconfig};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut args = std::env::args_os().skip(1).map(PathBuf::from);
    let path = args.next().context("usage: api-server KUBECONFIG [DATA_DIR]")?;
    let server = ApiServer::new(ApiServerConfig { data_dir: args.next() })?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    std::fs::write(&path, kubeconfig(&format!("http://{}", listener.local_addr()?)))?;
    let shutdown = CancellationToken::new();
    let stop = shutdown.clone();
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            stop.cancel();
        }
    });
    server.serve(listener, shutdown).await?;
    Ok(())
}
