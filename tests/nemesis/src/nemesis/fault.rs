//! What can be done to a cluster.

use std::fmt;
use std::time::Duration;

use crate::process::Durability;

use super::target::Target;

/// A fault, before it is known which broker it hits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// SIGKILL, started again after a while.
    Kill(Target, Duration),
    /// SIGKILL of all, started again at once.
    KillAll,
    /// SIGSTOP for a while.
    Freeze(Target, Duration),
    /// Cut from all other brokers, both directions; clients still reach both sides.
    Isolate(Target, Duration),
    /// What it sends to other brokers is dropped; what they send arrives.
    Mute(Target, Duration),
    /// What other brokers send to it is dropped; what it sends arrives.
    Deafen(Target, Duration),
    /// Cut from the controller alone, both directions; a controller is cut from the next broker.
    CutFromController(Target, Duration),
    /// Cut from the clients as it is killed, for a while.
    CutFromClientsAndKill(Target, Duration),
    /// SIGKILL, and all that was not flushed is lost.
    LosePower(Target),
    /// The same for all at once.
    AllLosePower,
    /// No room on its disk for a while.
    FillDisk(Target, Duration),
    /// Every call to its disk fails, of a flush too; it ends, and finds what had been flushed.
    FailDisk(Target),
    /// Its disk answers nothing for a while: writes and flushes wait, and are done after it.
    StallDisk(Target, Duration),
    /// SIGTERM and start of one after the other.
    Roll,
}

/// What this machine and the cluster let us do.
#[derive(Clone, Copy, Debug)]
pub struct Means {
    /// Network namespaces.
    pub network: bool,
    /// A file system for each broker.
    pub disks: bool,
    /// A boot id for each broker: without one, what it lost with its power looks to it as if it were still there.
    pub boots: bool,
    /// Whether all may lose their power at once without losing what was acked.
    pub durability: Durability,
    /// Several brokers.
    pub replicated: bool,
    /// The longest freeze or cut.
    pub longest: Duration,
}

impl Fault {
    /// Every fault that `means` allow, for a random length and target.
    pub(super) fn all(means: Means, target: Target, length: Duration) -> Vec<Self> {
        let mut faults = vec![Self::Kill(target, length / 2), Self::KillAll, Self::Freeze(target, length), Self::Roll];
        if means.network && means.replicated {
            faults.extend([
                Self::Isolate(target, length),
                Self::Mute(target, length),
                Self::Deafen(target, length),
                Self::CutFromController(target, length),
                Self::CutFromClientsAndKill(target, length / 2),
            ]);
        }
        if means.disks {
            let fsync = means.durability == Durability::Fsync;
            if fsync || means.replicated && means.boots {
                faults.extend([Self::LosePower(target), Self::FailDisk(target)]);
            }
            if fsync {
                faults.push(Self::AllLosePower);
            }
            faults.extend([Self::FillDisk(target, length), Self::StallDisk(target, length)]);
        }
        faults
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kill(target, _) => write!(f, "kill {target}"),
            Self::KillAll => f.write_str("kill all"),
            Self::Freeze(target, _) => write!(f, "freeze {target}"),
            Self::Isolate(target, _) => write!(f, "isolate {target}"),
            Self::Mute(target, _) => write!(f, "mute {target}"),
            Self::Deafen(target, _) => write!(f, "deafen {target}"),
            Self::CutFromController(target, _) => write!(f, "cut {target} from the controller"),
            Self::CutFromClientsAndKill(target, _) => write!(f, "cut {target} from clients and kill it"),
            Self::LosePower(target) => write!(f, "power loss of {target}"),
            Self::AllLosePower => f.write_str("power loss of all"),
            Self::FillDisk(target, _) => write!(f, "disk full of {target}"),
            Self::FailDisk(target) => write!(f, "disk of {target} fails"),
            Self::StallDisk(target, _) => write!(f, "disk of {target} stalls"),
            Self::Roll => f.write_str("rolling restart"),
        }
    }
}
