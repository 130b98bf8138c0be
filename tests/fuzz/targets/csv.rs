//! A CSV file to import: its rows are those that another reader sees, each of them becomes a write or is refused with a
//! code of the contract, and what a write makes is exported as a row that means the same.

// Of the command line's own reader, which is no part of the library.
#[allow(dead_code)]
#[path = "../../../src/cli/import/rows.rs"]
mod rows;

use std::io::{self, Read};
use std::sync::{Arc, LazyLock};

use contacts::contacts::{Contact, Upsert, Write};
use contacts::fields::{Field, FieldId};
use contacts::transfer::{self, Columns, Naming};

use super::account::REGISTRY;
use rows::{Row, Rows};

pub fn csv(bytes: &[u8]) {
    let rows = read(bytes);
    assert_eq!(rows, read(Drip(bytes)));
    assert!(rows.is_sorted_by(|row, next| row.line < next.line));
    expect_same_as_csv(bytes, &rows);
    let Some((header, rows)) = rows.split_first() else { return };
    let Some(header) = cells(header) else { return };
    let is_column = |property: &&Arc<Field>| header.contains(&property.internal_name);
    let property = REGISTRY.unique_fields().iter().find(is_column).map_or("email", |property| &*property.internal_name);
    for create_fields in [false, true] {
        let naming = Naming { property: property.to_owned(), create_fields, ..Naming::default() };
        match Columns::read(&header, &naming, &REGISTRY) {
            Ok(columns) => rows.iter().for_each(|row| write(&columns, row)),
            Err(error) => assert!(!error.0.is_empty() && error.0.iter().all(|line| !line.is_empty())),
        }
    }
}

/// A source that gives a few bytes at a time.
struct Drip<'a>(&'a [u8]);

impl Read for Drip<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.0.len().min(3).min(buffer.len());
        let (first, rest) = self.0.split_at(length);
        buffer[..length].copy_from_slice(first);
        self.0 = rest;
        Ok(length)
    }
}

fn read(source: impl Read) -> Vec<Row> {
    let mut rows = Rows::new(source);
    std::iter::from_fn(|| rows.next().expect("no row is too large")).collect()
}

fn cells(row: &Row) -> Option<Vec<String>> {
    row.cells().map(|cells| cells.map(str::to_owned).collect())
}

fn expect_same_as_csv(bytes: &[u8], rows: &[Row]) {
    let mut reader = ::csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(bytes);
    let theirs: Vec<_> = reader.byte_records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), theirs.len());
    for (row, record) in rows.iter().zip(theirs) {
        match row.cells() {
            Some(cells) => assert!(cells.map(str::as_bytes).eq(&record)),
            None => assert!(record.iter().any(|cell| std::str::from_utf8(cell).is_err())),
        }
    }
}

fn write(columns: &Columns, row: &Row) {
    let Some(cells) = row.cells() else { return };
    match columns.write(cells) {
        Ok(Write::Upsert(upsert)) => expect_same_when_exported(&upsert),
        Ok(write) => panic!("an import asks for {write:?}"),
        Err(refusal) => {
            assert!(["validation_failed", "invalid_body"].contains(&refusal.code), "{refusal:?}");
            assert!(!refusal.message.is_empty());
        }
    }
}

/// The columns of an export, to be imported by each of the properties that name a contact.
static EXPORTED: LazyLock<Vec<(FieldId, Columns)>> = LazyLock::new(|| {
    let header: Vec<_> = transfer::header(&REGISTRY).map(str::to_owned).collect();
    let by = |property: &Field| {
        let naming = Naming { property: property.internal_name.clone(), ..Naming::default() };
        (property.id, Columns::read(&header, &naming, &REGISTRY).unwrap())
    };
    REGISTRY.unique_fields().iter().map(|property| by(property)).collect()
});

/// The contact that a row makes is exported as a row that asks for the same contact.
fn expect_same_when_exported(upsert: &Upsert) {
    let contact = Contact::new(&upsert.draft.with_default(&upsert.named));
    let (_, columns) = EXPORTED.iter().find(|(property, _)| *property == upsert.named.0).unwrap();
    let exported: Vec<_> = transfer::cells(&contact, &REGISTRY, false).collect();
    let Ok(Write::Upsert(again)) = columns.write(exported.iter().map(|cell| &**cell)) else {
        panic!("can't be imported: {exported:?}")
    };
    assert_eq!(again.key, upsert.key);
    assert_eq!(Contact::new(&again.draft.with_default(&again.named)).values, contact.values);
}
