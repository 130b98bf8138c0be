//! Reads the sheet of an Excel workbook (.xlsx) that has contacts.

use std::io::{self, Cursor, Read};

use calamine::{DataRef, ExcelDateTime, Reader as _, SheetType, SheetVisible, Xlsx};
use zip::ZipArchive;

use super::csv_rows::MAX_CELLS;
use super::row::ImportRow;
use crate::import_export::is_address;

/// The maximum size of a workbook in bytes.
pub(super) const MAX_SIZE: usize = 20 * 1024 * 1024;
/// The maximum size of the unpacked files of a workbook in bytes.
const MAX_UNPACKED: u64 = 256 * 1024 * 1024;

/// The files by which archives are recognized, and what they are.
const OTHER_ARCHIVES: [(&str, &str); 6] = [
    ("xl/workbook.bin", "a binary Excel workbook (.xlsb). Save it as .xlsx or CSV"),
    ("word/document.xml", "a Word document. Save the table as .xlsx or CSV"),
    ("ppt/presentation.xml", "a PowerPoint presentation. Save the table as .xlsx or CSV"),
    ("Index/Document.iwa", "a Numbers document. Export it as .xlsx or CSV"),
    ("content.xml", "an OpenDocument file. Save it as .xlsx or CSV"),
    ("META-INF/MANIFEST.MF", "a Java archive. Choose a file with contacts"),
];

/// A visible sheet of a workbook.
pub(super) struct Sheet {
    pub(super) name: String,
    /// Its index among the visible sheets.
    pub(super) index: usize,
    pub(super) rows: Vec<ImportRow>,
    /// The names of the other visible sheets.
    pub(super) others: Vec<String>,
}

/// Reads the rows of the first visible sheet with email addresses below a header that names a field, or with two such headers:
/// `known` returns how many there are. If there is no such sheet, the first one with a header counts, then the first one that is
/// not empty: programs put a summary before the table.
///
/// # Errors
/// Says what the file is if it is not a workbook, or what to do if it is too large or damaged, as the rest of a sentence
/// that begins with the file.
pub(super) fn read_best_sheet(workbook: Vec<u8>, known: &dyn Fn(&[ImportRow]) -> usize) -> Result<Sheet, String> {
    check_archive(&workbook)?;
    let mut workbook: Xlsx<_> = Xlsx::new(Cursor::new(workbook)).map_err(|error| damaged(&error))?;
    let names = sheet_names(&workbook);
    let mut best: Option<(usize, Sheet)> = None;
    for (index, name) in names.iter().enumerate() {
        let rows = read_rows(&mut workbook, name)?;
        let has_emails = || rows.iter().any(|row| row.cells().any(is_address));
        let rating = match known(&rows) {
            _ if rows.is_empty() => 0,
            0 => 1,
            1 if !has_emails() => 2,
            _ => 3,
        };
        if best.as_ref().is_none_or(|(best, _)| rating > *best) {
            let others = names.iter().filter(|other| *other != name).cloned().collect();
            best = Some((rating, Sheet { name: name.clone(), index, rows, others }));
        }
        if rating == 3 {
            break;
        }
    }
    best.map(|(_, sheet)| sheet).ok_or("is an Excel workbook without a sheet".to_owned())
}

fn damaged(error: &dyn std::fmt::Display) -> String {
    format!("is a damaged Excel workbook ({error}). Save it as CSV")
}

/// Returns the names of the visible sheets, or of all sheets if none is visible.
fn sheet_names(workbook: &Xlsx<Cursor<Vec<u8>>>) -> Vec<String> {
    let is_table = |sheet: &&calamine::Sheet| sheet.typ == SheetType::WorkSheet;
    let is_visible = |sheet: &&calamine::Sheet| sheet.visible == SheetVisible::Visible;
    let sheets = || workbook.sheets_metadata().iter().filter(is_table);
    let visible: Vec<_> = sheets().filter(is_visible).map(|sheet| sheet.name.clone()).collect();
    if visible.is_empty() { sheets().map(|sheet| sheet.name.clone()).collect() } else { visible }
}

/// Reads the rows of a sheet that are not empty.
fn read_rows(workbook: &mut Xlsx<Cursor<Vec<u8>>>, name: &str) -> Result<Vec<ImportRow>, String> {
    let mut cells = workbook.worksheet_cells_reader(name).map_err(|error| damaged(&error))?;
    let mut rows: Vec<(ImportRow, usize)> = vec![];
    while let Some(cell) = cells.next_cell().map_err(|error| damaged(&error))? {
        let (row, column) = (u64::from(cell.get_position().0) + 1, cell.get_position().1 as usize);
        let text = cell_text(cell.get_value());
        if text.is_empty() || column >= MAX_CELLS {
            continue;
        }
        if rows.last().is_none_or(|(last, _)| last.line != row) {
            let follows_blank_line = rows.last().is_some_and(|(last, _)| last.line + 1 < row);
            rows.push((ImportRow::new(row, std::iter::empty()).after_blank_line(follows_blank_line), 0));
        }
        if let Some((last, width)) = rows.last_mut() {
            // Empty cells are not in the file.
            (*width..column).for_each(|_| last.push_cell(""));
            last.push_cell(&text);
            *width = column.max(*width) + 1;
        }
    }
    Ok(rows.into_iter().map(|(row, _)| row).collect())
}

