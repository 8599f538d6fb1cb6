//! Waits for what was applied to be Ready, telling what each thing says about itself until then.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::time::Duration;

use anyhow::{anyhow, bail};
use futures::stream::{BoxStream, StreamExt as _};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::DynamicObject;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, ResourceExt as _};
use ottla_crds::conditions::{ConditionType, find, is_true};
use ottla_crds::{KafkaCluster, KafkaTopic};

use super::terminal::Terminal;

/// News of one object.
#[derive(Debug)]
enum News {
    /// A custom resource: where it stands.
    Resource { what: String, standing: Standing },
    /// A pod has trouble, or (with no words) no longer has.
    Pod { what: String, trouble: Option<String> },
}

/// Where a custom resource stands.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Standing {
    Ready(String),
    Waiting(String),
    /// A person has to change something.
    Stalled(String),
}

/// Shows that `applied` is being waited for.
pub fn announce(applied: &[DynamicObject], terminal: &mut Terminal) {
    for what in applied.iter().filter_map(name_of) {
        terminal.waiting(&what, "applied");
    }
}

/// Returns when every KafkaCluster and KafkaTopic among `applied` is Ready.
///
/// # Errors
/// One of them cannot become so without a person, or `limit` has passed; the error says which and why.
pub async fn wait(
    client: &Client,
    applied: &[DynamicObject],
    limit: Option<Duration>,
    terminal: &mut Terminal,
) -> anyhow::Result<()> {
    let mut missing: BTreeSet<String> = applied.iter().filter_map(name_of).collect();
    let mut said: BTreeMap<String, String> =
        missing.iter().map(|what| (what.clone(), "not seen yet".to_owned())).collect();
    let mut news = all_news(client);
    let deadline = async {
        match limit {
            Some(limit) => tokio::time::sleep(limit).await,
            None => std::future::pending().await,
        }
    };
    let mut deadline = std::pin::pin!(deadline);
    while !missing.is_empty() {
        let Some(one) = next(&mut news, deadline.as_mut()).await? else {
            let told: Vec<_> =
                said.iter().filter(|(what, _)| missing.contains(*what) || what.starts_with("pod/")).collect();
            let told: String = told.iter().map(|(what, why)| format!("\n  {what}: {why}")).collect();
            bail!("not everything is Ready after {} s:{told}", limit.unwrap_or_default().as_secs());
        };
        match one {
            News::Pod { what, trouble: Some(trouble) } => {
                terminal.waiting(&what, &trouble);
                said.insert(what, trouble);
            }
            News::Pod { what, trouble: None } => {
                if said.remove(&what).is_some() {
                    terminal.done(&what, "running");
                }
            }
            News::Resource { what, .. } if !said.contains_key(&what) => {}
            News::Resource { what, standing: Standing::Ready(how) } => {
                terminal.done(&what, how);
                missing.remove(&what);
            }
            News::Resource { what, standing: Standing::Waiting(why) } => {
                terminal.waiting(&what, &why);
                missing.insert(what.clone());
                said.insert(what, why);
            }
            News::Resource { what, standing: Standing::Stalled(why) } => {
                terminal.waiting(&what, &why);
                bail!("{what} cannot become Ready: {why}");
            }
        }
    }
    Ok(())
}

/// `None` when the time is over.
async fn next(
    news: &mut BoxStream<'static, Result<News, watcher::Error>>,
    deadline: Pin<&mut impl Future<Output = ()>>,
) -> anyhow::Result<Option<News>> {
    tokio::select! {
        one = news.next() => match one {
            Some(one) => Ok(Some(one?)),
            None => Err(anyhow!("the local API ended its watches")),
        },
        () = deadline => Ok(None),
    }
}

fn all_news(client: &Client) -> BoxStream<'static, Result<News, watcher::Error>> {
    let clusters = watcher(Api::<KafkaCluster>::all(client.clone()), watcher::Config::default()).default_backoff();
    let topics = watcher(Api::<KafkaTopic>::all(client.clone()), watcher::Config::default()).default_backoff();
    let pods = watcher(Api::<Pod>::all(client.clone()), watcher::Config::default()).default_backoff();
    let clusters = clusters.applied_objects().map(|cluster| {
        let cluster = cluster?;
        let status = cluster.status.clone().unwrap_or_default();
        let generation = (status.observed_generation, cluster.metadata.generation);
        let standing = standing(&status.conditions, generation);
        Ok(News::Resource { what: format!("kafkacluster/{}", cluster.name_any()), standing })
    });
    let topics = topics.applied_objects().map(|topic| {
        let topic = topic?;
        let status = topic.status.clone().unwrap_or_default();
        let generation = (status.observed_generation, topic.metadata.generation);
        let standing = standing(&status.conditions, generation);
        Ok(News::Resource { what: format!("kafkatopic/{}", topic.name_any()), standing })
    });
    let pods = pods.applied_objects().map(|pod| {
        let pod = pod?;
        Ok(News::Pod { what: format!("pod/{}", pod.name_any()), trouble: trouble(&pod) })
    });
    futures::stream::select(futures::stream::select(clusters, topics), pods).boxed()
}

