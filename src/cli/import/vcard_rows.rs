//! Reads the cards of a vCard file, each as a row.

use std::io::{self, BufRead, BufReader, Read};

use super::csv_rows::MAX_ROW_SIZE;
use super::row::{ImportRow, RowProblem};
use crate::import_export::{VCardContent, is_vcard_property, parse_vcard};

const BEGIN: &str = "BEGIN:VCARD";
const NO_END: &str = "the card has no END:VCARD. Add it and import the file again";
const OUTSIDE: &str = "the line is not part of a card. Cards begin with BEGIN:VCARD and end with END:VCARD";
const TOO_LARGE: &str = "the card has more than 16 MiB";

/// Reads cards from a source of UTF-8.
pub(super) struct VCardRows<R> {
    lines: BufReader<R>,
    /// The number of lines that were read.
    line: u64,
    offset: u64,
    /// The groups of contacts, and the lines before the first card.
    left_out: Vec<ImportRow>,
    /// Whether a card was read.
    has_cards: bool,
    /// Whether the last line that was read begins a card, because the card before it has no end.
    has_begun: bool,
}

impl<R: Read> VCardRows<R> {
    pub(super) fn new(source: R) -> Self {
        Self {
            lines: BufReader::with_capacity(64 * 1024, source),
            line: 0,
            offset: 0,
            left_out: vec![],
            has_cards: false,
            has_begun: false,
        }
    }

    /// Returns the number of bytes of the source that were parsed so far.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Takes the groups of contacts and the lines before the first card, which are not imported.
    pub(super) fn take_left_out(&mut self) -> Vec<ImportRow> {
        std::mem::take(&mut self.left_out)
    }

    /// Returns the next card, or `None` at the end of the source.
    ///
    /// # Errors
    /// Fails if the source cannot be read.
    pub(super) fn next(&mut self) -> io::Result<Option<ImportRow>> {
        loop {
            let has_begun = std::mem::take(&mut self.has_begun);
            let line = if has_begun { BEGIN.to_owned() } else { self.read_line()?.unwrap_or_default() };
            if line.is_empty() {
                return Ok(None);
            }
            let first_line = self.line;
            if is_mark(&line, BEGIN) {
                self.has_cards = true;
                match self.read_card()? {
                    Card::Complete(text) => match parse_vcard(&text) {
                        VCardContent::Contact(cells) => {
                            return Ok(Some(ImportRow::new(first_line, cells.iter().map(String::as_str))));
                        }
                        VCardContent::Group(name) => {
                            self.left_out.push(ImportRow::new(first_line, std::iter::once(name.as_str())));
                        }
                    },
                    Card::Invalid(reason) => return Ok(Some(invalid(first_line, reason))),
                }
            } else if !self.has_cards && is_vcard_property(&line) {
                self.left_out.push(ImportRow::new(first_line, std::iter::once(line.trim())));
            } else if !line.trim().is_empty() {
                return Ok(Some(invalid(first_line, OUTSIDE)));
            }
        }
    }

    /// Reads the lines of a card up to its end.
    fn read_card(&mut self) -> io::Result<Card> {
        let (mut text, mut is_too_large) = (String::new(), false);
        while let Some(line) = self.read_line()? {
            if is_mark(&line, "END:VCARD") {
                return Ok(if is_too_large { Card::Invalid(TOO_LARGE) } else { Card::Complete(text) });
            }
            if is_mark(&line, BEGIN) {
                self.has_begun = true;
                return Ok(Card::Invalid(NO_END));
            }
            is_too_large |= text.len() + line.len() > MAX_ROW_SIZE;
            if !is_too_large {
                text.push_str(&line);
            }
        }
        Ok(Card::Invalid(NO_END))
    }

    /// Reads a line, and ends it with LF. Lines end with LF, CRLF or CR. The end of the source is `None`. Of a very long line, only
    /// the beginning is returned.
    fn read_line(&mut self) -> io::Result<Option<String>> {
        let mut bytes = vec![];
        loop {
            let buffer = self.lines.fill_buf()?;
            if buffer.is_empty() && bytes.is_empty() {
                return Ok(None);
            }
            let end = buffer.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
            let piece = &buffer[..end.unwrap_or(buffer.len())];
            bytes.extend_from_slice(&piece[..piece.len().min(MAX_ROW_SIZE.saturating_sub(bytes.len()))]);
            let is_cr = end.is_some_and(|end| buffer[end] == b'\r');
            let is_complete = end.is_some() || buffer.is_empty();
            let read = end.map_or(buffer.len(), |end| end + 1);
            self.consume(read);
            if is_cr && self.lines.fill_buf()?.first() == Some(&b'\n') {
                self.consume(1);
            }
            if is_complete {
                break;
            }
        }
        bytes.push(b'\n');
        self.line += 1;
        Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
    }

