//! The rows of a CSV file (RFC 4180), one after another, with the line that each begins on.
//!
//! By `csv_core`, for `csv::Reader` knows no bound: it takes a row into memory whatever its size, and a quote that is
//! missing makes one of all that follows. Nor does either of them count lines that end with a lone CR, so that is done here.

use std::io::{self, Read};

use csv_core::{ReadRecordResult, Reader};

/// How much is read at a time.
const BUFFER: usize = 256 * 1024;
/// A row of more bytes is none: a quote is missing, and what follows was taken for one cell. Nothing that fits a contact
/// is larger.
const MAX_ROW: usize = 16 * 1024 * 1024;
/// Nor does any have more cells: it is what spreadsheets can hold, and many times what an account can have fields.
const MAX_CELLS: usize = 16_384;

/// What some programs begin a file in UTF-8 with. It belongs to no cell.
const BOM: &[u8] = b"\xef\xbb\xbf";

/// A row of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    /// The line of the file that it begins on, from 1.
    pub(super) line: u64,
    /// Its cells; `None` when they are not UTF-8.
    cells: Option<Cells>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Cells {
    text: String,
    ends: Vec<usize>,
}

impl Row {
    /// How many bytes of memory it takes, about.
    pub(super) fn size(&self) -> usize {
        let cells = self.cells.as_ref().map_or(0, |cells| cells.text.len() + size_of_val(&*cells.ends));
        size_of::<Self>() + cells
    }

    /// Its cells; `None` when they are not UTF-8.
    pub(super) fn cells(&self) -> Option<impl ExactSizeIterator<Item = &str>> {
        let cells = self.cells.as_ref()?;
        let mut start = 0;
        Some(cells.ends.iter().map(move |end| &cells.text[std::mem::replace(&mut start, *end)..*end]))
    }
}

