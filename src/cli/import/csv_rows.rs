//! Reads the rows of a CSV file (RFC 4180), each with the line on which it begins.
//!
//! Uses `csv_core` because `csv::Reader` does not limit the size of a row: it loads any row into memory, and a missing
//! closing quote turns the rest of the file into one row. Neither crate counts lines that end with CR alone, so
//! [`LineTracker`] does.

use std::io::{self, Read};

use csv_core::{ReadRecordResult, Reader, ReaderBuilder};
use encoding_rs::WINDOWS_1252;

use super::line_tracker::LineTracker;
use super::row::{ImportRow, RowProblem};

/// The size of the read buffer in bytes.
const BUFFER_SIZE: usize = 256 * 1024;
/// The maximum size of a row in bytes. No valid contact is larger: a larger row means that a closing quote is missing.
pub(super) const MAX_ROW_SIZE: usize = 16 * 1024 * 1024;
/// The maximum number of cells in a row: the limit of spreadsheets, and many times the number of fields of an account.
pub(super) const MAX_CELLS: usize = 16_384;

/// The byte order mark with which some programs begin UTF-8 files. It is not part of the first cell.
const BOM: &[u8] = b"\xef\xbb\xbf";

/// Reads rows from a source. Lines end with LF, CRLF or CR. Blank lines and a BOM at the start are skipped.
pub(super) struct CsvRows<R> {
    source: R,
    parser: Box<Reader>,
    /// Whether rows that are not UTF-8 are Windows-1252, because the rows before them are ASCII.
    is_ascii_so_far: bool,
    buffer: Vec<u8>,
    /// The number of bytes in the buffer that were read from the source.
    filled: usize,
    /// The number of these bytes that were parsed.
    parsed: usize,
    offset: u64,
    lines: LineTracker,
    /// The cells of the current row, one after another.
    bytes: Vec<u8>,
    /// The offset in `bytes` at which each cell ends.
    ends: Vec<usize>,
}

impl<R: Read> CsvRows<R> {
    /// Reads rows of cells that are separated by this byte. `is_ascii_so_far` says that the encoding is not known yet: it
    /// is UTF-8, or Windows-1252 if that is impossible.
    pub(super) fn new(source: R, separator: u8, is_ascii_so_far: bool) -> Self {
        Self {
            source,
            parser: Box::new(ReaderBuilder::new().delimiter(separator).build()),
            is_ascii_so_far,
            buffer: vec![0; BUFFER_SIZE],
            filled: 0,
            parsed: 0,
            offset: 0,
            lines: LineTracker::new(separator),
            bytes: vec![0; 1024],
            ends: vec![0; 64],
        }
    }

    /// Returns the byte between two cells.
    pub(super) fn separator(&self) -> u8 {
        self.lines.separator()
    }

