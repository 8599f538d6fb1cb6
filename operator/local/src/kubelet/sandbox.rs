//! What takes the place of a container's isolation: the pod's address and folder, and from them everything a start needs.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, Pod, Probe};
use kube::ResourceExt as _;

use super::Node;
use super::env::Environment;
use super::probe::Target;
use super::process::Launch;
use super::rewrite::Rewrite;
use super::sources::{self, Sources};
use super::volumes::Volumes;
use crate::hosts::HOSTS_ENV;

/// Kubernetes' default for `terminationGracePeriodSeconds`.
const DEFAULT_GRACE: Duration = Duration::from_secs(30);

/// Variables of this process that a container may need to run here at all; nothing else is inherited.
const INHERITED: [&str; 5] = ["PATH", "LANG", "TZ", "LD_LIBRARY_PATH", "TMPDIR"];

/// Names the way to the API server, in place of the token and the variables that a container would have.
const KUBECONFIG_ENV: &str = "KUBECONFIG";

/// The place of one pod.
#[derive(Debug)]
pub struct Sandbox {
    /// The pod as it was bound; a pod's containers do not change.
    pub pod: Pod,
    /// Its own address.
    pub address: Ipv4Addr,
    /// Its volumes.
    pub volumes: Volumes,
}

/// A container ready to start.
#[derive(Debug)]
pub struct Prepared {
    /// What to run.
    pub launch: Launch,
    /// The container with the commands of its probes rewritten.
    pub container: Container,
    /// Where its probes go.
    pub target: Target,
}

/// Why a container cannot start yet.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No local command stands for the image.
    #[error("no local command stands for image {image:?}; there are commands for: {known}")]
    NoCommand {
        /// The image.
        image: String,
        /// The prefixes there are.
        known: String,
    },
    /// A part is missing or wrong.
    #[error(transparent)]
    Config(#[from] sources::Error),
}

impl Error {
    /// As the waiting reason.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NoCommand { .. } => "ErrImagePull",
            Self::Config(sources::Error::Unbound(_) | sources::Error::Api(_)) => "ContainerCreating",
            Self::Config(_) => "CreateContainerConfigError",
        }
    }

    /// Whether a person should hear of it: a claim that is not yet bound will be in a moment.
    pub fn is_worth_an_event(&self) -> bool {
        !matches!(self, Self::Config(sources::Error::Unbound(_)))
    }
}

impl Sandbox {
    /// How long the pod's containers may take to end.
    pub fn grace(&self) -> Duration {
        let seconds = self.pod.spec.as_ref().and_then(|spec| spec.termination_grace_period_seconds);
        seconds.and_then(|seconds| u64::try_from(seconds).ok()).map_or(DEFAULT_GRACE, Duration::from_secs)
    }

    /// The pod's host name within its containers.
    pub fn hostname(&self) -> String {
        self.pod.spec.as_ref().and_then(|spec| spec.hostname.clone()).unwrap_or_else(|| self.pod.name_any())
    }

    fn folder(&self) -> PathBuf {
        self.volumes.pod_folder.clone()
    }
}

/// Makes everything that a start of `container` needs, from what the API server has now.
pub async fn prepare(node: &Node, sandbox: &Sandbox, container: &Container) -> Result<Prepared, Error> {
    let pod = &sandbox.pod;
    if pod.spec.as_ref().is_some_and(|spec| spec.init_containers.iter().flatten().next().is_some()) {
        return Err(sources::Error::Unsupported("init containers".to_owned()).into());
    }
    let command = node.config.images.command(container.image.as_deref().unwrap_or_default());
    let command = command.ok_or_else(|| Error::NoCommand {
        image: container.image.clone().unwrap_or_default(),
        known: node.config.images.prefixes(),
    })?;
    let sources = Sources::load(&node.client, pod).await?;
    let rewrite = rewrite_of(sandbox, container, &sources)?;
    // Files are shared by the pod's containers, so they are written by the mounts of all.
    let mut mounts = mounts_of(sandbox, container, &sources)?;
    for other in pod.spec.iter().flat_map(|spec| &spec.containers).filter(|other| other.name != container.name) {
        mounts.extend(mounts_of(sandbox, other, &sources)?);
    }
    let for_files = Rewrite::new(sandbox.address.to_string(), mounts);
    sandbox.volumes.write(pod, sandbox.address, &sources, &for_files)?;
    let mut environment = Environment::of(pod, container, sandbox.address, &sources, &rewrite)?;
    add_own_variables(&mut environment, node, sandbox);
    Ok(assemble(sandbox, container, command, &environment, &rewrite))
}

