//! The body of a response that is complete before its status is sent.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io::{self, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use axum::http::Response;
use hyper::body::{Frame, SizeHint};

use crate::fair_semaphore::FairPermit;
use crate::memory_budget::{release_unused, split_unused};

/// The first chunk grows up to this size, so that a small body is one chunk.
const FIRST_CHUNK_BYTES: usize = 64 * 1024;
/// The size of further chunks. A buffer of one piece would be copied each time it grows, and take three times its size.
const CHUNK_BYTES: usize = 256 * 1024;

/// Bytes in chunks, which grow without being copied.
#[derive(Debug, Default)]
pub(super) struct ChunkedBuffer {
    full: Vec<Vec<u8>>,
    /// The number of bytes in `full`.
    full_bytes: usize,
    last: Vec<u8>,
}

impl ChunkedBuffer {
    /// Returns the number of bytes.
    pub(super) fn length(&self) -> usize {
        self.full_bytes + self.last.len()
    }

    /// Removes the bytes from `length` on.
    pub(super) fn truncate(&mut self, length: usize) {
        while self.full_bytes > length
            && let Some(full) = self.full.pop()
        {
            self.full_bytes -= full.len();
            self.last = full;
        }
        self.last.truncate(length - self.full_bytes);
    }

    /// Returns the chunks.
    pub(super) fn into_chunks(mut self) -> VecDeque<Bytes> {
        self.last.shrink_to_fit();
        let last = Some(self.last).filter(|last| !last.is_empty());
        self.full.into_iter().chain(last).map(Bytes::from).collect()
    }

    /// Returns the number of bytes of the last chunk when it is full.
    fn capacity(&self) -> usize {
        if self.full.is_empty() { FIRST_CHUNK_BYTES } else { CHUNK_BYTES }
    }

    /// Appends bytes that do not fit into the last chunk.
    fn write_to_next_chunks(&mut self, mut bytes: &[u8]) {
        loop {
            let (fitting, rest) = bytes.split_at(bytes.len().min(self.capacity() - self.last.len()));
            self.last.extend_from_slice(fitting);
            if rest.is_empty() {
                return;
            }
            bytes = rest;
            let full = std::mem::replace(&mut self.last, Vec::with_capacity(CHUNK_BYTES));
            self.full_bytes += full.len();
            self.full.push(full);
        }
    }
}

