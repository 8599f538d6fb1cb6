//! A service that holds connections back, over TCP; the time is the runtime's, which passes when nothing else is to do.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::runtime::{Handle, Id};
use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Listener, Loops, Peer, Pending, Response, Service, Settings, Shared, Step};

/// The least frame, with its size.
const FRAME: [u8; 12] = [0, 0, 0, 8, 0, 18, 0, 0, 0, 0, 0, 1];

/// Answers at once, holds the connection back for so long, and notes when it was asked; takes no connection at all where
/// one is to be turned away.
struct Holding {
    time: Duration,
    turns_away: bool,
    asked: Mutex<Vec<Instant>>,
}

impl Service for Holding {
    fn admit(&self, _: IpAddr) -> Result<(), Duration> {
        if self.turns_away { Err(self.time) } else { Ok(()) }
    }

    fn expects(&self, _: i16, _: i16) -> bool {
        true
    }

    fn call(&self, peer: &Arc<Peer>, _: Bytes) -> Step {
        self.asked.lock().push(Instant::now());
        peer.hold_back(self.time);
        Step::Answer(Response::from(Bytes::from_static(&FRAME)))
    }

    fn answered(&self, _: i16, _: Duration) {}
}

/// After what time each of three requests that are sent together is begun.
async fn begun(time: Duration, settings: Settings) -> Vec<Duration> {
    let shutdown = CancellationToken::new();
    let service = Arc::new(Holding { time, turns_away: false, asked: Mutex::default() });
    let shared = Shared::new(Arc::clone(&service), settings, shutdown.clone());
    let listener = Listener::bind("TEST", ([127, 0, 0, 1], 0).into(), 1).unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    tokio::spawn(listener.run(shared, Arc::new(Loops::here())));
    client.write_all(&FRAME.repeat(3)).await.unwrap();
    client.read_exact(&mut [0; 3 * FRAME.len()]).await.unwrap();
    shutdown.cancel();
    let asked = service.asked.lock();
    asked.iter().map(|at| *at - asked[0]).collect()
}

#[tokio::test(start_paused = true)]
async fn a_connection_begins_no_request_while_it_is_held_back_and_is_answered_all_the_same() {
    let second = Duration::from_secs(1);
    let at = begun(second, Settings::default()).await;
    let late = |at: Duration, expected: Duration| at >= expected && at < expected + Duration::from_millis(10);
    assert!(late(at[1], second) && late(at[2], 2 * second), "{at:?}");
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_held_back_for_longer_than_it_may_be_idle_is_kept() {
    let time = Duration::from_secs(100);
    let at = begun(time, Settings { max_idle: time / 10, ..Settings::default() }).await;
    assert!(at[2] >= 2 * time, "{at:?}");
}

#[tokio::test(start_paused = true)]
async fn one_that_is_not_held_back_begins_what_is_there_at_once() {
    let at = begun(Duration::ZERO, Settings::default()).await;
    assert_eq!(at, [Duration::ZERO; 3]);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_turned_away_is_closed_after_its_time_and_counts_until_then() {
    let (shutdown, time) = (CancellationToken::new(), Duration::from_millis(700));
    let service = Arc::new(Holding { time, turns_away: true, asked: Mutex::default() });
    let shared = Shared::new(Arc::clone(&service), Settings::default(), shutdown.clone());
    let listener = Listener::bind("TEST", ([127, 0, 0, 1], 0).into(), 1).unwrap();
    let began = Instant::now();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    tokio::spawn(listener.run(Arc::clone(&shared), Arc::new(Loops::here())));
    client.write_all(&FRAME).await.unwrap();
    tokio::time::sleep(time / 2).await;
    assert_eq!(shared.open_connections(), 1);
    // What it has sent is not read, so the close is a reset.
    assert!(client.read(&mut [0; 1]).await.map_or(true, |read| read == 0));
    assert!(began.elapsed() >= time);
    shared.drained().await;
    assert!(service.asked.lock().is_empty() && shared.open_connections() == 0);
}

/// Notes on which runtime it was asked. Answers a frame when the next one has come.
#[derive(Default)]
struct Late {
    asked: Mutex<Vec<Id>>,
    waits: Mutex<Option<oneshot::Sender<()>>>,
}

impl Service for Late {
    fn admit(&self, _: IpAddr) -> Result<(), Duration> {
        Ok(())
    }

    fn expects(&self, _: i16, _: i16) -> bool {
        true
    }

    fn call(&self, _: &Arc<Peer>, _: Bytes) -> Step {
        self.asked.lock().push(Handle::current().id());
        let (due, next) = oneshot::channel();
        if let Some(due) = self.waits.lock().replace(due) {
            due.send(()).unwrap();
        }
        Step::Wait(Box::new(Next(next)))
    }

    fn answered(&self, _: i16, _: Duration) {}
}

/// An answer that is due when the next request has come.
struct Next(oneshot::Receiver<()>);

impl Pending for Next {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        Pin::new(&mut self.0).poll(cx).map(|_| self.expire())
    }

    fn expire(&mut self) -> Step {
        Step::Answer(Response::from(Bytes::from_static(&FRAME)))
    }

    fn may_overlap(&self) -> bool {
        true
    }
}

#[tokio::test]
async fn a_connection_goes_on_elsewhere_with_a_request_that_waits_and_one_half_received() {
    let shutdown = CancellationToken::new();
    let service = Arc::new(Late::default());
    let shared = Shared::new(Arc::clone(&service), Settings::default(), shutdown.clone());
    let listener = Listener::bind("TEST", ([127, 0, 0, 1], 0).into(), 1).unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let loops = Arc::new(Loops::with(2).unwrap());
    let accepting = tokio::spawn(listener.run(Arc::clone(&shared), Arc::clone(&loops)));
    let asked = async |times: usize| {
        while service.asked.lock().len() < times {
            tokio::task::yield_now().await;
        }
    };
    for turn in 0..4 {
        // The one before is answered when this one has come; half of the next comes with it.
        client.write_all(if turn == 0 { &FRAME } else { &FRAME[FRAME.len() / 2..] }).await.unwrap();
        asked(turn + 1).await;
        if turn > 0 {
            client.read_exact(&mut [0; FRAME.len()]).await.unwrap();
        }
        client.write_all(&FRAME[..FRAME.len() / 2]).await.unwrap();
        loops.empty(turn % 2, (turn + 1) % 2);
    }
    let asked = service.asked.lock().clone();
    assert_eq!((asked[0], asked[1]), (asked[2], asked[3]));
    assert_ne!(asked[0], asked[1], "it stayed where it was");
    shutdown.cancel();
    accepting.await.unwrap();
}