    /// Returns the number of bytes of the source that were parsed so far.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Returns the next row, or `None` at the end of the source.
    ///
    /// # Errors
    /// Fails if the source cannot be read.
    pub(super) fn next(&mut self) -> io::Result<Option<ImportRow>> {
        let (mut length, mut count, mut is_too_large) = (0, 0, false);
        self.lines.begin_row();
        loop {
            if self.parsed == self.filled {
                (self.filled, self.parsed) = (self.fill()?, 0);
            }
            let input = &self.buffer[self.parsed..self.filled];
            let (result, read, written, cells) =
                self.parser.read_record(input, &mut self.bytes[length..], &mut self.ends[count..]);
            let input = &input[..read];
            self.lines.read(if self.offset == 0 { input.strip_prefix(BOM).unwrap_or(input) } else { input });
            (length, count) = (length + written, count + cells);
            self.parsed += read;
            self.offset += read as u64;
            if length > MAX_ROW_SIZE || count > MAX_CELLS {
                // The rest of the row is read, but not stored.
                (length, count, is_too_large) = (0, 0, true);
            }
            match result {
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull => self.bytes.resize(self.bytes.len() * 2, 0),
                ReadRecordResult::OutputEndsFull => self.ends.resize(self.ends.len() * 2, 0),
                ReadRecordResult::Record => return Ok(Some(self.row(length, count, is_too_large))),
                ReadRecordResult::End => return Ok(None),
            }
        }
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

    fn row(&mut self, length: usize, count: usize, is_too_large: bool) -> ImportRow {
        let line = self.lines.row_line();
        // At the end of the file, the parser completes the row although its quote is open.
        let open_quote = self.lines.open_quote_line().map(RowProblem::OpenQuote);
        let row =
            if is_too_large { ImportRow::new(line, std::iter::empty()) } else { self.decode_row(line, length, count) };
        let stray_quote = self.lines.stray_quote_line().map(RowProblem::StrayQuote);
        let too_large = is_too_large.then_some(RowProblem::TooLarge);
        let problem = open_quote.or(too_large).or(stray_quote).or(row.problem);
        row.with_problem(problem).after_blank_line(self.lines.follows_blank_line())
    }

    fn decode_row(&mut self, line: u64, length: usize, count: usize) -> ImportRow {
        let (bytes, ends) = (&self.bytes[..length], &self.ends[..count]);
        // The concatenation of two cells can be valid UTF-8 although the cells are not: check the boundaries too.
        let text = std::str::from_utf8(bytes).ok().filter(|text| ends.iter().all(|end| text.is_char_boundary(*end)));
        if let Some(text) = text {
            self.is_ascii_so_far &= bytes.is_ascii();
            return ImportRow::from_parts(line, text.to_owned(), ends.to_vec());
        }
        let mut row = ImportRow::new(line, std::iter::empty());
        let mut start = 0;
        for end in ends {
            let cell = &bytes[std::mem::replace(&mut start, *end)..*end];
            if self.is_ascii_so_far {
                row.push_cell(&WINDOWS_1252.decode_without_bom_handling(cell).0);
            } else {
                row.push_cell(&String::from_utf8_lossy(cell));
                row.problem = Some(RowProblem::InvalidEncoding);
            }
        }
        row
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

    fn read_import_rows(source: impl Read, is_ascii_so_far: bool) -> Vec<ImportRow> {
        let mut rows = CsvRows::new(source, b',', is_ascii_so_far);
        std::iter::from_fn(|| rows.next().expect("the source is readable")).collect()
    }

    fn read_rows(source: impl Read) -> Vec<(u64, Vec<String>)> {
        let rows = read_import_rows(source, false).into_iter();
        rows.map(|row| (row.line, row.cells().map(str::to_owned).collect())).collect()
    }

    fn row(line: u64, cells: &[&str]) -> (u64, Vec<String>) {
        (line, cells.iter().map(|cell| (*cell).to_owned()).collect())
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
    fn row_that_is_not_utf_8_has_a_problem_and_reading_continues() {
        let problems = |bytes: &[u8], is_ascii_so_far| -> Vec<_> {
            read_import_rows(bytes, is_ascii_so_far).iter().map(|row| row.problem).collect()
        };
        let invalid = Some(RowProblem::InvalidEncoding);
        assert_eq!(problems(b"a\n\xff\nb", false), [None, invalid, None]);
        // Each cell contains one of the two bytes of "é".
        assert_eq!(problems(b"\xc3,\xa9\n", false), [invalid]);
        assert_eq!(problems(b"a\n\xff\n", true), [None, None]);
        assert_eq!(problems(b"\xc3\xa9\n\xff\n", true), [None, invalid]);
        let windows = &read_import_rows(&b"a\nM\xfcller,x\n"[..], true)[1];
        assert_eq!(windows.cells().collect::<Vec<_>>(), ["Müller", "x"]);
    }

    #[test]
    fn rest_of_the_file_after_an_open_quote_is_one_row() {
        for text in ["a,b\n1,2\n3,\"4\n5,6\n7,8\n", "a,b\r\n1,\"2\"\r\n3,\"4\r\n5,\"\"6\r\n"] {
            let rows = read_import_rows(OneByteReader(text.as_bytes()), false);
            assert_eq!((rows.len(), rows[2].line, rows[2].problem), (3, 3, Some(RowProblem::OpenQuote(3))), "{text:?}");
            assert!(rows[..2].iter().all(|row| row.problem.is_none()));
        }
        let closed = "a\n\"x\ny\"\n\"\"\"z\"\n\"q\" \nu\"v\n";
        assert!(read_import_rows(closed.as_bytes(), false).iter().all(|row| row.problem.is_none()));
        let rows = read_import_rows(io::Cursor::new("a\n1\n\"").chain(io::repeat(b'x').take(40 << 20)), false);
        assert_eq!((rows.len(), rows[2].problem), (3, Some(RowProblem::OpenQuote(3))));
    }

    #[test]
    fn quote_that_is_followed_by_text_is_a_problem_of_its_row() {
        let text = "a,b\n\"1\",2\n\"D,\"c@b.cd\"\n3,\"x \"y\" z\"\n\"5\" ,6\n";
        let problems: Vec<_> =
            read_import_rows(OneByteReader(text.as_bytes()), false).iter().map(|row| row.problem).collect();
        assert_eq!(problems, [None, None, Some(RowProblem::StrayQuote(3)), Some(RowProblem::StrayQuote(4)), None]);
    }

    #[test]
    fn row_that_is_too_large_has_a_problem_and_reading_continues() {
        let text = io::Cursor::new("a\n").chain(io::repeat(b'x').take(40 << 20)).chain(&b"\nb\n"[..]);
        let rows = read_import_rows(text, false);
        let problems: Vec<_> = rows.iter().map(|row| (row.line, row.problem)).collect();
        assert_eq!(problems, [(1, None), (2, Some(RowProblem::TooLarge)), (3, None)]);
        assert_eq!(rows[2].cells().collect::<Vec<_>>(), ["b"]);
        let commas = |count| format!("a\n{}\nb\n", ",".repeat(count));
        for (count, problem) in [
            (MAX_CELLS - 1, None),
            (MAX_CELLS, Some(RowProblem::TooLarge)),
            (40 * MAX_CELLS, Some(RowProblem::TooLarge)),
        ] {
            let rows = read_import_rows(commas(count).as_bytes(), false);
            assert_eq!((rows.len(), rows[1].problem), (3, problem), "{count}");
        }
    }

    #[test]
    fn blank_lines_before_a_row_are_noticed() {
        let rows = read_import_rows(&b"a\r\nb\r\n\r\nc\n\n\nd\ne"[..], false);
        let blank: Vec<_> = rows.iter().map(|row| row.follows_blank_line).collect();
        assert_eq!(blank, [false, false, true, true, false]);
    }

    #[test]
    fn row_with_many_large_cells_is_read_completely() {
        let cells = vec!["y".repeat(10_000); 600];
        assert_eq!(read_rows(cells.join(",").as_bytes()), [(1, cells)]);
    }
}
