//! A pod's volumes as folders on this machine, and where each mount of a container therefore is.
//!
//! emptyDir, ConfigMap, Secret, projected and downward API volumes live in the pod's own folder; a claim's is kept by the claim's
//! identity, so that it outlives the pod; hostPath is what it says. Files are written again before every start of a container.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Component, Path, PathBuf};

use k8s_openapi::api::core::v1::{Container, DownwardAPIVolumeFile, KeyToPath, Pod, Volume, VolumeMount};

use super::claims;
use super::downward;
use super::env::Environment;
use super::expand::expand;
use super::rewrite::Rewrite;
use super::sources::{Error, Sources, secret_data};

const DEFAULT_MODE: i32 = 0o644;

/// Where a pod's volumes are.
#[derive(Clone, Debug)]
pub struct Volumes {
    /// The pod's own folder.
    pub pod_folder: PathBuf,
    /// The folder of all claims' folders.
    pub claims_folder: PathBuf,
}

/// A file of a volume: contents and permission bits.
struct File {
    contents: Vec<u8>,
    mode: i32,
}

type Files = BTreeMap<PathBuf, File>;

impl Volumes {
    /// `(mountPath, local path)` for each mount of `container`. `subPathExpr` may refer to `environment`.
    pub fn mounts(
        &self,
        pod: &Pod,
        container: &Container,
        sources: &Sources,
        environment: &Environment,
    ) -> Result<Vec<(String, String)>, Error> {
        let mut mounts = Vec::new();
        for mount in container.volume_mounts.iter().flatten() {
            let volume = volumes_of(pod).find(|volume| volume.name == mount.name);
            let volume = volume
                .ok_or_else(|| Error::Invalid(format!("mount {:?} names no volume of the pod", mount.mount_path)))?;
            let mut path = self.folder(volume, sources)?;
            if let Some(below) = sub_path(mount, environment)? {
                path.push(below);
            }
            mounts.push((mount.mount_path.clone(), path.display().to_string()));
        }
        Ok(mounts)
    }

    /// Makes every folder and file of the pod's volumes as they should be now.
    pub fn write(&self, pod: &Pod, address: Ipv4Addr, sources: &Sources, rewrite: &Rewrite) -> Result<(), Error> {
        for volume in volumes_of(pod) {
            let folder = self.folder(volume, sources)?;
            if volume.host_path.is_some() {
                continue;
            }
            fs::create_dir_all(&folder).map_err(|error| Error::io(&folder, &error))?;
            if let Some(files) = files_of(volume, pod, address, sources, rewrite)? {
                replace_files(&folder, &files)?;
            }
        }
        self.make_sub_paths(pod, sources)
    }

    fn folder(&self, volume: &Volume, sources: &Sources) -> Result<PathBuf, Error> {
        if let Some(claim) = &volume.persistent_volume_claim {
            let name = &claim.claim_name;
            let missing = || Error::Missing { kind: "persistentvolumeclaim", name: name.clone() };
            let claim = sources.claims.get(name).ok_or_else(missing)?;
            return match claims::is_bound(claim) {
                true => Ok(claims::folder(&self.claims_folder, claim)),
                false => Err(Error::Unbound(name.clone())),
            };
        }
        if let Some(host) = &volume.host_path {
            return Ok(PathBuf::from(&host.path));
        }
        Ok(self.pod_folder.join("volumes").join(&volume.name))
    }

    /// A container expects the folder a plain `subPath` names to exist, unless the volume has a file there.
    fn make_sub_paths(&self, pod: &Pod, sources: &Sources) -> Result<(), Error> {
        for container in pod.spec.iter().flat_map(|spec| &spec.containers) {
            for mount in container.volume_mounts.iter().flatten().filter(|mount| mount.sub_path.is_some()) {
                let Some(volume) = volumes_of(pod).find(|volume| volume.name == mount.name) else { continue };
                let writable = volume.empty_dir.is_some() || volume.persistent_volume_claim.is_some();
                if let (true, Some(below)) = (writable, &mount.sub_path) {
                    let path = self.folder(volume, sources)?.join(inside(below)?);
                    if !path.exists() {
                        fs::create_dir_all(&path).map_err(|error| Error::io(&path, &error))?;
                    }
                }
            }
        }
        Ok(())
    }
}

fn volumes_of(pod: &Pod) -> impl Iterator<Item = &Volume> {
    pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten())
}

fn sub_path(mount: &VolumeMount, environment: &Environment) -> Result<Option<PathBuf>, Error> {
    if let Some(expression) = &mount.sub_path_expr {
        return inside(&expand(expression, |name| environment.get(name))).map(Some);
    }
    mount.sub_path.as_deref().filter(|path| !path.is_empty()).map(inside).transpose()
}

/// `path`, if it stays inside the folder it is relative to.
fn inside(path: &str) -> Result<PathBuf, Error> {
    let path = PathBuf::from(path);
    let stays = path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    stays
        .then(|| path.clone())
        .ok_or_else(|| Error::Invalid(format!("path {path:?} must be relative and without '..'")))
}

