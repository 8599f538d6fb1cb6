//! A whole operator with its watches, its queue and its waits, and those that follow when it dies.

use std::{sync::Arc, time::Duration};

use kube::api::ListParams;
use ottla_crds::{KafkaCluster, KafkaTopic};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{
    super::{mortal::Mortal, support::Bench},
    play::is_settled,
};
use crate::run_with;

/// How often somebody looks whether all is as it should be.
const LOOK: Duration = Duration::from_secs(1);
/// After how many looks it should be.
const LOOKS: usize = 1800;
/// For how long nothing is written to the world by an operator that has nothing to do.
const REST: Duration = Duration::from_secs(600);
/// How often that may be begun anew: what was done late, for one, has to be set right.
const RESTS: usize = 5;

/// One operator after another, against one world.
pub struct Lives {
    mortal: Arc<Mortal>,
    running: JoinSet<()>,
}

impl Lives {
    /// The first one begins.
    pub fn begin(bench: &Bench, mortal: &Arc<Mortal>) -> Self {
        let mut lives = Self { mortal: mortal.clone(), running: JoinSet::new() };
        lives.start(bench);
        lives
    }

    fn start(&mut self, bench: &Bench) {
        let context = bench.mortal_context(&self.mortal);
        let (client, config, connector) = (context.client.clone(), context.config.clone(), context.connector.clone());
        let running = run_with(client, config, connector, CancellationToken::new());
        self.running.spawn(async move { running.await.unwrap() });
    }

    /// Time passes; who dies meanwhile is followed by another.
    async fn pass(&mut self, bench: &Bench, time: Duration) {
        let until = Instant::now() + time;
        loop {
            tokio::select! {
                () = sleep_until(until) => return,
                ended = self.running.join_next() => panic!("the operator ended by itself: {ended:?}"),
                () = self.mortal.died() => {}
            }
            // Of one that dies while a write is on its way, only that write is left.
            if !self.mortal.holds_a_write() {
                self.running.shutdown().await;
            }
            self.start(bench);
        }
    }

    /// Until there were so many writes, or nothing is left to do.
    pub async fn work(&mut self, bench: &Bench, writes: usize) {
        let until = self.mortal.writes() + writes;
        for _ in 0..LOOKS {
            if self.mortal.writes() >= until {
                return;
            }
            self.pass(bench, LOOK / 20).await;
        }
    }

    /// Until everything is as it should be.
    pub async fn settle(&mut self, bench: &Bench, what: &str) {
        for _ in 0..LOOKS {
            self.pass(bench, LOOK).await;
            if is_settled(bench).await {
                return;
            }
        }
        self.give_up(bench, what).await;
    }

    /// From now on nothing goes wrong: all becomes as it should be, and then nothing is written any more.
    pub async fn come_to_rest(&mut self, bench: &Bench, what: &str) {
        self.mortal.end();
        for _ in 0..RESTS {
            self.settle(bench, what).await;
            let before = self.mortal.writes();
            let was_late = self.mortal.release();
            self.pass(bench, REST).await;
            if !was_late && self.mortal.writes() == before && is_settled(bench).await {
                return;
            }
        }
        self.give_up(bench, what).await;
    }

    async fn give_up(&self, bench: &Bench, what: &str) {
        let clusters = bench.api::<KafkaCluster>().list(&ListParams::default()).await.unwrap().items;
        let topics = bench.api::<KafkaTopic>().list(&ListParams::default()).await.unwrap().items;
        let effects = self.mortal.effects();
        panic!("{what} never came about after {effects:?}: {clusters:#?} {topics:#?} {:#?}", bench.kafka.state());
    }
}
