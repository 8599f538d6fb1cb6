//! An operator whose calls have a fate: it dies at one of its writes, a call fails, an answer is lost, a read is old, a watch
//! ends early.
//!
//! Calls are those to Kubernetes and to the brokers. What befalls each is decided by a rule that is handed in; what took
//! effect is kept for the report.

mod admin;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    extract::Request,
    http::{Method, StatusCode, header, response::Parts},
    middleware::{Next, from_fn},
    response::{IntoResponse, Response},
};
use futures::StreamExt;
use kube::Client;
use serde_json::json;
use tokio::sync::{Notify, Semaphore};

pub use admin::connector;

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// It is done and answered.
    Done,
    /// The operator dies at it.
    Die(When),
    /// It is refused with this status instead of being done; brokers do not answer.
    Fail(u16),
    /// It is done, and answered as if it had failed with this status; brokers do not answer.
    LoseAnswer(u16),
    /// A read of Kubernetes is answered as before the last change of what it shows.
    Stale,
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
    /// Whether it goes to the brokers.
    pub is_to_brokers: bool,
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
    /// How many operators have died. Whatever one of them still calls, nobody hears.
    deaths: AtomicUsize,
    log: Mutex<Log>,
    died: Notify,
    /// A write that is done late, and the number of writes at which it is.
    held: Mutex<Option<usize>>,
    release: Semaphore,
    /// What a path showed before its last change, and what it shows.
    seen: Mutex<HashMap<String, [Option<Answer>; 2]>>,
    reads_may_be_old: bool,
}

/// An answer that can be given again.
#[derive(Clone)]
struct Answer {
    parts: Parts,
    body: Bytes,
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
        Self::new(false, |_| Fate::Done)
    }

    /// One that dies at the write with this number.
    pub fn dying(number: usize, when: When) -> Arc<Self> {
        Self::new(false, move |call| match call.is_write && call.writes == number {
            true => Fate::Die(when),
            false => Fate::Done,
        })
    }

    /// One of whose calls becomes what `rule` says.
    pub fn new(reads_may_be_old: bool, rule: impl Fn(Call) -> Fate + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self {
            rule: Box::new(rule),
            deaths: AtomicUsize::new(0),
            log: Mutex::default(),
            died: Notify::new(),
            held: Mutex::default(),
            release: Semaphore::new(0),
            seen: Mutex::default(),
            reads_may_be_old,
        })
    }

    /// From now on the rule holds, and writes are counted anew.
    pub fn begin(&self) {
        let mut log = lock(&self.log);
        log.has_begun = true;
        log.before = log.writes;
    }

    /// From now on the rule holds no more.
    pub fn end(&self) {
        lock(&self.log).has_begun = false;
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
        let (mortal, life) = (self.clone(), self.life());
        let pass = move |request: Request, next: Next| {
            let mortal = mortal.clone();
            async move {
                mortal.hear(life).await;
                mortal.request(request, next).await
            }
        };
        let answer: Router = router.layer(from_fn(pass));
        Client::new(answer, namespace)
    }

    /// The number of the operator that lives.
    fn life(&self) -> usize {
        self.deaths.load(Ordering::SeqCst)
    }

    /// Comes back if the operator with that number lives.
    async fn hear(&self, life: usize) {
        if life != self.life() {
            std::future::pending::<()>().await;
        }
    }

    fn die(&self) {
        self.deaths.fetch_add(1, Ordering::SeqCst);
        self.died.notify_one();
    }

    async fn request(&self, request: Request, next: Next) -> Response {
        let name = name(&request);
        if request.method() != Method::GET {
            return self.write(name, false, next.run(request), failure).await;
        }
        let path = request.uri().to_string();
        match self.decide(Call { is_watch: path.contains("watch="), ..Call::default() }) {
            Fate::EndEarly => {
                self.note(name, Fate::EndEarly);
                end_early(next.run(request).await)
            }
            Fate::Fail(code) => {
                self.note(name, Fate::Fail(code));
                failure(code)
            }
            Fate::Stale => match self.before_the_last_change(&path) {
                Some(old) => {
                    self.note(name, Fate::Stale);
                    old
                }
                None => self.remember(path, next.run(request).await).await,
            },
            _ => self.remember(path, next.run(request).await).await,
        }
    }

    /// Reads of brokers come back, or nobody answers.
    async fn read<T>(&self, name: &str, done: impl Future<Output = T>, failed: impl FnOnce(u16) -> T) -> T {
        match self.decide(Call { is_to_brokers: true, ..Call::default() }) {
            Fate::Fail(code) => {
                self.note(name.to_owned(), Fate::Fail(code));
                failed(code)
            }
            _ => done.await,
        }
    }

    /// Does a write, and does not come back from the one at which it dies.
    async fn write<T>(
        &self,
        name: String,
        is_to_brokers: bool,
        done: impl Future<Output = T>,
        failed: impl FnOnce(u16) -> T,
    ) -> T {
        let fate = self.decide(Call { is_write: true, is_to_brokers, ..Call::default() });
        if fate != Fate::Done {
            self.note(name, fate);
        }
        match fate {
            Fate::Done | Fate::Stale | Fate::EndEarly => return done.await,
            Fate::Fail(code) => return failed(code),
            Fate::LoseAnswer(code) => {
                done.await;
                return failed(code);
            }
            Fate::Die(When::Before) => self.die(),
            Fate::Die(When::After) => {
                done.await;
                self.die();
            }
            Fate::Die(When::Late) if self.holds_a_write() => self.die(),
            Fate::Die(When::Late) => {
                let number = self.writes();
                // From the very next write of the heir to some way into its work.
                *lock(&self.held) = Some(number + 1 + number % 8);
                self.die();
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

    async fn remember(&self, path: String, response: Response) -> Response {
        if !self.reads_may_be_old || path.contains("watch=") {
            return response;
        }
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap();
        let answer = Answer { parts, body };
        let mut seen = lock(&self.seen);
        let [before, now] = seen.entry(path).or_default();
        if now.as_ref().is_none_or(|now| now.body != answer.body) {
            *before = now.replace(answer.clone());
        }
        answer.into_response()
    }

    fn before_the_last_change(&self, path: &str) -> Option<Response> {
        let [before, _] = lock(&self.seen).get(path)?.clone();
        Some(before?.into_response())
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        Response::from_parts(self.parts, Body::from(self.body))
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

/// What an API server says that fails.
fn failure(code: u16) -> Response {
    let reason = match code {
        409 => "Conflict",
        429 => "TooManyRequests",
        503 => "ServiceUnavailable",
        504 => "Timeout",
        _ => "InternalError",
    };
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": code, "reason": reason,
        "message": "the campaign has the request fail",
    });
    let code = StatusCode::from_u16(code).expect("a status of HTTP");
    (code, [(header::CONTENT_TYPE, "application/json")], status.to_string()).into_response()
}
