//! A broker process that the cluster is told to forget while it is at work: it registers anew.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ottla_protocol::ErrorCode;
use ottla_protocol::client::{Client, ClientConfig, FetchLimits};
use ottla_protocol::messages::UnregisterBrokerRequest;
use ottla_records::{BatchBuilder, Compression};
use rand::Rng as _;

const PATIENCE: Duration = Duration::from_secs(30);

/// A broker process; killed when dropped.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Makes clients until one has `ask` answered.
async fn eventually<T>(address: &str, what: &str, ask: impl AsyncFn(&Client) -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Ok(client) = Client::connect([address.to_owned()], ClientConfig::new("test")).await
            && let Some(answer) = ask(&client).await
        {
            return answer;
        }
        assert!(begun.elapsed() < PATIENCE, "never came true: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn produce(client: &Client) -> Option<i64> {
    let mut builder = BatchBuilder::new(Compression::None);
    builder.append(1_700_000_000_000, None, Some(b"v"), &[]);
    let answer = client.produce("t", 0, builder.build(0), -1, Duration::from_secs(1)).await.ok()?;
    (answer.error_code == ErrorCode::NONE).then_some(answer.base_offset)
}

#[tokio::test]
async fn a_broker_that_is_unregistered_while_it_is_at_work_registers_anew_and_keeps_what_it_has() {
    let data = tempfile::tempdir().unwrap();
    let mut random = rand::rng();
    let mut byte = || random.random_range(2..250_u8);
    let address = format!("127.{}.{}.{}:29092", byte(), byte(), byte());
    let mut command = Command::new(env!("CARGO_BIN_EXE_ottla-broker"));
    for property in [
        format!("listeners=PLAINTEXT://{address},CONTROLLER://127.0.0.1:0"),
        format!("log.dirs={}", data.path().display()),
        "ottla.http.listener=".to_owned(),
    ] {
        command.args(["--override", &property]);
    }
    let mut process = Process(command.stderr(Stdio::null()).spawn().unwrap());
    let offset = eventually(&address, "a topic is written", async |client| {
        let _ = client.create_topic("t", 1, 1, &[]).await;
        produce(client).await
    });
    assert_eq!(offset.await, 0);

    let client = Client::connect([address.clone()], ClientConfig::new("test")).await.unwrap();
    // The broker may be on its way down before it can say that it is done.
    drop(client.send_any(&UnregisterBrokerRequest { broker_id: 0 }).await);
    let next = eventually(&address, "it is written again", produce).await;
    assert!(next > 0, "what was there is gone");
    let read = eventually(&address, "it is read", async |client| {
        client.fetch("t", 0, 0, FetchLimits::default()).await.ok().filter(|data| data.high_watermark > next)
    });
    assert_eq!(read.await.error_code, ErrorCode::NONE);
    assert!(process.0.try_wait().unwrap().is_none(), "it is the same process");
}
