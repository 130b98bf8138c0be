//! The state of a connection: its requests in flight, and the parts of the protocol that are subject to a timeout.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::http::Version;
use tokio::sync::OwnedSemaphorePermit;

/// The maximum size of an HTTP/1 request head in bytes. Also limits the part of a body that is buffered before the
/// handler reads it.
pub(super) const MAX_HEAD_BYTES: usize = 128 * 1024;

/// The part of a head that every connection may send. It is the size of the buffer that each connection has anyway.
const SMALL_HEAD_BYTES: u64 = 8 * 1024;
/// The number of connections that may send more of a head at a time. Heads arrive without a token, so nothing else limits
/// the memory of heads that never end.
pub(super) const MAX_LARGE_HEADS: usize = 128;

/// The maximum size of a read while a request is in flight. The buffer of a connection grows to the size of its reads, and
/// is not part of the memory for bodies.
const MAX_READ_BYTES: u64 = 32 * 1024;
/// The rate at which a client must read a large response.
const BYTES_PER_SECOND: u64 = 1024 * 1024;

/// The timeouts of a connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timeouts {
    /// The maximum time for the head of a request, from its first byte. For the first request: from the start of the
    /// connection.
    pub(super) head: Duration,
    /// The maximum pause between two requests.
    pub(super) idle: Duration,
    /// The maximum time during which the client reads nothing of a response that is ready. A large response must be
    /// read within this time and a second for each MiB.
    pub(super) write: Duration,
    /// The maximum time for the end of the connection, from the start of its shutdown, or from the last response after
    /// that.
    pub(super) shutdown: Duration,
}

/// A timeout that has expired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Timeout {
    Head,
    /// The idle timeout, or the shutdown timeout.
    Idle,
    Write,
}

/// The state of a connection, shared by its stream and its requests.
pub(super) struct ConnectionState(Mutex<StateInner>);

struct StateInner {
    /// The number of requests since the start of the connection.
    request_count: u64,
    /// The number of requests in flight.
    in_flight: usize,
    is_http2: bool,
    /// The time at which the head that is arriving began. Always `None` after a request over HTTP/2, where a read can
    /// be any frame.
    head_since: Option<Instant>,
    /// The bytes of the head that is arriving.
    head_bytes: u64,
    /// The permit for the memory of a large head that is arriving.
    large_head: Option<OwnedSemaphorePermit>,
    /// The time at which the last request ended. Used only while no request is in flight.
    idle_since: Instant,
    /// The time at which the shutdown of the connection began.
    shutdown_since: Option<Instant>,
    /// The time since which the socket accepts no writes. `None` if it accepted the last write.
    write_blocked_since: Option<Instant>,
    /// For each response with a part that is ready to be sent: the number of its request, and the time since which the
    /// part is ready. Blocked writes are not enough: an HTTP/2 client can block a response by flow control alone, and
    /// then nothing is written to the socket.
    ready_since: BTreeMap<u64, Instant>,
    /// For each large response: the number of its request, and the time at which the client must have read all of it.
    /// A client that reads a little now and then would hold its memory for ever.
    read_by: BTreeMap<u64, Instant>,
}

impl ConnectionState {
    /// Creates the state of a new connection.
    pub(super) fn new() -> Self {
        let now = Instant::now();
        Self(Mutex::new(StateInner {
            request_count: 0,
            in_flight: 0,
            is_http2: false,
            head_since: Some(now),
            head_bytes: 0,
            large_head: None,
            idle_since: now,
            shutdown_since: None,
            write_blocked_since: None,
            ready_since: BTreeMap::new(),
            read_by: BTreeMap::new(),
        }))
    }

    fn lock(&self) -> MutexGuard<'_, StateInner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records a request. It is in flight until the returned exchange is dropped.
    pub(super) fn begin_exchange(self: &Arc<Self>, version: Version) -> Exchange {
        let mut state = self.lock();
        state.request_count += 1;
        state.in_flight += 1;
        state.is_http2 = version == Version::HTTP_2;
        (state.head_since, state.head_bytes, state.large_head) = (None, 0, None);
        Exchange { state: Arc::clone(self), number: state.request_count }
    }

    /// Records that bytes were read. Without a request in flight, they belong to the next head.
    pub(super) fn record_read(&self, count: u64) {
        let mut state = self.lock();
        if state.is_between_requests() {
            state.head_since.get_or_insert_with(Instant::now);
            state.head_bytes += count;
        }
    }

    /// Returns the maximum number of bytes of the next read. Hyper compares the size of a head with its limit only after
    /// a read, so a read must not go beyond the limit.
    pub(super) fn read_limit(&self) -> u64 {
        let mut state = self.lock();
        if !state.is_between_requests() {
            return MAX_READ_BYTES;
        }
        // Hyper reads no further if the head has the maximum size, so these bytes were not all of one head.
        if state.head_bytes >= MAX_HEAD_BYTES as u64 {
            (state.head_bytes, state.large_head) = (0, None);
        }
        let limit = if state.large_head.is_some() { MAX_HEAD_BYTES as u64 } else { SMALL_HEAD_BYTES };
        limit.saturating_sub(state.head_bytes)
    }

