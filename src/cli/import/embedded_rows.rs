//! Finds rows of a table within a cell: the quote before them is closed only by one of a later row. Such a file is valid CSV,
//! but its contacts would be lost.

use super::row::ImportRow;
use crate::import_export::is_address;

/// Returns whether a cell of a row holds further rows of a table with this number of columns.
pub(super) fn has_embedded_rows(row: &ImportRow, separator: u8, columns: usize) -> bool {
    if columns < 2 || !row.has_line_break() {
        return false;
    }
    let cells: Vec<_> = row.cells().collect();
    (0..cells.len()).any(|index| holds_rows(&cells, index, char::from(separator), columns))
}

/// Returns whether the lines of a cell are complete rows together with the cells before and after it. A note can have several
/// lines and an email address, too, but hardly ever separators and addresses in the places of all these rows.
fn holds_rows(cells: &[&str], index: usize, separator: char, columns: usize) -> bool {
    let text = cells[index].replace("\r\n", "\n");
    let lines: Vec<_> = text.split(['\n', '\r']).collect();
    let [first, between @ .., last] = &*lines else { return false };
    let mut rows = vec![cells[..index].iter().copied().chain(first.split(separator)).collect::<Vec<_>>()];
    rows.extend(between.iter().map(|line| line.split(separator).collect()));
    rows.push(last.split(separator).chain(cells[index + 1..].iter().copied()).collect());
    if rows.iter().any(|row| row.len() != columns) {
        return false;
    }
    let address_columns =
        |row: &Vec<&str>| -> Vec<_> { (0..row.len()).filter(|cell| is_address(row[*cell])).collect() };
    let mut with_address: Vec<_> = rows.iter().map(address_columns).filter(|columns| !columns.is_empty()).collect();
    let count = with_address.len();
    with_address.dedup();
    with_address.len() == 1 && (count > 1 || columns > 3 || lines.len() > 2)
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
            (&["Ada", "Hi Ada,\nplease contact Bob, b@b.cd, or Eve.\nThanks", "a@b.cd"], false),
            (&["Ada", "030 123456", "a@b.cd, c@d.ef,\ne@f.gh"], false),
            (&["Ada", "name,email,age\nBob,b@b.cd,12\nEve,e@b.cd,7", "a@b.cd"], false),
            (&["Ada", "Street 1\n12345 Town", "a@b.cd"], false),
            (&["Ada", "Bob\nb@b.cd", "a@b.cd"], false),
            (&["Ada", "L3,p3@b.cd", "a@b.cd"], false),
        ] {
            let row = ImportRow::new(1, cells.iter().copied());
            assert_eq!(has_embedded_rows(&row, b',', 3), expected, "{cells:?}");
        }
        let two_columns = ImportRow::new(1, ["Ada,a@b.cd\nBob,b@b.cd\nEve", "e@b.cd"].into_iter());
        assert!(has_embedded_rows(&two_columns, b',', 2));
    }
}
