//! A CSV file to import. The `csv` crate reads the same rows. Each row becomes a write, or is refused with a reason. A
//! contact that a row creates is exported as an equivalent row.

// The reader belongs to the command line, not to the library.
#[path = "../../../src/cli/import/cell_position.rs"]
mod cell_position;
#[allow(dead_code)]
#[path = "../../../src/cli/import/csv_rows.rs"]
mod csv_rows;
#[allow(dead_code)]
#[path = "../../../src/cli/import/line_tracker.rs"]
mod line_tracker;
#[allow(dead_code)]
#[path = "../../../src/cli/import/row.rs"]
mod row;

use std::io::{self, Read};
use std::sync::LazyLock;

use contacts::contacts::{Contact, ContactPatch, Write};
use contacts::import_export::{self, ColumnMapping, MappingOptions, RowAction, TableSample, TextEncoding, TextLayout};

use super::account::REGISTRY;
use csv_rows::CsvRows;
use row::{ImportRow, RowProblem};

pub fn csv(bytes: &[u8]) {
    let rows = read_rows(bytes);
    assert_eq!(rows, read_rows(SlowSource(bytes)));
    assert!(rows.is_sorted_by(|row, next| row.line < next.line));
    expect_same_as_csv(bytes, &rows);
    detect_text(bytes);
    let Some((header, rows)) = rows.split_first() else { return };
    let header: Vec<_> = header.cells().map(str::to_owned).collect();
    let mut sample = TableSample::new(header.len(), true);
    rows.iter().for_each(|row| sample.add_row(row.cells()));
    for create_fields in [false, true] {
        let options = MappingOptions { create_fields, ..MappingOptions::default() };
        match ColumnMapping::new(&header, &sample, &options, &REGISTRY) {
            Ok(columns) => rows.iter().for_each(|row| check_row(&columns, row)),
            Err(error) => assert!(!error.0.is_empty() && error.0.iter().all(|line| !line.is_empty())),
        }
    }
}

/// Detects the encoding and the layout of a text. The header row is among its lines.
fn detect_text(bytes: &[u8]) {
    let Some(encoding) = TextEncoding::detect(bytes, true) else { return };
    let text = encoding.charset.decode(&bytes[encoding.bom_length..]);
    let layout = TextLayout::detect(&text, &import_export::known_headers(&REGISTRY));
    assert!(layout.header_line >= 1 && layout.header_line <= text.len() as u64 + 1);
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
fn read_rows(source: impl Read) -> Vec<ImportRow> {
    let mut rows = CsvRows::new(source, b',', false);
    std::iter::from_fn(|| rows.next().expect("memory is readable")).collect()
}

/// Compares the rows with the rows that the `csv` crate reads.
fn expect_same_as_csv(bytes: &[u8], rows: &[ImportRow]) {
    let mut reader = ::csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(bytes);
    let expected: Vec<_> = reader.byte_records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), expected.len());
    for (row, record) in rows.iter().zip(expected) {
        let is_valid = record.iter().all(|cell| std::str::from_utf8(cell).is_ok());
        match row.problem {
            None | Some(RowProblem::OpenQuote(_) | RowProblem::StrayQuote(_)) if is_valid => {
                assert!(row.cells().map(str::as_bytes).eq(&record));
            }
            Some(RowProblem::InvalidEncoding | RowProblem::OpenQuote(_) | RowProblem::StrayQuote(_)) => {
                assert!(!is_valid);
            }
            other => panic!("{other:?} for {record:?}"),
        }
    }
}

/// Converts a row to a write and checks the result.
fn check_row(columns: &ColumnMapping, row: &ImportRow) {
    match columns.parse_row(row.cells()) {
        Ok(parsed) => match parsed.action {
            RowAction::Write(Write::Upsert(upsert), _) => {
                expect_same_when_exported(upsert.patch.with_default(&upsert.property_value));
            }
            RowAction::CreateWithoutKey(patch, _) => expect_same_when_exported(patch),
            // The row has no value in any column of a field.
            RowAction::Skip => {}
            other @ RowAction::Write(..) => panic!("a row became {other:?}"),
        },
        Err(refused) => assert!(!refused.reason.is_empty() && !refused.group.is_empty()),
    }
}

/// The columns of an exported file when it is imported again.
static EXPORT_COLUMNS: LazyLock<ColumnMapping> = LazyLock::new(|| {
    let header: Vec<_> = import_export::export_header(REGISTRY.fields()).map(str::to_owned).collect();
    let sample = TableSample::new(header.len(), false);
    ColumnMapping::new(&header, &sample, &MappingOptions::default(), &REGISTRY).unwrap()
});

/// Checks that the contact of a row is exported as a row with the same values.
fn expect_same_when_exported(patch: ContactPatch) {
    let contact = Contact::new(&patch);
    let exported: Vec<_> = import_export::export_cells(&contact, REGISTRY.fields(), false).collect();
    let parsed = EXPORT_COLUMNS.parse_row(exported.iter().map(|cell| &**cell));
    let again = match parsed.map(|parsed| parsed.action) {
        Ok(RowAction::Write(Write::Upsert(upsert), _)) => upsert.patch.with_default(&upsert.property_value),
        Ok(RowAction::CreateWithoutKey(patch, _)) => patch,
        other => panic!("the exported row {exported:?} became {other:?}"),
    };
    assert_eq!(Contact::new(&again).values, contact.values);
}
