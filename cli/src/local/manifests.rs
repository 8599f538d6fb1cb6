//! What is applied to the fresh API: the definitions of the custom resources, and a file of objects.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::discovery;
use kube::{Api, Client, ResourceExt as _};
use serde_json::Value;

/// Who applies: the same as in `kubectl apply --server-side`, so that a person who goes on with kubectl owns what is here.
const MANAGER: &str = "kubectl";

/// What is applied when no file is named.
const QUICKSTART: &str = include_str!("../../../manifests/quickstart.yaml");

/// Installs KafkaCluster and KafkaTopic.
pub async fn apply_definitions(client: &Client) -> anyhow::Result<()> {
    use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    let parameters = PatchParams::apply("ottla").force();
    for manifest in ottla_crds::manifest::all() {
        let name = manifest.definition.name_any();
        definitions
            .patch(&name, &parameters, &Patch::Apply(&manifest.definition))
            .await
            .map_err(plain)
            .with_context(|| format!("cannot install the definition {name}"))?;
        let established = kube::runtime::wait::await_condition(
            definitions.clone(),
            &name,
            kube::runtime::wait::conditions::is_crd_established(),
        );
        tokio::time::timeout(Duration::from_secs(10), established)
            .await
            .map_err(|_| anyhow!("the definition {name} is not served after 10 s"))??;
    }
    Ok(())
}

/// The objects of `file`, or of the quick start.
pub fn read(file: Option<&Path>) -> anyhow::Result<Vec<DynamicObject>> {
    let Some(file) = file else { return parse(QUICKSTART).context("the built-in quick start") };
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    parse(&text).with_context(|| format!("in {}", file.display()))
}

fn parse(text: &str) -> anyhow::Result<Vec<DynamicObject>> {
    use k8s_openapi::serde::Deserialize as _;
    let mut objects = Vec::new();
    for (index, document) in serde_yaml::Deserializer::from_str(text).enumerate() {
        let value = Value::deserialize(document).with_context(|| format!("document {} is no YAML", index + 1))?;
        if value.is_null() {
            continue;
        }
        let object: DynamicObject = serde_json::from_value(value)
            .with_context(|| format!("document {} is no Kubernetes object (apiVersion, kind, metadata)", index + 1))?;
        if object.types.is_none() || object.metadata.name.is_none() {
            bail!("document {} lacks apiVersion, kind or metadata.name", index + 1);
        }
        objects.push(object);
    }
    Ok(objects)
}

/// Applies `objects`, in their order.
pub async fn apply(client: &Client, objects: &[DynamicObject]) -> anyhow::Result<()> {
    let parameters = PatchParams::apply(MANAGER).force();
    for object in objects {
        let types = object.types.clone().unwrap_or_default();
        let what = format!("{} {}", types.kind, object.name_any());
        let kind = kube::core::GroupVersionKind::try_from(&types).with_context(|| format!("{what}: bad apiVersion"))?;
        let (resource, capabilities) = discovery::pinned_kind(client, &kind)
            .await
            .with_context(|| format!("{what}: the local API does not serve {} {}", types.api_version, types.kind))?;
        let api: Api<DynamicObject> = if capabilities.scope == discovery::Scope::Namespaced {
            match &object.metadata.namespace {
                Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
                None => Api::default_namespaced_with(client.clone(), &resource),
            }
        } else {
            Api::all_with(client.clone(), &resource)
        };
        let applied = api.patch(&object.name_any(), &parameters, &Patch::Apply(object)).await;
        applied.map_err(plain).with_context(|| format!("{what} is refused"))?;
    }
    Ok(())
}

/// What the API server said, without the whole status around it.
fn plain(error: kube::Error) -> anyhow::Error {
    match error {
        kube::Error::Api(status) => anyhow!(status.message),
        other => other.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quick_start_is_a_cluster_and_its_topics() {
        let kinds: Vec<_> = read(None).unwrap().into_iter().map(|object| object.types.unwrap().kind).collect();
        assert_eq!(kinds.first().map(String::as_str), Some("KafkaCluster"));
        assert!(kinds[1..].iter().all(|kind| kind == "KafkaTopic") && kinds.len() > 1, "{kinds:?}");
    }

    #[test]
    fn a_document_that_is_no_object_is_named() {
        let error = parse("apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n---\nkind: Pod\n").unwrap_err();
        assert!(format!("{error:#}").contains("document 2"), "{error:#}");
    }
}
