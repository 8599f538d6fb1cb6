//! Commands, sessions, fencing and controlled shutdown between nodes, over real connections.

mod cluster;

use std::time::{Duration, Instant};

use cluster::{Cluster, topic};
use ottla_core::BrokerId;
use ottla_core::controller::{CreateTopics, CreatedTopic, DeleteTopics, Error, TopicRef};
use ottla_core::metadata::Image;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::SubmitError;
use super::proto::Heartbeat;

fn create(cluster: &Cluster, on: usize, name: &str, brokers: &[i32]) -> Result<CreatedTopic, Error> {
    let command = CreateTopics { topics: vec![topic(name, brokers)], validate_only: false };
    let node = cluster.node(on);
    node.block_on(node.controller.submit(command)).unwrap().remove(0).1
}

fn fenced(image: &Image, id: i32) -> bool {
    image.broker(BrokerId(id)).unwrap().fenced
}

fn leader(image: &Image, topic: &str) -> i32 {
    image.topic(topic).unwrap().partition(0).unwrap().leader.0
}

#[test]
fn every_broker_takes_commands_and_shows_what_came_of_them_when_it_answers() {
    let cluster = Cluster::of(3);
    for on in 0..3 {
        let name = format!("t{on}");
        create(&cluster, on, &name, &[0]).unwrap();
        assert!(cluster.node(on).controller.image().topic(&name).is_some());
        assert_eq!(create(&cluster, on, &name, &[0]), Err(Error::TopicAlreadyExists(name)));
    }
}

#[test]
fn a_command_whose_answer_was_lost_is_carried_out_once_and_answered_as_a_success() {
    let cluster = Cluster::of(3);
    for (on, next) in [(1, 1), (1, 2), (0, 0)] {
        let name = format!("from-{on}-then-{next}");
        cluster.shared.lose_next_answer(next);
        create(&cluster, on, &name, &[0]).unwrap();
        cluster.shared.lose_next_answer((next + 1) % 3);
        let wanted = TopicRef { name: Some(name.clone()), id: ottla_core::TopicId::ZERO };
        let node = cluster.node(on);
        let deleted = node.block_on(node.controller.submit(DeleteTopics { topics: vec![wanted] })).unwrap().remove(0);
        assert_eq!(deleted.1.unwrap().name.as_str(), name);
    }
}

#[test]
fn a_command_waits_for_an_election_and_gives_up_when_there_is_none_in_time() {
    let cluster = Cluster::of(2);
    cluster.shared.elect(None);
    let node = cluster.node(1);
    let command = CreateTopics { topics: vec![topic("never", &[0])], validate_only: false };
    let late = node.block_on(node.controller.submit_within(command, Duration::from_millis(200)));
    assert_eq!(late, Err(SubmitError::TimedOut));
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| create(&cluster, 1, "later", &[0]));
        cluster.shared.elect(Some(1));
        waiting.join().unwrap().unwrap();
    });
}

#[test]
fn a_killed_broker_is_fenced_at_once_and_others_lead() {
    let mut took = Vec::new();
    for _ in 0..10 {
        let mut cluster = Cluster::of(3);
        create(&cluster, 0, "t", &[1, 2]).unwrap();
        let killed = Instant::now();
        cluster.kill(1);
        let image = cluster.shared.until("broker 1 is fenced", |image| fenced(image, 1));
        took.push(killed.elapsed());
        assert_eq!(leader(&image, "t"), 2);
        assert!(!fenced(&image, 2));
    }
    took.sort();
    println!("kill → fenced and led anew: median {:?}, worst {:?}", took[5], took[9]);
    assert!(took[5] < Duration::from_millis(500), "{took:?}");
}

#[test]
fn a_new_controller_fences_the_one_that_died_and_nobody_else() {
    let mut cluster = Cluster::of(4);
    create(&cluster, 0, "t", &[0, 1]).unwrap();
    cluster.kill(0);
    let elected = Instant::now();
    cluster.shared.elect(Some(2));
    let image = cluster.shared.until("broker 0 is fenced", |image| fenced(image, 0));
    println!("election → dead controller fenced: {:?}", elected.elapsed());
    assert_eq!(leader(&image, "t"), 1);
    cluster.fall_silent(3);
    cluster.shared.until("a silent broker is fenced", |image| fenced(image, 3));
    assert_eq!(cluster.shared.fenced_while_in_service(), [0, 3], "who lives came to the new controller in time");
}

#[test]
fn a_broker_that_comes_back_is_in_service_again_and_its_old_session_harms_it_not() {
    let mut cluster = Cluster::of(3);
    for _ in 0..5 {
        let before = cluster.shared.image().broker(BrokerId(1)).unwrap().epoch;
        cluster.restart(1);
        let image = cluster.shared.until("broker 1 serves", |image| !fenced(image, 1));
        assert!(image.broker(BrokerId(1)).unwrap().epoch > before);
    }
    cluster.shared.forget_fencings();
    cluster.fall_silent(2);
    cluster.shared.until("a silent broker is fenced", |image| fenced(image, 2));
    assert_eq!(cluster.shared.fenced_while_in_service(), [2], "the end of no earlier uptime has counted");
}

#[test]
fn a_session_without_heartbeats_ends_in_a_fence_by_time_out_and_the_broker_then_serves_again() {
    let cluster = Cluster::with(2, &[("broker.session.timeout.ms", "400")]);
    let node = cluster.node(1);
    let epoch = cluster.shared.image().broker(BrokerId(1)).unwrap().epoch;
    // A session that says nothing more replaces the one that beats.
    let (sender, stream) = mpsc::channel(1);
    let _statuses = node.block_on(async {
        sender.send(Heartbeat { broker: 1, epoch: epoch.0, applied: u64::MAX, wish: 0 }).await.unwrap();
        let mut client = node.controller.remote().client(BrokerId(0)).unwrap();
        client.session(ReceiverStream::new(stream)).await.unwrap()
    });
    cluster.shared.until("broker 1 is fenced", |image| fenced(image, 1));
    cluster.shared.until("broker 1 serves again", |image| !fenced(image, 1));
}

#[test]
fn a_broker_hands_over_before_it_stops_and_is_fenced_when_it_has_left() {
    let mut cluster = Cluster::of(3);
    create(&cluster, 0, "a", &[1, 2]).unwrap();
    create(&cluster, 0, "b", &[0, 2]).unwrap();
    for (id, topic, then) in [(1, "a", 2), (0, "b", 2)] {
        let node = cluster.node(id);
        node.block_on(node.life().hand_over());
        let image = cluster.shared.image();
        let id_number = i32::try_from(id).unwrap();
        assert_eq!(leader(&image, topic), then);
        assert!(!fenced(&image, id_number) && image.broker(BrokerId(id_number)).unwrap().in_controlled_shutdown);
        if id == 1 {
            cluster.kill(1);
            cluster.shared.until("broker 1 is fenced", |image| fenced(image, 1));
        }
    }
}

#[test]
fn a_broker_that_cannot_hand_over_stops_all_the_same() {
    let cluster = Cluster::of(2);
    cluster.shared.elect(None);
    let begun = Instant::now();
    let node = cluster.node(1);
    node.block_on(node.life().hand_over());
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}