fn mounts_of(sandbox: &Sandbox, container: &Container, sources: &Sources) -> Result<Vec<(String, String)>, Error> {
    // Only for subPathExpr, which has no paths to rewrite.
    let addresses_only = Rewrite::new(sandbox.address.to_string(), []);
    let environment = Environment::of(&sandbox.pod, container, sandbox.address, sources, &addresses_only)?;
    Ok(sandbox.volumes.mounts(&sandbox.pod, container, sources, &environment)?)
}

fn rewrite_of(sandbox: &Sandbox, container: &Container, sources: &Sources) -> Result<Rewrite, Error> {
    Ok(Rewrite::new(sandbox.address.to_string(), mounts_of(sandbox, container, sources)?))
}

fn add_own_variables(environment: &mut Environment, node: &Node, sandbox: &Sandbox) {
    let inherited = INHERITED.iter().filter_map(|name| Some((*name, std::env::var(name).ok()?)));
    let own = [
        ("HOSTNAME", sandbox.hostname()),
        ("HOME", sandbox.folder().display().to_string()),
        (HOSTS_ENV, node.config.hosts.path().display().to_string()),
    ];
    let api = node.config.kubeconfig.as_ref().filter(|_| mounts_token(&sandbox.pod));
    let api = api.map(|file| (KUBECONFIG_ENV, file.display().to_string()));
    for (name, value) in inherited.chain(own).chain(api) {
        if environment.get(name).is_none() {
            environment.set(name, value);
        }
    }
}

/// Whether the pod is one that speaks to the API server. What its ServiceAccount says is not looked up.
fn mounts_token(pod: &Pod) -> bool {
    pod.spec.as_ref().is_some_and(|spec| spec.automount_service_account_token != Some(false))
}

fn assemble(
    sandbox: &Sandbox,
    container: &Container,
    image_command: &[String],
    environment: &Environment,
    rewrite: &Rewrite,
) -> Prepared {
    // `command` takes the place of the image's entry point, and then an image's own arguments are gone too.
    let command = container.command.as_deref().filter(|command| !command.is_empty());
    let mut words = command.map_or_else(|| image_command.to_vec(), |command| environment.words(command, rewrite));
    words.extend(environment.words(container.args.as_deref().unwrap_or_default(), rewrite));
    let folder =
        container.working_dir.as_ref().map_or_else(|| sandbox.folder(), |dir| PathBuf::from(rewrite.apply(dir)));
    let variables: Vec<_> = environment.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let mut probed = container.clone();
    for probe in [&mut probed.startup_probe, &mut probed.readiness_probe, &mut probed.liveness_probe] {
        rewrite_exec(probe.as_mut(), rewrite);
    }
    Prepared {
        target: Target {
            address: sandbox.address,
            ports: Target::ports_of(container),
            environment: variables.clone(),
            folder: folder.clone(),
        },
        launch: Launch { words, environment: variables, folder },
        container: probed,
    }
}

/// Probes' commands know no `$(NAME)`, only the mounts and the address are not where they say.
fn rewrite_exec(probe: Option<&mut Probe>, rewrite: &Rewrite) {
    if let Some(command) = probe.and_then(|probe| probe.exec.as_mut()).and_then(|exec| exec.command.as_mut()) {
        *command = command.iter().map(|word| rewrite.apply(word)).collect();
    }
}
