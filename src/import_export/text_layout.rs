//! Finds the separator and the header row of a CSV text.

use csv::ByteRecord;

use super::header_row::{MAX_HEADER_LINE, find_header_row};

/// The separators, in the order in which they are preferred.
const SEPARATORS: [u8; 4] = [b',', b';', b'\t', b'|'];
/// The number of rows that are compared.
const MAX_ROWS: usize = 200;

/// The layout of a CSV text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TextLayout {
    /// The byte between two cells.
    pub separator: u8,
    /// The line on which the header row begins, counted from 1.
    pub header_line: u64,
    /// Whether the first line is `sep=`, as Excel writes and reads it.
    pub has_separator_line: bool,
    /// Whether each line is quoted as a whole.
    pub has_quoted_lines: bool,
}

impl TextLayout {
    /// Finds the layout of the beginning of a text. `is_known` returns whether a header names a field.
    #[must_use]
    pub fn detect(text: &str, is_known: &dyn Fn(&str) -> bool) -> Self {
        let declared = declared_separator(text);
        let candidates = declared.map_or(SEPARATORS.to_vec(), |separator| vec![separator]);
        let best_of = |has_quoted_lines: bool| {
            let layouts = candidates.iter().map(|separator| {
                let rows = first_rows(text, *separator, has_quoted_lines);
                let layout = Self {
                    separator: *separator,
                    header_line: 1,
                    has_separator_line: declared.is_some(),
                    has_quoted_lines,
                };
                rate_layout(&rows, layout, is_known)
            });
            // Of equal layouts, the first one counts.
            layouts.rev().max_by_key(|rated| rated.0)
        };
        let best = best_of(false);
        // Quoted lines are one column with an unknown header, and several with known headers once they are divided.
        let divided = best.filter(|(rating, _)| rating.0 == 0 && rating.2 < 2).and_then(|_| best_of(true));
        let best = divided.filter(|(rating, _)| rating.0 > 0 && rating.2 > 1).or(best);
        best.map_or(
            Self { separator: b',', header_line: 1, has_separator_line: false, has_quoted_lines: false },
            |(_, layout)| layout,
        )
    }

    /// Returns the name of the separator for people.
    #[must_use]
    pub fn separator_name(self) -> &'static str {
        match self.separator {
            b',' => "commas",
            b';' => "semicolons",
            b'\t' => "tabs",
            b'|' => "vertical bars",
            _ => "the separator of its first line",
        }
    }
}

/// How well a layout fits: the number of headers that name a field, the number of rows that are as long as the header, and
/// the number of columns.
type Rating = (usize, usize, usize);

/// Returns the separator of a first line `sep=;`.
fn declared_separator(text: &str) -> Option<u8> {
    let line = text.lines().next()?.trim_end().trim_matches('"');
    let is_declaration = line.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("sep="));
    match line.as_bytes() {
        [_, _, _, _, separator] if is_declaration && separator.is_ascii() => Some(*separator),
        // The separator of this line is a tab, which was trimmed.
        [_, _, _, _] if is_declaration => Some(b'\t'),
        _ => None,
    }
}

/// Finds the header row of a text with this layout, or else the first row that is as long as most rows.
fn rate_layout(rows: &[TextRow], layout: TextLayout, is_known: &dyn Fn(&str) -> bool) -> (Rating, TextLayout) {
    let rows = &rows[usize::from(layout.has_separator_line).min(rows.len())..];
    let usual = usual_width(rows);
    let last_line = MAX_HEADER_LINE + u64::from(layout.has_separator_line);
    let candidates = &rows[..rows.iter().take_while(|row| row.line <= last_line).count()];
    let found = find_header_row(candidates, |row| row.cells.iter().map(String::as_str).collect(), is_known);
    let usual_row = || candidates.iter().find(|row| row.cells.len() == usual).or(rows.first()).map(|row| (row, 0));
    let Some((header, known)) = found.map(|(index, known)| (&candidates[index], known)).or_else(usual_row) else {
        return ((0, 0, 0), layout);
    };
    let width = header.cells.len();
    let alike = if width > 1 { rows.iter().filter(|row| row.cells.len() == width).count() } else { 0 };
    ((known, alike, width), TextLayout { header_line: header.line, ..layout })
}

/// A row of the beginning of a text.
struct TextRow {
    line: u64,
    cells: Vec<String>,
}

