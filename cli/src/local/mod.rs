//! `ottla local`: from nothing to a Kafka cluster that serves, on a machine without containers.
//!
//! It applies custom resources and waits, as a person with a Kubernetes cluster would; whatever makes them Ready is the operator's.

mod manifests;
mod readiness;
mod records;
mod stack;
mod terminal;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DynamicObject, ListParams, LogParams};
use kube::{Api, Client, ResourceExt as _};
use ottla_crds::{KafkaCluster, KafkaTopic};
use tempfile::TempDir;
use tracing_subscriber::EnvFilter;

use records::COUNT;
use stack::Stack;
use terminal::Terminal;

use crate::signals::asked_to_stop;

/// How long `--check` waits for everything to be Ready.
const CHECK_LIMIT: Duration = Duration::from_secs(60);
/// How long records may fail to go through although everything says that it is Ready.
const PROOF_LIMIT: Duration = Duration::from_secs(30);
/// The pause before looking again.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// How much of a broker's log is shown when something went wrong.
const LAST_LINES: i64 = 15;

/// How to run locally.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// Keep all data here and go on with it the next time; otherwise it is gone afterwards.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,

    /// Bring everything up, produce and consume, and exit: 0 if all of that worked.
    #[arg(long)]
    pub check: bool,

    /// The port of the Kubernetes API on 127.0.0.1; a free one if left out.
    #[arg(long, value_name = "PORT", default_value_t = 0, hide_default_value = true)]
    pub kube_port: u16,

    /// Apply these objects instead of the quick start's cluster and topics.
    #[arg(long, value_name = "FILE")]
    manifest: Option<PathBuf>,

    /// Only the Kubernetes API with its node: no definitions, operator or resources, for whoever brings their own.
    #[arg(long, conflicts_with_all = ["check", "manifest"])]
    bare: bool,
}

/// The data folder: a person's own, or one that goes with the process.
enum Data {
    Kept(PathBuf),
    Temporary(TempDir),
}

impl Data {
    fn open(wanted: Option<&Path>) -> anyhow::Result<Self> {
        let Some(folder) = wanted else {
            return Ok(Self::Temporary(tempfile::Builder::new().prefix("ottla-local-").tempdir()?));
        };
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        // Absolute, because the brokers run in folders of their own.
        Ok(Self::Kept(folder.canonicalize()?))
    }

    fn path(&self) -> &Path {
        match self {
            Self::Kept(folder) => folder,
            Self::Temporary(folder) => folder.path(),
        }
    }
}

