//! Removes the blanks before quoted cells, as in `"Ada", "Lovelace"`: a CSV parser takes the quotes after a blank as text.

use std::io::{self, Read};

use super::cell_position::CellPosition;

/// Returns whether blanks and a quote follow a separator in a text.
pub(super) fn has_quote_blanks(text: &str, separator: u8) -> bool {
    let mut cells = text.split(char::from(separator)).skip(1);
    cells.any(|cell| cell.starts_with(' ') && cell.trim_start_matches(' ').starts_with('"'))
}

/// Returns a text without the blanks before its quoted cells.
pub(super) fn without_quote_blanks(text: &str, separator: u8) -> String {
    let mut cleaned = String::with_capacity(text.len());
    // Reading from memory cannot fail, and removing blanks keeps UTF-8 valid.
    let _ = WithoutQuoteBlanks::new(text.as_bytes(), separator).read_to_string(&mut cleaned);
    cleaned
}

/// A source without the blanks before quoted cells. Blanks within quotes stay.
pub(super) struct WithoutQuoteBlanks<R> {
    source: R,
    separator: u8,
    position: CellPosition,
    /// The blanks at the start of a cell that are not written yet.
    held: usize,
    /// The bytes to return next.
    ready: Vec<u8>,
    returned: usize,
}

impl<R: Read> WithoutQuoteBlanks<R> {
    pub(super) fn new(source: R, separator: u8) -> Self {
        Self { source, separator, position: CellPosition::Start, held: 0, ready: vec![], returned: 0 }
    }

    fn read_byte(&mut self, byte: u8) {
        if byte == b' ' && self.position == CellPosition::Start {
            self.held += 1;
            return;
        }
        let held = std::mem::take(&mut self.held);
        let is_quote_of_cell = byte == b'"' && self.position == CellPosition::Start;
        let written = if is_quote_of_cell { 0 } else { held };
        self.ready.extend(std::iter::repeat_n(b' ', written));
        self.ready.push(byte);
        self.position = self.position.after(byte, self.separator);
    }
}

impl<R: Read> Read for WithoutQuoteBlanks<R> {
    fn read(&mut self, output: &mut [u8]) -> io::Result<usize> {
        while self.returned == self.ready.len() {
            self.ready.clear();
            self.returned = 0;
            let read = self.source.read(output)?;
            output[..read].iter().for_each(|byte| self.read_byte(*byte));
            if read == 0 {
                self.ready.extend(std::iter::repeat_n(b' ', std::mem::take(&mut self.held)));
                if self.ready.is_empty() {
                    return Ok(0);
                }
            }
        }
        let count = output.len().min(self.ready.len() - self.returned);
        output[..count].copy_from_slice(&self.ready[self.returned..self.returned + count]);
        self.returned += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_before_quoted_cells_are_removed() {
        for (text, separator, expected) in [
            ("\"a\", \"b, \"\"c\"\"\",  \"d\"\n \"e\"", b',', "\"a\",\"b, \"\"c\"\"\",\"d\"\n\"e\""),
            ("a; \"b\"; c ;\"x; \"\"y\"\"\"; ", b';', "a;\"b\"; c ;\"x; \"\"y\"\"\"; "),
            ("\"a, \"\"b\"\"\",c d", b',', "\"a, \"\"b\"\"\",c d"),
        ] {
            assert!(has_quote_blanks(text, separator), "{text}");
            assert_eq!(without_quote_blanks(text, separator), expected, "{text}");
            // A byte at a time.
            let mut source = WithoutQuoteBlanks::new(text.as_bytes(), separator);
            let mut byte = [0];
            let mut bytes = vec![];
            while source.read(&mut byte).expect("readable") == 1 {
                bytes.push(byte[0]);
            }
            assert_eq!(bytes, expected.as_bytes(), "{text}");
        }
        assert!(!has_quote_blanks("a, b\n\"c\",d", b',') && !has_quote_blanks("", b','));
    }
}
