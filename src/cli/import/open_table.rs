//! Opens a file of any format, and finds its table: the header row, the rows, and a sample of them.

use std::fs::File;
use std::io::{self, Cursor, Read};
use std::path::Path;

use super::decoded_text::DecodedText;
use super::printable::printable;
use super::quote_blanks::{WithoutQuoteBlanks, has_quote_blanks, without_quote_blanks};
use super::row::{ImportRow, RowProblem};
use super::row_source::{RowSource, TableRows, TextSource};
use super::vcard_rows::VCardRows;
use super::xlsx_rows::{self, Sheet};
use crate::cli::error::CliError;
use crate::fields::Registry;
use crate::import_export::{
    FileFormat, MAX_HEADER_LINE, TableSample, TextEncoding, TextLayout, VCARD_HEADERS, find_header_row, is_address,
    known_headers,
};

/// The number of bytes by which a file is recognized, and whose rows are the sample.
const PREFIX_SIZE: usize = 2 * 1024 * 1024;
/// The number of rows of a sheet that are the sample.
const SHEET_SAMPLE: usize = 20_000;

/// A table to import.
pub(super) struct OpenTable {
    /// The rows below the header.
    pub(super) rows: TableRows,
    pub(super) header: Vec<String>,
    /// The line of the header; `None` for formats without a header.
    pub(super) header_line: Option<u64>,
    pub(super) sample: TableSample,
    /// The format for people, such as `CSV, UTF-8, separated by commas`.
    pub(super) format: String,
    /// The size of the file in the unit of [`TableRows::offset`], if it is known.
    pub(super) size: Option<u64>,
}

/// Opens a file. `None` is standard input.
///
/// # Errors
/// Fails if the file cannot be read, or if its format is not supported. The error names the format.
pub(super) fn open_table(input: Option<&Path>, registry: &Registry) -> Result<OpenTable, CliError> {
    let name = input.map_or("Standard input".to_owned(), |path| path.display().to_string());
    let unreadable = |error: io::Error| CliError::Other(format!("could not read {name}: {error}"));
    let (mut source, size) = open_input(input).map_err(unreadable)?;
    let mut prefix = vec![];
    source.by_ref().take(PREFIX_SIZE as u64).read_to_end(&mut prefix).map_err(unreadable)?;
    let is_complete = prefix.len() < PREFIX_SIZE;
    let file = OpenFile { name: &name, registry, prefix, is_complete, source, size };
    match FileFormat::from_signature(&file.prefix) {
        Some(FileFormat::Unreadable(what)) => {
            Err(CliError::Other(format!("{name} cannot be imported. This is {what}")))
        }
        Some(FileFormat::Zip) => file.open_sheet(),
        _ => file.open_text(),
    }
}

/// Opens the input, and returns it with its size if it is a regular file.
fn open_input(input: Option<&Path>) -> io::Result<(Box<dyn Read + Send>, Option<u64>)> {
    let Some(path) = input else { return Ok((Box::new(io::stdin()), None)) };
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    Ok((Box::new(file), Some(metadata.len()).filter(|_| metadata.is_file())))
}

/// A file whose first bytes were read.
struct OpenFile<'a> {
    name: &'a str,
    registry: &'a Registry,
    prefix: Vec<u8>,
    /// Whether the prefix is the whole file.
    is_complete: bool,
    source: Box<dyn Read + Send>,
    size: Option<u64>,
}

