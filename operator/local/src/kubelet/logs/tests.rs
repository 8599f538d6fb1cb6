use std::time::Duration;

use futures::StreamExt as _;
use tokio::io::AsyncWriteExt as _;

use super::*;

fn owner() -> Owner {
    Owner { namespace: "shop".into(), pod: "web-0".into(), uid: "u1".into(), container: "web".into() }
}

fn request() -> LogRequest {
    LogRequest {
        namespace: "shop".into(),
        pod: "web-0".into(),
        uid: "u1".into(),
        container: "web".into(),
        ..LogRequest::default()
    }
}

async fn run(logs: &Logs, said: &str) {
    logs.begin(&owner()).unwrap().copy(said.as_bytes()).await;
    logs.ended(&owner());
}

async fn text(logs: &Logs, request: LogRequest) -> String {
    let chunks: Vec<_> = logs.open(request).await.unwrap().map(Result::unwrap).collect().await;
    String::from_utf8(chunks.concat()).unwrap()
}

#[tokio::test]
async fn the_last_words_of_a_run_are_whole_lines_and_not_too_many() {
    let folder = tempfile::tempdir().unwrap();
    let logs = Logs::new(folder.path());
    run(&logs, "one\ntwo without an end").await;
    assert_eq!(logs.last_words(&owner()).unwrap(), "one\ntwo without an end\n");
    let long: String = (0..1000).map(|line| format!("line {line}\n")).collect();
    run(&logs, &long).await;
    let last = logs.last_words(&owner()).unwrap();
    assert!(last.starts_with("line ") && last.ends_with("line 999\n") && last.len() < 2048, "{last}");
    assert!(last.lines().count() > 20, "{last}");
}

#[tokio::test]
async fn the_last_lines_a_limit_and_the_previous_run_can_be_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let logs = Logs::new(folder.path());
    run(&logs, "first run\n").await;
    run(&logs, "one\ntwo\n\nthree without an end").await;
    assert_eq!(text(&logs, request()).await, "one\ntwo\n\nthree without an end\n");
    assert_eq!(text(&logs, LogRequest { tail_lines: Some(2), ..request() }).await, "\nthree without an end\n");
    assert_eq!(text(&logs, LogRequest { tail_lines: Some(0), ..request() }).await, "");
    assert_eq!(text(&logs, LogRequest { limit_bytes: Some(5), ..request() }).await, "one\nt");
    assert_eq!(text(&logs, LogRequest { previous: true, ..request() }).await, "first run\n");
    assert_eq!(
        text(&logs, LogRequest { since_seconds: Some(3600), tail_lines: Some(3), ..request() }).await.lines().count(),
        3
    );
    let stamped = text(&logs, LogRequest { timestamps: true, tail_lines: Some(1), ..request() }).await;
    let (time, rest) = stamped.split_once(' ').unwrap();
    assert!(time.parse::<k8s_openapi::jiff::Timestamp>().is_ok(), "{time}");
    assert_eq!(rest, "three without an end\n");
}

#[tokio::test]
async fn a_missing_log_says_whether_it_is_too_early_or_there_was_no_run_before() {
    let folder = tempfile::tempdir().unwrap();
    let logs = Logs::new(folder.path());
    assert!(matches!(logs.open(request()).await.err(), Some(LogError::Waiting { .. })));
    run(&logs, "x\n").await;
    assert!(matches!(
        logs.open(LogRequest { previous: true, ..request() }).await.err(),
        Some(LogError::NoPrevious { .. })
    ));
    logs.remove_pod("shop", "web-0", "u1").unwrap();
    assert!(logs.open(request()).await.is_err());
}

#[tokio::test]
async fn following_goes_on_until_the_run_ends() {
    let folder = tempfile::tempdir().unwrap();
    let logs = Logs::new(folder.path());
    let (mut container, output) = tokio::io::duplex(64);
    let writing = tokio::spawn(logs.begin(&owner()).unwrap().copy(output));
    let mut stream = logs.open(LogRequest { follow: true, ..request() }).await.unwrap();
    for word in ["one\n", "two\n"] {
        container.write_all(word.as_bytes()).await.unwrap();
        let chunk = tokio::time::timeout(Duration::from_secs(10), stream.next()).await.unwrap();
        assert_eq!(chunk.unwrap().unwrap(), word);
    }
    drop(container);
    writing.await.unwrap();
    logs.ended(&owner());
    assert!(tokio::time::timeout(Duration::from_secs(10), stream.next()).await.unwrap().is_none());
}

#[tokio::test]
async fn lines_too_long_are_cut_and_old_parts_go() {
    let folder = tempfile::tempdir().unwrap();
    let logs = Logs::new(folder.path());
    let long = "x".repeat(40_000);
    run(&logs, &format!("{long}\n")).await;
    let lines: Vec<usize> = text(&logs, request()).await.lines().map(str::len).collect();
    assert_eq!(lines, [16_384, 16_384, 40_000 - 2 * 16_384]);

    let line = "y".repeat(1023) + "\n";
    run(&logs, &line.repeat(40 << 10)).await;
    let kept = text(&logs, request()).await.lines().count();
    assert_eq!(kept, 40 << 10, "one rotation keeps both parts");
    let size: u64 =
        fs::read_dir(folder.path().join("shop_web-0_u1")).unwrap().map(|e| e.unwrap().metadata().unwrap().len()).sum();
    assert!(size < 80 << 20, "{size}");
}
