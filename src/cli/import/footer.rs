//! Recognizes the lines that programs write below a table, such as `Copyright (c) 2024 salesforce.com` or `Total: 60`.
//!
//! A footer is at the end of the file. Its rows have few filled cells, and at least one of them begins with words that
//! name it. All others are rows of the table.

use super::row::ImportRow;

/// The maximum number of rows of a footer.
pub(super) const MAX_ROWS: usize = 50;

/// The words with which the first cells of footers begin, in lower case.
const FOOTER_WORDS: [&str; 32] = [
    "copyright",
    "©",
    "(c)",
    "confidential",
    "generated",
    "exported",
    "export date",
    "report",
    "record count",
    "number of",
    "filtered by",
    "as of",
    "end of",
    "ende der liste",
    "ende der datei",
    "ende des berichts",
    "fin de la liste",
    "fin de la lista",
    "fin du fichier",
    "fin du rapport",
    "fin du document",
    "fin del informe",
    "fin del listado",
    "fin del documento",
    "-- end",
    "printed",
    "created by",
    "erstellt",
    "vertraulich",
    "confidentiel",
    "généré",
    "generado",
];
/// The words of totals. Only a number or what is counted follows them: `Total: 60`, but not `Total Energies`.
const TOTAL_WORDS: [&str; 25] = [
    "grand total",
    "grand totals",
    "subtotal",
    "subtotals",
    "total",
    "totals",
    "total general",
    "total général",
    "sous-total",
    "totaux",
    "totales",
    "sum",
    "records",
    "count",
    "rows",
    "page",
    "gesamtsumme",
    "gesamtsummen",
    "gesamt",
    "summe",
    "anzahl",
    "nombre de",
    "nombre",
    "seite",
    "suma",
];
/// The words that are counted, as in `60 records`, in the singular.
const COUNTED: [&str; 17] = [
    "member",
    "people",
    "person",
    "client",
    "customer",
    "participant",
    "attendee",
    "guest",
    "user",
    "row",
    "record",
    "contact",
    "result",
    "item",
    "lead",
    "of",
    "count",
];
/// The beginnings of others.
const COUNTED_STEMS: [&str; 10] =
    ["mitglied", "teilnehmer", "kunde", "adress", "entr", "datens", "kontakt", "zeile", "enregistrement", "registro"];

/// Returns whether these rows at the end of a file are a footer.
pub(super) fn is_footer(rows: &[ImportRow]) -> bool {
    rows.iter().any(has_footer_words)
}

/// Returns whether a row can be a part of a footer of a table with this number of columns.
pub(super) fn may_be_footer(row: &ImportRow, columns: usize) -> bool {
    const MAX_FILLED: usize = 3;
    let filled = row.cells().map(str::trim).filter(|cell| !cell.is_empty());
    let has_first = row.cells().next().is_some_and(|cell| !cell.trim().is_empty());
    let is_contact = row.cells().any(|cell| cell.contains('@')) || row.cells().skip(1).any(is_phone);
    if row.problem.is_some() || columns < 2 || !(has_first || has_footer_words(row)) || is_contact {
        return false;
    }
    let count = filled.clone().take(MAX_FILLED + 1).count();
    let is_sparse = count == 1 || (count <= MAX_FILLED && count * 2 <= columns && has_footer_words(row));
    // The totals of columns with numbers.
    is_sparse || (has_total_words(row) && filled.skip(1).all(is_amount))
}

/// Returns whether the first cell of a row begins with words that name a footer.
pub(super) fn has_footer_words(row: &ImportRow) -> bool {
    let first = first_cell(row);
    let is_alone = row.cells().filter(|cell| !cell.trim().is_empty()).count() == 1;
    has_total_words(row)
        || FOOTER_WORDS.iter().any(|words| after_words(&first, words).is_some())
        || is_decoration(&first)
        || (is_alone && (is_label(&first) || is_time(&first)))
}

/// Returns whether a cell says what follows, such as `Source: CRM`, or names a value in the next cell, such as `Filters:`.
fn is_label(cell: &str) -> bool {
    const MAX_LENGTH: usize = 30;
    let Some((label, rest)) = cell.split_once(':') else { return false };
    let is_word = |c: char| c.is_alphabetic() || c == ' ';
    let ends = rest.is_empty() || rest.starts_with(char::is_whitespace);
    ends && label.len() <= MAX_LENGTH && label.chars().all(is_word) && label.starts_with(char::is_alphabetic)
}