/// Runs until Ctrl-C, or with `--check` until it has its answer.
pub fn main(options: Options) -> ExitCode {
    let mut terminal = Terminal::new();
    match start(&options, &mut terminal) {
        Ok(code) => code,
        Err(error) => {
            terminal.settle();
            terminal.say(format_args!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn start(options: &Options, terminal: &mut Terminal) -> anyhow::Result<ExitCode> {
    let objects = manifests::read(options.manifest.as_deref())?;
    let data = Data::open(options.data.as_deref())?;
    log_to(&data.path().join("ottla-local.log"))?;
    let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime")?;
    let code = runtime.block_on(run(options, &objects, data.path(), terminal));
    drop(runtime);
    code
}

/// The log of everything in this process goes to a file, for the terminal belongs to the person.
fn log_to(file: &Path) -> anyhow::Result<()> {
    let file = std::fs::File::options().create(true).append(true).open(file);
    let file = file.context("cannot write the log file")?;
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(Mutex::new(file)).init();
    Ok(())
}

async fn run(
    options: &Options,
    objects: &[DynamicObject],
    data: &Path,
    terminal: &mut Terminal,
) -> anyhow::Result<ExitCode> {
    let mut stack = Stack::start(data, options.kube_port).await?;
    let outcome = tokio::select! {
        outcome = bring_up(options, objects, &mut stack, terminal) => Some(outcome),
        () = asked_to_stop() => None,
    };
    terminal.settle();
    let mut code = ExitCode::SUCCESS;
    match outcome {
        Some(Ok(summary)) => terminal.say(summary),
        Some(Err(error)) => {
            terminal.say(format_args!("error: {error:#}"));
            show_last_words(&stack.client, terminal).await;
            code = ExitCode::FAILURE;
            if !options.check {
                let look = "It stays up, for you to look and to mend";
                terminal.say(format_args!("{look}:\n{}\nCtrl-C ends it.", kubectl_lines(&stack.kubeconfig)));
            }
        }
        None => code = ExitCode::from(130),
    }
    let goes_on = !options.check && code != ExitCode::from(130);
    if goes_on {
        asked_to_stop().await;
        terminal.say("stopping the brokers; Ctrl-C again ends them at once");
    }
    tokio::select! {
        () = stack.stop() => {}
        // What still runs is killed by the kubelet's guard as soon as this process is gone.
        () = asked_to_stop() => code = ExitCode::from(130),
    }
    Ok(code)
}

/// Applies, waits, produces and consumes; what to tell the person then.
async fn bring_up(
    options: &Options,
    objects: &[DynamicObject],
    stack: &mut Stack,
    terminal: &mut Terminal,
) -> anyhow::Result<String> {
    if options.bare {
        let kubeconfig = stack.kubeconfig.display();
        return Ok(format!("The Kubernetes API is up, with kubeconfig {kubeconfig}. Ctrl-C ends it."));
    }
    manifests::apply_definitions(&stack.client).await?;
    stack.start_operator();
    manifests::apply(&stack.client, objects).await?;
    readiness::announce(objects, terminal);
    let proof = prove(objects, stack, options.check.then_some(CHECK_LIMIT), terminal).await?;
    let seconds = terminal.elapsed().as_secs_f32();
    terminal.done("records", format_args!("{COUNT} produced to {} and consumed again", proof.topic));
    Ok(summary(&proof, &stack.kubeconfig, options, seconds))
}

/// What was found to work.
struct Proof {
    bootstrap: String,
    topic: String,
}

/// Waits until all is Ready and records go through. A status may be of a run before this one, with the addresses of brokers
/// that are gone, until the operator has looked: so a failure to connect is no answer, only a reason to look again.
async fn prove(
    objects: &[DynamicObject],
    stack: &Stack,
    limit: Option<Duration>,
    terminal: &mut Terminal,
) -> anyhow::Result<Proof> {
    loop {
        readiness::wait(&stack.client, objects, limit, terminal).await?;
        let proof =
            Proof { bootstrap: bootstrap_servers(&stack.client).await?, topic: first_topic(&stack.client).await? };
        match records::there_and_back(&proof.bootstrap, stack.hosts.path(), &proof.topic).await {
            Ok(()) => return Ok(proof),
            Err(error) if terminal.elapsed() < PROOF_LIMIT => terminal.waiting("records", format_args!("{error:#}")),
            Err(error) => return Err(error),
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

async fn bootstrap_servers(client: &Client) -> anyhow::Result<String> {
    let clusters: Api<KafkaCluster> = Api::all(client.clone());
    let all = clusters.list(&ListParams::default()).await?;
    let servers = all.iter().flat_map(|cluster| cluster.status.iter().flat_map(|status| &status.listeners));
    let Some(listener) = servers.into_iter().next() else {
        bail!("the cluster is Ready and yet names no listener in its status");
    };
    Ok(listener.bootstrap_servers.clone())
}

async fn first_topic(client: &Client) -> anyhow::Result<String> {
    let topics: Api<KafkaTopic> = Api::all(client.clone());
    let mut names: Vec<_> = topics.list(&ListParams::default()).await?.iter().map(kafka_name).collect();
    names.sort();
    names.into_iter().next().context("there is no KafkaTopic to produce to: add one to the manifest")
}

fn kafka_name(topic: &KafkaTopic) -> String {
    topic.spec.topic_name.clone().unwrap_or_else(|| topic.name_any())
}

fn summary(proof: &Proof, kubeconfig: &Path, options: &Options, seconds: f32) -> String {
    let Proof { bootstrap, topic } = proof;
    let first = format!("\nKafka is ready after {seconds:.2} s.\n\n  bootstrap servers   {bootstrap}\n");
    if options.check {
        return first;
    }
    let kcat = "\nTry, in another terminal:\n";
    let produce = format!("  echo hello | kcat -b {bootstrap} -t {topic} -P\n");
    let consume = format!("  kcat -b {bootstrap} -t {topic} -C -o beginning -e\n");
    let kubectl = kubectl_lines(kubeconfig);
    let kept = match &options.data {
        Some(_) => "Data is kept",
        None => "Data goes with it (keep it with --data DIR)",
    };
    format!(
        "{first}  kubeconfig          {}\n{kcat}{produce}{consume}{kubectl}\nCtrl-C ends it. {kept}.",
        kubeconfig.display()
    )
}

fn kubectl_lines(kubeconfig: &Path) -> String {
    let export = format!("  export KUBECONFIG={}\n", kubeconfig.display());
    let look = "  kubectl get ottla,pods,pvc\n  kubectl describe okc\n  kubectl logs -f demo-broker-0\n";
    export + look
}

/// The last lines of each container that is not ready, which mostly say why.
async fn show_last_words(client: &Client, terminal: &Terminal) {
    let pods: Api<Pod> = Api::default_namespaced(client.clone());
    let Ok(all) = pods.list(&ListParams::default()).await else { return };
    for pod in all {
        let name = pod.name_any();
        let tail = LogParams { tail_lines: Some(LAST_LINES), ..LogParams::default() };
        match pods.logs(&name, &tail).await {
            Ok(text) if !text.trim().is_empty() => {
                terminal.say(format_args!("--- the last lines of {name}\n{}", text.trim_end()))
            }
            _ => {}
        }
    }
}
