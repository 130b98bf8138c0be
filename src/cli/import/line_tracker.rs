//! Counts the lines of a CSV file, and tracks whether a quote is open.

use super::cell_position::CellPosition;

/// Counts lines. A CR followed by LF ends one line, even if the two bytes arrive in separate reads.
#[derive(Debug)]
pub(super) struct LineTracker {
    separator: u8,
    /// The number of lines that have ended.
    ended: u64,
    is_after_cr: bool,
    /// The number of lines that had ended when the row before was complete.
    ended_with_row_before: u64,
    /// The number of lines that ended before the first byte of the row. `None` until that byte is read.
    ended_before_row: Option<u64>,
    position: CellPosition,
    /// The line of the last quote that opened a cell.
    quote_line: u64,
    /// The line of the row's first quote that ended a cell although text follows.
    stray_quote_line: Option<u64>,
}

impl LineTracker {
    pub(super) fn new(separator: u8) -> Self {
        Self {
            separator,
            ended: 0,
            is_after_cr: false,
            ended_with_row_before: 0,
            ended_before_row: None,
            position: CellPosition::Start,
            quote_line: 0,
            stray_quote_line: None,
        }
    }

    /// Returns the byte between two cells.
    pub(super) fn separator(&self) -> u8 {
        self.separator
    }

    pub(super) fn begin_row(&mut self) {
        self.ended_with_row_before = self.ended;
        self.ended_before_row = None;
        self.stray_quote_line = None;
        self.position = CellPosition::Start;
    }

    /// Reads the next bytes of the file.
    pub(super) fn read(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let is_special = |byte: &u8| matches!(byte, b'"' | b'\n' | b'\r');
            let plain = bytes.iter().position(is_special).unwrap_or(bytes.len());
            if let [first, ..] = &bytes[..plain] {
                self.read_plain(*first, bytes[plain - 1]);
            }
            let Some((special, rest)) = bytes[plain..].split_first() else { return };
            self.read_special(*special);
            bytes = rest;
        }
    }

    /// Reads bytes that are neither quotes nor line ends, of which these are the first and the last.
    fn read_plain(&mut self, first: u8, last: u8) {
        self.ended_before_row.get_or_insert(self.ended);
        self.is_after_cr = false;
        // Blanks after a cell do no harm.
        if self.position == CellPosition::AfterQuote && first != self.separator && !matches!(first, b' ' | b'\t') {
            self.stray_quote_line.get_or_insert(self.ended + 1);
        }
        self.position = self.position.after(last, self.separator);
    }

    /// Reads a quote or a line end.
    fn read_special(&mut self, byte: u8) {
        if byte == b'"' {
            self.ended_before_row.get_or_insert(self.ended);
            if self.position == CellPosition::Start {
                self.quote_line = self.ended + 1;
            }
        } else {
            // The LF of a CRLF ends no line.
            self.ended += u64::from(byte == b'\r' || !self.is_after_cr);
        }
        self.position = self.position.after(byte, self.separator);
        self.is_after_cr = byte == b'\r';
    }

    /// Returns the line on which the row begins, counted from 1.
    pub(super) fn row_line(&self) -> u64 {
        self.ended_before_row.unwrap_or(self.ended) + 1
    }

    /// Returns whether a blank line comes before the row.
    pub(super) fn follows_blank_line(&self) -> bool {
        self.ended_before_row.is_some_and(|ended| ended > self.ended_with_row_before)
    }

    /// Returns the line of a quote in a quoted cell that is followed by more text.
    pub(super) fn stray_quote_line(&self) -> Option<u64> {
        self.stray_quote_line
    }

    /// Returns the line on which the open quote was opened, or `None` if no quote is open.
    pub(super) fn open_quote_line(&self) -> Option<u64> {
        (self.position == CellPosition::Quoted).then_some(self.quote_line)
    }
}
