//! The pod of a broker: restricted, without a token, and with nothing writable but its disks.

use k8s_openapi::{
    api::core::v1::Volume as PodVolume,
    api::core::v1::{
        Affinity, Capabilities, ConfigMapVolumeSource, Container, ContainerPort, EnvVar, EnvVarSource, HTTPGetAction,
        ObjectFieldSelector, PodAffinityTerm, PodAntiAffinity, PodSecurityContext, PodSpec, Probe, SeccompProfile,
        SecretVolumeSource, SecurityContext, VolumeMount, WeightedPodAffinityTerm,
    },
    apimachinery::pkg::{apis::meta::v1::LabelSelector, util::intstr::IntOrString},
};

use super::{
    CONTAINER, CONTROLLER_PORT, CONTROLLER_PORT_NAME, HTTP_PORT, HTTP_PORT_NAME,
    properties::{self, CONFIG_FOLDER, SECRETS_FOLDER},
};
use crate::cluster::validate::ValidCluster;

/// The user and group of the broker's image; its disks belong to the group.
const USER: i64 = 65532;
/// Time to hand over partitions and flush.
const GRACE_SECONDS: i64 = 120;
/// A broker that was killed reads its logs before it serves; large ones take their time.
const START_SECONDS: i32 = 3600;

const CONFIG_VOLUME: &str = "config";
const SECRETS_VOLUME: &str = "secrets";

/// The spec of every broker's pod; pods differ only by what the downward API gives them.
pub(super) fn spec(cluster: &ValidCluster) -> PodSpec {
    let person = cluster.pod.clone();
    PodSpec {
        service_account_name: Some(cluster.names.brokers()),
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        termination_grace_period_seconds: Some(person.termination_grace_period_seconds.unwrap_or(GRACE_SECONDS)),
        security_context: Some(pod_security(person.security_context)),
        affinity: Some(person.affinity.unwrap_or_else(|| prefer_different_nodes(cluster))),
        node_selector: Some(person.node_selector).filter(|labels| !labels.is_empty()),
        tolerations: Some(person.tolerations).filter(|list| !list.is_empty()),
        topology_spread_constraints: Some(person.topology_spread_constraints).filter(|list| !list.is_empty()),
        priority_class_name: person.priority_class_name,
        image_pull_secrets: Some(person.image_pull_secrets).filter(|list| !list.is_empty()),
        containers: vec![container(cluster)],
        volumes: Some(vec![
            PodVolume {
                name: CONFIG_VOLUME.to_owned(),
                config_map: Some(ConfigMapVolumeSource {
                    name: cluster.names.config(),
                    ..ConfigMapVolumeSource::default()
                }),
                ..PodVolume::default()
            },
            PodVolume {
                name: SECRETS_VOLUME.to_owned(),
                secret: Some(SecretVolumeSource {
                    secret_name: Some(cluster.names.controller_token()),
                    default_mode: Some(0o440),
                    ..SecretVolumeSource::default()
                }),
                ..PodVolume::default()
            },
        ]),
        ..PodSpec::default()
    }
}

fn container(cluster: &ValidCluster) -> Container {
    Container {
        name: CONTAINER.to_owned(),
        image: Some(cluster.image.clone()),
        args: Some(arguments(cluster)),
        env: Some(environment(cluster)),
        ports: Some(ports(cluster)),
        startup_probe: Some(probe("/startupz", 1, START_SECONDS)),
        readiness_probe: Some(probe("/readyz", 2, 3)),
        liveness_probe: Some(probe("/livez", 10, 6)),
        resources: cluster.resources.clone(),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            read_only_root_filesystem: Some(true),
            run_as_non_root: Some(true),
            capabilities: Some(Capabilities { drop: Some(vec!["ALL".to_owned()]), add: None }),
            ..SecurityContext::default()
        }),
        volume_mounts: Some(mounts(cluster)),
        // The last words of a broker that refuses to start stand in its pod's status, and so in the cluster's.
        termination_message_policy: Some("FallbackToLogsOnError".to_owned()),
        ..Container::default()
    }
}

