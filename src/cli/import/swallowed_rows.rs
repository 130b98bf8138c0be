//! Finds rows of a table within a cell: the quote before them is closed only by one of a later row. Such a file is valid CSV,
//! but its contacts would be lost.

use super::row::ImportRow;
use crate::import_export::is_address;

/// Returns whether a cell of a row holds further rows of a table with this number of columns.
pub(super) fn has_swallowed_rows(row: &ImportRow, separator: u8, columns: usize) -> bool {
    const MIN_COLUMNS: usize = 3;
    if columns < MIN_COLUMNS || !row.has_line_break() {
        return false;
    }
    let outside = row.cells().len().saturating_sub(1);
    row.cells().any(|cell| is_part_of_rows(cell, char::from(separator), outside, columns - 1))
}

/// Returns whether the lines of a cell are a part of rows with this number of separators: either a line between the first
/// and the last one is a complete row, or all lines together have the separators of as many rows. Notes of a contact hardly
/// ever have both, an email address and as many separators.
fn is_part_of_rows(cell: &str, separator: char, outside: usize, for_each: usize) -> bool {
    let text = cell.replace("\r\n", "\n");
    let lines: Vec<_> = text.split(['\n', '\r']).collect();
    let count = |line: &str| line.matches(separator).count();
    let has_address = |line: &str| line.split(separator).any(is_address);
    if lines.len() < 2 {
        return false;
    }
    let is_row = |line: &&str| count(line) == for_each && has_address(line);
    let has_row = lines.len() > 2 && lines[1..lines.len() - 1].iter().any(is_row);
    let inside: usize = lines.iter().map(|line| count(line)).sum();
    has_row || inside > 0 && outside + inside == lines.len() * for_each && lines.iter().any(|line| has_address(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_within_a_cell_are_found_and_notes_are_none() {
        for (cells, expected) in [
            (&["F3", "L3,p3@b.cd\nF4,L4", "p4@b.cd"][..], true),
            (&["F3", "call back,p3@b.cd\r\nF4,x,p4@b.cd\r\nF5,done", "p5@b.cd"], true),
            (&["F3", "L3,p3@b.cd\rF4,L4", "p4@b.cd"], true),
            (&["Ada", "Call a@b.cd, or Bob,\nthanks", "a@b.cd"], false),
            (&["Ada", "Street 1\n12345 Town", "a@b.cd"], false),
            (&["Ada", "Bob\nb@b.cd", "a@b.cd"], false),
            (&["Ada", "L3,p3@b.cd", "a@b.cd"], false),
        ] {
            let row = ImportRow::new(1, cells.iter().copied());
            assert_eq!(has_swallowed_rows(&row, b',', 3), expected, "{cells:?}");
        }
    }
}
