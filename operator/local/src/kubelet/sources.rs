//! The objects a pod's containers draw on: ConfigMaps, Secrets and claims, fetched before each start of a container, so that all that
//! follows (environment, volumes) is a pure function of them.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod, PodSpec, Secret};
use kube::{Api, Client, ResourceExt};

/// Why a container cannot be made from what its pod says; shown as the reason `CreateContainerConfigError`, with this message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// An object or key that is named and not optional does not exist.
    #[error("{kind} {name:?} not found in namespace of the pod")]
    Missing {
        /// `configmap`, `secret`, `persistentvolumeclaim`.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// The object exists and has no such key.
    #[error("couldn't find key {key} in {kind} {name:?}")]
    MissingKey {
        /// `configmap` or `secret`.
        kind: &'static str,
        /// Its name.
        name: String,
        /// The key.
        key: String,
    },
    /// The claim has no folder yet.
    #[error("persistentvolumeclaim {0:?} is not bound")]
    Unbound(String),
    /// Something that a process on this machine cannot be given.
    #[error("the process kubelet does not support {0}")]
    Unsupported(String),
    /// A value that is wrong in itself.
    #[error("{0}")]
    Invalid(String),
    /// The file system refused.
    #[error("{path}: {message}")]
    Io {
        /// Where.
        path: String,
        /// What the system said.
        message: String,
    },
    /// The API server did not answer.
    #[error("cannot read what the pod refers to: {0}")]
    Api(String),
}

impl Error {
    /// `error` at `path`.
    pub fn io(path: &std::path::Path, error: &std::io::Error) -> Self {
        Self::Io { path: path.display().to_string(), message: error.to_string() }
    }
}

/// What a pod refers to, as far as it exists.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// By name.
    pub config_maps: BTreeMap<String, ConfigMap>,
    /// By name.
    pub secrets: BTreeMap<String, Secret>,
    /// By name.
    pub claims: BTreeMap<String, PersistentVolumeClaim>,
}

impl Sources {
    /// Fetches everything `pod` refers to.
    pub async fn load(client: &Client, pod: &Pod) -> Result<Self, Error> {
        let namespace = pod.namespace().unwrap_or_default();
        let wanted = pod.spec.as_ref().map(References::of).unwrap_or_default();
        Ok(Self {
            config_maps: fetch(&Api::namespaced(client.clone(), &namespace), wanted.config_maps).await?,
            secrets: fetch(&Api::namespaced(client.clone(), &namespace), wanted.secrets).await?,
            claims: fetch(&Api::namespaced(client.clone(), &namespace), wanted.claims).await?,
        })
    }

    /// The value of `key` in ConfigMap `name`; `None` if it is missing and optional.
    pub fn config_map_value(&self, name: &str, key: &str, optional: bool) -> Result<Option<String>, Error> {
        let found = self.config_maps.get(name).map(|map| map.data.as_ref().and_then(|data| data.get(key)).cloned());
        required("configmap", name, key, found, optional)
    }

    /// The value of `key` in Secret `name`; `None` if it is missing and optional.
    pub fn secret_value(&self, name: &str, key: &str, optional: bool) -> Result<Option<String>, Error> {
        let found = self.secrets.get(name).map(|secret| secret_data(secret).remove(key));
        let bytes = required("secret", name, key, found, optional)?;
        let text = |bytes| {
            String::from_utf8(bytes).map_err(|_| {
                Error::Invalid(format!(
                    "key {key} of secret {name:?} is not UTF-8, so it cannot be an environment value"
                ))
            })
        };
        bytes.map(text).transpose()
    }
}

/// A Secret's bytes by key. `stringData`, which an API server folds into `data`, is honoured if it is still there.
pub fn secret_data(secret: &Secret) -> BTreeMap<String, Vec<u8>> {
    let mut data: BTreeMap<_, _> =
        secret.data.iter().flatten().map(|(key, bytes)| (key.clone(), bytes.0.clone())).collect();
    data.extend(secret.string_data.iter().flatten().map(|(key, text)| (key.clone(), text.clone().into_bytes())));
    data
}

fn required<T>(
    kind: &'static str,
    name: &str,
    key: &str,
    found: Option<Option<T>>,
    optional: bool,
) -> Result<Option<T>, Error> {
    match found {
        Some(Some(value)) => Ok(Some(value)),
        _ if optional => Ok(None),
        Some(None) => Err(Error::MissingKey { kind, name: name.to_owned(), key: key.to_owned() }),
        None => Err(Error::Missing { kind, name: name.to_owned() }),
    }
}

async fn fetch<K>(api: &Api<K>, names: BTreeSet<String>) -> Result<BTreeMap<String, K>, Error>
where
    K: Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    let mut found = BTreeMap::new();
    for name in names {
        if let Some(object) = api.get_opt(&name).await.map_err(|error| Error::Api(error.to_string()))? {
            found.insert(name, object);
        }
    }
    Ok(found)
}

/// The names a pod spec mentions.
#[derive(Debug, Default, PartialEq, Eq)]
struct References {
    config_maps: BTreeSet<String>,
    secrets: BTreeSet<String>,
    claims: BTreeSet<String>,
}

impl References {
    fn of(spec: &PodSpec) -> Self {
        let mut found = Self::default();
        for container in &spec.containers {
            for source in container.env.iter().flatten().filter_map(|var| var.value_from.as_ref()) {
                found.config_maps.extend(source.config_map_key_ref.iter().map(|key| key.name.clone()));
                found.secrets.extend(source.secret_key_ref.iter().map(|key| key.name.clone()));
            }
            for source in container.env_from.iter().flatten() {
                found.config_maps.extend(source.config_map_ref.iter().map(|map| map.name.clone()));
                found.secrets.extend(source.secret_ref.iter().map(|secret| secret.name.clone()));
            }
        }
        for volume in spec.volumes.iter().flatten() {
            found.config_maps.extend(volume.config_map.iter().map(|map| map.name.clone()));
            found.secrets.extend(volume.secret.iter().filter_map(|secret| secret.secret_name.clone()));
            found.claims.extend(volume.persistent_volume_claim.iter().map(|claim| claim.claim_name.clone()));
            for source in volume.projected.iter().flat_map(|projected| projected.sources.iter().flatten()) {
                found.config_maps.extend(source.config_map.iter().map(|map| map.name.clone()));
                found.secrets.extend(source.secret.iter().map(|secret| secret.name.clone()));
            }
        }
        found
    }
}
