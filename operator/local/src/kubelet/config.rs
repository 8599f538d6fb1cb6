//! What a process kubelet is given: where its data is, and which local command stands for which image.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::hosts::Hosts;

/// The settings of one process kubelet.
#[derive(Clone, Debug)]
pub struct KubeletConfig {
    /// The name of its Node object; pods are bound to it.
    pub node_name: String,
    /// An absolute folder for pods, claims and logs. Claims' folders are found again by a later run.
    pub data_dir: PathBuf,
    /// The names of pods and Services.
    pub hosts: Arc<Hosts>,
    /// The commands that stand for images.
    pub images: Images,
    /// The way to the API server, for containers of pods that mount a token of their ServiceAccount.
    pub kubeconfig: Option<PathBuf>,
    /// The pauses before a container that ended is started again.
    pub restart: RestartPauses,
    /// The longest that a container may take to end when the kubelet itself is stopped.
    pub shutdown_grace: Duration,
}

impl KubeletConfig {
    /// A kubelet with the usual pauses for a node called `local`.
    pub fn new(data_dir: impl Into<PathBuf>, hosts: Arc<Hosts>, images: Images) -> Self {
        Self {
            node_name: "local".to_owned(),
            data_dir: data_dir.into(),
            hosts,
            images,
            kubeconfig: None,
            restart: RestartPauses::default(),
            shutdown_grace: Duration::from_secs(10),
        }
    }
}

/// Local commands by the beginnings of image names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Images(BTreeMap<String, Vec<String>>);

impl Images {
    /// Runs `command` (program and first arguments) for images whose names begin with `prefix`, in place of the image's own
    /// entry point.
    #[must_use]
    pub fn with(mut self, prefix: impl Into<String>, command: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.0.insert(prefix.into(), command.into_iter().map(Into::into).collect());
        self
    }

    /// The command for `image`: that of the longest prefix which fits.
    pub fn command(&self, image: &str) -> Option<&[String]> {
        let fitting = self.0.iter().filter(|(prefix, _)| image.starts_with(prefix.as_str()));
        fitting.max_by_key(|(prefix, _)| prefix.len()).map(|(_, command)| command.as_slice())
    }

    /// Every prefix, for messages.
    pub fn prefixes(&self) -> String {
        self.0.keys().map(|prefix| format!("{prefix}*")).collect::<Vec<_>>().join(", ")
    }
}

/// How long to wait before starting a container again: not at all the first time, then `first`, doubled up to `max`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RestartPauses {
    /// The first pause.
    pub first: Duration,
    /// The longest pause.
    pub max: Duration,
    /// A run as long as this starts the row anew.
    pub reset_after: Duration,
}

impl Default for RestartPauses {
    /// Shorter than a real kubelet's 10 s and 5 min, since a person is waiting.
    fn default() -> Self {
        Self { first: Duration::from_secs(1), max: Duration::from_secs(60), reset_after: Duration::from_secs(120) }
    }
}

/// Where a container is in its row of pauses.
#[derive(Debug)]
pub(super) struct Backoff {
    pauses: RestartPauses,
    next: Duration,
}

impl Backoff {
    pub fn new(pauses: RestartPauses) -> Self {
        Self { pauses, next: Duration::ZERO }
    }

    /// The pause after a run that lasted for `ran`.
    pub fn pause(&mut self, ran: Duration) -> Duration {
        if ran >= self.pauses.reset_after {
            self.next = Duration::ZERO;
        }
        let pause = self.next;
        self.next = (pause * 2).clamp(self.pauses.first, self.pauses.max);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_fitting_prefix_names_the_command() {
        let images = Images::default().with("registry/", ["any"]).with("registry/app", ["app", "run"]);
        assert_eq!(images.command("registry/app:1.2"), Some(["app".to_owned(), "run".to_owned()].as_slice()));
        assert_eq!(images.command("registry/other"), Some(["any".to_owned()].as_slice()));
        assert_eq!(images.command("busybox"), None);
    }

    #[test]
    fn pauses_double_up_to_the_longest_and_start_anew_after_a_long_run() {
        let seconds = Duration::from_secs;
        let mut backoff = Backoff::new(RestartPauses { first: seconds(1), max: seconds(5), reset_after: seconds(60) });
        let short = |backoff: &mut Backoff| backoff.pause(seconds(2));
        let row: Vec<_> = (0..5).map(|_| short(&mut backoff).as_secs()).collect();
        assert_eq!(row, [0, 1, 2, 4, 5]);
        assert_eq!(backoff.pause(seconds(60)), seconds(0));
        assert_eq!(short(&mut backoff), seconds(1));
    }
}