/// Returns whether a cell is a line such as `---`, or words in one, such as `*** End ***` and `(5 rows)`.
fn is_decoration(cell: &str) -> bool {
    ["---", "***", "===", "___"].iter().any(|line| cell.starts_with(line))
        || cell
            .strip_prefix('(')
            .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()) && rest.ends_with(')'))
}

/// Returns whether a cell is the time of a report, such as `Tuesday, Dec 01, 2026 09:41:00 AM`.
fn is_time(cell: &str) -> bool {
    let digits = cell.bytes().filter(u8::is_ascii_digit).count();
    let has_clock = cell.as_bytes().windows(4).any(|bytes| {
        bytes[0].is_ascii_digit() && bytes[1] == b':' && bytes[2].is_ascii_digit() && bytes[3].is_ascii_digit()
    });
    has_clock && digits >= 6
}

/// Returns whether the first cell of a row is a total, such as `Total`, `Total: 60` or `60 records`.
fn has_total_words(row: &ImportRow) -> bool {
    let first = first_cell(row);
    let is_counted = |words: &str| {
        let word = words.split(|c: char| !c.is_alphabetic()).next().unwrap_or_default();
        COUNTED.contains(&word)
            || COUNTED.contains(&word.trim_end_matches('s'))
            || COUNTED_STEMS.iter().any(|stem| word.starts_with(stem))
    };
    let starts_with_number = first.starts_with(|c: char| c.is_ascii_digit());
    let mut after_total = TOTAL_WORDS.iter().filter_map(|words| after_words(&first, words)).map(without_number);
    // Without a number, it can be a name: `Page` beside `Jimmy`.
    let is_plain = !first.contains(|c: char| c == ':' || c.is_ascii_digit());
    let has_names =
        is_plain && row.cells().map(str::trim).filter(|cell| !cell.is_empty()).skip(1).any(|cell| !is_amount(cell));
    (starts_with_number && is_counted(without_number(&first)))
        || after_total.any(|rest| rest.is_empty() && !has_names || !rest.is_empty() && is_counted(rest))
}

/// Returns a text from its first letter on.
fn without_number(text: &str) -> &str {
    text.trim_start_matches(|c: char| !c.is_alphabetic())
}

/// Returns the first cell that is not blank, in lower case. Sheets of Salesforce begin in the second column.
fn first_cell(row: &ImportRow) -> String {
    row.cells().map(str::trim).find(|cell| !cell.is_empty()).unwrap_or_default().to_lowercase()
}

/// Returns what follows these words at the beginning of a text, if they end there as a word.
fn after_words<'a>(text: &'a str, words: &str) -> Option<&'a str> {
    let rest = text.strip_prefix(words)?;
    let is_word = !rest.starts_with(char::is_alphanumeric) || !words.ends_with(char::is_alphanumeric);
    is_word.then_some(rest)
}

/// Returns whether a cell holds a phone number: a footer has none.
fn is_phone(cell: &str) -> bool {
    let digits = cell.chars().filter(char::is_ascii_digit).count();
    const MAX_AMOUNT_DIGITS: usize = 8;
    let has_form = cell.chars().all(|c| c.is_ascii_digit() || " +-()/.".contains(c));
    has_form && (digits > MAX_AMOUNT_DIGITS || (digits >= 6 && !is_amount(cell)))
}

/// Returns whether a cell is a number, possibly with a currency or a percent sign.
fn is_amount(cell: &str) -> bool {
    let number = cell.trim().trim_matches(|c: char| c.is_whitespace() || "€$£%".contains(c));
    let number = number.strip_prefix('-').unwrap_or(number);
    let is_digit_or_sign = |c: char| c.is_ascii_digit() || matches!(c, '.' | ',' | '\'' | '\u{a0}');
    number.starts_with(|c: char| c.is_ascii_digit())
        && !number.starts_with("00")
        && number.chars().all(is_digit_or_sign)
}

#[cfg(test)]
mod tests {
    use crate::cli::import::csv_rows::CsvRows;
    use crate::cli::import::row_source::{RowSource, TableRows};