/// The files a volume consists of; `None` for one that the container itself fills.
fn files_of(
    volume: &Volume,
    pod: &Pod,
    address: Ipv4Addr,
    sources: &Sources,
    rewrite: &Rewrite,
) -> Result<Option<Files>, Error> {
    let mut files = Files::new();
    if let Some(map) = &volume.config_map {
        let mode = map.default_mode.unwrap_or(DEFAULT_MODE);
        add_config_map(&mut files, &map.name, map.items.as_deref(), mode, map.optional, sources, rewrite)?;
    } else if let Some(secret) = &volume.secret {
        let name = secret.secret_name.as_deref().unwrap_or_default();
        let mode = secret.default_mode.unwrap_or(DEFAULT_MODE);
        add_secret(&mut files, name, secret.items.as_deref(), mode, secret.optional, sources)?;
    } else if let Some(downward) = &volume.downward_api {
        let mode = downward.default_mode.unwrap_or(DEFAULT_MODE);
        add_downward(&mut files, downward.items.as_deref(), mode, pod, address)?;
    } else if let Some(projected) = &volume.projected {
        let mode = projected.default_mode.unwrap_or(DEFAULT_MODE);
        for source in projected.sources.iter().flatten() {
            if let Some(map) = &source.config_map {
                add_config_map(&mut files, &map.name, map.items.as_deref(), mode, map.optional, sources, rewrite)?;
            } else if let Some(secret) = &source.secret {
                add_secret(&mut files, &secret.name, secret.items.as_deref(), mode, secret.optional, sources)?;
            } else if let Some(downward) = &source.downward_api {
                add_downward(&mut files, downward.items.as_deref(), mode, pod, address)?;
            } else {
                return Err(Error::Unsupported(format!("this source of projected volume {:?}", volume.name)));
            }
        }
    } else if volume.empty_dir.is_some() || volume.persistent_volume_claim.is_some() {
        return Ok(None);
    } else {
        return Err(Error::Unsupported(format!("the type of volume {:?}", volume.name)));
    }
    Ok(Some(files))
}

fn add_config_map(
    files: &mut Files,
    name: &str,
    items: Option<&[KeyToPath]>,
    mode: i32,
    optional: Option<bool>,
    sources: &Sources,
    rewrite: &Rewrite,
) -> Result<(), Error> {
    let data = sources.config_maps.get(name).map(|map| {
        let text = map.data.iter().flatten().map(|(key, text)| (key.clone(), rewrite.apply(text).into_bytes()));
        let binary = map.binary_data.iter().flatten().map(|(key, bytes)| (key.clone(), bytes.0.clone()));
        text.chain(binary).collect()
    });
    add_keys(files, "configmap", name, data, items, mode, optional == Some(true))
}

fn add_secret(
    files: &mut Files,
    name: &str,
    items: Option<&[KeyToPath]>,
    mode: i32,
    optional: Option<bool>,
    sources: &Sources,
) -> Result<(), Error> {
    let data = sources.secrets.get(name).map(secret_data);
    add_keys(files, "secret", name, data, items, mode, optional == Some(true))
}

fn add_downward(
    files: &mut Files,
    items: Option<&[DownwardAPIVolumeFile]>,
    mode: i32,
    pod: &Pod,
    address: Ipv4Addr,
) -> Result<(), Error> {
    for item in items.unwrap_or_default() {
        let selector = item.field_ref.as_ref();
        let selector = selector.ok_or_else(|| Error::Unsupported("resourceFieldRef in a volume".to_owned()))?;
        let contents = downward::field(pod, address, selector)?.into_bytes();
        files.insert(inside(&item.path)?, File { contents, mode: item.mode.unwrap_or(mode) });
    }
    Ok(())
}

fn add_keys(
    files: &mut Files,
    kind: &'static str,
    name: &str,
    data: Option<BTreeMap<String, Vec<u8>>>,
    items: Option<&[KeyToPath]>,
    mode: i32,
    optional: bool,
) -> Result<(), Error> {
    let Some(mut data) = data else {
        return if optional { Ok(()) } else { Err(Error::Missing { kind, name: name.to_owned() }) };
    };
    let Some(items) = items else {
        for (key, contents) in data {
            files.insert(inside(&key)?, File { contents, mode });
        }
        return Ok(());
    };
    for item in items {
        match data.remove(&item.key) {
            Some(contents) => {
                files.insert(inside(&item.path)?, File { contents, mode: item.mode.unwrap_or(mode) });
            }
            None if optional => {}
            None => return Err(Error::MissingKey { kind, name: name.to_owned(), key: item.key.clone() }),
        }
    }
    Ok(())
}