/// Checks that an archive is a workbook of an acceptable size, without storing the unpacked files.
fn check_archive(bytes: &[u8]) -> Result<(), String> {
    if bytes.len() > MAX_SIZE {
        return Err(format!("has more than {} MiB, the limit for .xlsx files. Save it as CSV", MAX_SIZE >> 20));
    }
    let damaged = |error: &dyn std::fmt::Display| format!("is a damaged ZIP archive ({error}). Save the table as CSV");
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(|error| damaged(&error))?;
    let names: Vec<String> = archive.file_names().filter_map(|name| Some(name.ok()?.into_owned())).collect();
    if !names.iter().any(|name| name == "xl/workbook.xml") {
        let is_in_archive = |(file, _): &&(&str, &str)| names.iter().any(|name| name == file);
        let what = OTHER_ARCHIVES.iter().find(is_in_archive);
        let what = what.map_or("a ZIP archive. Unpack it and choose a file with contacts", |(_, what)| what);
        return Err(format!("is {what}"));
    }
    let mut unpacked = 0;
    for index in 0..archive.len() {
        let file = archive.by_index(index).map_err(|error| damaged(&error))?;
        // The sizes that the archive states can be wrong.
        let mut limited = file.take(MAX_UNPACKED - unpacked + 1);
        unpacked += io::copy(&mut limited, &mut io::sink()).map_err(|error| damaged(&error))?;
        if unpacked > MAX_UNPACKED {
            let limit = MAX_UNPACKED >> 20;
            return Err(format!("unpacks to more than {limit} MiB, the limit for .xlsx files. Save it as CSV"));
        }
    }
    Ok(())
}

/// Returns the text of a cell: dates in the form of ISO 8601, whole numbers without a point, and nothing for errors such as
/// `#N/A`.
fn cell_text(value: &DataRef<'_>) -> String {
    match value {
        DataRef::Int(number) => number.to_string(),
        DataRef::Float(number) if is_shortened(*number) => format!("{number:E}").replace('E', "E+"),
        DataRef::Float(number) => number.to_string(),
        DataRef::String(text) | DataRef::DateTimeIso(text) | DataRef::DurationIso(text) => text.clone(),
        DataRef::SharedString(text) => (*text).to_owned(),
        DataRef::Bool(value) => if *value { "TRUE" } else { "FALSE" }.to_owned(),
        DataRef::DateTime(time) => date_text(*time),
        DataRef::Error(_) | DataRef::Empty => String::new(),
    }
}

/// Returns whether a number may have lost digits: Excel keeps 15 digits, and no program keeps whole numbers beyond 2^53.
fn is_shortened(number: f64) -> bool {
    const MAX_EXACT: f64 = 9_007_199_254_740_992.0;
    number.abs() >= MAX_EXACT || (number.abs() >= 1e15 && number % 10.0 == 0.0)
}

fn date_text(time: ExcelDateTime) -> String {
    if time.is_duration() {
        return time.as_f64().to_string();
    }
    let (year, month, day, hour, minute, second, _) = time.to_ymd_hms_milli();
    let clock =
        if time.as_f64().fract() == 0.0 { String::new() } else { format!(" {hour:02}:{minute:02}:{second:02}") };
    // A time of day has no date.
    if time.as_f64() < 1.0 { clock.trim().to_owned() } else { format!("{year:04}-{month:02}-{day:02}{clock}") }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use zip::write::SimpleFileOptions;

    use super::*;

    /// Returns a ZIP archive of these files.
    fn archive(files: &[(&str, &str)]) -> Vec<u8> {
        let mut archive = zip::ZipWriter::new(Cursor::new(vec![]));
        for (name, text) in files {
            archive.start_file(*name, SimpleFileOptions::default()).expect("a new file");
            archive.write_all(text.as_bytes()).expect("writable");
        }
        archive.finish().expect("writable").into_inner()
    }

    #[test]
    fn archives_that_are_no_workbook_are_named() {
        for (file, what) in [("word/document.xml", "Word"), ("content.xml", "OpenDocument"), ("a.txt", "ZIP archive")] {
            assert!(
                read_best_sheet(archive(&[(file, "x")]), &|_| 0).is_err_and(|error| error.contains(what)),
                "{file}"
            );
        }
        assert!(
            read_best_sheet(b"PK\x03\x04 and no more".to_vec(), &|_| 0).is_err_and(|error| error.contains("damaged"))
        );
        assert!(
            read_best_sheet(archive(&[("xl/workbook.xml", "x")]), &|_| 0)
                .is_err_and(|error| error.contains("damaged Excel"))
        );
    }

    #[test]
    fn workbook_that_unpacks_to_too_much_is_refused_while_it_is_unpacked() {
        let zeros = "0".repeat(90 << 20);
        let files = [("xl/workbook.xml", &*zeros), ("a", &*zeros), ("b", &*zeros)];
        let bytes = archive(&files);
        assert!(bytes.len() < 1 << 20);
        assert!(read_best_sheet(bytes, &|_| 0).is_err_and(|error| error.contains("256 MiB")));
        assert!(read_best_sheet(vec![0; MAX_SIZE + 1], &|_| 0).is_err_and(|error| error.contains("20 MiB")));
    }
}