/// Reads rows. Lines end with LF, CRLF or CR; blank ones are passed over, and so is a BOM at the start.
pub(super) struct Rows<R> {
    source: R,
    parser: Box<Reader>,
    buffer: Vec<u8>,
    /// What of the buffer has been read from the source, and what of that has been parsed.
    filled: usize,
    parsed: usize,
    consumed: u64,
    lines: Lines,
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl<R: Read> Rows<R> {
    pub(super) fn new(source: R) -> Self {
        Self {
            source,
            parser: Box::new(Reader::new()),
            buffer: vec![0; BUFFER],
            filled: 0,
            parsed: 0,
            consumed: 0,
            lines: Lines::default(),
            bytes: vec![0; 1024],
            ends: vec![0; 64],
        }
    }

    /// How many bytes of the source have been taken so far.
    pub(super) fn consumed(&self) -> u64 {
        self.consumed
    }

    /// The next row; `None` at the end.
    ///
    /// # Errors
    /// The source, and a row that is too large to be one.
    pub(super) fn next(&mut self) -> io::Result<Option<Row>> {
        let (mut length, mut count) = (0, 0);
        self.lines.begin_row();
        loop {
            if self.parsed == self.filled {
                (self.filled, self.parsed) = (self.fill()?, 0);
            }
            let input = &self.buffer[self.parsed..self.filled];
            let (result, taken, written, cells) =
                self.parser.read_record(input, &mut self.bytes[length..], &mut self.ends[count..]);
            let input = &input[..taken];
            self.lines.pass(if self.consumed == 0 { input.strip_prefix(BOM).unwrap_or(input) } else { input });
            (length, count) = (length + written, count + cells);
            self.parsed += taken;
            self.consumed += taken as u64;
            if length > MAX_ROW || count > MAX_CELLS {
                return Err(self.too_large());
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

    fn too_large(&self) -> io::Error {
        let (line, size) = (self.lines.of_row(), MAX_ROW / (1024 * 1024));
        let message =
            format!("the row at line {line} has more than {size} MiB or {MAX_CELLS} cells: is a quote missing?");
        io::Error::new(io::ErrorKind::InvalidData, message)
    }

    /// Reads on, by more than a BOM alone: the parser knows one only when it comes as a whole, and takes nothing after it
    /// for the end.
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

    fn row(&self, length: usize, count: usize) -> Row {
        let (bytes, ends) = (&self.bytes[..length], &self.ends[..count]);
        // Two broken cells can look like a whole text.
        let text = std::str::from_utf8(bytes).ok().filter(|text| ends.iter().all(|end| text.is_char_boundary(*end)));
        let cells = text.map(|text| Cells { text: text.to_owned(), ends: ends.to_vec() });
        Row { line: self.lines.of_row(), cells }
    }
}

/// Counts lines. A CR and the LF after it end one line, whether they come together or not.
#[derive(Debug, Default)]
struct Lines {
    ended: u64,
    is_after_cr: bool,
    /// How many had ended before the row's first byte; `None` while there are only blank lines.
    before_row: Option<u64>,
}

impl Lines {
    fn begin_row(&mut self) {
        self.before_row = None;
    }

    /// Passes over bytes of the file.
    fn pass(&mut self, bytes: &[u8]) {
        for byte in bytes {
            match byte {
                b'\n' if self.is_after_cr => {}
                b'\n' | b'\r' => self.ended += 1,
                _ if self.before_row.is_none() => self.before_row = Some(self.ended),
                _ => {}
            }
            self.is_after_cr = *byte == b'\r';
        }
    }

    /// The line that the row begins on, from 1.
    fn of_row(&self) -> u64 {
        self.before_row.unwrap_or(self.ended) + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A source that gives a byte at a time.
    struct Drip<'a>(&'a [u8]);

    impl Read for Drip<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let Some((first, rest)) = self.0.split_first() else { return Ok(0) };
            (buffer[0], self.0) = (*first, rest);
            Ok(1)
        }
    }

    fn read(source: impl Read) -> Vec<(u64, Option<Vec<String>>)> {
        let mut rows = Rows::new(source);
        std::iter::from_fn(|| rows.next().expect("readable"))
            .map(|row| (row.line, row.cells().map(|cells| cells.map(str::to_owned).collect())))
            .collect()
    }

    fn row(line: u64, cells: &[&str]) -> (u64, Option<Vec<String>>) {
        (line, Some(cells.iter().map(|cell| (*cell).to_owned()).collect()))
    }

    #[test]
    fn reads_every_kind_of_line_end_and_quote() {
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
            assert_eq!(read(text.as_bytes()), expected, "{text:?}");
            assert_eq!(read(Drip(text.as_bytes())), expected, "{text:?}, a byte at a time");
        }
    }

    #[test]
    fn tells_rows_that_are_not_utf_8_and_goes_on() {
        assert_eq!(read(&b"a\n\xff\nb"[..]), [row(1, &["a"]), (2, None), row(3, &["b"])]);
        // Each cell holds half of an e with an accent.
        assert_eq!(read(&b"\xc3,\xa9\n"[..]), [(1, None)]);
    }

    #[test]
    fn gives_up_on_a_row_without_end() {
        let endless = io::repeat(b'x').take(40 * 1024 * 1024);
        let mut rows = Rows::new(io::Cursor::new("a\n\"").chain(endless));
        assert!(rows.next().is_ok_and(|row| row.is_some()));
        assert!(rows.next().is_err_and(|error| error.to_string().contains("line 2")));
    }

    #[test]
    fn gives_up_on_a_row_of_too_many_cells() {
        let commas = |count| format!("a\n{}\n", ",".repeat(count));
        assert_eq!(read(commas(MAX_CELLS - 1).as_bytes())[1].1.as_ref().map(Vec::len), Some(MAX_CELLS));
        for count in [MAX_CELLS, 40 * MAX_CELLS] {
            let text = commas(count);
            let mut rows = Rows::new(text.as_bytes());
            assert!(rows.next().is_ok_and(|row| row.is_some()));
            assert!(rows.next().is_err_and(|error| error.to_string().contains("16384 cells")), "{count}");
            assert!(rows.ends.len() <= 2 * MAX_CELLS);
        }
    }

    #[test]
    fn holds_large_rows_and_many_cells() {
        let cells = vec!["y".repeat(10_000); 600];
        assert_eq!(read(cells.join(",").as_bytes()), [(1, Some(cells))]);
    }
}