/// Makes `folder` hold `files` and nothing else; each file changes as a whole.
fn replace_files(folder: &Path, files: &Files) -> Result<(), Error> {
    remove_others(folder, folder, files).map_err(|error| Error::io(folder, &error))?;
    for (path, file) in files {
        let path = folder.join(path);
        write_file(&path, file).map_err(|error| Error::io(&path, &error))?;
    }
    Ok(())
}

fn remove_others(folder: &Path, below: &Path, files: &Files) -> std::io::Result<()> {
    for entry in fs::read_dir(below)? {
        let path = entry?.path();
        let relative = path.strip_prefix(folder).unwrap_or(&path);
        if path.is_dir() && !path.is_symlink() {
            remove_others(folder, &path, files)?;
        } else if !files.contains_key(relative) {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

fn write_file(path: &Path, file: &File) -> std::io::Result<()> {
    if fs::read(path).is_ok_and(|present| present == file.contents) {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let mut fresh = path.as_os_str().to_owned();
    fresh.push(".fresh");
    // Never readable by others in between: a Secret's mode holds from the first byte.
    let _ = fs::remove_file(&fresh);
    let mut handle = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
    handle.write_all(&file.contents)?;
    handle.set_permissions(fs::Permissions::from_mode(u32::try_from(file.mode).unwrap_or(0o644) & 0o777))?;
    fs::rename(&fresh, path)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim};
    use serde_json::{from_value, json};

    use super::*;

    const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 1, 2, 3);

    fn fixture() -> (Pod, Sources) {
        let pod = from_value(json!({
            "metadata": {"name": "web-0", "namespace": "shop", "uid": "u1"},
            "spec": {
                "containers": [{"name": "web", "image": "web", "volumeMounts": [
                    {"name": "config", "mountPath": "/etc/web"},
                    {"name": "data", "mountPath": "/data", "subPath": "inner"},
                    {"name": "info", "mountPath": "/info"},
                ]}],
                "volumes": [
                    {"name": "config", "configMap": {"name": "settings", "items": [{"key": "a", "path": "x/a.conf", "mode": 0o755}]}},
                    {"name": "data", "persistentVolumeClaim": {"claimName": "data-web-0"}},
                    {"name": "info", "downwardAPI": {"items": [{"path": "name", "fieldRef": {"fieldPath": "metadata.name"}}]}},
                ],
            },
        }));
        let map: ConfigMap = from_value(json!({"data": {"a": "dir=/data\nhost=0.0.0.0\n", "b": "unused"}})).unwrap();
        let claim: PersistentVolumeClaim = from_value(json!({
            "metadata": {"name": "data-web-0", "namespace": "shop", "uid": "c1"}, "status": {"phase": "Bound"},
        }))
        .unwrap();
        let sources = Sources {
            config_maps: [("settings".to_owned(), map)].into(),
            claims: [("data-web-0".to_owned(), claim)].into(),
            ..Sources::default()
        };
        (pod.unwrap(), sources)
    }

    #[test]
    fn files_appear_where_the_mounts_say_with_their_paths_rewritten() {
        let root = tempfile::tempdir().unwrap();
        let volumes = Volumes { pod_folder: root.path().join("pod"), claims_folder: root.path().join("claims") };
        let (pod, mut sources) = fixture();
        let container = &pod.spec.as_ref().unwrap().containers[0];
        let mounts = volumes.mounts(&pod, container, &sources, &Environment::default()).unwrap();
        let local = |path: &str| mounts.iter().find(|(from, _)| from == path).unwrap().1.clone();
        let rewrite = Rewrite::new(ADDRESS.to_string(), mounts.clone());
        volumes.write(&pod, ADDRESS, &sources, &rewrite).unwrap();

        let file = PathBuf::from(local("/etc/web")).join("x/a.conf");
        assert_eq!(fs::read_to_string(&file).unwrap(), format!("dir={}\nhost=127.1.2.3\n", local("/data")));
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o755);
        assert!(!PathBuf::from(local("/etc/web")).join("b").exists());
        assert!(PathBuf::from(local("/data")).is_dir() && local("/data").ends_with("/inner"));
        assert_eq!(fs::read_to_string(PathBuf::from(local("/info")).join("name")).unwrap(), "web-0");

        sources.config_maps.insert("settings".to_owned(), from_value(json!({"data": {"a": "new"}})).unwrap());
        volumes.write(&pod, ADDRESS, &sources, &rewrite).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "new");
    }

    #[test]
    fn a_volume_waits_for_its_claim_and_stays_inside_its_folder() {
        let root = tempfile::tempdir().unwrap();
        let volumes = Volumes { pod_folder: root.path().join("pod"), claims_folder: root.path().join("claims") };
        let (pod, mut sources) = fixture();
        sources.claims.get_mut("data-web-0").unwrap().status = None;
        let rewrite = Rewrite::new("127.1.2.3", []);
        assert_eq!(volumes.write(&pod, ADDRESS, &sources, &rewrite), Err(Error::Unbound("data-web-0".to_owned())));
        assert!(inside("../x").is_err() && inside("/x").is_err() && inside("a/b").is_ok());
    }
}
