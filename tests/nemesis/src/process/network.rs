//! Addresses for brokers, and cuts between them.
//!
//! On loopback every broker has an address of its own, but the source of its packets cannot be told, so nothing can be
//! cut. As root, every broker gets a network namespace on a bridge; this program then runs in the namespace of the
//! bridge, and a cut is a packet filter where the packets arrive, so that each direction is cut by itself.

use std::net::Ipv4Addr;
use std::process::{Command, ExitStatus};

use anyhow::Context;
use rustix::process::{Pid, Signal, kill_process};
use tokio::signal::unix::{SignalKind, signal};

use super::disk::run;

/// How brokers reach each other.
#[derive(Clone, Debug)]
pub enum Network {
    /// 127.a.b.(id + 1).
    Loopback {
        /// The second and third byte, random per run so that runs do not meet.
        bytes: [u8; 2],
    },
    /// A namespace for each broker; its name is this and the broker's number.
    Namespaces {
        /// The namespace of the bridge.
        hub: String,
    },
}

/// Set for the process that runs inside the namespace of the bridge.
const INSIDE: &str = "OTTLA_NEMESIS_HUB";

impl Network {
    /// Addresses on loopback that other runs hardly have.
    pub fn loopback() -> Self {
        Self::Loopback { bytes: [rand::random_range(10..250), rand::random_range(1..250)] }
    }

    /// The network of the namespace that this process was started in by [`Network::reenter`], if it was.
    pub fn inside() -> Option<Self> {
        std::env::var(INSIDE).ok().map(|hub| Self::Namespaces { hub })
    }

    /// Makes namespaces for `brokers`, runs this program again inside of them, and removes them. `None` where namespaces
    /// cannot be made.
    pub fn reenter(brokers: usize) -> anyhow::Result<Option<ExitStatus>> {
        let hub = format!("ottla-{}", std::process::id());
        let namespaces = Namespaces { hub: hub.clone(), brokers };
        if namespaces.make().is_err() {
            return Ok(None);
        }
        let mut again = Command::new("unshare");
        // Mounts made inside go with the process, and those of brokers, which have mount namespaces too, follow them.
        again.args(["--mount", "--propagation", "private", "--", "sh", "-c"]);
        again.arg(r#"mount --make-rshared / && exec "$0" "$@""#).arg(std::env::current_exe()?);
        again.args(std::env::args_os().skip(1));
        let mut inside = in_namespace(&hub, &again);
        inside.env(INSIDE, &hub);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Some(runtime.block_on(to_its_end(inside)).context("cannot run inside the namespace")?))
    }

    /// The address of a broker.
    pub fn address(&self, broker: usize) -> Ipv4Addr {
        let last = broker as u8 + 1;
        match self {
            Self::Loopback { bytes: [a, b] } => Ipv4Addr::new(127, *a, *b, last),
            // For tests of networks (RFC 2544); exists only inside the namespaces.
            Self::Namespaces { .. } => Ipv4Addr::new(198, 18, 0, last),
        }
    }

    /// `program` as broker `broker`. The process it becomes is `program` itself, so signals reach it.
    pub fn command(&self, broker: usize, program: Command) -> Command {
        match self {
            Self::Loopback { .. } => program,
            Self::Namespaces { hub } => in_namespace(&name(hub, broker), &program),
        }
    }

    /// Whether packets can be cut.
    pub fn can_cut(&self) -> bool {
        matches!(self, Self::Namespaces { .. })
    }

    /// Drops everything that `from` sends to `to`; replies included, since they are packets too.
    pub fn cut(&self, from: usize, to: usize) -> anyhow::Result<()> {
        let source = self.address(from).to_string();
        self.filter(to, &["-A", "INPUT", "-s", &source, "-j", "DROP"])
    }

    /// Drops everything that the clients send to a broker.
    pub fn cut_clients(&self, to: usize) -> anyhow::Result<()> {
        self.filter(to, &["-A", "INPUT", "-s", &HUB.to_string(), "-j", "DROP"])
    }