    /// Returns the lines of the rows of a table with three columns, and of the rows that are left out.
    fn read(text: &'static str) -> (Vec<u64>, Vec<u64>) {
        let source = RowSource::Csv(CsvRows::new(Box::new(text.as_bytes()), b',', false));
        let mut rows = TableRows::new(source, &["First name", "Last name", "Email"].map(str::to_owned));
        let read = std::iter::from_fn(|| rows.next().expect("readable").map(|row| row.line)).collect();
        (read, rows.take_left_out().iter().map(|row| row.line).collect())
    }

    #[test]
    fn footer_of_a_report_is_left_out() {
        let salesforce = "Ada,L,a@b.cd\n\n\n\"My report\"\n\"Copyright (c) 2000-2024 salesforce.com, inc.\"\n\
                          \"Confidential Information - Do Not Distribute\"\n\"Generated By: Ada 1/2/2024\"\nAcme\n";
        assert_eq!(read(salesforce), (vec![1], vec![4, 5, 6, 7, 8]));
        assert_eq!(read("Ada,L,a@b.cd\nTotal,,\n"), (vec![1], vec![2]));
        assert_eq!(read("Ada,L,a@b.cd\n,,\n60 records\n"), (vec![1], vec![3]));
        assert_eq!(read("Ada,L,a@b.cd\n,Total,2\n,Copyright 2024 Acme,\n"), (vec![1], vec![2, 3]));
        for total in [
            "Total,3,10.00",
            "Total: 1 contact,,10",
            "Gesamt,12,\"1.250,00 €\"",
            "Page 1 of 3,,",
            "Grand Totals (2 records),,",
            "Gesamtsummen (2 Datensätze),,",
            "Ende der Liste,,",
            "Summe:,,\"1.250,00 €\"",
            "Total: 2 people,,",
            "Total members:,,12",
            "Total de registros: 5,,",
            "(5 rows),,",
            "*** End ***,,",
            "Source: CRM,,",
            "Report date:,,",
            "\"Tuesday, Dec 01, 2026 09:41:00 AM\",,",
        ] {
            let text: &'static str = format!("Ada,L,a@b.cd\n{total}\n").leak();
            assert_eq!(read(text), (vec![1], vec![2]), "{total}");
        }
    }

    #[test]
    fn repeated_headers_and_the_titles_above_them_are_left_out() {
        let text =
            "Ada,L,a@b.cd\nFirst name,Last name,Email\nBob,,\n\nOthers\nFirst name,Last name,Email,\nEve,E,e@b.cd\n";
        assert_eq!(read(text), (vec![1, 3, 7], vec![2, 5, 6]));
    }

    #[test]
    fn contacts_at_the_end_are_rows_even_if_they_begin_like_a_footer() {
        for contact in [
            "Summer,Lee,",
            "Summer,,0170 1234567",
            "Total Energies,,",
            "Page One Bookshop,,",
            "Total,,t@b.cd",
            "Reporter,,",
            "Page,Jimmy,",
            "Ende Der,,",
            "Fin Del Toro,,",
            "24 Office GmbH,,",
            "Page Rowe,,",
            "2026-12-01 09:41:00,Ada,",
            "Source: fair,Ada,",
            "Total,,2025550100",
            "Sum,Ting,",
        ] {
            let text: &'static str = format!("Ada,L,a@b.cd\n{contact}\n").leak();
            assert_eq!(read(text), (vec![1, 2], vec![]), "{contact}");
        }
        assert_eq!(read("Ada,L,a@b.cd\nSummer,,0170 123456\nDad,,\n"), (vec![1, 2, 3], vec![]));
    }

    #[test]
    fn sparse_rows_that_are_no_footer_are_rows() {
        assert_eq!(read("Ada,L,a@b.cd\n\nBob\nEve\n"), (vec![1, 3, 4], vec![]));
        assert_eq!(read("Ada,L,a@b.cd\n\nTotal\nBob,B,b@b.cd\n"), (vec![1, 3, 4], vec![]));
        assert_eq!(read("Total,Bob,b@b.cd\n\n,,c@b.cd\n"), (vec![1, 3], vec![]));
        assert_eq!(read(",,\n\n"), (vec![], vec![]));
    }
}
