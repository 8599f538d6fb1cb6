//! Trials of one fault each, for the gap that it leaves between acks: the roles of the brokers are arranged before each,
//! and a broker comes back only once acks flow everywhere without it.

use std::fmt;
use std::time::Duration;

use anyhow::ensure;

use super::harm::{self, Done};
use super::run::Scene;
use crate::process::{Assigned, Broker};

/// What is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trial {
    /// SIGKILL of a leader that is not the controller.
    KillLeader,
    /// SIGKILL of a broker that leads nothing and is not the controller.
    KillFollower,
    /// SIGKILL of the controller, which leads nothing.
    KillController,
    /// SIGKILL of the controller, which leads too.
    KillLeaderAndController,
    /// SIGSTOP of a leader that is not the controller.
    FreezeLeader,
    /// SIGTERM of a leader that is not the controller.
    TerminateLeader,
    /// SIGKILL of all brokers, which are started at once.
    KillAll,
}

impl Trial {
    /// All kinds.
    pub const ALL: [Self; 7] = [
        Self::KillLeader,
        Self::KillFollower,
        Self::KillController,
        Self::KillLeaderAndController,
        Self::FreezeLeader,
        Self::TerminateLeader,
        Self::KillAll,
    ];

    /// Who is hit, and who is to lead all that it can, when `controller` is in office. Trials of a kind take turns.
    fn roles(self, controller: usize, turn: usize, brokers: usize) -> Roles {
        let after = |steps: usize| (controller + steps) % brokers;
        let (one, other) = (after(1 + turn % 2), after(2 - turn % 2));
        match self {
            Self::KillLeader | Self::FreezeLeader | Self::TerminateLeader => Roles { victim: one, leader: one },
            Self::KillFollower => Roles { victim: one, leader: other },
            Self::KillController => Roles { victim: controller, leader: one },
            Self::KillLeaderAndController | Self::KillAll => Roles { victim: controller, leader: controller },
        }
    }
}

impl fmt::Display for Trial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::KillLeader => "kill −9 of a leader",
            Self::KillFollower => "kill −9 of a follower",
            Self::KillController => "kill −9 of the controller",
            Self::KillLeaderAndController => "kill −9 of leader = controller",
            Self::FreezeLeader => "SIGSTOP of a leader",
            Self::TerminateLeader => "SIGTERM of a leader",
            Self::KillAll => "kill −9 of all",
        })
    }
}

/// Who does what in a trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Roles {
    victim: usize,
    leader: usize,
}

/// Runs so many trials of each kind whose name contains `only`, kind after kind in each round.
pub(super) async fn run(scene: &mut Scene<'_>, only: &str, count: usize) -> anyhow::Result<()> {
    let kinds: Vec<Trial> = Trial::ALL.into_iter().filter(|kind| kind.to_string().contains(only)).collect();
    ensure!(!kinds.is_empty(), "no trial has a name like that");
    for turn in 0..count {
        eprintln!("round {} of {count}", turn + 1);
        for kind in &kinds {
            let begun = scene.recorder.now();
            let outcome = try_once(scene, *kind, turn).await;
            if !harm::take_back(scene, &kind.to_string(), begun, outcome).await {
                return Ok(());
            }
        }
    }
    Ok(())
}

async fn try_once(scene: &mut Scene<'_>, kind: Trial, turn: usize) -> anyhow::Result<Done> {
    let Roles { victim, .. } = arrange(scene, kind, turn).await?;
    scene.workload.acked_since(scene.recorder.now(), scene.patience).await?;
    let began = scene.recorder.now();
    match kind {
        Trial::KillAll => {
            harm::kill_all(scene.cluster)?;
            scene.cluster.brokers.iter_mut().try_for_each(Broker::start)?;
            let killed = (0..scene.cluster.brokers.len()).collect();
            return Ok(Done { began, evidence: "all ended by SIGKILL".into(), killed });
        }
        Trial::FreezeLeader => {
            scene.cluster.brokers[victim].process.freeze()?;
            let acked = scene.workload.acked_since(began, scene.patience).await;
            let frozen = scene.cluster.brokers[victim].process.is_frozen();
            scene.cluster.brokers[victim].process.thaw()?;
            acked?;
            ensure!(frozen, "broker {victim} did not stay frozen");
            return Ok(Done { began, evidence: format!("broker {victim} was stopped"), killed: Vec::new() });
        }
        Trial::TerminateLeader => harm::terminate(scene.cluster, victim, scene.patience).await?,
        _ => scene.cluster.brokers[victim].process.kill()?,
    }
    let acked = scene.workload.acked_since(began, scene.patience).await;
    scene.cluster.brokers[victim].start()?;
    acked?;
    Ok(Done { began, evidence: format!("broker {victim} ended"), killed: vec![victim] })
}

/// Has the brokers take their roles: the leader leads all that it holds, the victim nothing unless it is the leader.
async fn arrange(scene: &Scene<'_>, kind: Trial, turn: usize) -> anyhow::Result<Roles> {
    let brokers = scene.cluster.brokers.len();
    for _ in 0..5 {
        let controller = scene.cluster.controller().await?;
        let roles = kind.roles(controller, turn, brokers);
        let mut wanted: Vec<Assigned<'_>> = scene.assigned();
        wanted.iter_mut().for_each(|one| one.brokers.sort_by_key(|broker| place_in_line(*broker, roles)));
        scene.cluster.lead(&wanted, scene.patience).await?;
        // An election that was on its way shows by then.
        tokio::time::sleep(Duration::from_millis(100)).await;
        if scene.cluster.controller().await? == controller {
            return Ok(roles);
        }
    }
    anyhow::bail!("the controller does not stay the same for long enough")
}

/// Brokers lead in this order.
fn place_in_line(broker: usize, roles: Roles) -> usize {
    match broker {
        _ if broker == roles.leader => 0,
        _ if broker == roles.victim => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_hits_a_broker_of_the_roles_in_its_name() {
        for turn in 0..4 {
            for controller in 0..3 {
                for kind in Trial::ALL {
                    let Roles { victim, leader } = kind.roles(controller, turn, 3);
                    let name = kind.to_string();
                    assert_eq!(victim == controller, name.contains("controller") || kind == Trial::KillAll, "{name}");
                    assert_eq!(victim == leader, name.contains("leader") || kind == Trial::KillAll, "{name}");
                }
            }
        }
    }

    #[test]
    fn a_follower_that_is_hit_leads_nothing_that_another_can_lead() {
        let roles = Trial::KillFollower.roles(0, 0, 3);
        let mut line = vec![roles.victim, 0, roles.leader];
        line.sort_by_key(|broker| place_in_line(*broker, roles));
        assert_eq!(line, [roles.leader, 0, roles.victim]);
    }
}
