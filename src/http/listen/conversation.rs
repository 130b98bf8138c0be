//! What is going on on a connection, and what of it takes too long.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes, HttpBody};
use axum::http::Version;
use hyper::body::{Frame, SizeHint};

/// How long the parts of a conversation may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// The head of a request, from its first byte on; that of the first request, from the connection on.
    pub(super) head: Duration,
    /// The pause between two requests.
    pub(super) idle: Duration,
    /// The pause between two pieces of an answer that the caller takes.
    pub(super) write: Duration,
    /// The end: once it is told to end, and with no request open.
    pub(super) goodbye: Duration,
}

/// What has taken too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Overdue {
    Head,
    Idle,
    Write,
}

/// A connection, as seen by those who serve it.
pub(super) struct Conversation(Mutex<State>);

struct State {
    /// How many requests there have been.
    begun: u64,
    /// How many of them are still being answered.
    open: usize,
    is_http2: bool,
    /// Since when the head of a request is coming in. Not known of HTTP/2, whose frames may be about anything.
    head_since: Option<Instant>,
    /// Since when there has been no request.
    idle_since: Instant,
    /// Since when it is to end.
    ending_since: Option<Instant>,
    /// Since when the caller has not taken what we write.
    stuck_since: Option<Instant>,
    /// The answers of which a piece is there to be taken, by the number of their request, and since when. A caller of
    /// HTTP/2 may take none of it and yet all that is written: then nothing is.
    offered: BTreeMap<u64, Instant>,
}

