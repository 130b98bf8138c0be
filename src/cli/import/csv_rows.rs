//! Reads the rows of a CSV file (RFC 4180), each with the line on which it begins.
//!
//! Uses `csv_core` because `csv::Reader` does not limit the size of a row: it loads any row into memory, and a missing
//! closing quote turns the rest of the file into one row. Neither crate counts lines that end with CR alone, so
//! [`LineCounter`] does.

use std::io::{self, Read};

use csv_core::{ReadRecordResult, Reader};

/// The size of the read buffer in bytes.
const BUFFER_SIZE: usize = 256 * 1024;
/// The maximum size of a row in bytes. No valid contact is larger: a larger row means that a closing quote is missing.
const MAX_ROW_SIZE: usize = 16 * 1024 * 1024;
/// The maximum number of cells in a row: the limit of spreadsheets, and many times the number of fields of an account.
const MAX_CELLS: usize = 16_384;

/// The byte order mark with which some programs begin UTF-8 files. It is not part of the first cell.
const BOM: &[u8] = b"\xef\xbb\xbf";

/// A row of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CsvRow {
    /// The line of the file on which the row begins, counted from 1.
    pub(super) line: u64,
    /// `None` if a cell is not UTF-8.
    cells: Option<RowCells>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct RowCells {
    /// The texts of all cells, one after another.
    text: String,
    /// The offset in `text` at which each cell ends.
    ends: Vec<usize>,
}

impl CsvRow {
    /// Returns the approximate memory use in bytes.
    pub(super) fn memory_size(&self) -> usize {
        let cells = self.cells.as_ref().map_or(0, |cells| cells.text.len() + size_of_val(&*cells.ends));
        size_of::<Self>() + cells
    }

    /// Returns the cells, or `None` if a cell is not UTF-8.
    pub(super) fn cells(&self) -> Option<impl ExactSizeIterator<Item = &str>> {
        let cells = self.cells.as_ref()?;
        let mut start = 0;
        Some(cells.ends.iter().map(move |end| &cells.text[std::mem::replace(&mut start, *end)..*end]))
    }
}

/// Reads rows from a source. Lines end with LF, CRLF or CR. Blank lines and a BOM at the start are skipped.
pub(super) struct CsvRows<R> {
    source: R,
    parser: Box<Reader>,
    buffer: Vec<u8>,
    /// The number of bytes in the buffer that were read from the source.
    filled: usize,
    /// The number of these bytes that were parsed.
    parsed: usize,
    offset: u64,
    lines: LineCounter,
    /// The cells of the current row, one after another.
    bytes: Vec<u8>,
    /// The offset in `bytes` at which each cell ends.
    ends: Vec<usize>,
}

impl<R: Read> CsvRows<R> {
    pub(super) fn new(source: R) -> Self {
        Self {
            source,
            parser: Box::new(Reader::new()),
            buffer: vec![0; BUFFER_SIZE],
            filled: 0,
            parsed: 0,
            offset: 0,
            lines: LineCounter::default(),
            bytes: vec![0; 1024],
            ends: vec![0; 64],
        }
    }

    /// Returns the number of bytes of the source that were parsed so far.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Returns the next row, or `None` at the end of the source.
    ///
    /// # Errors
    /// Fails if the source cannot be read, or if a row exceeds [`MAX_ROW_SIZE`] or [`MAX_CELLS`].
    pub(super) fn next(&mut self) -> io::Result<Option<CsvRow>> {
        let (mut length, mut count) = (0, 0);
        self.lines.begin_row();
        loop {
            if self.parsed == self.filled {
                (self.filled, self.parsed) = (self.fill()?, 0);
            }
            let input = &self.buffer[self.parsed..self.filled];
            let (result, read, written, cells) =
                self.parser.read_record(input, &mut self.bytes[length..], &mut self.ends[count..]);
            let input = &input[..read];
            self.lines.count_line_ends(if self.offset == 0 { input.strip_prefix(BOM).unwrap_or(input) } else { input });
            (length, count) = (length + written, count + cells);
            self.parsed += read;
            self.offset += read as u64;
            if length > MAX_ROW_SIZE || count > MAX_CELLS {
                return Err(self.row_too_large());
            }
            match result {
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull => self.bytes.resize(self.bytes.len() * 2, 0),
                ReadRecordResult::OutputEndsFull => self.ends.resize(self.ends.len() * 2, 0),
                ReadRecordResult::Record => return Ok(Some(self.row(length, count))),
                ReadRecordResult::End => return Ok(None),
            }
        }
    }