    /// Returns whether the head that is arriving needs a permit before more of it is read.
    pub(super) fn needs_permit_for_head(&self) -> bool {
        let state = self.lock();
        state.is_between_requests() && state.head_bytes >= SMALL_HEAD_BYTES && state.large_head.is_none()
    }

    /// Sets the permit for the memory of the head that is arriving. It is released when the head is complete.
    pub(super) fn set_permit_for_head(&self, permit: Option<OwnedSemaphorePermit>) {
        self.lock().large_head = permit;
    }

    /// Records an attempt to write. `is_accepted`: the socket accepted the write.
    pub(super) fn record_write(&self, is_accepted: bool) {
        let mut state = self.lock();
        if is_accepted {
            state.write_blocked_since = None;
        } else {
            state.write_blocked_since.get_or_insert_with(Instant::now);
        }
    }

    /// Begins the shutdown of the connection. The connection ends after its requests in flight.
    pub(super) fn begin_shutdown(&self) {
        self.lock().shutdown_since.get_or_insert_with(Instant::now);
    }

    /// Returns the next deadline, and the timeout that expires then.
    #[cfg(test)]
    pub(super) fn next_deadline(&self, timeouts: Timeouts) -> Option<(Instant, Timeout)> {
        self.lock().next_deadline(timeouts)
    }

    /// Returns the time since which a part of a response is ready, by the number of its request.
    #[cfg(test)]
    pub(super) fn ready_since(&self, request: u64) -> Option<Instant> {
        self.lock().ready_since.get(&request).copied()
    }

    /// Returns whether the socket accepts no writes, because the client does not read.
    #[cfg(test)]
    pub(super) fn is_write_blocked(&self) -> bool {
        self.lock().write_blocked_since.is_some()
    }

    /// Waits until a timeout expires.
    pub(super) async fn wait_for_timeout(&self, timeouts: Timeouts) -> Timeout {
        // The state is checked again at least this often, so that a period that begins in between is noticed in time.
        let interval = timeouts.head.min(timeouts.idle).min(timeouts.write).min(timeouts.shutdown);
        loop {
            let now = Instant::now();
            let next = self.lock().next_deadline(timeouts);
            match next {
                Some((deadline, timeout)) if deadline <= now => return timeout,
                _ => {}
            }
            let next_check = next.map_or(now + interval, |(deadline, _)| deadline.min(now + interval));
            tokio::time::sleep_until(next_check.into()).await;
        }
    }
}

impl StateInner {
    /// Whether the connection may be HTTP/1 and no request is in flight.
    fn is_between_requests(&self) -> bool {
        self.in_flight == 0 && !self.is_http2
    }

    /// Returns the earliest deadline of the periods that are running, or `None` if none is running.
    fn next_deadline(&self, timeouts: Timeouts) -> Option<(Instant, Timeout)> {
        let head = self.head_since.map(|since| (since + timeouts.head, Timeout::Head));
        let idle = match self.shutdown_since {
            None => self.idle_since + timeouts.idle,
            Some(shutdown_since) => self.idle_since.max(shutdown_since) + timeouts.shutdown,
        };
        let idle = (self.in_flight == 0).then_some((idle, Timeout::Idle));
        let unread_since = self.ready_since.values().copied().chain(self.write_blocked_since).min();
        let write = unread_since.map(|since| (since + timeouts.write, Timeout::Write));
        let response = self.read_by.values().min().map(|deadline| (*deadline, Timeout::Write));
        [head, idle, write, response].into_iter().flatten().min_by_key(|(deadline, _)| *deadline)
    }
}

/// A request in flight.
pub(super) struct Exchange {
    state: Arc<ConnectionState>,
    number: u64,
}

impl Exchange {
    /// Records that a part of the response is ready. From now on the write timeout runs.
    pub(super) fn start_write_timeout(&self) {
        self.state.lock().ready_since.insert(self.number, Instant::now());
    }

    /// Starts the timeout for the whole response: the write timeout, and a second for each MiB.
    pub(super) fn start_response_timeout(&self, bytes: u64, timeouts: Timeouts) {
        let whole = timeouts.write + Duration::from_millis(bytes.saturating_mul(1_000) / BYTES_PER_SECOND);
        self.state.lock().read_by.insert(self.number, Instant::now() + whole);
    }