/// As progress names it; `None` for what has no condition to wait for.
fn name_of(object: &DynamicObject) -> Option<String> {
    let kind = object.types.as_ref()?.kind.as_str();
    matches!(kind, "KafkaCluster" | "KafkaTopic").then(|| format!("{}/{}", kind.to_lowercase(), object.name_any()))
}

fn standing(conditions: &[Condition], (observed, generation): (Option<i64>, Option<i64>)) -> Standing {
    let words = |condition: &Condition| match condition.message.as_str() {
        "" => condition.reason.clone(),
        message => format!("{}: {message}", condition.reason),
    };
    if observed != generation {
        return Standing::Waiting("waiting for the operator".to_owned());
    }
    if let Some(stalled) = find(conditions, ConditionType::Stalled).filter(|stalled| stalled.status == "True") {
        return Standing::Stalled(words(stalled));
    }
    match find(conditions, ConditionType::Ready) {
        Some(ready) if is_true(conditions, ConditionType::Ready) => {
            Standing::Ready(format!("Ready, {}", ready.message))
        }
        Some(ready) => Standing::Waiting(words(ready)),
        None => Standing::Waiting("waiting for the operator".to_owned()),
    }
}

/// What keeps a pod's container from running, if that is more than that it was only just made.
fn trouble(pod: &Pod) -> Option<String> {
    let container = pod.status.as_ref()?.container_statuses.as_ref()?.first()?;
    if let Some(waiting) = container.state.as_ref().and_then(|state| state.waiting.as_ref()) {
        let reason = waiting.reason.clone().unwrap_or_default();
        if reason == "ContainerCreating" {
            return None;
        }
        let ended = container.last_state.as_ref().and_then(|last| last.terminated.as_ref());
        let ended = ended.map(|ended| format!(", exit code {}", ended.exit_code)).unwrap_or_default();
        return Some(format!("{reason}{ended}: {}", waiting.message.clone().unwrap_or_default()));
    }
    (!container.ready && container.restart_count > 0)
        .then(|| format!("started again, {} times so far", container.restart_count))
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json};

    use super::*;

    fn conditions(all: serde_json::Value) -> Vec<Condition> {
        from_value(all).unwrap()
    }

    fn condition(kind: &str, status: &str, reason: &str) -> serde_json::Value {
        json!({"type": kind, "status": status, "reason": reason, "message": "words", "lastTransitionTime": "2026-01-01T00:00:00Z"})
    }

    #[test]
    fn a_resource_is_ready_only_for_the_generation_that_was_looked_at() {
        let ready = conditions(json!([condition("Ready", "True", "AsSpecified")]));
        assert_eq!(standing(&ready, (Some(2), Some(2))), Standing::Ready("Ready, words".to_owned()));
        assert!(matches!(standing(&ready, (Some(1), Some(2))), Standing::Waiting(_)));
        assert!(matches!(standing(&[], (None, Some(1))), Standing::Waiting(_)));
    }

    #[test]
    fn what_waits_says_why_and_what_is_stalled_ends_the_wait() {
        let waiting = conditions(json!([condition("Ready", "False", "BrokersNotReady")]));
        assert_eq!(standing(&waiting, (Some(1), Some(1))), Standing::Waiting("BrokersNotReady: words".to_owned()));
        let stalled =
            conditions(json!([condition("Ready", "False", "X"), condition("Stalled", "True", "InvalidSpec")]));
        assert_eq!(standing(&stalled, (Some(1), Some(1))), Standing::Stalled("InvalidSpec: words".to_owned()));
    }

    #[test]
    fn a_pod_in_trouble_is_named_with_its_exit_code() {
        let pod: Pod = from_value(json!({"status": {"containerStatuses": [{
            "name": "broker", "image": "i", "imageID": "", "ready": false, "restartCount": 2,
            "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 1s"}},
            "lastState": {"terminated": {"exitCode": 2}},
        }]}}))
        .unwrap();
        assert_eq!(trouble(&pod).unwrap(), "CrashLoopBackOff, exit code 2: back-off 1s");
    }
}
