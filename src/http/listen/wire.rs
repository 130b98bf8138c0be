//! The stream of a connection. It tells the conversation what passes, and puts in our own words what the parser says of
//! its own accord.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::conversation::Conversation;
use super::refusal;

/// How much is read on after a refusal. A connection that is closed with unread bytes is reset, and the caller then may
/// never see what was wrong.
const MAX_READ_ON: usize = 1024 * 1024;

/// The stream of a connection.
pub(super) struct Wire<S> {
    stream: S,
    conversation: Arc<Conversation>,
    /// How many requests there had been when last nothing was left to say.
    settled: u64,
    /// Our answer in place of the parser's, and how much of it is written.
    refusal: Option<(Vec<u8>, usize)>,
    /// How much has been read since.
    read_on: usize,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    pub(super) fn new(stream: S, conversation: Arc<Conversation>) -> Self {
        Self { stream, conversation, settled: 0, refusal: None, read_on: 0 }
    }

    /// Our answer, if this is said while there is no request to answer.
    fn replaces(&mut self, written: &[u8]) -> bool {
        if self.refusal.is_none()
            && written.starts_with(b"HTTP/1.1 4")
            && self.conversation.standing().0 == self.settled
        {
            self.refusal = refusal::instead_of(written).map(|answer| (answer, 0));
            return self.refusal.is_some();
        }
        false
    }

    /// Writes what is left of our answer.
    fn poll_refusal(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some((answer, written)) = &mut self.refusal else { return Poll::Ready(Ok(())) };
        while *written < answer.len() {
            let count = ready!(Pin::new(&mut self.stream).poll_write(context, &answer[*written..]))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            *written += count;
        }
        Poll::Ready(Ok(()))
    }

    /// Reads on until the caller has said all there is, or enough. The conversation keeps the time.
    fn poll_read_on(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut scratch = [0; 4096];
        while self.read_on < MAX_READ_ON {
            let mut buffer = ReadBuf::new(&mut scratch);
            ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer))?;
            if buffer.filled().is_empty() {
                break;
            }
            self.read_on += buffer.filled().len();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Wire<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = ready!(Pin::new(&mut self.stream).poll_read(context, buffer));
        if buffer.filled().len() > before {
            self.conversation.heard();
        }
        Poll::Ready(read)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.replaces(slices.first().map_or(&[], |slice| slice)) {
            return Poll::Ready(Ok(slices.iter().map(|slice| slice.len()).sum()));
        }
        ready!(self.poll_refusal(context))?;
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.conversation.spoke(written.is_ready());
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_refusal(context))?;
        ready!(Pin::new(&mut self.stream).poll_flush(context))?;
        if let (begun, true) = self.conversation.standing() {
            self.settled = begun;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_refusal(context))?;
        ready!(Pin::new(&mut self.stream).poll_shutdown(context))?;
        if self.refusal.is_some() { self.poll_read_on(context) } else { Poll::Ready(Ok(())) }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::Version;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::*;

    const REFUSAL: &[u8] = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
    const OURS: &[u8] = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nx-request-id: mine\r\n\r\n";

    /// The service's end, the caller's end, and what is known of them.
    fn pair(capacity: usize) -> (Wire<DuplexStream>, DuplexStream, Arc<Conversation>) {
        let (ours, theirs) = duplex(capacity);
        let conversation = Arc::new(Conversation::new());
        (Wire::new(ours, Arc::clone(&conversation)), theirs, conversation)
    }

    #[tokio::test]
    async fn only_what_the_parser_says_by_itself_is_replaced() {
        let (mut wire, mut caller, conversation) = pair(64 * 1024);
        for _ in 0..2 {
            // The body of an answer is at its end before the first byte is written.
            drop(conversation.begin(Version::HTTP_11));
            wire.write_all(OURS).await.expect("written");
            wire.flush().await.expect("flushed");
            let mut heard = vec![0; OURS.len()];
            caller.read_exact(&mut heard).await.expect("read");
            assert_eq!(heard, OURS);
        }
        wire.write_all(REFUSAL).await.expect("written");
        wire.flush().await.expect("flushed");
        drop(wire);
        let mut heard = String::new();
        caller.read_to_string(&mut heard).await.expect("read");
        assert!(heard.contains("\"code\":\"malformed_request\""), "{heard}");
    }

    #[tokio::test]
    async fn a_refusal_is_written_whole_however_little_is_taken_at_a_time() {
        let (mut wire, caller, _) = pair(7);
        let say = async {
            wire.write_all(REFUSAL).await.expect("written");
            wire.shutdown().await.expect("shut down");
        };
        // What is still sent is read, so that it does not cost the answer.
        let (mut reader, mut writer) = tokio::io::split(caller);
        let send = async {
            writer.write_all(&[b'x'; 1000]).await.expect("taken");
            writer.shutdown().await.expect("shut down");
        };
        let mut heard = String::new();
        let ((), (), read) = tokio::join!(say, send, reader.read_to_string(&mut heard));
        read.expect("read");
        assert!(heard.starts_with("HTTP/1.1 400") && heard.ends_with('}'), "{heard}");
    }

    #[tokio::test]
    async fn notes_when_nothing_is_taken_any_more() {
        let (mut wire, mut caller, conversation) = pair(10);
        let _exchange = conversation.begin(Version::HTTP_11);
        let mut writing = std::pin::pin!(wire.write_all(&[b'x'; 20]));
        let soon = std::time::Duration::from_millis(20);
        assert!(tokio::time::timeout(soon, writing.as_mut()).await.is_err());
        assert!(conversation.is_stuck());
        let mut taken = [0; 20];
        let (read, written) = tokio::join!(caller.read_exact(&mut taken), writing);
        read.expect("read");
        written.expect("written");
        assert!(!conversation.is_stuck());
    }
}