    /// Records that the next part of the response is not ready yet. The client has read everything so far.
    pub(super) fn stop_write_timeout(&self) {
        self.state.lock().ready_since.remove(&self.number);
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let mut state = self.state.lock();
        state.ready_since.remove(&self.number);
        state.read_by.remove(&self.number);
        state.in_flight -= 1;
        if state.in_flight == 0 {
            state.idle_since = Instant::now();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUTS: Timeouts = Timeouts {
        head: Duration::from_secs(2),
        idle: Duration::from_secs(10),
        write: Duration::from_secs(4),
        shutdown: Duration::from_secs(1),
    };

    fn next_timeout(state: &ConnectionState) -> Option<Timeout> {
        state.next_deadline(TIMEOUTS).map(|(_, timeout)| timeout)
    }

    /// Returns the number of all requests, and of those in flight.
    fn requests(state: &ConnectionState) -> (u64, usize) {
        let state = state.lock();
        (state.request_count, state.in_flight)
    }

    #[test]
    fn head_timeout_starts_with_the_connection_and_later_with_the_first_byte_of_each_head() {
        let state = Arc::new(ConnectionState::new());
        assert_eq!(next_timeout(&state), Some(Timeout::Head));
        let exchange = state.begin_exchange(Version::HTTP_11);
        state.record_read(1);
        assert_eq!(next_timeout(&state), None, "the timeout of request bodies is elsewhere");
        drop(exchange);
        assert_eq!(next_timeout(&state), Some(Timeout::Idle));
        state.record_read(1);
        assert_eq!(next_timeout(&state), Some(Timeout::Head));
    }

    #[test]
    fn read_of_an_http_2_frame_does_not_start_the_head_timeout() {
        let state = Arc::new(ConnectionState::new());
        let (first, second) = (state.begin_exchange(Version::HTTP_2), state.begin_exchange(Version::HTTP_2));
        drop(first);
        assert_eq!((next_timeout(&state), requests(&state)), (None, (2, 1)));
        drop(second);
        state.record_read(1);
        assert_eq!((next_timeout(&state), requests(&state)), (Some(Timeout::Idle), (2, 0)));
    }

    #[test]
    fn blocked_write_starts_the_write_timeout_and_an_accepted_write_stops_it() {
        let state = Arc::new(ConnectionState::new());
        let _exchange = state.begin_exchange(Version::HTTP_11);
        state.record_write(false);
        assert_eq!(next_timeout(&state), Some(Timeout::Write));
        state.record_write(true);
        assert_eq!(next_timeout(&state), None);
    }

    #[test]
    fn shutdown_timeout_starts_with_the_shutdown_or_with_the_last_response() {
        let deadline = |state: &ConnectionState| {
            let (deadline, timeout) = state.next_deadline(TIMEOUTS)?;
            Some((deadline.saturating_duration_since(Instant::now()) <= TIMEOUTS.shutdown, timeout))
        };
        let state = Arc::new(ConnectionState::new());
        assert_eq!(deadline(&state), Some((false, Timeout::Head)));
        state.begin_shutdown();
        assert_eq!(deadline(&state), Some((true, Timeout::Idle)), "an incomplete head is not a request in flight");
        let exchange = state.begin_exchange(Version::HTTP_2);
        assert_eq!(deadline(&state), None);
        std::thread::sleep(Duration::from_millis(20));
        drop(exchange);
        let next = state.next_deadline(TIMEOUTS).map(|(deadline, _)| deadline);
        let idle_since = state.lock().idle_since;
        assert_eq!(next, Some(idle_since + TIMEOUTS.shutdown));
    }

    #[tokio::test]
    async fn head_that_begins_while_waiting_is_timed_out() {
        let timeouts = Timeouts {
            head: Duration::from_millis(60),
            idle: Duration::from_millis(600),
            write: Duration::from_millis(600),
            shutdown: Duration::from_millis(600),
        };
        let state = Arc::new(ConnectionState::new());
        drop(state.begin_exchange(Version::HTTP_11));
        let started = Instant::now();
        let read_later = async {
            tokio::time::sleep(Duration::from_millis(30)).await;
            state.record_read(1);
        };
        let (timeout, ()) = tokio::join!(state.wait_for_timeout(timeouts), read_later);
        assert_eq!(timeout, Timeout::Head);
        assert!(started.elapsed() >= Duration::from_millis(90));
    }

    #[test]
    fn read_does_not_go_beyond_the_maximum_size_of_a_head() {
        let state = Arc::new(ConnectionState::new());
        let max = MAX_HEAD_BYTES as u64;
        state.record_read(1_000);
        assert_eq!(state.read_limit(), SMALL_HEAD_BYTES - 1_000);
        assert!(!state.needs_permit_for_head());
        state.record_read(SMALL_HEAD_BYTES - 1_000);
        assert!(state.needs_permit_for_head());
        let permits = Arc::new(tokio::sync::Semaphore::new(1));
        state.set_permit_for_head(Arc::clone(&permits).try_acquire_owned().ok());
        assert_eq!((state.read_limit(), permits.available_permits()), (max - SMALL_HEAD_BYTES, 0));
        let exchange = state.begin_exchange(Version::HTTP_11);
        assert_eq!((state.read_limit(), permits.available_permits()), (MAX_READ_BYTES, 1));
        state.record_read(max * 2);
        drop(exchange);
        state.record_read(max);
        assert_eq!(state.read_limit(), SMALL_HEAD_BYTES);
    }
}