impl OpenFile<'_> {
    fn failed(&self, reason: &str) -> CliError {
        CliError::Other(format!("{} {reason}", self.name))
    }

    /// Opens a text: CSV or vCards.
    fn open_text(self) -> Result<OpenTable, CliError> {
        let encoding = TextEncoding::detect(&self.prefix, self.is_complete).ok_or_else(|| {
            self.failed("cannot be imported. This is binary data of an unknown format. Export the contacts as CSV")
        })?;
        let text = encoding.charset.decode(&self.prefix[encoding.bom_length..]);
        match FileFormat::from_text(&text) {
            FileFormat::Unreadable(what) => Err(self.failed(&format!("cannot be imported. This is {what}"))),
            FileFormat::VCard => self.open_vcards(&text, encoding),
            _ => self.open_csv(&text, encoding),
        }
    }

    /// Returns the whole text from its start, and its size.
    fn into_text(self, encoding: TextEncoding) -> Result<(TextSource, Option<u64>), CliError> {
        let name = self.name.to_owned();
        let whole = Cursor::new(self.prefix).chain(self.source);
        let text = DecodedText::new(whole, encoding)
            .map_err(|error| CliError::Other(format!("could not read {name}: {error}")))?;
        // Two bytes of UTF-16 are mostly one byte of UTF-8, in which the progress is counted.
        let bytes_per_byte = if encoding.charset.name() == "UTF-16" { 2 } else { 1 };
        Ok((Box::new(text), self.size.map(|size| size / bytes_per_byte)))
    }

    fn open_csv(self, text: &str, encoding: TextEncoding) -> Result<OpenTable, CliError> {
        let known = known_headers(self.registry);
        let first_layout = TextLayout::detect(text, &known);
        let separator = first_layout.separator;
        let cleaned = has_quote_blanks(text, separator).then(|| without_quote_blanks(text, separator));
        let layout = cleaned.as_ref().map_or(first_layout, |cleaned| TextLayout::detect(cleaned, &known));
        let mut first_rows = RowSource::csv(boxed(cleaned.as_deref().unwrap_or(text)), layout, false);
        let header = skip_to_header(&mut first_rows, layout.header_line)?.ok_or_else(|| self.failed(EMPTY))?;
        let header = header_names(&header).map_err(|error| self.failed(&error))?;
        let sample = read_sample(first_rows, &header, self.is_complete);
        let is_ascii_so_far = encoding.is_ascii_so_far && !self.is_complete;
        let (mut source, size) = self.into_text(encoding)?;
        if cleaned.is_some() {
            source = Box::new(WithoutQuoteBlanks::new(source, separator));
        }
        let mut rows = RowSource::csv(source, layout, is_ascii_so_far);
        skip_to_header(&mut rows, layout.header_line)?;
        Ok(OpenTable {
            rows: TableRows::new(rows, &header),
            header,
            header_line: Some(layout.header_line),
            sample,
            format: format!("CSV, {}, separated by {}", encoding.charset.name(), layout.separator_name()),
            size,
        })
    }

    fn open_vcards(self, text: &str, encoding: TextEncoding) -> Result<OpenTable, CliError> {
        let header: Vec<_> = VCARD_HEADERS.map(str::to_owned).to_vec();
        let first_rows = RowSource::VCard(VCardRows::new(boxed(text)));
        let sample = read_sample(first_rows, &header, self.is_complete);
        let (source, size) = self.into_text(encoding)?;
        let rows = TableRows::new(RowSource::VCard(VCardRows::new(source)), &header);
        Ok(OpenTable {
            rows,
            header,
            header_line: None,
            sample,
            format: format!("vCard, {}", encoding.charset.name()),
            size,
        })
    }

    /// Opens the first sheet of a workbook that has contacts. The workbook is read into memory.
    fn open_sheet(mut self) -> Result<OpenTable, CliError> {
        let mut workbook = std::mem::take(&mut self.prefix);
        let limit = (xlsx_rows::MAX_SIZE + 1).saturating_sub(workbook.len()) as u64;
        let read = self.source.by_ref().take(limit).read_to_end(&mut workbook);
        read.map_err(|error| CliError::Other(format!("could not read {}: {error}", self.name)))?;
        let known = |rows: &[ImportRow]| self.find_header(rows).map_or(0, |(_, known)| known);
        let sheet = xlsx_rows::read_best_sheet(workbook, &known).map_err(|reason| self.failed(&reason))?;
        let format = describe_workbook(&sheet);
        let header_index = self.find_header(&sheet.rows).map_or(0, |(index, _)| index);
        let mut rows = sheet.rows.into_iter();
        let header = rows.nth(header_index).ok_or_else(|| self.failed(EMPTY))?;
        let header_line = header.line;
        let header = header_names(&header).map_err(|error| self.failed(&error))?;
        let count = rows.len();
        let first_rows: Vec<_> = rows.as_slice()[..count.min(SHEET_SAMPLE)].to_vec();
        let sample = read_sample(RowSource::Sheet(first_rows.into_iter(), 0), &header, count <= SHEET_SAMPLE);
        Ok(OpenTable {
            rows: TableRows::new(RowSource::Sheet(rows, 0), &header),
            header,
            header_line: Some(header_line),
            sample,
            format,
            size: Some(count as u64),
        })
    }

    /// Returns the index of the header row of a sheet, and the number of its headers that name a field.
    fn find_header(&self, rows: &[ImportRow]) -> Option<(usize, usize)> {
        let first = &rows[..rows.iter().take_while(|row| row.line <= MAX_HEADER_LINE).count()];
        find_header_row(first, |row| row.cells().collect(), &known_headers(self.registry))
    }
}

