//! One connection: a single task that receives, hands frames over, and answers in order.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};
use tokio_util::io::poll_read_buf;

use super::input::Input;
use super::limits::Permit;
use super::loops::Place;
use super::output::Output;
use super::pending::Pending;
use super::{CloseReason, Evicted, Peer, Response, Service, Settings, Shared, Step};

/// Requests of one connection that may wait for their answer at a time.
const MAX_IN_FLIGHT: usize = 256;
/// A connection that has been quiet for this long gives its buffers back.
const QUIET: std::time::Duration = std::time::Duration::from_secs(5);

/// An answer in its place in the queue.
enum Slot {
    Ready(Response),
    Waiting(Box<dyn Pending>, Began),
}

/// The API of a request, and when it was whole.
#[derive(Clone, Copy)]
struct Began {
    key: i16,
    at: Instant,
}

/// What woke the task.
enum Event {
    Received(usize),
    Answer(Step),
    Timer,
}

/// The state of one connection.
pub(super) struct Connection<S> {
    stream: TcpStream,
    peer: Arc<Peer>,
    service: Arc<S>,
    settings: Arc<Settings>,
    input: Input,
    slots: VecDeque<Slot>,
    output: Output,
    last_request: Instant,
    seen_request: bool,
    timer: Pin<Box<Sleep>>,
    place: Place,
    _permit: Permit,
}

/// Why a connection runs no further where it is.
pub(super) enum Ending {
    /// It is over.
    Closed(CloseReason),
    /// It belongs on another loop.
    Elsewhere,
}

impl<S: Service> Connection<S> {
    /// A connection that has not been told anything yet, to be run at its `place`.
    pub(super) fn new(
        stream: TcpStream,
        peer: Arc<Peer>,
        shared: &Shared<S>,
        permit: Permit,
        place: Place,
    ) -> io::Result<Self> {
        let settings = Arc::clone(&shared.settings);
        let now = Instant::now();
        let first = QUIET.min(settings.first_request).min(settings.max_idle);
        let _there = place.handle().clone().enter();
        Ok(Self {
            output: Output::default(),
            stream: TcpStream::from_std(stream.into_std()?)?,
            peer,
            service: Arc::clone(&shared.service),
            input: Input::new(&shared.memory, settings.request_max_bytes),
            settings,
            slots: VecDeque::new(),
            last_request: now,
            seen_request: false,
            timer: Box::pin(tokio::time::sleep_until(now + first)),
            place,
            _permit: permit,
        })
    }

    /// Who is at its other end.
    pub(super) fn peer(&self) -> &Arc<Peer> {
        &self.peer
    }

    /// Where to run it.
    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    /// Serves until the client leaves, something is wrong, or it is to go on elsewhere.
    pub(super) async fn run(&mut self) -> Ending {
        while !self.place.is_elsewhere() {
            if let Err(reason) = self.turn().await {
                return Ending::Closed(reason);
            }
        }
        Ending::Elsewhere
    }

    /// The same connection on the loop where it belongs: what it waits for wakes it there.
    pub(super) fn follow(mut self) -> io::Result<Self> {
        self.place.follow();
        let _there = self.place.handle().clone().enter();
        let timer = Box::pin(tokio::time::sleep_until(self.timer.deadline()));
        Ok(Self { stream: TcpStream::from_std(self.stream.into_std()?)?, timer, ..self })
    }

    async fn turn(&mut self) -> Result<(), CloseReason> {
        self.dispatch()?;
        self.collect();
        self.send().await?;
        if self.can_dispatch() && self.input.has_frame()? {
            return Ok(());
        }
        match self.next_event().await? {
            Event::Received(0) => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            Event::Received(_) => {
                self.input.received();
                Ok(())
            }
            Event::Answer(step) => {
                self.settle_front(step)?;
                self.settle_due().await
            }
            Event::Timer => self.timer_fired(),
        }
    }

    /// Whether the next request may begin.
    fn can_dispatch(&self) -> bool {
        self.peer.held_until().is_none()
            && self.slots.len() < MAX_IN_FLIGHT
            && !self.output.is_full()
            && self.slots.iter().all(|slot| match slot {
                Slot::Ready(_) => true,
                Slot::Waiting(pending, _) => pending.may_overlap(),
            })
    }

    /// Hands over the whole frames that are there.
    fn dispatch(&mut self) -> Result<(), CloseReason> {
        while self.can_dispatch() {
            let Some(frame) = self.input.take_frame()? else { return self.check_begun() };
            // The network layer lets no frame through that is too short for a key.
            let key = frame.first_chunk().map_or(-1, |key| i16::from_be_bytes(*key));
            let began = Began { key, at: Instant::now() };
            self.seen_request = true;
            self.last_request = began.at;
            let step = self.service.call(&self.peer, frame);
            self.settle(step, began, false)?;
        }
        Ok(())
    }

    /// Ends the connection at the beginning of a frame that nothing would be done with, instead of receiving the rest.
    fn check_begun(&self) -> Result<(), CloseReason> {
        match self.input.begun() {
            Some((key, version)) if !self.service.expects(key, version) => {
                Err(CloseReason::Unsupported { key, version })
            }
            _ => Ok(()),
        }
    }

