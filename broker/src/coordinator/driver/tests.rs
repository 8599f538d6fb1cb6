//! In which order a machine hears of things, with a machine that only notes them and a log that is durable when told.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures::task::AtomicWaker;
use ottla_core::coordinator::{EncodedRecord, NewBatch, RecordError, Replayed};
use ottla_core::{Now, Offset};
use parking_lot::Mutex;

use super::super::log::Replay;
use super::*;

/// What the machine heard.
type Heard = Arc<Mutex<Vec<&'static str>>>;

/// Appends for every request, which it answers at once.
#[derive(Debug)]
struct Listener {
    heard: Heard,
}

impl Machine for Listener {
    const TOPIC: &'static str = "t";
    type Config = Heard;
    type Request = ();
    type Response = ();
    type Note = ();
    type Act = Infallible;

    fn new(heard: Heard) -> Self {
        Self { heard }
    }

    fn replay(&mut self, _: Replayed<'_>) -> Result<(), RecordError> {
        Ok(())
    }

    fn start(&mut self, _: Now) -> Vec<Effect<(), Infallible>> {
        Vec::new()
    }

    fn next_deadline(&self) -> Option<Duration> {
        None
    }

    fn handle(&mut self, _: Now, event: Event<(), ()>) -> Vec<Effect<(), Infallible>> {
        let (heard, effects) = match event {
            Event::Request(id, ()) => {
                let append = Effect::Append(AppendId(id.0), Vec::<EncodedRecord>::new().into());
                ("request", vec![append, Effect::Reply(id, ())])
            }
            Event::Appended(..) => ("appended", Vec::new()),
            Event::Note(()) => ("note", Vec::new()),
            Event::Tick => ("tick", Vec::new()),
        };
        self.heard.lock().push(heard);
        effects
    }

    fn unload(self) -> Vec<Effect<(), Infallible>> {
        Vec::new()
    }
}

/// A log of which everything becomes durable at once, when told.
#[derive(Default)]
struct Slow {
    durable: AtomicBool,
    waker: AtomicWaker,
}

/// The end of an append to a [`Slow`].
struct Ended(Arc<Slow>);

impl Future for Ended {
    type Output = Result<(), AppendError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.waker.register(context.waker());
        if self.0.durable.load(Ordering::Acquire) { Poll::Ready(Ok(())) } else { Poll::Pending }
    }
}

impl CoordinatorLog for Arc<Slow> {
    fn append(&self, _: &NewBatch, _: Now) -> Result<(Offset, Appended), AppendError> {
        Ok((Offset::ZERO, Box::pin(Ended(Arc::clone(self)))))
    }

    fn prune(&self, _: Offset) {}

    fn replay(&self, _: Replay<'_>) -> Result<(), LoadError> {
        Ok(())
    }

    fn settled(&self) -> Appended {
        Box::pin(std::future::ready(Ok(())))
    }
}

#[tokio::test]
async fn what_is_durable_is_told_before_what_was_told_after_it() {
    for _ in 0..64 {
        let (heard, slow) = (Heard::default(), Arc::new(Slow::default()));
        let (sender, commands) = mpsc::unbounded_channel();
        let driver = Driver::<Listener, _, _> {
            partition: 0,
            epoch: LeaderEpoch(0),
            log: Arc::new(Arc::clone(&slow)),
            actor: Idle,
            clock: Clock::new(),
            config: Arc::clone(&heard),
            commands,
            notes: Notes(sender.downgrade()),
            loaded: Arc::default(),
        };
        let task = tokio::spawn(driver.run());
        let (answer, answered) = oneshot::channel();
        sender.send(Command::Request((), answer)).unwrap();
        answered.await.unwrap().unwrap();
        // Both are there when the driver looks next.
        slow.durable.store(true, Ordering::Release);
        slow.waker.wake();
        sender.send(Command::Note(())).unwrap();
        sender.send(Command::Stop).unwrap();
        task.await.unwrap();
        assert_eq!(*heard.lock(), ["request", "appended", "note"]);
    }
}
