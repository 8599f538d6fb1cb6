//! One broker of a cluster: its process, its disk and its address.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{bail, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::flavor::{CLIENT_PORT, HTTP_PORT};
use super::{Boot, Child, Disk, Flavor, Network};

/// A broker of a [`Cluster`](super::Cluster).
#[derive(Debug)]
pub struct Broker {
    /// Its number and `node.id`.
    pub id: usize,
    /// Its process.
    pub process: Child,
    /// Where its data is.
    pub disk: Disk,
    /// The boot id it sees, if that is not the kernel's.
    pub boot: Option<Boot>,
    pub(super) folder: PathBuf,
    pub(super) address: Ipv4Addr,
    pub(super) flavor: Flavor,
    pub(super) network: Network,
}

impl Broker {
    /// Where clients reach it.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((self.address, CLIENT_PORT))
    }

    /// The folder that has a folder for every replica.
    pub fn data(&self) -> PathBuf {
        self.disk.path().join("data")
    }

    /// What it wrote to its standard error, from every start.
    pub fn log(&self) -> PathBuf {
        self.folder.join("log")
    }

    /// The machine under its dead process starts anew, with what is on its disk.
    pub fn reboot(&self) -> anyhow::Result<()> {
        self.boot.iter().try_for_each(Boot::again)?;
        self.disk.remount()
    }

    /// Whether it is Ottla's.
    pub fn is_ottla(&self) -> bool {
        self.flavor.is_ottla()
    }

    /// Starts its process.
    pub fn start(&mut self) -> anyhow::Result<()> {
        let program = match &self.boot {
            Some(boot) => boot.command(self.flavor.program()),
            None => Command::new(self.flavor.program()),
        };
        let mut command = self.network.command(self.id, program);
        self.flavor.arguments(&mut command, &self.folder);
        self.process.start(&mut command)
    }

    /// Waits until it says that clients may come.
    pub async fn ready(&mut self, within: Duration) -> anyhow::Result<()> {
        let deadline = Instant::now() + within;
        loop {
            let why = match self.probe().await {
                Ok(()) => return Ok(()),
                Err(why) => why,
            };
            if let Some(status) = self.process.ended() {
                bail!("broker {} ended with {status}; see {}", self.id, self.log().display());
            }
            ensure!(Instant::now() < deadline, "broker {} is not ready after {within:?}: {why}", self.id);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn probe(&self) -> anyhow::Result<()> {
        if !self.flavor.is_ottla() {
            // Kafka has no probe: whether it is in the metadata, the cluster asks.
            return connect(self.address()).await.map(drop);
        }
        let mut stream = connect(SocketAddr::from((self.address, HTTP_PORT))).await?;
        let ask = async {
            stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: broker\r\nConnection: close\r\n\r\n").await?;
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await?;
            Ok::<_, std::io::Error>(String::from_utf8_lossy(&answer).into_owned())
        };
        let answer = tokio::time::timeout(Duration::from_secs(1), ask).await??;
        ensure!(answer.starts_with("HTTP/1.1 200"), "{}", answer.lines().last().unwrap_or_default());
        Ok(())
    }
}

async fn connect(address: SocketAddr) -> anyhow::Result<TcpStream> {
    Ok(tokio::time::timeout(Duration::from_secs(1), TcpStream::connect(address)).await??)
}