impl Write for ChunkedBuffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes).map(|()| bytes.len())
    }

    /// JSON is written in many small parts, so this is as fast as for a vector.
    #[inline]
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.len() <= self.capacity() - self.last.len() {
            self.last.extend_from_slice(bytes);
        } else {
            self.write_to_next_chunks(bytes);
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A body in memory. Large bodies hold a permit for their memory, which they return part by part as they are sent.
#[derive(Clone, Default)]
pub(super) struct BufferedBody {
    /// The first chunk, empty if it has been taken. A small body has no others.
    first: Bytes,
    rest: VecDeque<Bytes>,
    length: usize,
    permit: Option<Arc<FairPermit>>,
}

impl BufferedBody {
    /// Creates a body. Returns the memory that it does not need.
    pub(super) fn new(buffer: ChunkedBuffer, permit: Option<FairPermit>) -> Self {
        Self::default().with_buffer(buffer).with_permit(permit)
    }

    /// Returns the number of bytes.
    pub(super) fn length(&self) -> usize {
        self.length
    }

    /// Returns the permit for its memory.
    pub(super) fn permit(&self) -> Option<&FairPermit> {
        self.permit.as_deref()
    }

    /// Replaces the remaining chunks, for example by compressed chunks. The permit stays with the body.
    pub(super) fn with_buffer(self, buffer: ChunkedBuffer) -> Self {
        let (length, mut rest) = (buffer.length(), buffer.into_chunks());
        Self { first: rest.pop_front().unwrap_or_default(), rest, length, ..self }.without_unused_memory()
    }

    /// Adds a permit for its memory.
    pub(super) fn with_permit(self, permit: Option<FairPermit>) -> Self {
        Self { permit: permit.map(Arc::new), ..self }.without_unused_memory()
    }

    fn without_unused_memory(mut self) -> Self {
        self.release_unused();
        self
    }

    /// Removes and returns the first chunk.
    pub(super) fn pop_chunk(&mut self) -> Option<Bytes> {
        let first = std::mem::take(&mut self.first);
        let chunk = if first.is_empty() { self.rest.pop_front()? } else { first };
        self.length -= chunk.len();
        Some(chunk)
    }

    /// Whether this is a small body: one chunk, whose memory is not counted.
    fn is_small(&self) -> bool {
        self.rest.is_empty() && self.permit.is_none()
    }

    /// Returns all bytes in one piece.
    pub(super) fn into_bytes(self) -> Bytes {
        if self.rest.is_empty() {
            return self.first;
        }
        let mut bytes = vec![];
        self.copy_to(&mut bytes);
        bytes.into()
    }

    /// Appends all bytes to a buffer.
    pub(super) fn copy_to(&self, buffer: &mut Vec<u8>) {
        buffer.reserve_exact(self.length);
        buffer.extend_from_slice(&self.first);
        self.rest.iter().for_each(|chunk| buffer.extend_from_slice(chunk));
    }

    fn release_unused(&mut self) {
        if let Some(permit) = self.permit.as_mut().and_then(Arc::get_mut) {
            release_unused(permit, self.length);
        }
    }

    /// Sets this body in a response. A large body is an extension of the response until [`Self::take_from`]: so it
    /// can still be compressed chunk by chunk.
    pub(super) fn set_in(self, response: &mut Response<Body>) {
        if self.is_small() {
            *response.body_mut() = self.into();
        } else {
            response.extensions_mut().insert(self);
        }
    }

    /// Takes the large body of a response that [`Self::set_in`] has set.
    pub(super) fn take_from(response: &mut Response<Body>) -> Option<Self> {
        response.extensions_mut().remove()
    }

    /// Returns the number of bytes of the body of a response, if it is known.
    pub(super) fn length_in(response: &Response<Body>) -> Option<usize> {
        match response.extensions().get::<Self>() {
            Some(body) => Some(body.length),
            None => response.body().size_hint().exact().and_then(|size| usize::try_from(size).ok()),
        }
    }
}

impl From<Vec<u8>> for BufferedBody {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes::from(bytes).into()
    }
}

impl From<Bytes> for BufferedBody {
    fn from(bytes: Bytes) -> Self {
        Self { length: bytes.len(), first: bytes, ..Self::default() }
    }
}

impl From<BufferedBody> for Body {
    fn from(body: BufferedBody) -> Self {
        if body.is_small() { Self::from(body.first) } else { Self::new(body) }
    }
}

/// A chunk that the connection sends. Its memory is free when the socket has accepted all of it, which can be long after
/// the end of the body.
struct SentChunk {
    bytes: Bytes,
    _permit: FairPermit,
}

impl AsRef<[u8]> for SentChunk {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl HttpBody for BufferedBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some(bytes) = self.pop_chunk() else { return Poll::Ready(None) };
        let remaining = self.length;
        let permit = self.permit.as_mut().and_then(Arc::get_mut).map(|permit| split_unused(permit, remaining));
        let chunk = match permit {
            Some(permit) => Bytes::from_owner(SentChunk { bytes, _permit: permit }),
            None => bytes,
        };
        Poll::Ready(Some(Ok(Frame::data(chunk))))
    }

    fn is_end_stream(&self) -> bool {
        self.length == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.length as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunked_buffer_equals_a_vector() {
        let (mut buffer, mut expected) = (ChunkedBuffer::default(), vec![]);
        for (size, length) in [(1, 1), (70_000, 60_000), (300_000, 330_000), (700_000, 320_000), (65_536, 0), (9, 9)] {
            buffer.write_all(&vec![size as u8; size]).expect("memory grows");
            expected.extend(vec![size as u8; size]);
            assert_eq!(buffer.length(), expected.len());
            buffer.truncate(length);
            expected.truncate(length);
            assert_eq!(buffer.length(), expected.len());
            buffer.write_all(b"end").expect("memory grows");
            expected.extend(b"end");
        }
        let chunks = buffer.into_chunks();
        assert!(chunks.iter().all(|chunk| !chunk.is_empty() && chunk.len() <= CHUNK_BYTES));
        assert_eq!(chunks.iter().flatten().copied().collect::<Vec<_>>(), expected);
    }
}
