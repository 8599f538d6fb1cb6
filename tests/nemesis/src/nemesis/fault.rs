//! What can be done to a cluster.

use std::fmt;
use std::time::Duration;

use crate::process::Durability;

use super::lasting::{Blow, Lasting};
use super::target::Target;

/// A fault, before it is known which broker it hits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// SIGKILL, started again after a while.
    Kill(Target, Duration),
    /// SIGKILL of all, started again at once.
    KillAll,
    /// Cut from the clients as it is killed, for a while.
    CutFromClientsAndKill(Target, Duration),
    /// SIGKILL, and all that was not flushed is lost.
    LosePower(Target),
    /// The same for all at once.
    AllLosePower,
    /// Every call to its disk fails, of a flush too; it ends, and finds what had been flushed.
    FailDisk(Target),
    /// SIGTERM and start of one after the other.
    Roll,
    /// Something that lasts for a while.
    Last {
        /// What.
        lasting: Lasting,
        /// Of whom.
        target: Target,
        /// How long.
        length: Duration,
        /// What happens to another broker meanwhile.
        blow: Option<Blow>,
    },
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

/// What is left to chance.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chance {
    pub(super) target: Target,
    pub(super) length: Duration,
    /// Picks the lasting fault of a twofold one.
    pub(super) pick: usize,
}

impl Means {
    fn lasting(self) -> Vec<Lasting> {
        let mut lasting = vec![Lasting::Freeze];
        if self.network && self.replicated {
            lasting.extend([Lasting::Isolate, Lasting::Mute, Lasting::Deafen, Lasting::CutFromController]);
        }
        if self.disks {
            lasting.extend([Lasting::FillDisk, Lasting::StallDisk]);
        }
        lasting
    }
}

impl Fault {
    /// Every kind of fault that `means` allow.
    pub(super) fn all(means: Means, chance: Chance) -> Vec<Self> {
        let Chance { target, length, pick } = chance;
        let last = |lasting: Lasting, blow: Option<Blow>| Self::Last { lasting, target, length, blow };
        let lasting = means.lasting();
        let mut faults = vec![Self::Kill(target, length / 2), Self::KillAll, Self::Roll];
        faults.extend(lasting.iter().map(|lasting| last(*lasting, None)));
        let picked = lasting[pick % lasting.len()];
        if means.replicated {
            faults.push(last(picked, Some(Blow::Kill)));
        }
        if means.network && means.replicated {
            faults.push(Self::CutFromClientsAndKill(target, length / 2));
        }
        let fsync = means.durability == Durability::Fsync;
        if means.disks && (fsync || means.replicated && means.boots) {
            faults.extend([Self::LosePower(target), Self::FailDisk(target)]);
        }
        if means.disks && fsync {
            faults.push(Self::AllLosePower);
        }
        if means.disks && means.boots && means.replicated {
            faults.push(last(picked, Some(Blow::LosePower)));
        }
        faults
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kill(target, _) => write!(f, "kill {target}"),
            Self::KillAll => f.write_str("kill all"),
            Self::CutFromClientsAndKill(target, _) => write!(f, "cut {target} from clients and kill it"),
            Self::LosePower(target) => write!(f, "power loss of {target}"),
            Self::AllLosePower => f.write_str("power loss of all"),
            Self::FailDisk(target) => write!(f, "disk of {target} fails"),
            Self::Roll => f.write_str("rolling restart"),
            Self::Last { lasting, target, blow, .. } => {
                match lasting {
                    Lasting::Freeze => write!(f, "freeze {target}"),
                    Lasting::Isolate => write!(f, "isolate {target}"),
                    Lasting::Mute => write!(f, "mute {target}"),
                    Lasting::Deafen => write!(f, "deafen {target}"),
                    Lasting::CutFromController => write!(f, "cut {target} from the controller"),
                    Lasting::FillDisk => write!(f, "disk full of {target}"),
                    Lasting::StallDisk => write!(f, "disk of {target} stalls"),
                }?;
                blow.map_or(Ok(()), |blow| write!(f, " while another {blow}"))
            }
        }
    }
}
