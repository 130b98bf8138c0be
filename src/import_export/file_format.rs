//! Recognizes the format of a file by its content, whatever its name is.

/// The format of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileFormat {
    /// Values in rows, separated by a character.
    Csv,
    /// A ZIP archive, such as an Excel workbook.
    Zip,
    /// vCards.
    VCard,
    /// A format that cannot be imported, as the rest of a sentence such as "This is a PDF. Export the contacts as CSV".
    Unreadable(&'static str),
}

/// The first bytes of binary formats.
const SIGNATURES: [(&[u8], FileFormat); 20] = [
    (b"PK\x03\x04", FileFormat::Zip),
    (b"PK\x05\x06", FileFormat::Zip),
    (b"%PDF", FileFormat::Unreadable("a PDF. Export the contacts as CSV")),
    (
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        FileFormat::Unreadable(
            "an old Excel file (.xls), or one with a password. Save it as .xlsx without a password, or as CSV",
        ),
    ),
    (b"!BDN", FileFormat::Unreadable("an Outlook data file (.pst). In Outlook, export the contacts as CSV")),
    (b"SQLite format 3\0", FileFormat::Unreadable("an SQLite database. Export the contacts as CSV")),
    (b"{\\rtf", FileFormat::Unreadable("an RTF document. Save the table as CSV")),
    (b"\x1f\x8b", FileFormat::Unreadable("compressed with gzip. Unpack it first, for example with gunzip")),
    (b"BZh", FileFormat::Unreadable("compressed with bzip2. Unpack it first")),
    (b"\xfd7zXZ", FileFormat::Unreadable("compressed with xz. Unpack it first")),
    (b"\x28\xb5\x2f\xfd", FileFormat::Unreadable("compressed with Zstandard. Unpack it first")),
    (b"7z\xbc\xaf\x27\x1c", FileFormat::Unreadable("a 7-Zip archive. Unpack it first")),
    (b"Rar!", FileFormat::Unreadable("a RAR archive. Unpack it first")),
    (b"\x89PNG", IMAGE),
    (b"\xff\xd8\xff", IMAGE),
    (b"GIF8", IMAGE),
    (b"II*\0", IMAGE),
    (b"RIFF", IMAGE),
    (b"\x7fELF", FileFormat::Unreadable("a program. Choose a file with contacts")),
    (b"bplist", FileFormat::Unreadable("a property list of macOS. Export the contacts as vCards")),
];

const IMAGE: FileFormat = FileFormat::Unreadable("an image. Choose a file with contacts");

/// The beginnings of text formats, in lower case.
const TEXT_STARTS: [(&str, FileFormat); 10] = [
    ("begin:vcalendar", FileFormat::Unreadable("a calendar. Choose a file with contacts")),
    ("<!doctype html", HTML),
    ("<html", HTML),
    ("<table", HTML),
    ("<head", HTML),
    ("<?xml", FileFormat::Unreadable("an XML file. Save the table as .xlsx or CSV")),
    ("{\"", JSON),
    ("[{", JSON),
    ("dn:", FileFormat::Unreadable("an LDIF file. Export the address book as CSV or vCard")),
    ("version: 1\ndn:", FileFormat::Unreadable("an LDIF file. Export the address book as CSV or vCard")),
];

/// The number of first lines in which a vCard begins.
const FIRST_LINES: usize = 5;

const HTML: FileFormat =
    FileFormat::Unreadable("an HTML page, even if its name ends in .xls. Open it in a spreadsheet and save it as CSV");
const JSON: FileFormat = FileFormat::Unreadable("a JSON file. `contacts import` reads CSV, .xlsx and vCard files");

impl FileFormat {
    /// Recognizes a binary format by the first bytes of a file.
    #[must_use]
    pub fn from_signature(prefix: &[u8]) -> Option<Self> {
        SIGNATURES.iter().find(|(signature, _)| prefix.starts_with(signature)).map(|(_, format)| *format)
    }

    /// Recognizes a text format by the beginning of a text. A text of no known format is taken as CSV.
    #[must_use]
    pub fn from_text(text: &str) -> Self {
        if is_vcard(text) {
            return Self::VCard;
        }
        let start: String = text.trim_start().chars().take(40).collect::<String>().to_lowercase().replace("\r\n", "\n");
        // White space within JSON does not matter.
        let compact: String = start.chars().filter(|c| !c.is_whitespace()).collect();
        let is_match = |(beginning, _): &&(&str, Self)| {
            start.starts_with(beginning)
                || (matches!(beginning.as_bytes()[0], b'{' | b'[') && compact.starts_with(beginning))
        };
        TEXT_STARTS.iter().find(is_match).map_or(Self::Csv, |(_, format)| *format)
    }
}

/// Returns whether a text begins with a vCard. Properties can stand before it.
fn is_vcard(text: &str) -> bool {
    let lines = text.split(['\n', '\r']).map(str::trim).filter(|line| !line.is_empty()).take(FIRST_LINES);
    let is_begin = |line: &str| line.eq_ignore_ascii_case("begin:vcard");
    let mut other_lines = lines.skip_while(|line| !is_begin(line) && is_vcard_property(line));
    other_lines.next().is_some_and(is_begin)
}

/// Returns whether a line has the form `NAME:value` of a property of a vCard.
#[must_use]
pub fn is_vcard_property(line: &str) -> bool {
    let is_name =
        |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    line.split_once(':').is_some_and(|(name, _)| is_name(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_recognized_by_their_content() {
        assert_eq!(FileFormat::from_signature(b"PK\x03\x04abc"), Some(FileFormat::Zip));
        assert!(
            matches!(FileFormat::from_signature(b"%PDF-1.7"), Some(FileFormat::Unreadable(text)) if text.starts_with("a PDF"))
        );
        assert_eq!(FileFormat::from_signature(b"first_name,email"), None);
        for (text, expected) in [
            ("\r\nBEGIN:VCARD\r\n", "VCard"),
            ("begin:vcard\n", "VCard"),
            ("ENCODING:UTF-8\nBEGIN:VCARD\n", "VCard"),
            ("BEGIN:VCARD\rFN:Ada\r", "VCard"),
            ("Name,Note\nAda,\"x\nBEGIN:VCARD\ny\"", "Csv"),
            ("first_name,email\n", "Csv"),
            ("<!DOCTYPE HTML>", "HTML"),
            ("[\n  {\n", "JSON"),
            ("{ \"a\"", "JSON"),
            ("dn: cn=Ada", "LDIF"),
            ("", "Csv"),
        ] {
            assert!(format!("{:?}", FileFormat::from_text(text)).contains(expected), "{text}");
        }
    }
}
