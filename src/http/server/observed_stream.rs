//! The byte stream of a connection. It reports reads and writes to the connection state, which has the timeouts and the
//! limit for heads.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf, Take};
use tokio::sync::Semaphore;
use tokio_util::sync::PollSemaphore;

use super::connection_state::ConnectionState;

/// A stream that reports its reads and writes.
pub(super) struct ObservedStream<S> {
    /// The limit is set before each read.
    stream: Take<S>,
    state: Arc<ConnectionState>,
    /// The permits for large heads, which all connections share.
    large_heads: PollSemaphore,
}

impl<S: AsyncRead> ObservedStream<S> {
    /// Wraps the stream of a connection. Large heads wait for one of the permits.
    pub(super) fn new(stream: S, state: Arc<ConnectionState>, large_heads: Arc<Semaphore>) -> Self {
        Self { stream: stream.take(0), state, large_heads: PollSemaphore::new(large_heads) }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for ObservedStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        if self.state.needs_permit_for_head() {
            // The head timeout ends a wait that takes too long.
            let permit = ready!(self.large_heads.poll_acquire(context));
            self.state.set_permit_for_head(permit);
        }
        let limit = self.state.read_limit();
        self.stream.set_limit(limit);
        let read = ready!(Pin::new(&mut self.stream).poll_read(context, buffer));
        let count = buffer.filled().len() - before;
        if count > 0 {
            self.state.record_read(count as u64);
        }
        Poll::Ready(read)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for ObservedStream<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(self.stream.get_mut()).poll_write_vectored(context, slices);
        self.state.record_write(written.is_ready());
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.get_ref().is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.stream.get_mut()).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.stream.get_mut()).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use axum::http::Version;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test]
    async fn blocked_write_is_reported_until_the_client_reads() {
        let (stream, mut client) = duplex(10);
        let state = Arc::new(ConnectionState::new());
        let mut stream = ObservedStream::new(stream, Arc::clone(&state), Arc::new(Semaphore::new(1)));
        let _exchange = state.begin_exchange(Version::HTTP_11);
        let mut write = std::pin::pin!(stream.write_all(&[b'x'; 20]));
        let soon = std::time::Duration::from_millis(20);
        assert!(tokio::time::timeout(soon, write.as_mut()).await.is_err());
        assert!(state.is_write_blocked());
        let mut received = [0; 20];
        let (read, written) = tokio::join!(client.read_exact(&mut received), write);
        read.expect("20 bytes");
        written.expect("the write completes");
        assert!(!state.is_write_blocked());
    }

    #[tokio::test]
    async fn large_head_waits_for_a_permit_until_another_head_is_complete() {
        let large_heads = Arc::new(Semaphore::new(1));
        let connect = async || {
            let (stream, mut client) = duplex(64 * 1024);
            let state = Arc::new(ConnectionState::new());
            client.write_all(&[b'x'; 20_000]).await.expect("the buffer has space");
            (ObservedStream::new(stream, Arc::clone(&state), Arc::clone(&large_heads)), state, client)
        };
        let ((mut first, first_state, _client), (mut second, ..)) = (connect().await, connect().await);
        let mut head = [0; 20_000];
        first.read_exact(&mut head).await.expect("the only permit is free");
        second.read_exact(&mut head[..8 * 1024]).await.expect("a small head needs no permit");
        let mut rest = std::pin::pin!(second.read_exact(&mut head[8 * 1024..]));
        let soon = std::time::Duration::from_millis(20);
        assert!(tokio::time::timeout(soon, rest.as_mut()).await.is_err());
        let _exchange = first_state.begin_exchange(Version::HTTP_11);
        rest.await.expect("the permit is free");
    }
}