    fn row_too_large(&self) -> io::Error {
        let (line, size) = (self.lines.row_line(), MAX_ROW_SIZE / (1024 * 1024));
        let message = format!(
            "the row at line {line} has more than {size} MiB or more than {MAX_CELLS} cells. \
             Check for a missing closing quote"
        );
        io::Error::new(io::ErrorKind::InvalidData, message)
    }

    /// Fills the buffer and returns the number of bytes read.
    ///
    /// Reads more bytes than a BOM has, unless the source ends. The parser recognizes a BOM only if one call receives
    /// all of it, and treats an input of nothing but a BOM as the end of the file.
    fn fill(&mut self) -> io::Result<usize> {
        let mut filled = 0;
        while filled <= BOM.len() {
            match self.source.read(&mut self.buffer[filled..]) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    fn row(&self, length: usize, count: usize) -> CsvRow {
        let (bytes, ends) = (&self.bytes[..length], &self.ends[..count]);
        // The concatenation of two cells can be valid UTF-8 although the cells are not: check the boundaries too.
        let text = std::str::from_utf8(bytes).ok().filter(|text| ends.iter().all(|end| text.is_char_boundary(*end)));
        let cells = text.map(|text| RowCells { text: text.to_owned(), ends: ends.to_vec() });
        CsvRow { line: self.lines.row_line(), cells }
    }
}

/// Counts lines. A CR followed by LF ends one line, even if the two bytes arrive in separate reads.
#[derive(Debug, Default)]
struct LineCounter {
    /// The number of lines that have ended.
    ended: u64,
    is_after_cr: bool,
    /// The number of lines that ended before the first byte of the row. `None` until that byte is read.
    ended_before_row: Option<u64>,
}

impl LineCounter {
    fn begin_row(&mut self) {
        self.ended_before_row = None;
    }

    /// Counts the line ends in the next bytes of the file.
    fn count_line_ends(&mut self, bytes: &[u8]) {
        for byte in bytes {
            match byte {
                b'\n' if self.is_after_cr => {}
                b'\n' | b'\r' => self.ended += 1,
                _ if self.ended_before_row.is_none() => self.ended_before_row = Some(self.ended),
                _ => {}
            }
            self.is_after_cr = *byte == b'\r';
        }
    }

    /// Returns the line on which the row begins, counted from 1.
    fn row_line(&self) -> u64 {
        self.ended_before_row.unwrap_or(self.ended) + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A source that returns one byte for each read.
    struct OneByteReader<'a>(&'a [u8]);

    impl Read for OneByteReader<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let Some((first, rest)) = self.0.split_first() else { return Ok(0) };
            (buffer[0], self.0) = (*first, rest);
            Ok(1)
        }
    }

    fn read_rows(source: impl Read) -> Vec<(u64, Option<Vec<String>>)> {
        let mut rows = CsvRows::new(source);
        std::iter::from_fn(|| rows.next().expect("the source is readable"))
            .map(|row| (row.line, row.cells().map(|cells| cells.map(str::to_owned).collect())))
            .collect()
    }

    fn row(line: u64, cells: &[&str]) -> (u64, Option<Vec<String>>) {
        (line, Some(cells.iter().map(|cell| (*cell).to_owned()).collect()))
    }