/// The broker's own file, and what only the running pod knows.
fn arguments(cluster: &ValidCluster) -> Vec<String> {
    let mut arguments = vec![format!("{CONFIG_FOLDER}/$(POD_NAME).properties")];
    if properties::advertises_pod_address(cluster) {
        let advertised = properties::advertised(cluster, "$(POD_NAME)");
        arguments.extend(["--override".to_owned(), format!("advertised.listeners={advertised}")]);
    }
    if cluster.rack_label.is_some() {
        arguments.extend(["--override".to_owned(), "broker.rack=$(RACK)".to_owned()]);
    }
    arguments
}

fn environment(cluster: &ValidCluster) -> Vec<EnvVar> {
    let rack = cluster.rack_label.as_ref().map(|label| field("RACK", &format!("metadata.labels['{label}']")));
    let own = [field("POD_NAME", "metadata.name"), field("POD_IP", "status.podIP")];
    own.into_iter().chain(rack).collect()
}

fn field(name: &str, path: &str) -> EnvVar {
    EnvVar {
        name: name.to_owned(),
        value_from: Some(EnvVarSource {
            field_ref: Some(ObjectFieldSelector { field_path: path.to_owned(), ..ObjectFieldSelector::default() }),
            ..EnvVarSource::default()
        }),
        ..EnvVar::default()
    }
}

fn ports(cluster: &ValidCluster) -> Vec<ContainerPort> {
    let listeners = cluster.listeners.iter().map(|listener| (listener.name.as_str(), listener.port));
    listeners
        .chain([(CONTROLLER_PORT_NAME, CONTROLLER_PORT), (HTTP_PORT_NAME, HTTP_PORT)])
        .map(|(name, port)| ContainerPort {
            name: Some(name.to_owned()),
            container_port: port,
            protocol: Some("TCP".to_owned()),
            ..ContainerPort::default()
        })
        .collect()
}

fn probe(path: &str, period_seconds: i32, failures: i32) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.to_owned()),
            port: IntOrString::String(HTTP_PORT_NAME.to_owned()),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(period_seconds),
        timeout_seconds: Some(5),
        failure_threshold: Some(failures),
        ..Probe::default()
    }
}

fn mounts(cluster: &ValidCluster) -> Vec<VolumeMount> {
    let read_only = |name: &str, path: &str| VolumeMount {
        name: name.to_owned(),
        mount_path: path.to_owned(),
        read_only: Some(true),
        ..VolumeMount::default()
    };
    let disks = cluster.volumes.iter().map(|volume| VolumeMount {
        name: volume.name.clone(),
        mount_path: properties::volume_folder(&volume.name),
        ..VolumeMount::default()
    });
    [read_only(CONFIG_VOLUME, CONFIG_FOLDER), read_only(SECRETS_VOLUME, SECRETS_FOLDER)]
        .into_iter()
        .chain(disks)
        .collect()
}

/// `restricted` Pod Security, with the fields a person gives instead of our own.
fn pod_security(person: Option<PodSecurityContext>) -> PodSecurityContext {
    let person = person.unwrap_or_default();
    PodSecurityContext {
        run_as_non_root: person.run_as_non_root.or(Some(true)),
        run_as_user: person.run_as_user.or(Some(USER)),
        run_as_group: person.run_as_group.or(Some(USER)),
        fs_group: person.fs_group.or(Some(USER)),
        fs_group_change_policy: person.fs_group_change_policy.or_else(|| Some("OnRootMismatch".to_owned())),
        seccomp_profile: person
            .seccomp_profile
            .or_else(|| Some(SeccompProfile { type_: "RuntimeDefault".to_owned(), localhost_profile: None })),
        ..person
    }
}

fn prefer_different_nodes(cluster: &ValidCluster) -> Affinity {
    let term = PodAffinityTerm {
        label_selector: Some(LabelSelector {
            match_labels: Some(cluster.names.selector()),
            ..LabelSelector::default()
        }),
        topology_key: "kubernetes.io/hostname".to_owned(),
        ..PodAffinityTerm::default()
    };
    Affinity {
        pod_anti_affinity: Some(PodAntiAffinity {
            preferred_during_scheduling_ignored_during_execution: Some(vec![WeightedPodAffinityTerm {
                pod_affinity_term: term,
                weight: 100,
            }]),
            ..PodAntiAffinity::default()
        }),
        ..Affinity::default()
    }
}
