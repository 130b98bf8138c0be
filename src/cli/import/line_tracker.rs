//! Counts the lines of a CSV file, and tracks whether a quote is open.

/// Where the last byte was in its cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum CellPosition {
    #[default]
    Start,
    Unquoted,
    Quoted,
    AfterQuote,
}

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
        }
    }

    pub(super) fn begin_row(&mut self) {
        self.ended_with_row_before = self.ended;
        self.ended_before_row = None;
        self.position = CellPosition::Start;
    }

    /// Reads the next bytes of the file.
    pub(super) fn read(&mut self, bytes: &[u8]) {
        for byte in bytes {
            let is_line_end = matches!(byte, b'\n' | b'\r');
            if is_line_end {
                // The LF of a CRLF ends no line.
                self.ended += u64::from(*byte == b'\r' || !self.is_after_cr);
            } else if self.ended_before_row.is_none() {
                self.ended_before_row = Some(self.ended);
            }
            self.is_after_cr = *byte == b'\r';
            self.position = self.next_position(*byte, is_line_end);
        }
    }

    /// Returns the position of the next byte, by the same rules as the parser.
    fn next_position(&mut self, byte: u8, is_line_end: bool) -> CellPosition {
        let ends_cell = byte == self.separator || is_line_end;
        match (self.position, byte) {
            (CellPosition::Start, b'"') => {
                self.quote_line = self.ended + 1;
                CellPosition::Quoted
            }
            (CellPosition::Quoted, b'"') => CellPosition::AfterQuote,
            (CellPosition::AfterQuote, b'"') | (CellPosition::Quoted, _) => CellPosition::Quoted,
            _ if ends_cell => CellPosition::Start,
            _ => CellPosition::Unquoted,
        }
    }

    /// Returns the line on which the row begins, counted from 1.
    pub(super) fn row_line(&self) -> u64 {
        self.ended_before_row.unwrap_or(self.ended) + 1
    }

    /// Returns whether a blank line comes before the row.
    pub(super) fn follows_blank_line(&self) -> bool {
        self.ended_before_row.is_some_and(|ended| ended > self.ended_with_row_before)
    }

    /// Returns the line on which the open quote was opened, or `None` if no quote is open.
    pub(super) fn open_quote_line(&self) -> Option<u64> {
        (self.position == CellPosition::Quoted).then_some(self.quote_line)
    }
}
