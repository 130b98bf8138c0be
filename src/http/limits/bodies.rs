//! Bodies, read within bounds: of their size, of the pauses between their pieces, and of the memory that all of them take.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::http::error::ApiError;

/// A body up to this size needs no room: the number of requests bounds what all of them take.
const SMALL: usize = 64 * 1024;
/// How long a larger one waits for room.
const PATIENCE: Duration = Duration::from_secs(2);
/// The unit in which room is given out.
const UNIT: usize = 1024;

/// What reads bodies, and how much room there is for large ones.
pub(in crate::http) struct Bodies {
    room: Arc<Semaphore>,
    /// All the room there is, in units.
    units: usize,
    /// How long a body may pause.
    pause: Duration,
}

impl Bodies {
    /// Room for so many bytes.
    pub(super) fn new(bytes: usize, pause: Duration) -> Self {
        let units = bytes.div_ceil(UNIT).min(u32::MAX as usize);
        Self { room: Arc::new(Semaphore::new(units)), units, pause }
    }

    /// Reads a body to its end. The room that it takes is free again when the last of its bytes is dropped.
    pub(in crate::http) async fn read(&self, mut body: Body, limit: usize) -> Result<Bytes, ApiError> {
        // One that does not say how large it is may be as large as the limit: to ask for room piece by piece would end
        // with many who all hold some and wait for more.
        let size = body.size_hint().exact().map_or(limit, |size| usize::try_from(size).unwrap_or(limit).min(limit));
        let (mut read, mut room) = (vec![], None);
        while let Some(piece) = self.next_piece(&mut body).await? {
            if piece.len() > limit - read.len() {
                return Err(ApiError::PayloadTooLarge { limit });
            }
            if read.is_empty() && body.is_end_stream() && piece.len() <= SMALL {
                return Ok(piece);
            }
            if room.is_none() && read.len() + piece.len() > SMALL {
                room = Some(self.room_for(size).await?);
                read.reserve_exact(size - read.len());
            }
            read.extend_from_slice(&piece);
        }
        Ok(Bytes::from_owner(Roomed { read, _room: room }))
    }

    /// The next piece of a body.
    async fn next_piece(&self, body: &mut Body) -> Result<Option<Bytes>, ApiError> {
        loop {
            let frame = tokio::time::timeout(self.pause, body.frame()).await;
            // As good as a request that takes too long: what was sent may be fine, and should be sent again.
            match frame.map_err(|_| ApiError::Unavailable("the body does not come".into()))? {
                None => return Ok(None),
                Some(Err(_)) => return Err(ApiError::InvalidBody("The body could not be read to its end".into())),
                // Trailers say nothing to us.
                Some(Ok(frame)) => {
                    if let Ok(piece) = frame.into_data() {
                        return Ok(Some(piece));
                    }
                }
            }
        }
    }

    async fn room_for(&self, size: usize) -> Result<OwnedSemaphorePermit, ApiError> {
        let units = u32::try_from(size.div_ceil(UNIT).min(self.units)).unwrap_or(u32::MAX);
        let room = tokio::time::timeout(PATIENCE, Arc::clone(&self.room).acquire_many_owned(units)).await;
        room.ok().and_then(Result::ok).ok_or(ApiError::Unavailable("there is no room for large bodies".into()))
    }
}

/// The bytes of a body, and the room that they take.
struct Roomed {
    read: Vec<u8>,
    _room: Option<OwnedSemaphorePermit>,
}

impl AsRef<[u8]> for Roomed {
    fn as_ref(&self) -> &[u8] {
        &self.read
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: usize = 1024 * 1024;

    fn bodies(bytes: usize) -> Bodies {
        Bodies::new(bytes, Duration::from_secs(1))
    }

    #[tokio::test]
    async fn reads_what_was_sent() {
        let bodies = bodies(LIMIT);
        for size in [0, 1, SMALL, SMALL + 1, LIMIT] {
            let sent = vec![b'x'; size];
            assert_eq!(bodies.read(Body::from(sent.clone()), LIMIT).await.expect("read"), sent);
        }
        let too_large = bodies.read(Body::from(vec![b'x'; LIMIT + 1]), LIMIT).await;
        assert!(matches!(too_large, Err(ApiError::PayloadTooLarge { limit: LIMIT })));
    }

    #[tokio::test]
    async fn room_is_taken_for_as_long_as_the_bytes_are_kept() {
        let bodies = bodies(LIMIT);
        let body = bodies.read(Body::from(vec![b'x'; LIMIT / 2]), LIMIT).await.expect("there is room");
        let same = body.slice(1..);
        assert_eq!(bodies.room.available_permits(), 512);
        drop(body);
        assert_eq!(bodies.room.available_permits(), 512);
        drop(same);
        assert_eq!(bodies.room.available_permits(), 1024);
    }

    #[tokio::test]
    async fn one_that_is_larger_than_all_the_room_has_it_to_itself() {
        let bodies = bodies(100 * UNIT);
        let body = bodies.read(Body::from(vec![b'x'; LIMIT]), LIMIT).await.expect("there is room");
        assert_eq!(bodies.room.available_permits(), 0);
        let refused = bodies.read(Body::from(vec![b'x'; LIMIT]), LIMIT).await;
        assert!(matches!(refused, Err(ApiError::Unavailable(_))));
        bodies.read(Body::from(vec![b'x'; SMALL]), LIMIT).await.expect("small ones need none");
        drop(body);
        assert_eq!(bodies.room.available_permits(), 100);
    }
}
