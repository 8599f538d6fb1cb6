//! Calls that are made at the same time, gathered into one request about many things.
//!
//! A call that comes while a request is under way shares the next one with all that come meanwhile, so every answer is of a
//! request that began after the call. Nothing is kept: this is no cache. A request goes on as long as one of its callers waits
//! for it, and none is sent for callers that are gone.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::{
    FutureExt,
    future::{BoxFuture, Shared, WeakShared},
};

/// What asks about many things: one answer for each question, in their order.
type Ask<Q, A> = dyn Fn(Vec<Q>) -> BoxFuture<'static, Vec<A>> + Send + Sync;
type Request<A> = BoxFuture<'static, Arc<Vec<A>>>;

/// The gate before one kind of request; at most one is under way.
pub struct Gather<Q, A> {
    ask: Arc<Ask<Q, A>>,
    most: usize,
    turn: Arc<tokio::sync::Mutex<()>>,
    open: Mutex<Option<Open<Q, A>>>,
}

/// A request that is not sent yet.
struct Open<Q, A> {
    /// `None` from the moment that it is sent.
    questions: Arc<Mutex<Option<Vec<Q>>>>,
    request: WeakShared<Request<A>>,
}

impl<Q, A> Gather<Q, A>
where
    Q: Send + 'static,
    A: Clone + Send + Sync + 'static,
{
    /// Gathers at most `most` questions for each call of `ask`, which gives one answer for each, in their order.
    pub fn new<Asked>(most: usize, ask: impl Fn(Vec<Q>) -> Asked + Send + Sync + 'static) -> Self
    where
        Asked: Future<Output = Vec<A>> + Send + 'static,
    {
        let ask: Arc<Ask<Q, A>> = Arc::new(move |questions| ask(questions).boxed());
        Self { ask, most, turn: Arc::default(), open: Mutex::default() }
    }

    /// The answer to `question`, of a request that begins after this call.
    pub async fn call(&self, question: Q) -> A {
        let (place, request) = self.join(question);
        request.await[place].clone()
    }

    /// The request that `question` goes with, and its place in it.
    fn join(&self, question: Q) -> (usize, Shared<Request<A>>) {
        let mut open = lock(&self.open);
        if let Some(Open { questions, request }) = &*open
            && let Some(request) = request.upgrade()
            && let Some(questions) = lock(questions).as_mut().filter(|questions| questions.len() < self.most)
        {
            questions.push(question);
            return (questions.len() - 1, request);
        }
        let questions = Arc::new(Mutex::new(Some(vec![question])));
        let (ask, turn, gathered) = (self.ask.clone(), self.turn.clone(), questions.clone());
        let request = async move {
            let _turn = turn.lock().await;
            let questions = lock(&gathered).take().unwrap_or_default();
            Arc::new(ask(questions).await)
        };
        let request = request.boxed().shared();
        *open = request.downgrade().map(|request| Open { questions, request });
        (0, request)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use futures::poll;
    use tokio::sync::Semaphore;

    use super::*;

    /// Doubles numbers, one request for each permit, and notes what each was about.
    struct Bench {
        gather: Gather<u32, u32>,
        sent: Arc<Mutex<Vec<Vec<u32>>>>,
        answers: Arc<Semaphore>,
    }

    impl Bench {
        fn new(most: usize) -> Self {
            let (sent, answers) = (Arc::<Mutex<Vec<Vec<u32>>>>::default(), Arc::new(Semaphore::new(0)));
            let (noted, permits) = (sent.clone(), answers.clone());
            let gather = Gather::new(most, move |questions: Vec<u32>| {
                lock(&noted).push(questions.clone());
                let permits = permits.clone();
                async move {
                    permits.acquire().await.unwrap().forget();
                    questions.iter().map(|number| number * 2).collect()
                }
            });
            Self { gather, sent, answers }
        }

        fn sent(&self) -> Vec<Vec<u32>> {
            lock(&self.sent).clone()
        }
    }

    #[tokio::test]
    async fn what_comes_while_a_request_is_under_way_shares_the_next_one() {
        let bench = Bench::new(100);
        let mut first = Box::pin(bench.gather.call(1));
        assert!(poll!(&mut first).is_pending());
        let mut later: Vec<_> = [2, 3, 4].into_iter().map(|number| Box::pin(bench.gather.call(number))).collect();
        for call in &mut later {
            assert!(poll!(call).is_pending());
        }
        assert_eq!(bench.sent(), [vec![1]], "one at a time");
        bench.answers.add_permits(2);
        assert_eq!(first.await, 2);
        assert_eq!(futures::future::join_all(later).await, [4, 6, 8]);
        assert_eq!(bench.sent(), [vec![1], vec![2, 3, 4]]);
    }

    #[tokio::test]
    async fn a_request_asks_about_so_many_things_at_most() {
        let bench = Bench::new(2);
        bench.answers.add_permits(9);
        let calls = (1..=5).map(|number| bench.gather.call(number));
        assert_eq!(futures::future::join_all(calls).await, [2, 4, 6, 8, 10]);
        assert!(bench.sent().iter().all(|questions| questions.len() <= 2), "{:?}", bench.sent());
    }

    #[tokio::test]
    async fn a_caller_that_goes_does_not_hold_up_the_others_and_none_is_asked_for_when_all_are_gone() {
        let bench = Bench::new(100);
        let mut first = Box::pin(bench.gather.call(1));
        let (mut second, mut third) = (Box::pin(bench.gather.call(2)), Box::pin(bench.gather.call(3)));
        assert!(poll!(&mut first).is_pending());
        assert!(poll!(&mut second).is_pending() && poll!(&mut third).is_pending());
        drop(first);
        bench.answers.add_permits(1);
        assert!(poll!(&mut second).is_ready());
        drop(third);
        let mut fourth = Box::pin(bench.gather.call(4));
        assert!(poll!(&mut fourth).is_pending());
        let mut fifth = Box::pin(bench.gather.call(5));
        assert!(poll!(&mut fifth).is_pending());
        drop(fifth);
        bench.answers.add_permits(2);
        assert_eq!(fourth.await, 8);
        assert_eq!(bench.gather.call(6).await, 12);
        assert_eq!(bench.sent(), [vec![1], vec![2, 3], vec![4], vec![6]], "nobody waits for the answer about 5");
    }
}