fn first_rows(text: &str, separator: u8, has_quoted_lines: bool) -> Vec<TextRow> {
    let mut reader =
        csv::ReaderBuilder::new().delimiter(separator).has_headers(false).flexible(true).from_reader(text.as_bytes());
    let (mut rows, mut record) = (vec![], ByteRecord::new());
    let mut lines = LineCounter { text: text.as_bytes(), position: 0, line: 1 };
    while rows.len() < MAX_ROWS && reader.read_byte_record(&mut record).unwrap_or(false) {
        let cells: Vec<_> = record.iter().map(|cell| String::from_utf8_lossy(cell).into_owned()).collect();
        let cells = match cells.as_slice() {
            [line] if has_quoted_lines => csv_line_cells(line, separator),
            _ => cells,
        };
        let start = record.position().map_or(0, |position| usize::try_from(position.byte()).unwrap_or(0));
        rows.push(TextRow { line: lines.advance_to(start), cells });
    }
    rows
}

/// Returns the cells of a single line.
#[must_use]
pub fn csv_line_cells(line: &str, separator: u8) -> Vec<String> {
    let mut reader = csv::ReaderBuilder::new().delimiter(separator).has_headers(false).from_reader(line.as_bytes());
    let mut record = ByteRecord::new();
    // Reading from memory cannot fail.
    let _ = reader.read_byte_record(&mut record);
    record.iter().map(|cell| String::from_utf8_lossy(cell).into_owned()).collect()
}

/// Counts the lines of a text. The reader does not count lines that end with CR alone, and begins a row at the line ends
/// before it.
struct LineCounter<'t> {
    text: &'t [u8],
    position: usize,
    /// The line of the position.
    line: u64,
}

impl LineCounter<'_> {
    /// Moves to the first byte from `start` on that does not end a line. Returns its line.
    fn advance_to(&mut self, start: usize) -> u64 {
        while let Some(byte) = self.text.get(self.position)
            && (self.position < start || matches!(byte, b'\n' | b'\r'))
        {
            let ends_line = match byte {
                b'\r' => true,
                b'\n' => self.position == 0 || self.text[self.position - 1] != b'\r',
                _ => false,
            };
            self.line += u64::from(ends_line);
            self.position += 1;
        }
        self.line
    }
}

/// Returns the most frequent number of cells.
fn usual_width(rows: &[TextRow]) -> usize {
    let mut counts = std::collections::BTreeMap::<_, usize>::new();
    rows.iter().for_each(|row| *counts.entry(row.cells.len()).or_default() += 1);
    counts.into_iter().max_by_key(|(width, count)| (*count, *width)).map_or(0, |(width, _)| width)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detect(text: &str) -> (char, u64) {
        let layout = TextLayout::detect(text, &|header| ["Email", "First Name", "Name"].contains(&header.trim()));
        (char::from(layout.separator), layout.header_line)
    }

    #[test]
    fn lines_that_are_quoted_as_a_whole_are_divided() {
        let is_known = |header: &str| ["Email", "Name"].contains(&header);
        let layout = |text: &str| TextLayout::detect(text, &is_known);
        let quoted = layout("\"Name,Email,\"\"Note, old\"\"\"\n\"Ada,a@b.cd,x\"\n");
        assert!(quoted.has_quoted_lines && quoted.separator == b',', "{quoted:?}");
        assert!(layout("\"Name;Email\"\n\"Ada;a@b.cd\"\n").has_quoted_lines);
        assert!(!layout("\"Email\"\n\"a@b.cd\"\n").has_quoted_lines);
        assert!(!layout("\"x,y\"\n\"1,2\"\n").has_quoted_lines);
        assert_eq!(csv_line_cells("Ada,\"a, b\",x", b','), ["Ada", "a, b", "x"]);
    }

    #[test]
    fn separator_and_header_row_are_found() {
        for (text, expected) in [
            ("First Name,Email\nAda,a@b.cd\n", (',', 1)),
            ("First Name;Email\r\nAda;a@b.cd\r\n", (';', 1)),
            ("First Name\tEmail\rAda\ta@b.cd\r", ('\t', 1)),
            ("First Name|Email\nAda|a@b.cd\n", ('|', 1)),
            ("sep=;\r\nFirst Name;Email\r\n\"a,b\";c,d\r\n", (';', 2)),
            ("\"sep=\t\"\nFirst Name\tEmail\n", ('\t', 2)),
            ("Notes:\n\"When exporting, you may see, that\"\n\nFirst Name,Email\nAda,a@b.cd\n", (',', 4)),
            ("\n\nReport of today\n\nFirst Name,Email\n", (',', 5)),
            ("Email\na@b.cd\n", (',', 1)),
            ("a;b;c\n1,5;2,5;3\n1,5;2,5;4\n", (';', 1)),
            ("Title of the table;;\nx;y;z\n1;2;3\n", (';', 1)),
            ("", (',', 1)),
        ] {
            assert_eq!(detect(text), expected, "{text:?}");
        }
    }
}
