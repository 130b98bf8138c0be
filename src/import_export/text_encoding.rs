//! Detects the encoding of a text from its first bytes.

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{Encoding, MACINTOSH, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};

/// The encoding of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TextEncoding {
    /// The encoding.
    pub encoding: &'static Encoding,
    /// The number of bytes of the byte order mark before the text.
    pub bom_length: usize,
    /// Whether the first bytes are ASCII, so that they do not show whether the rest is UTF-8.
    pub is_ascii_so_far: bool,
}

/// The number of first bytes in which the zero bytes of UTF-16 are counted.
const UTF_16_SAMPLE: usize = 4096;

impl TextEncoding {
    /// Detects the encoding from the first bytes of a file. `is_complete` says whether they are the whole file. Returns
    /// `None` if the file is not a text.
    #[must_use]
    pub fn detect(prefix: &[u8], is_complete: bool) -> Option<Self> {
        if let Some((encoding, bom_length)) = Encoding::for_bom(prefix) {
            return Some(Self { encoding, bom_length, is_ascii_so_far: false });
        }
        let without_bom = |encoding| Self { encoding, bom_length: 0, is_ascii_so_far: false };
        if let Some(encoding) = utf_16_without_bom(prefix) {
            return Some(without_bom(encoding));
        }
        if is_binary(prefix) {
            return None;
        }
        if prefix.is_ascii() {
            return Some(Self { is_ascii_so_far: true, ..without_bom(UTF_8) });
        }
        Some(without_bom(if is_mostly_utf_8(prefix) { UTF_8 } else { guess_legacy(prefix, is_complete) }))
    }

    /// Returns the name for people, such as `UTF-8` or `Windows-1252`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self.encoding.name() {
            "windows-1252" => "Windows-1252",
            "UTF-16LE" | "UTF-16BE" => "UTF-16",
            "macintosh" => "Mac OS Roman",
            name => name,
        }
    }
}

/// Returns the byte order of UTF-16 without a byte order mark: nearly every character of a header is ASCII, so every
/// second byte is zero.
fn utf_16_without_bom(prefix: &[u8]) -> Option<&'static Encoding> {
    let sample = &prefix[..prefix.len().min(UTF_16_SAMPLE)];
    let zeros_at = |parity| sample.iter().skip(parity).step_by(2).filter(|byte| **byte == 0).count();
    let (even, odd, half) = (zeros_at(0), zeros_at(1), sample.len() / 2);
    match half {
        0..4 => None,
        _ if odd * 2 > half && even * 20 < half => Some(UTF_16LE),
        _ if even * 2 > half && odd * 20 < half => Some(UTF_16BE),
        _ => None,
    }
}

/// Returns whether so many bytes are control characters that the file is not a text.
fn is_binary(prefix: &[u8]) -> bool {
    let is_control = |byte: &&u8| matches!(**byte, 0..=8 | 14..=31);
    let controls = prefix.iter().filter(is_control).count();
    controls * 50 > prefix.len()
}

/// Returns whether more lines with other than ASCII characters are UTF-8 than not. A text in another encoding has hardly
/// ever a line that is UTF-8 by chance, but a file in UTF-8 can have a damaged line.
fn is_mostly_utf_8(prefix: &[u8]) -> bool {
    if std::str::from_utf8(prefix).is_ok() {
        return true;
    }
    let (mut valid, mut invalid) = (0_usize, 0_usize);
    for line in prefix.split(|byte| matches!(byte, b'\n' | b'\r')).filter(|line| !line.is_ascii()) {
        match std::str::from_utf8(line) {
            Ok(_) => valid += 1,
            // The prefix can end within a character.
            Err(error) if error.error_len().is_none() && line.as_ptr_range().end == prefix.as_ptr_range().end => {}
            Err(_) => invalid += 1,
        }
    }
    valid > invalid || invalid == 0
}

/// Guesses an encoding of one byte or more a character. The languages of Western Europe hardly differ by their letters, so
/// short texts are taken as Windows-1252, which includes Latin-1.
fn guess_legacy(prefix: &[u8], is_complete: bool) -> &'static Encoding {
    // Excel for Mac ends lines with CR, and writes the encoding of the old Mac OS.
    if prefix.contains(&b'\r') && !prefix.contains(&b'\n') {
        return MACINTOSH;
    }
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
    detector.feed(prefix, is_complete);
    let guess = detector.guess(None, Utf8Detection::Deny);
    // With few letters, the detector takes Western text for other Latin encodings.
    let is_other_latin = matches!(
        guess.name(),
        "windows-1250" | "windows-1254" | "windows-1257" | "windows-1258" | "ISO-8859-2" | "ISO-8859-4" | "macintosh"
    );
    let letters = prefix.iter().filter(|byte| !byte.is_ascii()).count();
    if is_other_latin && letters < 20 { WINDOWS_1252 } else { guess }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detect(bytes: &[u8]) -> Option<(&'static str, usize)> {
        TextEncoding::detect(bytes, true).map(|encoding| (encoding.encoding.name(), encoding.bom_length))
    }

    #[test]
    fn encodings_of_office_programs_are_detected() {
        let utf_16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>();
        let header = "Vorname\tNachname\tE-Mail\r\nJürgen\tGroß\tj@x.de\r\n";
        assert_eq!(detect(header.as_bytes()), Some(("UTF-8", 0)));
        assert_eq!(detect(&[b"\xef\xbb\xbf", header.as_bytes()].concat()), Some(("UTF-8", 3)));
        assert_eq!(detect(&[&b"\xff\xfe"[..], &utf_16(header)].concat()), Some(("UTF-16LE", 2)));
        assert_eq!(detect(&utf_16(header)), Some(("UTF-16LE", 0)));
        let big_endian: Vec<u8> = header.encode_utf16().flat_map(u16::to_be_bytes).collect();
        assert_eq!(detect(&[&b"\xfe\xff"[..], &big_endian].concat()), Some(("UTF-16BE", 2)));
        assert_eq!(detect(&big_endian), Some(("UTF-16BE", 0)));
        for name in
            ["Müller", "Groß", "José Núñez", "Zoë", "Émile Façade", "Åsa Öberg", "Søren", "Peña – “x”", "Šimon €"]
        {
            let text = format!("first_name;email\r\n{name};a@b.cd\r\n");
            let (encoded, _, _) = WINDOWS_1252.encode(&text);
            assert_eq!(detect(&encoded), Some(("windows-1252", 0)), "{name}");
        }
        assert_eq!(detect(b"Vorname;Nachname\rJ\x9frgen;Gro\xa7\r"), Some(("macintosh", 0)));
        let (cyrillic, _, _) = encoding_rs::WINDOWS_1251.encode("Имя;Фамилия;Почта\nИван;Петров;ivan@example.com\n");
        assert_eq!(detect(&cyrillic), Some(("windows-1251", 0)));
    }

    #[test]
    fn text_with_a_damaged_line_stays_utf_8_and_binary_data_is_no_text() {
        assert_eq!(detect("a\né\né\n".as_bytes()), Some(("UTF-8", 0)));
        assert_eq!(detect(b"a\n\xc3\xa9\n\xc3\xa9\n\xff\n"), Some(("UTF-8", 0)));
        assert!(
            TextEncoding::detect("a,é".as_bytes().split_last().expect("bytes").1, false)
                .is_some_and(|e| e.encoding == UTF_8)
        );
        assert!(TextEncoding::detect(b"a,b\n", false).is_some_and(|encoding| encoding.is_ascii_so_far));
        assert_eq!(detect(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 200, 201]), None);
        assert_eq!(detect(b""), Some(("UTF-8", 0)));
    }
}