    /// Ends every cut; returns how many packets they had dropped.
    pub fn heal(&self, brokers: usize) -> anyhow::Result<u64> {
        let mut dropped = 0;
        for broker in 0..brokers {
            dropped += self.dropped(broker)?;
            self.filter(broker, &["-F", "INPUT"])?;
        }
        Ok(dropped)
    }

    fn filter(&self, broker: usize, arguments: &[&str]) -> anyhow::Result<()> {
        let Self::Namespaces { hub } = self else { anyhow::bail!("nothing can be cut on loopback") };
        run(in_namespace(&name(hub, broker), &Command::new("iptables")).args(arguments))
    }

    fn dropped(&self, broker: usize) -> anyhow::Result<u64> {
        let Self::Namespaces { hub } = self else { return Ok(0) };
        let mut command = in_namespace(&name(hub, broker), &Command::new("iptables"));
        let output = command.args(["-L", "INPUT", "-n", "-v", "-x"]).output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        let counts = text.lines().filter(|line| line.contains(" DROP ")).filter_map(|line| {
            let packets = line.split_whitespace().next()?;
            packets.parse::<u64>().ok()
        });
        Ok(counts.sum())
    }
}

/// The address of the bridge, from which clients speak.
const HUB: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 254);

fn name(hub: &str, broker: usize) -> String {
    format!("{hub}-{broker}")
}

/// `nsenter` becomes the program, and unlike `ip netns exec` leaves the mounts as they are.
fn in_namespace(name: &str, program: &Command) -> Command {
    let mut command = Command::new("nsenter");
    command.arg(format!("--net=/run/netns/{name}")).arg("--").arg(program.get_program()).args(program.get_args());
    command
}

/// Runs a command and waits; what would end this process is passed on, since it has to clean up behind the other.
async fn to_its_end(command: Command) -> anyhow::Result<ExitStatus> {
    let mut terminated = signal(SignalKind::terminate())?;
    // A terminal sends this to both.
    let mut interrupted = signal(SignalKind::interrupt())?;
    let mut child = tokio::process::Command::from(command).spawn()?;
    loop {
        tokio::select! {
            status = child.wait() => return Ok(status?),
            _ = interrupted.recv() => {}
            _ = terminated.recv() => {
                let pid = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
                pid.map_or(Ok(()), |pid| kill_process(pid, Signal::TERM))?;
            }
        }
    }
}

/// Namespaces that are removed when dropped.
struct Namespaces {
    hub: String,
    brokers: usize,
}

impl Namespaces {
    fn make(&self) -> anyhow::Result<()> {
        let ip = |line: String| run(Command::new("ip").args(line.split(' ')));
        let hub = &self.hub;
        ip(format!("netns add {hub}"))?;
        ip(format!("-n {hub} link set lo up"))?;
        ip(format!("-n {hub} link add br0 type bridge"))?;
        ip(format!("-n {hub} addr add {HUB}/24 dev br0"))?;
        ip(format!("-n {hub} link set br0 up"))?;
        let network = Network::Namespaces { hub: hub.clone() };
        for broker in 0..self.brokers {
            let (name, address) = (name(hub, broker), network.address(broker));
            ip(format!("netns add {name}"))?;
            ip(format!("-n {name} link set lo up"))?;
            ip(format!("-n {hub} link add v{broker} type veth peer name eth0 netns {name}"))?;
            ip(format!("-n {hub} link set v{broker} master br0 up"))?;
            ip(format!("-n {name} addr add {address}/24 dev eth0"))?;
            ip(format!("-n {name} link set eth0 up"))?;
            network.filter(broker, &["-F", "INPUT"])?;
        }
        Ok(())
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        let names = (0..self.brokers).map(|broker| name(&self.hub, broker)).chain([self.hub.clone()]);
        for name in names {
            // One that was never made cannot be removed, and that is well.
            let _ = run(Command::new("ip").args(["netns", "del", &name]));
        }
    }
}
