//! The bodies of responses, which report to the connection state when a part is ready and when the body has been sent.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};

use super::connection_state::{Exchange, Timeouts};

/// The size up to which a response has no timeout of its own.
const MAX_SMALL_BODY: u64 = 64 * 1024;

/// The body of a response. Its request is in flight until the body has been sent.
pub(super) struct TrackedBody {
    body: Body,
    exchange: Arc<Exchange>,
    is_large: bool,
}

/// A part of a large body. Its request is in flight until the socket has accepted the part, which can be long after the
/// connection has asked for the end of the body.
struct TrackedPart {
    bytes: Bytes,
    _exchange: Arc<Exchange>,
}

impl AsRef<[u8]> for TrackedPart {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl TrackedBody {
    pub(super) fn new(body: Body, exchange: Exchange, timeouts: Timeouts) -> Self {
        exchange.start_write_timeout();
        let large = body.size_hint().exact().filter(|bytes| *bytes > MAX_SMALL_BODY);
        if let Some(bytes) = large {
            exchange.start_response_timeout(bytes, timeouts);
        }
        Self { body, exchange: Arc::new(exchange), is_large: large.is_some() }
    }
}

impl HttpBody for TrackedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        // The connection asks for a part of the body only after it has sent the part before it.
        let frame = Pin::new(&mut self.body).poll_frame(context);
        // After the last part of a large body, only blocked writes and the timeout of the whole response count: that part
        // may take long to send.
        let is_large_end = self.is_large && self.body.is_end_stream();
        if frame.is_ready() && !is_large_end {
            self.exchange.start_write_timeout();
        } else {
            self.exchange.stop_write_timeout();
        }
        if !self.is_large {
            return frame;
        }
        let track = |bytes| Bytes::from_owner(TrackedPart { bytes, _exchange: Arc::clone(&self.exchange) });
        frame.map_ok(|frame| frame.map_data(track))
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
    use std::time::{Duration, Instant};

    use axum::http::Version;

    use super::*;
    use crate::http::server::connection_state::{ConnectionState, Timeout};

    const LONG: Duration = Duration::from_secs(60);
    const TIMEOUTS: Timeouts = Timeouts { head: LONG, idle: LONG, write: Duration::from_secs(4), shutdown: LONG };

    fn next_timeout(state: &ConnectionState) -> Option<Timeout> {
        state.next_deadline(TIMEOUTS).map(|(_, timeout)| timeout)
    }

    #[test]
    fn write_timeout_of_each_response_starts_when_its_latest_part_is_ready() {
        let state = Arc::new(ConnectionState::new());
        let [first, second] = [(); 2].map(|()| state.begin_exchange(Version::HTTP_2));
        assert_eq!(next_timeout(&state), None, "the timeout of handlers is elsewhere");
        let first = TrackedBody::new(Body::from("is not read"), first, TIMEOUTS);
        let mut second = TrackedBody::new(Body::from("is read"), second, TIMEOUTS);
        let (first_since, second_since) = (state.ready_since(1), state.ready_since(2));
        let mut context = Context::from_waker(std::task::Waker::noop());
        assert!(Pin::new(&mut second).poll_frame(&mut context).is_ready());
        assert!(state.ready_since(1) == first_since && state.ready_since(2) > second_since);
        drop(second);
        assert_eq!(next_timeout(&state), Some(Timeout::Write));
        drop(first);
        assert_eq!(next_timeout(&state), Some(Timeout::Idle));
    }

    #[test]
    fn large_response_must_be_read_within_the_write_timeout_and_a_second_for_each_mebibyte() {
        let state = Arc::new(ConnectionState::new());
        let exchange = state.begin_exchange(Version::HTTP_11);
        let body = TrackedBody::new(Body::from(vec![0; 3 * 1024 * 1024]), exchange, TIMEOUTS);
        let started = Instant::now();
        // The client reads all the time, so the write timeout starts again and again.
        body.exchange.stop_write_timeout();
        let (deadline, timeout) = state.next_deadline(TIMEOUTS).expect("a deadline");
        assert_eq!((timeout, (deadline - started).as_secs_f64().round() as u64), (Timeout::Write, 4 + 3));
        drop(body);
        assert_eq!(next_timeout(&state), Some(Timeout::Idle));
        let exchange = state.begin_exchange(Version::HTTP_11);
        let body = TrackedBody::new(Body::from(vec![0; 64 * 1024]), exchange, TIMEOUTS);
        body.exchange.stop_write_timeout();
        assert_eq!(next_timeout(&state), None);
    }

    #[test]
    fn request_of_a_large_response_is_in_flight_until_its_last_part_is_sent() {
        let state = Arc::new(ConnectionState::new());
        let exchange = state.begin_exchange(Version::HTTP_11);
        let mut body = TrackedBody::new(Body::from(vec![0; 100_000]), exchange, TIMEOUTS);
        let frame = Pin::new(&mut body).poll_frame(&mut Context::from_waker(std::task::Waker::noop()));
        assert!(body.is_end_stream());
        drop(body);
        assert_eq!(next_timeout(&state), Some(Timeout::Write));
        drop(frame);
        assert_eq!(next_timeout(&state), Some(Timeout::Idle));
    }

    #[test]
    fn response_body_that_is_not_ready_has_no_write_timeout() {
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
        let state = Arc::new(ConnectionState::new());
        let mut body = TrackedBody::new(Body::new(Pending), state.begin_exchange(Version::HTTP_2), TIMEOUTS);
        assert_eq!(next_timeout(&state), Some(Timeout::Write));
        assert!(Pin::new(&mut body).poll_frame(&mut Context::from_waker(std::task::Waker::noop())).is_pending());
        assert_eq!(next_timeout(&state), None);
    }
}