    fn consume(&mut self, bytes: usize) {
        self.lines.consume(bytes);
        self.offset += bytes as u64;
    }
}

/// A card that was read.
enum Card {
    Complete(String),
    Invalid(&'static str),
}

fn is_mark(line: &str, mark: &str) -> bool {
    line.trim().trim_start_matches('\u{feff}').eq_ignore_ascii_case(mark)
}

fn invalid(line: u64, reason: &'static str) -> ImportRow {
    ImportRow::new(line, std::iter::empty()).with_problem(Some(RowProblem::InvalidVCard(reason)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_card_is_a_row_and_no_line_is_lost() {
        let text = "BEGIN:VCARD\r\nFN:Ada\r\nEND:VCARD\r\n\r\nbegin:vcard\r\nFN:Group\r\nKIND:group\r\nend:vcard\r\n\
                    stray\r\nBEGIN:VCARD\nFN:Bob\nEND:VCARD\nBEGIN:VCARD\nFN:Eve\n";
        let mut rows = VCardRows::new(text.as_bytes());
        let read: Vec<_> = std::iter::from_fn(|| rows.next().expect("readable")).collect();
        let summary: Vec<_> =
            read.iter().map(|row| (row.line, row.problem, row.cells().nth(2).unwrap_or(""))).collect();
        let invalid = |reason| Some(RowProblem::InvalidVCard(reason));
        let expected = [(1, None, "Ada"), (9, invalid(OUTSIDE), ""), (10, None, "Bob"), (13, invalid(NO_END), "")];
        assert_eq!(summary, expected);
        assert_eq!(rows.take_left_out().iter().map(|row| row.line).collect::<Vec<_>>(), [5]);
        assert_eq!(rows.offset(), text.len() as u64);
    }

    #[test]
    fn lines_before_the_first_card_are_left_out() {
        let mut rows = VCardRows::new(&b"ENCODING:UTF-8\n\nBEGIN:VCARD\nFN:Ada\nEND:VCARD\n"[..]);
        assert_eq!(rows.next().expect("readable").map(|row| (row.line, row.problem)), Some((3, None)));
        assert_eq!(rows.take_left_out().iter().map(|row| row.line).collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn lines_end_with_lf_crlf_or_cr() {
        let text = b"BEGIN:VCARD\rFN:Ada\rEND:VCARD\r\nBEGIN:VCARD\r\rFN:Bob\rEND:VCARD";
        let mut rows = VCardRows::new(&text[..]);
        let read: Vec<_> =
            std::iter::from_fn(|| rows.next().expect("readable")).map(|row| (row.line, row.problem)).collect();
        assert_eq!((read, rows.offset()), (vec![(1, None), (4, None)], text.len() as u64));
    }

    #[test]
    fn card_without_an_end_is_refused_and_the_next_one_is_read() {
        let mut rows = VCardRows::new(&b"BEGIN:VCARD\nFN:Ada\nBEGIN:VCARD\nFN:Bob\nEND:VCARD\n"[..]);
        let read: Vec<_> =
            std::iter::from_fn(|| rows.next().expect("readable")).map(|row| (row.line, row.problem)).collect();
        assert_eq!(read, [(1, Some(RowProblem::InvalidVCard(NO_END))), (3, None)]);
    }

    #[test]
    fn card_that_is_too_large_is_refused_and_the_next_one_is_read() {
        let photo = "PHOTO:".to_owned() + &"x".repeat(MAX_ROW_SIZE + 10);
        let text = format!("BEGIN:VCARD\n{photo}\nEND:VCARD\nBEGIN:VCARD\nFN:Bob\nEND:VCARD\n");
        let mut rows = VCardRows::new(text.as_bytes());
        assert_eq!(
            rows.next().expect("readable").map(|row| row.problem),
            Some(Some(RowProblem::InvalidVCard(TOO_LARGE)))
        );
        assert_eq!(rows.next().expect("readable").map(|row| (row.line, row.problem)), Some((4, None)));
    }
}