/// Returns a description of a workbook of which one sheet is imported.
fn describe_workbook(sheet: &Sheet) -> String {
    let which = match sheet.index {
        0 => "first sheet".to_owned(),
        _ => format!("sheet {}", printable(&sheet.name)),
    };
    let others: Vec<_> = sheet.others.iter().map(|name| printable(name)).collect();
    match others.as_slice() {
        [] => format!("Excel workbook, {which}"),
        names => format!("Excel workbook, {which} (not imported: {})", names.join(", ")),
    }
}

const EMPTY: &str = "is empty. The first row must be a header with field names";

/// Returns a copy of the beginning of a text as a source.
fn boxed(text: &str) -> TextSource {
    Box::new(Cursor::new(text.as_bytes().to_vec()))
}

/// Skips the rows before the header, and returns the header.
fn skip_to_header(rows: &mut RowSource, header_line: u64) -> Result<Option<ImportRow>, CliError> {
    loop {
        let row = rows.next().map_err(|error| CliError::Other(format!("could not read the header: {error}")))?;
        match row {
            None => return Ok(None),
            Some(row) if row.line >= header_line => return Ok(Some(row)),
            Some(_) => {}
        }
    }
}

/// Returns the names of a header row, which must hold names and not values.
fn header_names(header: &ImportRow) -> Result<Vec<String>, String> {
    let line = match header.problem {
        Some(RowProblem::OpenQuote(line)) => Some(line),
        // The quote is closed by one of a later row.
        _ => header.cells().any(has_rows).then_some(header.line),
    };
    if let Some(line) = line {
        return Err(format!(
            "cannot be read: a quote that opens in line {line}, in its header, is not closed there. Close it and import the \
             file again"
        ));
    }
    match header.cells().find(|cell| is_address(cell)) {
        Some(value) => Err(format!(
            "has no header row: its first row holds the value \"{}\". Add a first row that names the columns, for example \
             first_name,last_name,email",
            value.trim()
        )),
        None => Ok(header.cells().map(str::to_owned).collect()),
    }
}

/// Returns whether a cell holds further rows: lines of several cells with an email address.
fn has_rows(cell: &str) -> bool {
    const SEPARATORS: [char; 4] = [',', ';', '\t', '|'];
    let mut lines = cell.lines().skip(1).filter(|line| line.contains(SEPARATORS));
    lines.any(|line| line.split(SEPARATORS).any(is_address))
}

/// Reads the first rows of a table. If they are not all rows, the last one may be incomplete and is not counted.
fn read_sample(source: RowSource, header: &[String], is_complete: bool) -> TableSample {
    let mut rows = TableRows::new(source, header);
    let mut sample = TableSample::new(header.len(), is_complete);
    let mut last: Option<ImportRow> = None;
    // Reading from memory cannot fail.
    while let Ok(Some(row)) = rows.next() {
        if let Some(complete) = last.replace(row) {
            sample.add_row(complete.cells());
        }
    }
    if let Some(row) = last.filter(|_| is_complete) {
        sample.add_row(row.cells());
    }
    sample
}
