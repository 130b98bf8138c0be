//! Reads and discards the rest of a request body after the response.
//!
//! Closing a connection with unread bytes resets it, and the caller might then never see the response, for example the
//! 413 for a body that is too large.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::header;
use http_body_util::BodyExt;
use hyper::body::{Frame, SizeHint};

use super::limits::BodyWait;

/// The maximum number of bytes to discard. If more bytes are left, the connection may be reset.
const MAX_DISCARDED_BYTES: usize = 32 * 1024 * 1024;
/// The maximum time for discarding the rest of a body.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(5);
/// The maximum time for discarding the rest of a body that has not arrived in time. It is short, because the connection
/// stays open for it.
const SLOW_DISCARD_TIMEOUT: Duration = Duration::from_secs(1);

/// Wraps the body of a request so that the body is read to its end even if the handler drops it earlier.
pub(super) fn drain_body(request: Request, wait: &BodyWait) -> Request {
    // A client that sends `Expect: 100-continue` waits for permission to send the body, so there is nothing to read.
    if request.body().is_end_stream() || request.headers().contains_key(header::EXPECT) {
        return request;
    }
    request.map(|body| Body::new(DrainOnDrop { body: Some(body), wait: wait.clone() }))
}

/// A body that is read to its end in the background when it is dropped.
struct DrainOnDrop {
    /// `None` once the body has ended.
    body: Option<Body>,
    wait: BodyWait,
}

impl HttpBody for DrainOnDrop {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let frame = ready!(Pin::new(body).poll_frame(context));
        if !matches!(frame, Some(Ok(_))) {
            self.body = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map(HttpBody::size_hint).unwrap_or_default()
    }
}

impl Drop for DrainOnDrop {
    fn drop(&mut self) {
        let Some(body) = self.body.take().filter(|body| !body.is_end_stream()) else { return };
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let timeout = if self.wait.is_waiting() { SLOW_DISCARD_TIMEOUT } else { DISCARD_TIMEOUT };
            runtime.spawn(tokio::time::timeout(timeout, discard_rest(body)));
        }
    }
}

async fn discard_rest(mut body: Body) {
    let mut discarded_bytes = 0;
    while let Some(Ok(frame)) = body.frame().await {
        discarded_bytes += frame.data_ref().map_or(0, Bytes::len);
        if discarded_bytes > MAX_DISCARDED_BYTES {
            return;
        }
    }
}
