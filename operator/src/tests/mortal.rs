//! An operator whose calls have a fate: it dies at one of its writes, or a watch ends early.
//!
//! Calls are those to Kubernetes and to the brokers. What befalls each is decided by a rule that is handed in; what took
//! effect is kept for the report.

mod admin;

use std::sync::{Arc, Mutex, PoisonError};

use axum::{
    Router,
    body::Body,
    extract::Request,
    http::Method,
    middleware::{Next, from_fn},
    response::Response,
};
use futures::StreamExt;
use kube::Client;
use tokio::sync::{Notify, Semaphore};

pub use admin::connector;

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// It is done and answered.
    Done,
    /// The operator dies at it.
    Die(When),
    /// A watch ends after its first event.
    EndEarly,
}

/// When an operator dies at a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum When {
    /// Instead of doing it.
    Before,
    /// Once it is done, before its answer comes.
    After,
    /// While it is on its way: it is done late, when the next operator is at work already.
    Late,
}

/// A call whose fate is to be decided.
#[derive(Clone, Copy, Debug, Default)]
pub struct Call {
    /// Whether it changes anything.
    pub is_write: bool,
    /// Whether it is a watch.
    pub is_watch: bool,
    /// How many writes there were since the campaign began, this one included.
    pub writes: usize,
}

/// Decides the fate of calls.
pub type Rule = dyn Fn(Call) -> Fate + Send + Sync;

/// An operator's way to the world. The next operator after a death has the same.
pub struct Mortal {
    rule: Box<Rule>,
    log: Mutex<Log>,
    died: Notify,
    /// A write that is done late, and the number of writes at which it is.
    held: Mutex<Option<usize>>,
    release: Semaphore,
}

#[derive(Default)]
struct Log {
    has_begun: bool,
    /// All of them, those before the beginning too.
    writes: usize,
    before: usize,
    effects: Vec<(String, Fate)>,
}

impl Mortal {
    /// One of whose calls nothing becomes but what they ask for.
    pub fn undisturbed() -> Arc<Self> {
        Self::new(|_| Fate::Done)
    }

    /// One that dies at the write with this number.
    pub fn dying(number: usize, when: When) -> Arc<Self> {
        Self::new(move |call| match call.is_write && call.writes == number {
            true => Fate::Die(when),
            false => Fate::Done,
        })
    }

    /// One of whose calls becomes what `rule` says.
    pub fn new(rule: impl Fn(Call) -> Fate + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self {
            rule: Box::new(rule),
            log: Mutex::default(),
            died: Notify::new(),
            held: Mutex::default(),
            release: Semaphore::new(0),
        })
    }

    /// From now on the rule holds, and writes are counted anew.
    pub fn begin(&self) {
        let mut log = lock(&self.log);
        log.has_begun = true;
        log.before = log.writes;
    }

    /// How many writes there were since the beginning.
    pub fn writes(&self) -> usize {
        let log = lock(&self.log);
        log.writes - log.before
    }

    /// What befell which calls.
    pub fn effects(&self) -> Vec<(String, Fate)> {
        lock(&self.log).effects.clone()
    }

    /// Resolves at its death.
    pub async fn died(&self) {
        self.died.notified().await;
    }

    /// Whether a write is on its way that is done late.
    pub fn holds_a_write(&self) -> bool {
        lock(&self.held).is_some()
    }

    /// Lets the write that is on its way arrive; false if there is none.
    pub fn release(&self) -> bool {
        let held = lock(&self.held).take().is_some();
        if held {
            self.release.add_permits(1);
        }
        held
    }

    /// Its way to Kubernetes.
    pub fn client(self: &Arc<Self>, router: Router, namespace: &str) -> Client {
        let mortal = self.clone();
        let pass = move |request: Request, next: Next| {
            let mortal = mortal.clone();
            async move { mortal.request(request, next).await }
        };
        let answer: Router = router.layer(from_fn(pass));
        Client::new(answer, namespace)
    }

    async fn request(&self, request: Request, next: Next) -> Response {
        let name = name(&request);
        if request.method() != Method::GET {
            return self.write(name, next.run(request)).await;
        }
        let is_watch = request.uri().query().is_some_and(|query| query.contains("watch="));
        if self.decide(Call { is_watch, ..Call::default() }) != Fate::EndEarly {
            return next.run(request).await;
        }
        self.note(name, Fate::EndEarly);
        end_early(next.run(request).await)
    }

    /// Does a write, and does not come back from the one at which it dies.
    async fn write<T>(&self, name: String, done: impl Future<Output = T>) -> T {
        let fate = self.decide(Call { is_write: true, ..Call::default() });
        if fate != Fate::Done {
            self.note(name, fate);
        }
        match fate {
            Fate::Done | Fate::EndEarly => return done.await,
            Fate::Die(When::Before) => self.died.notify_one(),
            Fate::Die(When::After) => {
                done.await;
                self.died.notify_one();
            }
            Fate::Die(When::Late) => {
                let number = self.writes();
                // From the very next write of the heir to some way into its work.
                *lock(&self.held) = Some(number + 1 + number % 8);
                self.died.notify_one();
                self.release.acquire().await.expect("it is never closed").forget();
                done.await;
            }
        }
        std::future::pending().await
    }

    fn decide(&self, call: Call) -> Fate {
        let (has_begun, writes) = {
            let mut log = lock(&self.log);
            log.writes += usize::from(call.is_write);
            (log.has_begun, log.writes - log.before)
        };
        if lock(&self.held).is_some_and(|at| call.is_write && writes >= at) {
            self.release();
        }
        if has_begun { (self.rule)(Call { writes, ..call }) } else { Fate::Done }
    }

    fn note(&self, name: String, fate: Fate) {
        lock(&self.log).effects.push((name, fate));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// `PATCH statefulsets/demo-broker`, with names that end in a number, and those of events, all alike.
fn name(request: &Request) -> String {
    let path = request.uri().path();
    let path = path.split_once("/namespaces/default/").or_else(|| path.rsplit_once('/')).map_or(path, |(_, path)| path);
    let mut parts: Vec<&str> = path.split('/').collect();
    if parts[0] == "events" {
        parts.truncate(1);
    }
    let general = |part: &&str| {
        let stem = part.trim_end_matches(|digit: char| digit.is_ascii_digit());
        if stem.len() < part.len() && stem.ends_with('-') { format!("{stem}N") } else { (*part).to_owned() }
    };
    format!("{} {}", request.method(), parts.iter().map(general).collect::<Vec<_>>().join("/"))
}

/// The answer to a watch, cut off after its first event.
fn end_early(response: Response) -> Response {
    let (parts, body) = response.into_parts();
    Response::from_parts(parts, Body::from_stream(body.into_data_stream().take(1)))
}
