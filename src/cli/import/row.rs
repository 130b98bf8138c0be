//! A row of a file to import.

/// A row of a file, of whatever format.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ImportRow {
    /// The line of the file on which the row begins, counted from 1.
    pub(super) line: u64,
    /// Whether a blank line comes before the row.
    pub(super) follows_blank_line: bool,
    /// Why the row cannot be imported. Its cells are for the report only.
    pub(super) problem: Option<RowProblem>,
    /// The texts of all cells, one after another.
    text: String,
    /// The offset in `text` at which each cell ends.
    ends: Vec<usize>,
}

/// The reason why a row cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RowProblem {
    /// A cell is not in the encoding of the file.
    InvalidEncoding,
    /// The quote that opens on this line is not closed, so the row is the rest of the file.
    OpenQuote(u64),
    /// A quote within a quoted cell is not doubled, on this line. The cells of the row may be wrong.
    StrayQuote(u64),
    /// A cell of the row, which begins on this line, has further rows, because its quote is closed too late.
    EmbeddedRows(u64),
    /// The row is larger than any contact.
    TooLarge,
    /// A vCard is not complete, or there is text outside of the cards.
    InvalidVCard(&'static str),
}

impl ImportRow {
    /// Creates a row of these cells.
    pub(super) fn new<'a>(line: u64, cells: impl Iterator<Item = &'a str>) -> Self {
        let mut row = Self { line, ..Self::default() };
        cells.for_each(|cell| row.push_cell(cell));
        row
    }

    /// Creates a row from the texts of all cells, and the offset at which each cell ends.
    pub(super) fn from_parts(line: u64, text: String, ends: Vec<usize>) -> Self {
        Self { line, text, ends, ..Self::default() }
    }

    /// Returns this row with a problem, if there is one.
    pub(super) fn with_problem(self, problem: Option<RowProblem>) -> Self {
        Self { problem, ..self }
    }

    /// Returns this row with the information whether a blank line comes before it.
    pub(super) fn after_blank_line(self, follows_blank_line: bool) -> Self {
        Self { follows_blank_line, ..self }
    }

    /// Appends a cell.
    pub(super) fn push_cell(&mut self, cell: &str) {
        self.text.push_str(cell);
        self.ends.push(self.text.len());
    }

    /// Returns the approximate memory use in bytes.
    pub(super) fn memory_size(&self) -> usize {
        size_of::<Self>() + self.text.len() + size_of_val(&*self.ends)
    }

    /// Returns the cells.
    pub(super) fn cells(&self) -> impl ExactSizeIterator<Item = &str> + Clone {
        let mut start = 0;
        self.ends.iter().map(move |end| &self.text[std::mem::replace(&mut start, *end)..*end])
    }

    /// Returns whether a cell has several lines.
    pub(super) fn has_line_break(&self) -> bool {
        self.text.bytes().any(|byte| matches!(byte, b'\n' | b'\r'))
    }

    /// Returns whether all cells are blank. Such a row says no more than a blank line.
    pub(super) fn is_blank(&self) -> bool {
        self.problem.is_none() && self.text.trim_matches(|c: char| c.is_whitespace() || c == '\0').is_empty()
    }
}
