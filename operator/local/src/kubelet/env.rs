//! The environment and the argument vector of a container, from its spec. Pure: everything looked up is in [`Sources`].

use std::net::Ipv4Addr;

use k8s_openapi::api::core::v1::{Container, EnvVarSource, Pod};

use super::downward;
use super::expand::expand;
use super::rewrite::Rewrite;
use super::sources::{Error, Sources, secret_data};

/// Variables in the order in which a later one may refer to an earlier; a name occurs once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment(Vec<(String, String)>);

impl Environment {
    /// The variables of `container` in `pod` at `address`: `envFrom`, then `env`, each value expanded and rewritten.
    pub fn of(
        pod: &Pod,
        container: &Container,
        address: Ipv4Addr,
        sources: &Sources,
        rewrite: &Rewrite,
    ) -> Result<Self, Error> {
        let mut environment = Self::default();
        for source in container.env_from.iter().flatten() {
            let prefix = source.prefix.as_deref().unwrap_or_default();
            for (name, value) in whole_objects(source, sources)? {
                environment.set(&format!("{prefix}{name}"), rewrite.apply(&value));
            }
        }
        for variable in container.env.iter().flatten() {
            let value = match &variable.value_from {
                Some(source) => referred(pod, address, source, sources)?,
                None => Some(expand(variable.value.as_deref().unwrap_or_default(), |name| environment.get(name))),
            };
            if let Some(value) = value {
                environment.set(&variable.name, rewrite.apply(&value));
            }
        }
        Ok(environment)
    }

    /// The value of `name`.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Sets `name`, replacing an earlier value.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        self.0.retain(|(known, _)| known != name);
        self.0.push((name.to_owned(), value.into()));
    }

    /// Every variable.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The words of a command line, each expanded and rewritten.
    pub fn words(&self, words: &[String], rewrite: &Rewrite) -> Vec<String> {
        words.iter().map(|word| rewrite.apply(&expand(word, |name| self.get(name)))).collect()
    }
}

fn referred(pod: &Pod, address: Ipv4Addr, source: &EnvVarSource, sources: &Sources) -> Result<Option<String>, Error> {
    if let Some(field) = &source.field_ref {
        return downward::field(pod, address, field).map(Some);
    }
    if let Some(key) = &source.config_map_key_ref {
        return sources.config_map_value(&key.name, &key.key, key.optional == Some(true));
    }
    if let Some(key) = &source.secret_key_ref {
        return sources.secret_value(&key.name, &key.key, key.optional == Some(true));
    }
    Err(Error::Unsupported("valueFrom other than fieldRef, configMapKeyRef and secretKeyRef".to_owned()))
}

fn whole_objects(
    source: &k8s_openapi::api::core::v1::EnvFromSource,
    sources: &Sources,
) -> Result<Vec<(String, String)>, Error> {
    let mut found = Vec::new();
    if let Some(reference) = &source.config_map_ref {
        match sources.config_maps.get(&reference.name) {
            Some(map) => found.extend(map.data.clone().unwrap_or_default()),
            None if reference.optional == Some(true) => {}
            None => return Err(Error::Missing { kind: "configmap", name: reference.name.clone() }),
        }
    }
    if let Some(reference) = &source.secret_ref {
        match sources.secrets.get(&reference.name) {
            Some(secret) => {
                let text = |(key, bytes)| Some((key, String::from_utf8(bytes).ok()?));
                found.extend(secret_data(secret).into_iter().filter_map(text));
            }
            None if reference.optional == Some(true) => {}
            None => return Err(Error::Missing { kind: "secret", name: reference.name.clone() }),
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;
    use serde_json::{from_value, json};

    use super::*;

    fn pod(container: serde_json::Value) -> Pod {
        from_value(json!({
            "metadata": {"name": "web-1", "namespace": "shop", "uid": "u1", "labels": {"app.kubernetes.io/name": "web"}},
            "spec": {"containers": [container]},
        }))
        .unwrap()
    }

    fn environment(pod: &Pod, sources: &Sources) -> Result<Environment, Error> {
        let rewrite = Rewrite::new("127.1.2.3", [("/etc/web".to_owned(), "/pods/u1/config".to_owned())]);
        Environment::of(pod, &pod.spec.as_ref().unwrap().containers[0], Ipv4Addr::new(127, 1, 2, 3), sources, &rewrite)
    }

    #[test]
    fn values_come_from_fields_maps_and_earlier_variables() {
        let pod = pod(json!({"name": "web", "image": "web", "env": [
            {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
            {"name": "APP", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['app.kubernetes.io/name']"}}},
            {"name": "LEVEL", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "level"}}},
            {"name": "NONE", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "none", "optional": true}}},
            {"name": "FILE", "value": "/etc/web/$(POD).conf"},
            {"name": "BIND", "value": "0.0.0.0:$(LEVEL)"},
        ]}));
        let map: ConfigMap = from_value(json!({"data": {"level": "7"}})).unwrap();
        let sources = Sources { config_maps: [("settings".to_owned(), map)].into(), ..Sources::default() };
        let environment = environment(&pod, &sources).unwrap();
        assert_eq!(
            environment.iter().collect::<Vec<_>>(),
            [
                ("POD", "web-1"),
                ("IP", "127.1.2.3"),
                ("APP", "web"),
                ("LEVEL", "7"),
                ("FILE", "/pods/u1/config/web-1.conf"),
                ("BIND", "127.1.2.3:7"),
            ]
        );
    }

    #[test]
    fn a_missing_object_or_key_is_named() {
        let pod = pod(json!({"name": "web", "image": "web", "env": [
            {"name": "LEVEL", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "level"}}},
        ]}));
        let error = environment(&pod, &Sources::default()).unwrap_err();
        assert_eq!(error, Error::Missing { kind: "configmap", name: "settings".to_owned() });
        let empty =
            Sources { config_maps: [("settings".to_owned(), ConfigMap::default())].into(), ..Sources::default() };
        assert!(matches!(environment(&pod, &empty), Err(Error::MissingKey { key, .. }) if key == "level"));
    }
}
