//! A CSV file to import. The `csv` crate reads the same rows. Each row becomes a write, or is rejected
//! with a documented error code. A contact that a row creates is exported as an equivalent row.

// The reader belongs to the command line, not to the library.
#[allow(dead_code)]
#[path = "../../../src/cli/import/csv_rows.rs"]
mod csv_rows;

use std::io::{self, Read};
use std::sync::{Arc, LazyLock};

use contacts::contacts::{Contact, Upsert, Write};
use contacts::fields::{Field, FieldId};
use contacts::import_export::{self, ColumnMapping, MappingOptions};

use super::account::REGISTRY;
use csv_rows::{CsvRow, CsvRows};

pub fn csv(bytes: &[u8]) {
    let rows = read_rows(bytes);
    assert_eq!(rows, read_rows(SlowSource(bytes)));
    assert!(rows.is_sorted_by(|row, next| row.line < next.line));
    expect_same_as_csv(bytes, &rows);
    let Some((header, rows)) = rows.split_first() else { return };
    let Some(header) = cells(header) else { return };
    let is_column = |property: &&Arc<Field>| header.contains(&property.internal_name);
    let property = REGISTRY.unique_fields().iter().find(is_column).map_or("email", |property| &*property.internal_name);
    for create_fields in [false, true] {
        let options = MappingOptions { match_field: property.to_owned(), create_fields, ..MappingOptions::default() };
        match ColumnMapping::new(&header, &options, &REGISTRY) {
            Ok(columns) => rows.iter().for_each(|row| check_row(&columns, row)),
            Err(error) => assert!(!error.0.is_empty() && error.0.iter().all(|line| !line.is_empty())),
        }
    }
}

/// A source that returns at most three bytes at a time.
struct SlowSource<'a>(&'a [u8]);

impl Read for SlowSource<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.0.len().min(3).min(buffer.len());
        let (first, rest) = self.0.split_at(length);
        buffer[..length].copy_from_slice(first);
        self.0 = rest;
        Ok(length)
    }
}

/// Reads all rows of a source.
fn read_rows(source: impl Read) -> Vec<CsvRow> {
    let mut rows = CsvRows::new(source);
    std::iter::from_fn(|| rows.next().expect("no row is too large")).collect()
}

fn cells(row: &CsvRow) -> Option<Vec<String>> {
    row.cells().map(|cells| cells.map(str::to_owned).collect())
}

/// Compares the rows with the rows that the `csv` crate reads.
fn expect_same_as_csv(bytes: &[u8], rows: &[CsvRow]) {
    let mut reader = ::csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(bytes);
    let expected: Vec<_> = reader.byte_records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), expected.len());
    for (row, record) in rows.iter().zip(expected) {
        match row.cells() {
            Some(cells) => assert!(cells.map(str::as_bytes).eq(&record)),
            None => assert!(record.iter().any(|cell| std::str::from_utf8(cell).is_err())),
        }
    }
}

/// Converts a row to a write and checks the result.
fn check_row(columns: &ColumnMapping, row: &CsvRow) {
    let Some(cells) = row.cells() else { return };
    match columns.parse_row(cells) {
        Ok(Write::Upsert(upsert)) => expect_same_when_exported(&upsert),
        Ok(write) => panic!("a row became {write:?}"),
        Err(refusal) => {
            assert!(["validation_failed", "invalid_body"].contains(&refusal.code), "{refusal:?}");
            assert!(!refusal.message.is_empty());
        }
    }
}

/// The columns of an exported file when it is imported again, for each unique field.
static EXPORT_COLUMNS: LazyLock<Vec<(FieldId, ColumnMapping)>> = LazyLock::new(|| {
    let header: Vec<_> = import_export::export_header(REGISTRY.fields()).map(str::to_owned).collect();
    let columns_by = |property: &Field| {
        let options = MappingOptions { match_field: property.internal_name.clone(), ..MappingOptions::default() };
        (property.id, ColumnMapping::new(&header, &options, &REGISTRY).unwrap())
    };
    REGISTRY.unique_fields().iter().map(|property| columns_by(property)).collect()
});

/// Checks that the contact of an upsert is exported as a row that becomes the same upsert.
fn expect_same_when_exported(upsert: &Upsert) {
    let contact = Contact::new(&upsert.patch.with_default(&upsert.property_value));
    let (_, columns) = EXPORT_COLUMNS.iter().find(|(property, _)| *property == upsert.property_value.0).unwrap();
    let exported: Vec<_> = import_export::export_cells(&contact, REGISTRY.fields(), false).collect();
    let Ok(Write::Upsert(again)) = columns.parse_row(exported.iter().map(|cell| &**cell)) else {
        panic!("the exported row cannot be imported: {exported:?}")
    };
    assert_eq!(again.key, upsert.key);
    assert_eq!(Contact::new(&again.patch.with_default(&again.property_value)).values, contact.values);
}
