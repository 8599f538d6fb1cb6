//! One try of a probe: HTTP, TCP or a command.
//!
//! Servers are reached at the pod's own address. What decides over a container is in `prober`.

use std::net::Ipv4Addr;
use std::process::Stdio;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, HTTPGetAction, Probe};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::process::Command;

/// Where and how to probe a container.
#[derive(Clone, Debug)]
pub struct Target {
    /// The pod's address.
    pub address: Ipv4Addr,
    /// Named ports.
    pub ports: Vec<(String, u16)>,
    /// The environment of commands, which is the container's.
    pub environment: Vec<(String, String)>,
    /// The working folder of commands.
    pub folder: std::path::PathBuf,
}

/// What one try found; a failure says why.
pub type Outcome = Result<(), String>;

/// A response line longer than this is no HTTP.
const MAX_STATUS_LINE: u64 = 4096;

impl Target {
    /// The named ports of `container`.
    pub fn ports_of(container: &Container) -> Vec<(String, u16)> {
        let named = container.ports.iter().flatten().filter_map(|port| {
            let number = u16::try_from(port.container_port).ok()?;
            port.name.clone().map(|name| (name, number))
        });
        named.collect()
    }

    /// Tries `probe` once. `exec` commands must have been rewritten for this machine already.
    pub async fn try_once(&self, probe: &Probe) -> Outcome {
        let limit = Duration::from_secs(probe.timeout_seconds.unwrap_or(1).max(1).unsigned_abs().into());
        match tokio::time::timeout(limit, self.attempt(probe)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(format!("no answer within {} s", limit.as_secs())),
        }
    }

    async fn attempt(&self, probe: &Probe) -> Outcome {
        if let Some(action) = &probe.http_get {
            return self.http(action).await;
        }
        if let Some(action) = &probe.tcp_socket {
            return self.connect(action.host.as_deref(), &action.port).await.map(drop);
        }
        if let Some(action) = &probe.exec {
            return self.exec(action.command.as_deref().unwrap_or_default()).await;
        }
        Err("the process kubelet supports httpGet, tcpSocket and exec probes only".to_owned())
    }

    async fn connect(&self, host: Option<&str>, port: &IntOrString) -> Result<TcpStream, String> {
        let port = self.port(port)?;
        let host = host.filter(|host| !host.is_empty()).map_or_else(|| self.address.to_string(), str::to_owned);
        TcpStream::connect((host.as_str(), port)).await.map_err(|error| format!("dial tcp {host}:{port}: {error}"))
    }

    fn port(&self, port: &IntOrString) -> Result<u16, String> {
        match port {
            IntOrString::Int(number) => u16::try_from(*number).map_err(|_| format!("{number} is no port")),
            IntOrString::String(name) => {
                let named = self.ports.iter().find(|(known, _)| known == name).map(|(_, port)| *port);
                named.or_else(|| name.parse().ok()).ok_or_else(|| format!("the container has no port named {name:?}"))
            }
        }
    }

    async fn http(&self, action: &HTTPGetAction) -> Outcome {
        if action.scheme.as_deref() == Some("HTTPS") {
            return Err("the process kubelet does not support HTTPS probes".to_owned());
        }
        let mut stream = self.connect(action.host.as_deref(), &action.port).await?;
        let path = action.path.as_deref().filter(|path| path.starts_with('/')).unwrap_or("/");
        let headers: String = (action.http_headers.iter().flatten())
            .map(|header| format!("{}: {}\r\n", header.name, header.value))
            .collect();
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\nUser-Agent: kube-probe\r\nConnection: close\r\n{headers}\r\n",
            self.address
        );
        stream.write_all(request.as_bytes()).await.map_err(|error| error.to_string())?;
        let mut line = String::new();
        let mut reader = BufReader::new(tokio::io::AsyncReadExt::take(stream, MAX_STATUS_LINE));
        reader.read_line(&mut line).await.map_err(|error| error.to_string())?;
        match status_code(&line) {
            Some(200..400) => Ok(()),
            Some(code) => Err(format!("HTTP probe failed with statuscode: {code}")),
            None => Err(format!("not an HTTP response: {:?}", line.trim_end())),
        }
    }

    async fn exec(&self, command: &[String]) -> Outcome {
        let (program, arguments) = command.split_first().ok_or("the exec probe has no command")?;
        let output = Command::new(program)
            .args(arguments)
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .map_err(|error| format!("cannot start {program:?}: {error}"))?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(if output.stdout.is_empty() { &output.stderr } else { &output.stdout });
        Err(format!("{}: {}", output.status, said.trim().chars().take(512).collect::<String>()))
    }
}

fn status_code(line: &str) -> Option<u16> {
    let (version, rest) = line.split_once(' ')?;
    version.starts_with("HTTP/1.").then(|| rest.get(..3)?.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, from_value, json};
    use tokio::io::AsyncReadExt as _;
    use tokio::net::TcpListener;

    use super::*;

    fn target() -> Target {
        let path = ("PATH".to_owned(), std::env::var("PATH").unwrap());
        Target { address: Ipv4Addr::LOCALHOST, ports: Vec::new(), environment: vec![path], folder: "/".into() }
    }

    async fn outcome(target: &Target, probe: Value) -> Outcome {
        target.try_once(&from_value(probe).unwrap()).await
    }

    /// A server that answers each connection with `answer`, on the port returned.
    async fn serve(answer: &'static str) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = [0; 1024];
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        port
    }

    #[tokio::test]
    async fn an_http_probe_succeeds_below_400_and_says_what_it_got() {
        let mut target = target();
        target.ports = vec![("http".to_owned(), serve("HTTP/1.1 204 No Content\r\n\r\n").await)];
        assert_eq!(outcome(&target, json!({"httpGet": {"path": "/readyz", "port": "http"}})).await, Ok(()));
        let sick = serve("HTTP/1.1 503 Service Unavailable\r\n\r\n").await;
        let answer = outcome(&target, json!({"httpGet": {"path": "/", "port": sick}})).await;
        assert_eq!(answer, Err("HTTP probe failed with statuscode: 503".to_owned()));
        let wrong = outcome(&target, json!({"httpGet": {"port": serve("SSH-2.0-x\r\n").await}})).await.unwrap_err();
        assert!(wrong.contains("SSH-2.0-x"), "{wrong}");
    }

    #[tokio::test]
    async fn a_tcp_probe_needs_a_listener() {
        let port = serve("").await;
        assert_eq!(outcome(&target(), json!({"tcpSocket": {"port": port}})).await, Ok(()));
        let missing = outcome(&target(), json!({"tcpSocket": {"port": "nowhere"}})).await.unwrap_err();
        assert!(missing.contains("no port named \"nowhere\""), "{missing}");
    }

    #[tokio::test]
    async fn an_exec_probe_is_its_exit_code_within_its_time() {
        assert_eq!(outcome(&target(), json!({"exec": {"command": ["sh", "-c", "exit 0"]}})).await, Ok(()));
        let failed =
            outcome(&target(), json!({"exec": {"command": ["sh", "-c", "echo not yet; exit 3"]}})).await.unwrap_err();
        assert!(failed.contains("not yet") && failed.contains('3'), "{failed}");
        let slow = outcome(&target(), json!({"exec": {"command": ["sleep", "60"]}, "timeoutSeconds": 1})).await;
        assert_eq!(slow, Err("no answer within 1 s".to_owned()));
    }
}
