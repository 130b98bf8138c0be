//! Inserts many rows with `COPY … (FORMAT binary)`.
//!
//! `COPY` takes half the time of an `INSERT` of the same rows from arrays, because the database neither unpacks nor
//! joins arrays and fills a page at a time. Otherwise it acts like any other statement: unique keys conflict, locks
//! apply, and no other transaction sees the rows before the commit.

use sqlx::postgres::PgConnection;
use sqlx::types::Uuid;
use sqlx::types::chrono::{DateTime, Utc};

use crate::repository::pool::DatabaseConnection;

/// The number of bytes at which the buffer is sent. The database processes these bytes while the next rows are encoded.
const CHUNK_SIZE: usize = 32 * 1024;
/// The signature, no flags, no header extension (PostgreSQL documentation, COPY, "Binary Format").
const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
const TRAILER: [u8; 2] = (-1_i16).to_be_bytes();
const NULL: [u8; 4] = (-1_i32).to_be_bytes();
/// The first byte of a binary jsonb value.
const JSONB_VERSION: u8 = 1;
/// The microseconds from the Unix epoch to 2000-01-01, the epoch of PostgreSQL.
const POSTGRES_EPOCH: i64 = 946_684_800_000_000;

/// Copies rows with a `COPY … FROM STDIN (FORMAT binary)` statement. `encode` appends the values of a row in the order
/// of the statement's columns.
///
/// # Errors
/// Fails if a row cannot be encoded or the database fails. No row was inserted.
pub(super) async fn copy_rows<T>(
    connection: &mut DatabaseConnection,
    statement: &'static str,
    rows: &[T],
    encode: fn(&mut CopyRow<'_>, &T) -> sqlx::Result<()>,
) -> sqlx::Result<()> {
    connection.run(|connection| send_rows(connection, statement, rows, encode)).await
}

async fn send_rows<T>(
    connection: &mut PgConnection,
    statement: &'static str,
    rows: &[T],
    encode: fn(&mut CopyRow<'_>, &T) -> sqlx::Result<()>,
) -> sqlx::Result<()> {
    let mut copy = connection.copy_in_raw(statement).await?;
    let mut buffer = HEADER.to_vec();
    for row in rows {
        CopyRow::encode(&mut buffer, |copy_row| encode(copy_row, row))?;
        if buffer.len() >= CHUNK_SIZE {
            copy.send(&*buffer).await?;
            buffer.clear();
        }
    }
    buffer.extend(TRAILER);
    copy.send(&*buffer).await?;
    copy.finish().await?;
    Ok(())
}

/// A row that is being encoded. Each method appends a value.
pub(super) struct CopyRow<'b> {
    buffer: &'b mut Vec<u8>,
    /// The number of values appended so far.
    values: i16,
    /// Whether a value is longer than the format allows.
    is_too_long: bool,
}

impl<'b> CopyRow<'b> {
    /// Appends a row to the buffer.
    fn encode(buffer: &'b mut Vec<u8>, append_values: impl FnOnce(&mut Self) -> sqlx::Result<()>) -> sqlx::Result<()> {
        let start = buffer.len();
        buffer.extend([0; 2]);
        let mut row = Self { buffer, values: 0, is_too_long: false };
        append_values(&mut row)?;
        let Self { buffer, values, is_too_long } = row;
        if is_too_long {
            return Err(sqlx::Error::Encode("a value of 2 GiB or more".into()));
        }
        buffer[start..start + 2].copy_from_slice(&values.to_be_bytes());
        Ok(())
    }

    /// Appends a length and the bytes of a value, or NULL.
    fn bytes(&mut self, bytes: Option<&[u8]>) -> &mut Self {
        self.values += 1;
        match bytes {
            Some(bytes) => {
                let length = self.encode_length(bytes.len());
                self.buffer.extend(length);
                self.buffer.extend(bytes);
            }
            None => self.buffer.extend(NULL),
        }
        self
    }

    /// Returns the length prefix of a value, and records whether the value is too long for it.
    fn encode_length(&mut self, bytes: usize) -> [u8; 4] {
        let length = i32::try_from(bytes);
        self.is_too_long |= length.is_err();
        length.unwrap_or_default().to_be_bytes()
    }

    pub(super) fn uuid(&mut self, id: Uuid) -> &mut Self {
        self.bytes(Some(id.as_bytes()))
    }

    pub(super) fn integer(&mut self, number: i32) -> &mut Self {
        self.bytes(Some(&number.to_be_bytes()))
    }

    pub(super) fn optional_integer(&mut self, number: Option<i32>) -> &mut Self {
        self.bytes(number.map(i32::to_be_bytes).as_ref().map(<[u8; 4]>::as_slice))
    }

    pub(super) fn bigint(&mut self, number: i64) -> &mut Self {
        self.bytes(Some(&number.to_be_bytes()))
    }

    pub(super) fn boolean(&mut self, value: bool) -> &mut Self {
        self.bytes(Some(&[u8::from(value)]))
    }

    pub(super) fn text(&mut self, text: Option<&str>) -> &mut Self {
        self.bytes(text.map(str::as_bytes))
    }

    pub(super) fn timestamp(&mut self, at: Option<DateTime<Utc>>) -> &mut Self {
        let micros = at.map(|at| (at.timestamp_micros() - POSTGRES_EPOCH).to_be_bytes());
        self.bytes(micros.as_ref().map(<[u8; 8]>::as_slice))
    }

    /// Appends a value of type `json`.
    pub(super) fn json(&mut self, value: &impl serde::Serialize) -> sqlx::Result<&mut Self> {
        self.serialized(None, value)
    }

    /// Appends a value of type `jsonb`.
    pub(super) fn jsonb(&mut self, value: &impl serde::Serialize) -> sqlx::Result<&mut Self> {
        self.serialized(Some(JSONB_VERSION), value)
    }

    /// Appends a value as JSON, after a version byte if there is one.
    fn serialized(&mut self, version: Option<u8>, value: &impl serde::Serialize) -> sqlx::Result<&mut Self> {
        let start = self.buffer.len();
        self.buffer.extend([0; 4]);
        self.buffer.extend(version);
        serde_json::to_writer(&mut *self.buffer, value).map_err(|error| sqlx::Error::Encode(error.into()))?;
        let length = self.encode_length(self.buffer.len() - start - 4);
        self.buffer[start..start + 4].copy_from_slice(&length);
        self.values += 1;
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copy_row_encodes_every_type_in_the_binary_format() {
        let mut buffer = vec![];
        CopyRow::encode(&mut buffer, |row| {
            row.integer(7).boolean(true).text(Some("é")).text(None).timestamp(Some(DateTime::UNIX_EPOCH));
            row.jsonb(&serde_json::json!({"a": 1}))?.json(&[0])?;
            Ok(())
        })
        .expect("the row is encoded");
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
    fn copy_row_rejects_a_value_of_2_gib() {
        const MAX_LENGTH: usize = i32::MAX as usize;
        for (bytes, is_encoded) in [(0, true), (MAX_LENGTH, true), (MAX_LENGTH + 1, false)] {
            let encoded = CopyRow::encode(&mut vec![], |row| {
                row.encode_length(bytes);
                Ok(())
            });
            assert_eq!(encoded.is_ok(), is_encoded, "{bytes}");
        }
    }
}