impl Conversation {
    /// A connection that has just been made.
    pub(super) fn new() -> Self {
        let now = Instant::now();
        Self(Mutex::new(State {
            begun: 0,
            open: 0,
            is_http2: false,
            head_since: Some(now),
            idle_since: now,
            ending_since: None,
            stuck_since: None,
            offered: BTreeMap::new(),
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request has come, and is being answered until the exchange is dropped.
    pub(super) fn begin(self: &Arc<Self>, version: Version) -> Exchange {
        let mut state = self.state();
        state.begun += 1;
        state.open += 1;
        state.is_http2 = version == Version::HTTP_2;
        state.head_since = None;
        Exchange { conversation: Arc::clone(self), number: state.begun }
    }

    /// Something has been read.
    pub(super) fn heard(&self) {
        let mut state = self.state();
        if state.open == 0 && !state.is_http2 {
            state.head_since.get_or_insert_with(Instant::now);
        }
    }

    /// Something is to be written; `taken` tells whether it could be.
    pub(super) fn spoke(&self, taken: bool) {
        let mut state = self.state();
        if taken {
            state.stuck_since = None;
        } else {
            state.stuck_since.get_or_insert_with(Instant::now);
        }
    }

    /// It is to end: there will be no request but those that are open.
    pub(super) fn end(&self) {
        self.state().ending_since.get_or_insert_with(Instant::now);
    }

    /// Whether the caller has left something lying.
    #[cfg(test)]
    pub(super) fn is_stuck(&self) -> bool {
        self.state().stuck_since.is_some()
    }

    /// How many requests there have been, and whether all of them are answered.
    pub(super) fn standing(&self) -> (u64, bool) {
        let state = self.state();
        (state.begun, state.open == 0)
    }

    /// Returns when something takes too long.
    pub(super) async fn overdue(&self, patience: Patience) -> Overdue {
        // Whatever begins after a look is not overdue before the next.
        let interval = patience.head.min(patience.idle).min(patience.write).min(patience.goodbye);
        loop {
            let now = Instant::now();
            let next = self.state().deadline(patience);
            match next {
                Some((deadline, overdue)) if deadline <= now => return overdue,
                _ => {}
            }
            let look_again = next.map_or(now + interval, |(deadline, _)| deadline.min(now + interval));
            tokio::time::sleep_until(look_again.into()).await;
        }
    }
}

impl State {
    /// When the first of what is going on takes too long.
    fn deadline(&self, patience: Patience) -> Option<(Instant, Overdue)> {
        let head = self.head_since.map(|since| (since + patience.head, Overdue::Head));
        let idle = match self.ending_since {
            None => self.idle_since + patience.idle,
            Some(ending_since) => self.idle_since.max(ending_since) + patience.goodbye,
        };
        let idle = (self.open == 0).then_some((idle, Overdue::Idle));
        let lying_since = self.offered.values().copied().chain(self.stuck_since).min();
        let write = lying_since.map(|since| (since + patience.write, Overdue::Write));
        [head, idle, write].into_iter().flatten().min_by_key(|(deadline, _)| *deadline)
    }
}

/// A request that is being answered.
pub(super) struct Exchange {
    conversation: Arc<Conversation>,
    number: u64,
}

impl Exchange {
    /// A piece of the answer is there to be taken.
    fn offers(&self) {
        self.conversation.state().offered.insert(self.number, Instant::now());
    }

    /// The next piece of the answer is ours to come up with.
    fn owes(&self) {
        self.conversation.state().offered.remove(&self.number);
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let mut state = self.conversation.state();
        state.offered.remove(&self.number);
        state.open -= 1;
        if state.open == 0 {
            state.idle_since = Instant::now();
        }
    }
}

/// The body of an answer: while it is not taken, its request is not answered.
pub(super) struct Answered {
    body: Body,
    exchange: Exchange,
}

impl Answered {
    pub(super) fn new(body: Body, exchange: Exchange) -> Self {
        exchange.offers();
        Self { body, exchange }
    }
}

impl HttpBody for Answered {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        // The piece before this one has been taken.
        let frame = Pin::new(&mut self.body).poll_frame(context);
        if frame.is_ready() {
            self.exchange.offers();
        } else {
            self.exchange.owes();
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Patience = Patience {
        head: Duration::from_secs(2),
        idle: Duration::from_secs(10),
        write: Duration::from_secs(4),
        goodbye: Duration::from_secs(1),
    };

    fn next(conversation: &Conversation) -> Option<Overdue> {
        conversation.state().deadline(PATIENCE).map(|(_, overdue)| overdue)
    }

    #[test]
    fn the_first_head_has_its_time_from_the_connection_on_and_later_ones_from_their_first_byte() {
        let conversation = Arc::new(Conversation::new());
        assert_eq!(next(&conversation), Some(Overdue::Head));
        let exchange = conversation.begin(Version::HTTP_11);
        conversation.heard();
        assert_eq!(next(&conversation), None, "the time of a body is kept elsewhere");
        drop(exchange);
        assert_eq!(next(&conversation), Some(Overdue::Idle));
        conversation.heard();
        assert_eq!(next(&conversation), Some(Overdue::Head));
    }

    #[test]
    fn frames_of_http_2_are_no_head() {
        let conversation = Arc::new(Conversation::new());
        let (first, second) = (conversation.begin(Version::HTTP_2), conversation.begin(Version::HTTP_2));
        drop(first);
        assert_eq!((next(&conversation), conversation.standing()), (None, (2, false)));
        drop(second);
        conversation.heard();
        assert_eq!((next(&conversation), conversation.standing()), (Some(Overdue::Idle), (2, true)));
    }

    #[test]
    fn an_answer_that_is_left_lying_has_its_time_from_when_it_got_stuck() {
        let conversation = Arc::new(Conversation::new());
        let _exchange = conversation.begin(Version::HTTP_11);
        conversation.spoke(false);
        assert_eq!(next(&conversation), Some(Overdue::Write));
        conversation.spoke(true);
        assert_eq!(next(&conversation), None);
    }

    #[test]
    fn each_answer_has_its_time_from_when_a_piece_of_it_was_there() {
        let conversation = Arc::new(Conversation::new());
        let [first, second] = [(); 2].map(|()| conversation.begin(Version::HTTP_2));
        assert_eq!(next(&conversation), None, "the time of a handler is kept elsewhere");
        let first = Answered::new(Body::from("lies"), first);
        let mut second = Answered::new(Body::from("is taken"), second);
        let since = |number| conversation.state().offered.get(&number).copied();
        let (first_since, second_since) = (since(1), since(2));
        let mut context = Context::from_waker(std::task::Waker::noop());
        assert!(Pin::new(&mut second).poll_frame(&mut context).is_ready());
        assert!(since(1) == first_since && since(2) > second_since);
        drop(second);
        assert_eq!(next(&conversation), Some(Overdue::Write));
        drop(first);
        assert_eq!(next(&conversation), Some(Overdue::Idle));
    }

    #[test]
    fn an_answer_that_is_not_there_yet_is_not_left_lying() {
        struct Pending;
        impl HttpBody for Pending {
            type Data = Bytes;
            type Error = axum::Error;
            fn poll_frame(
                self: Pin<&mut Self>,
                _: &mut Context<'_>,
            ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
                Poll::Pending
            }
        }
        let conversation = Arc::new(Conversation::new());
        let mut answer = Answered::new(Body::new(Pending), conversation.begin(Version::HTTP_2));
        assert_eq!(next(&conversation), Some(Overdue::Write));
        assert!(Pin::new(&mut answer).poll_frame(&mut Context::from_waker(std::task::Waker::noop())).is_pending());
        assert_eq!(next(&conversation), None);
    }

    #[test]
    fn what_is_told_to_end_has_its_time_from_then_on_or_from_the_last_answer() {
        let deadline = |conversation: &Conversation| {
            let (deadline, overdue) = conversation.state().deadline(PATIENCE)?;
            Some((deadline.saturating_duration_since(Instant::now()) <= PATIENCE.goodbye, overdue))
        };
        let conversation = Arc::new(Conversation::new());
        assert_eq!(deadline(&conversation), Some((false, Overdue::Head)));
        conversation.end();
        assert_eq!(deadline(&conversation), Some((true, Overdue::Idle)), "half a head is no request");
        let exchange = conversation.begin(Version::HTTP_2);
        assert_eq!(deadline(&conversation), None);
        std::thread::sleep(Duration::from_millis(20));
        drop(exchange);
        let next = conversation.state().deadline(PATIENCE).map(|(deadline, _)| deadline);
        let since = conversation.state().idle_since;
        assert_eq!(next, Some(since + PATIENCE.goodbye));
    }

    #[tokio::test]
    async fn tells_what_begins_while_it_looks() {
        let patience = Patience {
            head: Duration::from_millis(60),
            idle: Duration::from_millis(600),
            write: Duration::from_millis(600),
            goodbye: Duration::from_millis(600),
        };
        let conversation = Arc::new(Conversation::new());
        drop(conversation.begin(Version::HTTP_11));
        let begun = Instant::now();
        let hear = async {
            tokio::time::sleep(Duration::from_millis(30)).await;
            conversation.heard();
        };
        let (overdue, ()) = tokio::join!(conversation.overdue(patience), hear);
        assert_eq!(overdue, Overdue::Head);
        assert!(begun.elapsed() >= Duration::from_millis(90));
    }
}
