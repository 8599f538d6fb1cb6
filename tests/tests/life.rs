//! The life of brokers in a whole cluster: who is found dead, how fast, and who leads then.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ottla_broker::controller::ControllerHandle;
use ottla_core::controller::{CreateTopics, NewTopic, PartitionAssignment};
use ottla_core::metadata::Image;
use ottla_core::{BrokerId, TopicId};
use ottla_tests::cluster::Cluster;
use uuid::Uuid;

/// How many times each end is tried.
const TRIALS: usize = 10;

fn id(broker: usize) -> BrokerId {
    BrokerId(i32::try_from(broker).unwrap())
}

/// A topic with one partition, led by the first of `brokers`.
async fn create(controller: &ControllerHandle, name: &str, brokers: &[usize]) {
    let brokers = brokers.iter().map(|broker| id(*broker)).collect();
    let assignments = vec![PartitionAssignment { partition: 0, brokers }];
    let topic = NewTopic { assignments, ..NewTopic::with_defaults(name, TopicId(Uuid::new_v4())) };
    let answer = controller.submit(CreateTopics { topics: vec![topic], validate_only: false }).await.unwrap();
    answer[0].1.as_ref().unwrap();
}

fn leader(image: &Image, topic: &str) -> BrokerId {
    image.topic(topic).unwrap().partition(0).unwrap().leader
}

fn in_service(image: &Image, broker: usize) -> bool {
    image.broker(id(broker)).is_some_and(|broker| broker.is_active())
}

async fn all_in_service(cluster: &Cluster) {
    let count = cluster.size();
    let everywhere = || (0..count).all(|on| (0..count).all(|of| in_service(&cluster.image(on), of)));
    cluster.until("all are in service", everywhere).await;
}

/// How long after `begun` the image of `watcher` has `topic` led by another than `dead`.
fn led_anew(cluster: &Cluster, watcher: usize, topic: &str, dead: usize) -> tokio::task::JoinHandle<Instant> {
    let mut images = cluster.node(watcher).unwrap().broker().controller.watch();
    let topic = topic.to_owned();
    tokio::spawn(async move {
        let elsewhere = |image: &Arc<Image>| {
            let leader = leader(image, &topic);
            leader != id(dead) && leader != BrokerId::NONE && !in_service(image, dead)
        };
        drop(images.wait_for(elsewhere).await.unwrap());
        Instant::now()
    })
}

fn report(what: &str, mut took: Vec<Duration>) -> Duration {
    took.sort();
    let (median, worst) = (took[took.len() / 2], took[took.len() - 1]);
    println!("{what}: median {median:?}, worst {worst:?} of {}", took.len());
    median
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn topics_are_created_from_any_broker_and_usable_where_it_is_answered() {
    let cluster = Cluster::start(3).await;
    all_in_service(&cluster).await;
    for on in 0..3 {
        let controller = &cluster.node(on).unwrap().broker().controller;
        let name = format!("from-{on}");
        create(controller, &name, &[on, (on + 1) % 3]).await;
        assert_eq!(leader(&controller.image(), &name), id(on));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_broker_is_fenced_and_its_partitions_led_anew_at_once() {
    let mut cluster = Cluster::start(3).await;
    let (mut plain, mut controllers) = (Vec::new(), Vec::new());
    for trial in 0..2 * TRIALS {
        all_in_service(&cluster).await;
        let controller = cluster.controller().await;
        let of_the_controller = trial % 2 == 1;
        let victim = if of_the_controller { controller } else { (controller + 1) % 3 };
        let (watcher, topic) = ((victim + 1) % 3, format!("trial-{trial}"));
        create(&cluster.node(watcher).unwrap().broker().controller, &topic, &[victim, watcher]).await;
        let seen = led_anew(&cluster, watcher, &topic, victim);
        let begun = Instant::now();
        cluster.kill(victim);
        let took = ottla_tests::cluster::within("it is led anew", seen).await.unwrap() - begun;
        if of_the_controller {
            controllers.push(took)
        } else {
            plain.push(took)
        }
        cluster.start_broker(victim).await.unwrap();
    }
    // The figures are for a machine with nothing else to do; the bounds leave room for one that has.
    assert!(report("broker killed → fenced and led anew", plain) < Duration::from_secs(1));
    assert!(report("controller killed → fenced and led anew", controllers) < Duration::from_secs(2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_stops_in_order_hands_over_before_it_closes() {
    let mut cluster = Cluster::start(3).await;
    let mut took = Vec::new();
    for victim in 0..3 {
        all_in_service(&cluster).await;
        let (watcher, topic) = ((victim + 1) % 3, format!("handed-over-by-{victim}"));
        create(&cluster.node(watcher).unwrap().broker().controller, &topic, &[victim, watcher]).await;
        let mut images = cluster.node(watcher).unwrap().broker().controller.watch();
        let seen = tokio::spawn(async move {
            let handed_over = images.wait_for(|image| leader(image, &topic) == id(watcher)).await.unwrap();
            // It was handed over by a broker that was in service still.
            (Instant::now(), handed_over.broker(id(victim)).is_some_and(|broker| !broker.fenced))
        });
        let begun = Instant::now();
        cluster.stop(victim).await;
        let (at, in_order) = seen.await.unwrap();
        assert!(in_order, "broker {victim} was fenced before it handed over");
        took.push(at - begun);
        let gone = || {
            !in_service(&cluster.image(watcher), victim)
                && cluster.image(watcher).broker(id(victim)).is_some_and(|b| b.fenced)
        };
        cluster.until("it is fenced", gone).await;
        cluster.start_broker(victim).await.unwrap();
    }
    report("told to stop → led anew", took);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metadata_is_served_all_the_while_when_the_controller_stops_in_order() {
    let mut cluster = Cluster::start(3).await;
    let mut gaps = Vec::new();
    for trial in 0..TRIALS {
        all_in_service(&cluster).await;
        let controller = cluster.controller().await;
        let other = (controller + 1) % 3;
        let (handle, stop) =
            (cluster.node(other).unwrap().broker().controller.clone(), Arc::new(AtomicBool::new(false)));
        let asking = tokio::spawn({
            let stop = Arc::clone(&stop);
            async move {
                let mut longest = Duration::ZERO;
                for number in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let begun = Instant::now();
                    create(&handle, &format!("{trial}-{number}"), &[other]).await;
                    longest = longest.max(begun.elapsed());
                    // The pace of the load.
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                longest
            }
        });
        cluster.stop(controller).await;
        stop.store(true, Ordering::Relaxed);
        gaps.push(asking.await.unwrap());
        cluster.start_broker(controller).await.unwrap();
    }
    assert!(report("controller stopped → longest wait for a topic", gaps) < Duration::from_millis(500));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_brokers_stop_together_and_come_back() {
    let mut cluster = Cluster::start(3).await;
    all_in_service(&cluster).await;
    create(&cluster.node(0).unwrap().broker().controller, "t", &[0, 1, 2]).await;
    cluster.settled().await;
    let begun = Instant::now();
    for broker in 0..3 {
        cluster.stop(broker).await;
    }
    println!("three brokers stopped one after the other in {:?}", begun.elapsed());
    cluster.start_all().await;
    all_in_service(&cluster).await;
    cluster.until("it is led again", || leader(&cluster.image(0), "t") != BrokerId::NONE).await;
    cluster.kill_all();
    let begun = Instant::now();
    cluster.start_all().await;
    cluster.until("it is led again", || leader(&cluster.image(0), "t") != BrokerId::NONE).await;
    println!("all killed → led again: {:?}", begun.elapsed());
}
