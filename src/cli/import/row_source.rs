//! The rows of a file of any format.

use std::io::{self, Read};

use super::csv_rows::CsvRows;
use super::footer;
use super::row::ImportRow;
use super::vcard_rows::VCardRows;

/// A text that is read piece by piece.
pub(super) type TextSource = Box<dyn Read + Send>;

/// The rows of a file.
pub(super) enum RowSource {
    Csv(CsvRows<TextSource>),
    VCard(VCardRows<TextSource>),
    /// The rows of a sheet, and the number of rows that were read.
    Sheet(std::vec::IntoIter<ImportRow>, u64),
}

impl RowSource {
    /// Returns the next row, or `None` at the end of the file.
    pub(super) fn next(&mut self) -> io::Result<Option<ImportRow>> {
        match self {
            Self::Csv(rows) => rows.next(),
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
            Self::Csv(rows) => rows.offset(),
            Self::VCard(rows) => rows.offset(),
            Self::Sheet(_, read) => *read,
        }
    }
}

/// The rows below the header, without blank rows and without the lines that programs write below a table.
pub(super) struct TableRows {
    source: RowSource,
    columns: usize,
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
    /// Wraps a source that is behind the header row of a table with this number of columns.
    pub(super) fn new(source: RowSource, columns: usize) -> Self {
        let has_footer = !matches!(source, RowSource::VCard(_));
        Self { source, columns, has_footer, held: vec![], ready: vec![], follows_blank_row: false, left_out: vec![] }
    }

    /// Returns how far the file was read, in the unit of its size.
    pub(super) fn offset(&self) -> u64 {
        self.source.offset()
    }

    /// Takes the rows that were left out: the footer of the table, and groups of vCards.
    pub(super) fn take_left_out(&mut self) -> Vec<ImportRow> {
        if let RowSource::VCard(rows) = &mut self.source {
            self.left_out.extend(rows.take_groups());
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
            let Some(row) = self.source.next()? else {
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
            let follows_blank = std::mem::take(&mut self.follows_blank_row) || row.follows_blank_line;
            let may_begin = || follows_blank || !self.held.is_empty() || footer::has_footer_words(&row);
            let may_be_footer = self.has_footer && footer::may_be_footer(&row, self.columns) && may_begin();
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

    fn release_held(&mut self) {
        self.ready.append(&mut self.held);
        self.ready.reverse();
    }
}
