//! Many rows at once, by `COPY … (FORMAT binary)`: half the price of the same rows as arrays, for the database neither
//! unpacks arrays nor joins them, and fills a page at a time. The table is the same as for any other statement: keys
//! collide, locks hold, and nothing is there before the commit.

use sqlx::postgres::PgConnection;
use sqlx::types::Uuid;
use sqlx::types::chrono::{DateTime, Utc};

use crate::repository::StorageError;

/// How many bytes are gathered before they are sent: the database works on them while the next are made.
const PIECE: usize = 32 * 1024;
/// The signature, no flags, no extension (PostgreSQL documentation, COPY, "Binary Format").
const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
const TRAILER: [u8; 2] = (-1_i16).to_be_bytes();
const NULL: [u8; 4] = (-1_i32).to_be_bytes();
/// How binary jsonb begins.
const JSONB_VERSION: u8 = 1;
/// The microseconds from 1970 to 2000, from where PostgreSQL counts.
const EPOCH: i64 = 946_684_800_000_000;

/// Copies rows into the table and the columns that `statement` names. `encode` writes the values of a row, in the order
/// of those columns.
///
/// # Errors
/// The database. Nothing was copied then.
pub(super) async fn copy<T>(
    connection: &mut PgConnection,
    statement: &'static str,
    rows: &[T],
    encode: fn(&mut Tuple<'_>, &T) -> Result<(), StorageError>,
) -> Result<(), StorageError> {
    let mut copy = connection.copy_in_raw(statement).await?;
    let mut buffer = HEADER.to_vec();
    for row in rows {
        Tuple::write(&mut buffer, |tuple| encode(tuple, row))?;
        if buffer.len() >= PIECE {
            copy.send(&*buffer).await?;
            buffer.clear();
        }
    }
    buffer.extend(TRAILER);
    copy.send(&*buffer).await?;
    copy.finish().await?;
    Ok(())
}

/// A row that is being written.
pub(super) struct Tuple<'b> {
    buffer: &'b mut Vec<u8>,
    values: i16,
    /// Whether a value has a length that the format can't say.
    is_too_large: bool,
}

impl<'b> Tuple<'b> {
    fn write(
        buffer: &'b mut Vec<u8>,
        encode: impl FnOnce(&mut Self) -> Result<(), StorageError>,
    ) -> Result<(), StorageError> {
        let start = buffer.len();
        buffer.extend([0; 2]);
        let mut tuple = Self { buffer, values: 0, is_too_large: false };
        encode(&mut tuple)?;
        let Self { buffer, values, is_too_large } = tuple;
        if is_too_large {
            return Err(sqlx::Error::Encode("a value of 2 GiB or more".into()).into());
        }
        buffer[start..start + 2].copy_from_slice(&values.to_be_bytes());
        Ok(())
    }

    fn bytes(&mut self, bytes: Option<&[u8]>) -> &mut Self {
        self.values += 1;
        match bytes {
            Some(bytes) => {
                let length = self.length(bytes.len());
                self.buffer.extend(length);
                self.buffer.extend(bytes);
            }
            None => self.buffer.extend(NULL),
        }
        self
    }

    /// The length of a value, as it stands before it.
    fn length(&mut self, bytes: usize) -> [u8; 4] {
        let length = i32::try_from(bytes);
        self.is_too_large |= length.is_err();
        length.unwrap_or_default().to_be_bytes()
    }

    pub(super) fn uuid(&mut self, id: Uuid) -> &mut Self {
        self.bytes(Some(id.as_bytes()))
    }

    pub(super) fn integer(&mut self, number: i32) -> &mut Self {
        self.bytes(Some(&number.to_be_bytes()))
    }

    pub(super) fn bigint(&mut self, number: i64) -> &mut Self {
        self.bytes(Some(&number.to_be_bytes()))
    }

    pub(super) fn boolean(&mut self, is: bool) -> &mut Self {
        self.bytes(Some(&[u8::from(is)]))
    }

    pub(super) fn text(&mut self, text: Option<&str>) -> &mut Self {
        self.bytes(text.map(str::as_bytes))
    }

    pub(super) fn instant(&mut self, at: Option<DateTime<Utc>>) -> &mut Self {
        let micros = at.map(|at| (at.timestamp_micros() - EPOCH).to_be_bytes());
        self.bytes(micros.as_ref().map(<[u8; 8]>::as_slice))
    }

    /// A value of a column of type `json`.
    pub(super) fn json(&mut self, value: &impl serde::Serialize) -> Result<&mut Self, StorageError> {
        self.serialized(None, value)
    }

    /// A value of a column of type `jsonb`.
    pub(super) fn jsonb(&mut self, value: &impl serde::Serialize) -> Result<&mut Self, StorageError> {
        self.serialized(Some(JSONB_VERSION), value)
    }

    fn serialized(&mut self, version: Option<u8>, value: &impl serde::Serialize) -> Result<&mut Self, StorageError> {
        let start = self.buffer.len();
        self.buffer.extend([0; 4]);
        self.buffer.extend(version);
        serde_json::to_writer(&mut *self.buffer, value).map_err(|error| sqlx::Error::Encode(error.into()))?;
        let length = self.length(self.buffer.len() - start - 4);
        self.buffer[start..start + 4].copy_from_slice(&length);
        self.values += 1;
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_tuples_in_the_binary_format() {
        let mut buffer = vec![];
        Tuple::write(&mut buffer, |tuple| {
            tuple.integer(7).boolean(true).text(Some("é")).text(None).instant(Some(DateTime::UNIX_EPOCH));
            tuple.jsonb(&serde_json::json!({"a": 1}))?.json(&[0])?;
            Ok(())
        })
        .expect("encodes");
        let expected: &[&[u8]] = &[
            &[0, 7],
            &[0, 0, 0, 4, 0, 0, 0, 7],
            &[0, 0, 0, 1, 1],
            &[0, 0, 0, 2, 0xc3, 0xa9],
            &[0xff; 4],
            &[0, 0, 0, 8],
            &(-946_684_800_000_000_i64).to_be_bytes(),
            &[0, 0, 0, 8, 1],
            br#"{"a":1}"#,
            &[0, 0, 0, 3],
            b"[0]",
        ];
        assert_eq!(buffer, expected.concat());
    }

    #[test]
    fn writes_no_length_that_is_not_so() {
        const LONGEST: usize = i32::MAX as usize;
        for (bytes, fits) in [(0, true), (LONGEST, true), (LONGEST + 1, false)] {
            let written = Tuple::write(&mut vec![], |tuple| {
                tuple.length(bytes);
                Ok(())
            });
            assert_eq!(written.is_ok(), fits, "{bytes}");
        }
    }
}