    /// Puts what became of the oldest request, which waited, in its place.
    fn settle_front(&mut self, step: Step) -> Result<(), CloseReason> {
        match self.slots.pop_front() {
            Some(Slot::Waiting(_, began)) => self.settle(step, began, true),
            _ => Ok(()),
        }
    }

    /// Puts what became of a request in its place: in front when it is the oldest one's answer, else at the end.
    fn settle(&mut self, step: Step, began: Began, in_front: bool) -> Result<(), CloseReason> {
        if matches!(step, Step::Answer(_) | Step::NoAnswer) {
            self.service.answered(began.key, began.at.elapsed());
        }
        match step {
            Step::Answer(response) if in_front || self.slots.is_empty() => self.output.push(response),
            Step::Answer(response) => self.slots.push_back(Slot::Ready(response)),
            Step::NoAnswer => {}
            Step::Wait(pending) => {
                let slot = Slot::Waiting(pending, began);
                if in_front { self.slots.push_front(slot) } else { self.slots.push_back(slot) }
            }
            Step::Close(reason) => return Err(reason),
        }
        Ok(())
    }

    /// Settles what became due together with the answer before it, as the batches of one flush do: they leave in one
    /// system call.
    async fn settle_due(&mut self) -> Result<(), CloseReason> {
        loop {
            self.collect();
            if self.output.is_full() {
                return Ok(());
            }
            let Some(Slot::Waiting(front, _)) = self.slots.front_mut() else { return Ok(()) };
            let Poll::Ready(step) = poll_fn(|cx| Poll::Ready(front.poll(cx))).await else { return Ok(()) };
            self.settle_front(step)?;
        }
    }

    /// Moves the answers that wait for nothing but their turn to the output.
    fn collect(&mut self) {
        while !self.output.is_full() {
            match self.slots.pop_front() {
                Some(Slot::Ready(response)) => self.output.push(response),
                Some(waiting) => {
                    self.slots.push_front(waiting);
                    break;
                }
                None => break,
            }
        }
    }

    async fn send(&mut self) -> Result<(), CloseReason> {
        while !self.output.is_empty() {
            match self.output.try_send(&self.stream) {
                Ok(()) => self.collect(),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    // A client that does not read its answers must not keep them here for ever.
                    match tokio::time::timeout(self.settings.max_idle, self.stream.writable()).await {
                        Ok(writable) => writable?,
                        Err(_) => return Err(CloseReason::Idle),
                    }
                }
                Err(e) => return Err(e.into()),
            }
        }
        Ok(())
    }

    async fn next_event(&mut self) -> Result<Event, CloseReason> {
        self.arm_timer();
        let receiving = self.can_dispatch() || !self.input.is_ahead();
        if receiving {
            let room = self.input.make_room();
            let front = self.slots.front_mut();
            tokio::select! {
                biased;
                room = room => room?,
                step = next_answer(front) => return Ok(Event::Answer(step)),
            }
        }
        let evicted = self.input.evicted();
        let Self { stream, input, slots, timer, .. } = self;
        tokio::select! {
            biased;
            step = next_answer(slots.front_mut()) => Ok(Event::Answer(step)),
            received = poll_fn(|cx| {
                if receiving { poll_read_buf(Pin::new(&mut *stream), cx, &mut input.receive_into()) } else { Poll::Pending }
            }) => Ok(Event::Received(received?)),
            () = timer.as_mut() => Ok(Event::Timer),
            () = evicted => Err(Evicted.into()),
        }
    }

    /// Sets the one timer to the nearest deadline, if that is earlier than what it is set to; a timer that fires too
    /// early costs less than one that is moved at each request.
    fn arm_timer(&mut self) {
        let of_front = match self.slots.front() {
            Some(Slot::Waiting(front, _)) => front.deadline(),
            _ => None,
        };
        let nearest = of_front.into_iter().chain(self.peer.held_until()).min();
        if let Some(deadline) = nearest.filter(|deadline| *deadline < self.timer.deadline()) {
            self.timer.as_mut().reset(deadline);
        }
    }

    fn timer_fired(&mut self) -> Result<(), CloseReason> {
        let now = Instant::now();
        if let Some(Slot::Waiting(front, _)) = self.slots.front_mut()
            && front.deadline().is_some_and(|deadline| deadline <= now)
        {
            let step = front.expire();
            self.settle_front(step)?;
        }
        let Settings { max_idle, first_request, .. } = *self.settings;
        let allowed = if self.seen_request { max_idle } else { first_request.min(max_idle) };
        let quiet_for = now - self.last_request;
        if self.slots.is_empty() && self.peer.held_until().is_none() {
            if quiet_for >= allowed {
                return Err(if self.input.is_empty() { CloseReason::Idle } else { CloseReason::Unfinished });
            }
            if quiet_for >= QUIET {
                self.input.shrink();
            }
        } else {
            self.last_request = now;
        }
        let next = if quiet_for < QUIET { self.last_request + QUIET } else { self.last_request + allowed };
        self.timer.as_mut().reset(next.max(now + QUIET / 10));
        Ok(())
    }
}

/// The answer of the oldest request, if that still waits.
async fn next_answer(front: Option<&mut Slot>) -> Step {
    match front {
        Some(Slot::Waiting(pending, _)) => poll_fn(|cx| pending.poll(cx)).await,
        _ => std::future::pending().await,
    }
}
