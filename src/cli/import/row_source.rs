//! The rows of a file of any format.

use std::io::{self, Read};

use super::csv_rows::CsvRows;
use super::embedded_rows::has_embedded_rows;
use super::footer;
use super::row::{ImportRow, RowProblem};
use super::vcard_rows::VCardRows;
use crate::import_export::{TextLayout, csv_line_cells};

/// A text that is read piece by piece.
pub(super) type TextSource = Box<dyn Read + Send>;

/// The rows of a file.
pub(super) enum RowSource {
    Csv(CsvRows<TextSource>),
    /// Lines that are quoted as a whole, as Excel saves a file that it has not divided, and the separator of their cells.
    QuotedLines(CsvRows<TextSource>, u8),
    VCard(VCardRows<TextSource>),
    /// The rows of a sheet, and the number of rows that were read.
    Sheet(std::vec::IntoIter<ImportRow>, u64),
}

impl RowSource {
    /// Reads a CSV text with this layout. `is_ascii_so_far`: see [`CsvRows::new`].
    pub(super) fn csv(source: TextSource, layout: TextLayout, is_ascii_so_far: bool) -> Self {
        let rows = CsvRows::new(source, layout.separator, is_ascii_so_far);
        if layout.has_quoted_lines { Self::QuotedLines(rows, layout.separator) } else { Self::Csv(rows) }
    }

    /// Returns the next row, or `None` at the end of the file.
    pub(super) fn next(&mut self) -> io::Result<Option<ImportRow>> {
        match self {
            Self::Csv(rows) => rows.next(),
            Self::QuotedLines(rows, separator) => Ok(rows.next()?.map(|row| divide(row, *separator))),
            Self::VCard(rows) => rows.next(),
            Self::Sheet(rows, read) => {
                *read += 1;
                Ok(rows.next())
            }
        }
    }

    /// Returns how far the file was read, in the unit of its size: bytes, or rows of a sheet.
    fn offset(&self) -> u64 {
        match self {
            Self::Csv(rows) | Self::QuotedLines(rows, _) => rows.offset(),
            Self::VCard(rows) => rows.offset(),
            Self::Sheet(_, read) => *read,
        }
    }
}

/// Divides the only cell of a row into cells.
fn divide(row: ImportRow, separator: u8) -> ImportRow {
    if row.cells().len() != 1 {
        return row;
    }
    let line = row.cells().next().unwrap_or_default();
    // A quote is open, or the line end is that of a cell.
    let is_uncertain = line.matches('"').count() % 2 == 1 || line.contains(['\n', '\r']);
    let problem = row.problem.or(is_uncertain.then_some(RowProblem::StrayQuote(row.line)));
    let cells = csv_line_cells(line, separator);
    let divided = ImportRow::new(row.line, cells.iter().map(String::as_str));
    divided.with_problem(problem).after_blank_line(row.follows_blank_line)
}

/// The rows below the header, without blank rows, repeated headers, and the lines that programs write below a table.
pub(super) struct TableRows {
    source: RowSource,
    header: Vec<String>,
    /// Whether the format can have lines below the table.
    has_footer: bool,
    /// The last rows that were read, if they may be the footer of the table.
    held: Vec<ImportRow>,
    /// The rows to return next, the next one last.
    ready: Vec<ImportRow>,
    follows_blank_row: bool,
    left_out: Vec<ImportRow>,
}

impl TableRows {
    /// Wraps a source that is behind the header row of a table.
    pub(super) fn new(source: RowSource, header: &[String]) -> Self {
        let has_footer = !matches!(source, RowSource::VCard(_));
        let header = header.to_vec();
        Self { source, header, has_footer, held: vec![], ready: vec![], follows_blank_row: false, left_out: vec![] }
    }

    /// Returns whether a row is the header once more, as on each page of a printed table.
    fn is_header(&self, row: &ImportRow) -> bool {
        let cells = || row.cells().map(str::trim);
        let names = || self.header.iter().map(|header| header.trim());
        let is_same = || cells().chain(std::iter::repeat("")).zip(names()).all(|(cell, name)| cell == name);
        let has_more = || cells().skip(self.header.len()).any(|cell| !cell.is_empty());
        self.has_footer && row.problem.is_none() && is_same() && !has_more()
    }

    /// Returns how far the file was read, in the unit of its size.
    pub(super) fn offset(&self) -> u64 {
        self.source.offset()
    }

    /// Takes the rows that were left out: the footer of the table, repeated headers, and groups of vCards.
    pub(super) fn take_left_out(&mut self) -> Vec<ImportRow> {
        if let RowSource::VCard(rows) = &mut self.source {
            self.left_out.extend(rows.take_left_out());
        }
        std::mem::take(&mut self.left_out)
    }

    /// Returns the next row, or `None` at the end of the file.
    ///
    /// # Errors
    /// Fails if the file cannot be read.
    pub(super) fn next(&mut self) -> io::Result<Option<ImportRow>> {
        loop {
            if let Some(row) = self.ready.pop() {
                return Ok(Some(row));
            }
            let Some(row) = self.source.next()?.map(|row| self.check_embedded(row)) else {
                if footer::is_footer(&self.held) {
                    self.left_out.append(&mut self.held);
                }
                if self.held.is_empty() {
                    return Ok(None);
                }
                self.release_held();
                continue;
            };
            if row.is_blank() {
                self.follows_blank_row = true;
                continue;
            }
            if self.is_header(&row) {
                // The title of the next part of the table is above it.
                let is_title = |row: &mut ImportRow| row.cells().filter(|cell| !cell.trim().is_empty()).count() == 1;
                self.left_out.extend(self.held.pop_if(is_title));
                self.left_out.push(row);
                if !self.held.is_empty() {
                    self.release_held();
                }
                continue;
            }
            let follows_blank = std::mem::take(&mut self.follows_blank_row) || row.follows_blank_line;
            let may_begin = || follows_blank || !self.held.is_empty() || footer::has_footer_words(&row);
            let may_be_footer = self.has_footer && footer::may_be_footer(&row, self.header.len()) && may_begin();
            if may_be_footer && self.held.len() < footer::MAX_ROWS {
                self.held.push(row);
            } else if self.held.is_empty() {
                return Ok(Some(row));
            } else {
                self.held.push(row);
                self.release_held();
            }
        }
    }

    /// Adds the problem of a row that has other rows in a cell.
    fn check_embedded(&self, row: ImportRow) -> ImportRow {
        let RowSource::Csv(rows) = &self.source else { return row };
        let has_rows = row.problem.is_none() && has_embedded_rows(&row, rows.separator(), self.header.len());
        let problem = if has_rows { Some(RowProblem::EmbeddedRows(row.line)) } else { row.problem };
        row.with_problem(problem)
    }

    fn release_held(&mut self) {
        self.ready.append(&mut self.held);
        self.ready.reverse();
    }
}
