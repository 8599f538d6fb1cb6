//! The objects of whole specs against the committed ones: `UPDATE_GOLDEN=1 cargo test -p ottla-operator` rewrites them.

use std::{fs, path::Path};

use serde::Deserialize;

use super::children;
use crate::cluster::testing::{ID, SMALL, observed, of_brokers, valid};

/// The spec of the first KafkaCluster of an example manifest.
fn example(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../manifests").join(file);
    let text = fs::read_to_string(path).unwrap();
    let first = serde_yaml::Deserializer::from_str(&text).next().unwrap();
    let document = serde_yaml::Value::deserialize(first).unwrap();
    serde_yaml::to_string(&document["spec"]).unwrap()
}

fn rendered(spec: &str) -> String {
    let cluster = valid(&observed(spec)).unwrap();
    let documents = children(&cluster, ID).unwrap();
    documents.iter().map(|child| format!("---\n{}", serde_yaml::to_string(&child.body).unwrap())).collect()
}

fn assert_golden(name: &str, rendered: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cluster/build/golden").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, rendered).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == rendered, "{name} differs from what is built: read the diff after UPDATE_GOLDEN=1");
}

#[test]
fn the_quick_start_gives_the_committed_objects() {
    assert_golden("quickstart.yaml", &rendered(&example("quickstart.yaml")));
}

#[test]
fn a_cluster_with_much_asked_gives_the_committed_objects() {
    assert_golden("single.yaml", &rendered(&example("cluster-single.yaml")));
}

#[test]
fn listeners_for_clients_outside_give_the_committed_objects() {
    assert_golden("outside.yaml", &rendered(&example("cluster-outside.yaml")));
}

/// Only the ConfigMap and the number of pods follow from the size, so those stand for the whole.
#[test]
fn clusters_of_every_size_found_themselves_and_replicate_as_far_as_their_brokers_go() {
    let mut files = String::new();
    for (brokers, founded) in [(1, false), (2, false), (3, false), (3, true), (5, false), (5, true)] {
        let mut cluster = valid(&observed(&of_brokers(brokers))).unwrap();
        cluster.founded = founded;
        let stateful_set = super::stateful_set::build(&cluster, ID).unwrap();
        assert_eq!(stateful_set.spec.replicas, Some(brokers));
        let data = super::config_map::build(&cluster, ID).data.unwrap();
        assert_eq!(data.len(), usize::try_from(brokers).unwrap());
        let standing = if founded { "founded" } else { "new" };
        files += &format!("---\n# {brokers} brokers, {standing}\n{}", serde_yaml::to_string(&data).unwrap());
    }
    assert_golden("sizes.yaml", &files);
}

#[test]
fn no_pod_restarts_because_its_cluster_was_founded() {
    for brokers in [1, 3, 5] {
        let mut cluster = valid(&observed(&of_brokers(brokers))).unwrap();
        let before = super::template(&cluster, ID).unwrap();
        cluster.founded = true;
        assert_eq!(super::template(&cluster, ID).unwrap(), before);
    }
}

#[test]
fn the_same_spec_gives_the_same_bytes() {
    assert_eq!(rendered(SMALL), rendered(SMALL));
}

#[test]
fn a_setting_read_at_start_changes_the_template_and_a_running_one_does_not() {
    let template = |spec: &str| super::template(&valid(&observed(spec)).unwrap(), ID).unwrap();
    let at_start = format!("{SMALL}\nconfig: {{num.network.threads: 8, log.retention.hours: 1}}");
    let running = format!("{SMALL}\nconfig: {{log.retention.ms: 1000}}");
    assert_ne!(template(SMALL), template(&at_start));
    assert_eq!(template(SMALL), template(&running));
}

#[test]
fn founding_again_is_never_rendered_after_the_cluster_served() {
    let mut observed = observed(SMALL);
    let mut cluster = valid(&observed).unwrap();
    let before = super::template(&cluster, ID).unwrap();
    assert_eq!(
        super::properties::founding(&cluster, 0),
        ("controller.quorum.voters".to_owned(), "0@demo-broker-0.demo-brokers.prod.svc:9093".to_owned())
    );
    let annotations = observed.cluster.metadata.annotations.get_or_insert_default();
    annotations.insert(crate::names::FOUNDED.to_owned(), "true".to_owned());
    cluster = valid(&observed).unwrap();
    assert_eq!(
        super::properties::founding(&cluster, 0),
        ("controller.quorum.bootstrap.servers".to_owned(), "demo-broker-0.demo-brokers.prod.svc:9093".to_owned())
    );
    assert_eq!(super::template(&cluster, ID).unwrap(), before, "no broker restarts for it");
}

#[test]
fn properties_are_escaped_as_java_reads_them() {
    let properties = [("a b", " x\\y"), ("k:=#", "v=1")].map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    assert_eq!(super::properties::render(&properties), "a\\ b=\\ x\\\\y\nk\\:\\=\\#=v=1\n");
}