    #[test]
    fn rows_are_read_with_every_line_ending_and_kind_of_quoting() {
        for (text, expected) in [
            ("a,b\n1,2\n", vec![row(1, &["a", "b"]), row(2, &["1", "2"])]),
            ("a,b\r\n1,2\r\n3,4", vec![row(1, &["a", "b"]), row(2, &["1", "2"]), row(3, &["3", "4"])]),
            ("\u{feff}a\n\n\r\nb", vec![row(1, &["a"]), row(4, &["b"])]),
            ("\"a\nb\",\"c\"\"d\"\ne,\" f \"", vec![row(1, &["a\nb", "c\"d"]), row(3, &["e", " f "])]),
            ("\"a\r\nb\",c\r\nd,\r\ne,f", vec![row(1, &["a\r\nb", "c"]), row(3, &["d", ""]), row(4, &["e", "f"])]),
            ("a\nb\r\nc\nd", vec![row(1, &["a"]), row(2, &["b"]), row(3, &["c"]), row(4, &["d"])]),
            ("a,b\n,\n", vec![row(1, &["a", "b"]), row(2, &["", ""])]),
            ("a,b\r1,2\r\r3,4", vec![row(1, &["a", "b"]), row(2, &["1", "2"]), row(4, &["3", "4"])]),
            ("\"a\rb\"\rc\r", vec![row(1, &["a\rb"]), row(3, &["c"])]),
            ("a\n\"b\n", vec![row(1, &["a"]), row(2, &["b\n"])]),
            ("a\r\n\"b\r\nc\r\n", vec![row(1, &["a"]), row(2, &["b\r\nc\r\n"])]),
            ("\u{feff}\r\n\n\ra\n", vec![row(4, &["a"])]),
            ("\"\"\n\"\"", vec![row(1, &[""]), row(2, &[""])]),
            ("", vec![]),
            ("\n\n", vec![]),
        ] {
            assert_eq!(read_rows(text.as_bytes()), expected, "{text:?}");
            assert_eq!(read_rows(OneByteReader(text.as_bytes())), expected, "{text:?}, a byte at a time");
        }
    }

    #[test]
    fn row_that_is_not_utf_8_has_no_cells_and_reading_continues() {
        assert_eq!(read_rows(&b"a\n\xff\nb"[..]), [row(1, &["a"]), (2, None), row(3, &["b"])]);
        // Each cell contains one of the two bytes of "é".
        assert_eq!(read_rows(&b"\xc3,\xa9\n"[..]), [(1, None)]);
    }

    #[test]
    fn row_without_an_end_is_an_error_with_its_line() {
        let endless = io::repeat(b'x').take(40 * 1024 * 1024);
        let mut rows = CsvRows::new(io::Cursor::new("a\n\"").chain(endless));
        assert!(rows.next().is_ok_and(|row| row.is_some()));
        assert!(rows.next().is_err_and(|error| error.to_string().contains("line 2")));
    }

    #[test]
    fn row_with_too_many_cells_is_an_error() {
        let commas = |count| format!("a\n{}\n", ",".repeat(count));
        assert_eq!(read_rows(commas(MAX_CELLS - 1).as_bytes())[1].1.as_ref().map(Vec::len), Some(MAX_CELLS));
        for count in [MAX_CELLS, 40 * MAX_CELLS] {
            let text = commas(count);
            let mut rows = CsvRows::new(text.as_bytes());
            assert!(rows.next().is_ok_and(|row| row.is_some()));
            assert!(rows.next().is_err_and(|error| error.to_string().contains("16384 cells")), "{count}");
            assert!(rows.ends.len() <= 2 * MAX_CELLS);
        }
    }

    #[test]
    fn row_with_many_large_cells_is_read_completely() {
        let cells = vec!["y".repeat(10_000); 600];
        assert_eq!(read_rows(cells.join(",").as_bytes()), [(1, Some(cells))]);
    }
}
