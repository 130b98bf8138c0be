//! Finds the header row among the first rows of a table.

use std::collections::HashSet;

use super::column_values::{is_address, is_phone};
use super::header_meaning::is_known_header;
use crate::fields::Registry;

/// The line up to which the header row is looked for. Reports have a title and their filters above it.
pub const MAX_HEADER_LINE: u64 = 20;

/// Returns the index of the header row, with the number of its headers that name a field: of the `rows` that can be a header, the one
/// with most of them. Returns `None` if no row has any.
///
/// A row with values can hold a word that names a field. So a row below a row with as many names must have most of them known.
#[must_use]
pub fn find_header_row<'a, R>(
    rows: &'a [R],
    cells: impl Fn(&'a R) -> Vec<&'a str>,
    is_known: &dyn Fn(&str) -> bool,
) -> Option<(usize, usize)> {
    let rated: Vec<_> = rows.iter().map(|row| RatedRow::new(&cells(row), is_known)).collect();
    // Of equal rows, the first one counts.
    let (index, best) =
        rated.iter().enumerate().rev().max_by_key(|(_, row)| row.known).filter(|(_, row)| row.known > 0)?;
    let is_doubtful = best.known * 2 < best.filled;
    let has_names_above =
        rated[..index].iter().any(|row| row.filled >= best.filled && row.filled > 1 && !row.has_address);
    (!(is_doubtful && has_names_above)).then_some((index, best.known))
}

/// Returns whether a header names a field of the registry in any way.
pub fn known_headers(registry: &Registry) -> impl Fn(&str) -> bool {
    move |header| is_known_header(header, registry)
}

/// What a row shows about whether it is the header.
struct RatedRow {
    /// The number of cells that are not blank.
    filled: usize,
    /// The number of different cells that name a field; 0 if the row has an address.
    known: usize,
    /// Whether a cell holds an email address or a phone number.
    has_address: bool,
}

impl RatedRow {
    fn new(cells: &[&str], is_known: &dyn Fn(&str) -> bool) -> Self {
        let has_address = cells.iter().any(|cell| is_address(cell) || is_phone(cell.trim()));
        // One word in many cells is a value.
        let names: HashSet<_> =
            cells.iter().filter(|cell| !has_address && is_known(cell)).map(|cell| cell.trim()).collect();
        let known = names.len();
        Self { filled: cells.iter().filter(|cell| !cell.trim().is_empty()).count(), known, has_address }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(text: &str) -> Option<usize> {
        let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split(',').collect()).collect();
        let is_known = |header: &str| ["First Name", "Email", "Web", "Business", "Contact"].contains(&header);
        find_header_row(&rows, Vec::clone, &is_known).map(|(index, _)| index)
    }

    #[test]
    fn header_is_the_row_with_most_known_names() {
        assert_eq!(find("First Name,Email\nAda,a@b.cd"), Some(0));
        assert_eq!(find("Report of today\n\nCreated,Ada\nFirst Name,Email,City,Zip,Street\nAda,a@b.cd"), Some(3));
    }

    #[test]
    fn row_of_values_is_no_header() {
        // Nothing of the first row is known, and two values of the second row are.
        assert_eq!(find("Voornaam,Achternaam,Bron,Soort,Plaats\nJan,Jansen,Web,Business,Delft"), None);
        assert_eq!(find("Ada,Contact,a@b.cd\nBob,Lead,b@b.cd"), None);
        assert_eq!(find("Voornaam,E-mailadres\nContact,j@x.nl"), None);
        assert_eq!(find("Имя,Фамилия\nEmail,+7 777 123 45 67"), None);
        assert_eq!(find("Attendance\nFirst Name,01.02.2026,08.02.2026"), Some(1));
        assert_eq!(find("First Name,Email,A,B\nAda,,,\nWeb,Web,Web,Web"), Some(0));
    }

    #[test]
    fn addresses_are_recognized() {
        assert!(is_address("a@b.cd") && is_address(" Ada.L@mail.example.com "));
        assert!(!is_address("E-mail (name@company)") && !is_address("Contact @ work.") && !is_address("@b.cd"));
    }
}
