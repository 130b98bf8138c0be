//! Detects the encoding of a text from its first bytes.

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{Encoding, MACINTOSH, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1250, WINDOWS_1252};

use super::charset::Charset;

/// The encoding of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TextEncoding {
    /// The encoding.
    pub charset: Charset,
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
            return Some(Self { charset: Charset::Web(encoding), bom_length, is_ascii_so_far: false });
        }
        let without_bom = |charset| Self { charset, bom_length: 0, is_ascii_so_far: false };
        if let Some(encoding) = utf_16_without_bom(prefix) {
            return Some(without_bom(Charset::Web(encoding)));
        }
        if is_binary(prefix) {
            return None;
        }
        if prefix.is_ascii() {
            return Some(Self { is_ascii_so_far: true, ..without_bom(Charset::Web(UTF_8)) });
        }
        let charset = if is_mostly_utf_8(prefix) { Charset::Web(UTF_8) } else { guess_legacy(prefix, is_complete) };
        Some(without_bom(charset))
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

/// Returns whether so many bytes are control characters that the file is not a text. Old programs fill up texts with NUL.
fn is_binary(prefix: &[u8]) -> bool {
    let count = |is_match: &dyn Fn(u8) -> bool| prefix.iter().filter(|byte| is_match(**byte)).count();
    let controls = count(&|byte| matches!(byte, 1..=8 | 14..=31));
    controls * 50 > prefix.len() || count(&|byte| byte == 0) * 4 > prefix.len()
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

/// Guesses an encoding of one byte or more a character. Of several that a text can have, the one counts in which it has the
/// fewest unlikely characters.
fn guess_legacy(prefix: &[u8], is_complete: bool) -> Charset {
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
    detector.feed(prefix, is_complete);
    let guess = detector.guess(None, Utf8Detection::Deny);
    // The languages of Western Europe hardly differ by their letters. With few letters, the detector takes Western text for
    // other encodings.
    let letters = prefix.iter().filter(|byte| !byte.is_ascii()).count();
    let preferred = if is_other_latin(guess) && letters < 20 { WINDOWS_1252 } else { guess };
    let mut candidates = [preferred, WINDOWS_1252, WINDOWS_1250, guess].map(Charset::Web).to_vec();
    candidates.extend([Charset::CodePage850, Charset::Web(MACINTOSH)]);
    // Excel for Mac ends lines with CR, and writes the encoding of the old Mac OS. A line end within a cell is LF.
    if ends_lines_with_cr(prefix) {
        candidates.insert(0, Charset::Web(MACINTOSH));
    }
    let lines = lines_beyond_ascii(prefix);
    // Of equal ones, the first one counts.
    let best = candidates.into_iter().min_by_key(|charset| count_unlikely(&charset.decode(&lines)));
    best.unwrap_or(Charset::Web(guess))
}

fn ends_lines_with_cr(prefix: &[u8]) -> bool {
    let alone = prefix.windows(2).filter(|pair| pair[0] == b'\r' && pair[1] != b'\n').count();
    alone > 0 && alone >= prefix.iter().filter(|byte| **byte == b'\n').count()
}

/// Returns the first lines with other than ASCII characters.
fn lines_beyond_ascii(prefix: &[u8]) -> Vec<u8> {
    const MAX_BYTES: usize = 64 * 1024;
    let mut lines = vec![];
    for line in prefix.split(|byte| matches!(byte, b'\n' | b'\r')).filter(|line| !line.is_ascii()) {
        lines.extend(line);
        lines.push(b'\n');
        if lines.len() > MAX_BYTES {
            break;
        }
    }
    lines
}

fn is_other_latin(encoding: &'static Encoding) -> bool {
    matches!(
        encoding.name(),
        "windows-1250" | "windows-1254" | "windows-1257" | "windows-1258" | "ISO-8859-2" | "ISO-8859-4" | "macintosh"
    )
}

/// Returns whether a character is a control character beyond ASCII, or stands for invalid bytes.
fn is_control_or_invalid(character: char) -> bool {
    matches!(character, '\u{80}'..='\u{9f}' | char::REPLACEMENT_CHARACTER)
}

/// Counts the characters that a text hardly has: control characters, invalid bytes, symbols within or beside a word, and
/// single capital letters within a word.
fn count_unlikely(text: &str) -> usize {
    // Symbols that appear when a text is decoded with the wrong encoding.
    const NEVER_BESIDE_WORDS: [char; 3] = ['÷', '¸', 'ƒ'];
    const WITHIN_WORDS: [char; 8] = ['’', '‘', '–', '—', '·', '\u{a0}', '・', '･'];
    let characters: Vec<char> = text.chars().collect();
    let is_unlikely = |index: usize| {
        let character = characters[index];
        if character.is_ascii() {
            return false;
        }
        let before = index.checked_sub(1).and_then(|before| characters.get(before)).copied().unwrap_or(' ');
        let after = characters.get(index + 1).copied().unwrap_or(' ');
        let is_within = before.is_alphabetic() && after.is_alphabetic();
        let is_symbol = !WITHIN_WORDS.contains(&character) && (!character.is_alphabetic() || "ªº".contains(character));
        let is_capital = character.is_uppercase() && before.is_alphabetic();
        let is_odd_capital = is_capital && (after.is_lowercase() || before.is_lowercase() && !after.is_uppercase());
        let is_beside = before.is_alphabetic() || after.is_alphabetic();
        let is_odd_quote = character == '‹' && before.is_alphabetic() || character == '›' && after.is_alphabetic();
        let is_line = matches!(character, '\u{2500}'..='\u{259f}');
        let is_odd_symbol =
            is_within && is_symbol || is_beside && NEVER_BESIDE_WORDS.contains(&character) || is_odd_quote || is_line;
        is_control_or_invalid(character) || is_odd_symbol || is_odd_capital
    };
    (0..characters.len()).filter(|index| is_unlikely(*index)).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the name of the encoding by the standard of web browsers, and the length of the byte order mark.
    fn detect(bytes: &[u8]) -> Option<(&'static str, usize)> {
        let found = TextEncoding::detect(bytes, true)?;
        let name = match found.charset {
            Charset::Web(encoding) => encoding.name(),
            charset @ Charset::CodePage850 => charset.name(),
        };
        Some((name, found.bom_length))
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
        assert_eq!(detect(b"Vorname;Notiz\rJ\x9frgen;\"zwei\nZeilen\"\r"), Some(("macintosh", 0)));
        let (cyrillic, _, _) = encoding_rs::WINDOWS_1251.encode("Имя;Фамилия;Почта\nИван;Петров;ivan@example.com\n");
        assert_eq!(detect(&cyrillic), Some(("windows-1251", 0)));
    }

    #[test]
    fn text_with_a_damaged_line_stays_utf_8_and_binary_data_is_no_text() {
        assert_eq!(detect("a\né\né\n".as_bytes()), Some(("UTF-8", 0)));
        assert_eq!(detect(b"a\n\xc3\xa9\n\xc3\xa9\n\xff\n"), Some(("UTF-8", 0)));
        assert!(
            TextEncoding::detect("a,é".as_bytes().split_last().expect("bytes").1, false)
                .is_some_and(|e| e.charset == Charset::Web(UTF_8))
        );
        assert!(TextEncoding::detect(b"a,b\n", false).is_some_and(|encoding| encoding.is_ascii_so_far));
        assert_eq!(detect(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 200, 201]), None);
        assert_eq!(detect(b""), Some(("UTF-8", 0)));
    }

    #[test]
    fn unlikely_characters_tell_old_encodings_apart() {
        for (bytes, expected) in [
            // "Bärbel Größe", "Jürgen", "François" in MS-DOS.
            (&b"name\r\nB\x84rbel Gr\x94\xe1e\r\n"[..], "MS-DOS (code page 850)"),
            (b"name\r\nJ\x81rgen\r\n", "MS-DOS (code page 850)"),
            (b"name\r\nFran\x87ois\r\n", "MS-DOS (code page 850)"),
            // "Bärbel Großer" of Mac OS, with the line ends of Windows.
            (b"name\r\nB\x8arbel Gro\xa7er\r\n", "macintosh"),
            // "Mäx Müster" of Mac OS, and "ÖzdemirÖ;Üglü" of Windows.
            (b"name\nM\x8ax M\x9fster\n", "macintosh"),
            (b"name;x\n\xd6zdemir\xd6;\xdcgl\xfc\n", "windows-1252"),
            // "Łukasz Żółć" in Windows-1250.
            (b"name\n\xa3ukasz \xaf\xf3\xb3\xe6\n", "windows-1250"),
            ("name\n\u{84}".as_bytes(), "UTF-8"),
        ] {
            let bytes: Vec<u8> = bytes.to_vec();
            assert_eq!(detect(&bytes).map(|found| found.0), Some(expected), "{bytes:x?}");
        }
        for text in ["Jean ‹Jo› Dupré", "ÐÍPÑÂ", "„Größe“ – Café", "l’été 10\u{a0}km", "Señor №1 ½", "ÉCOLE ÀÉ"]
        {
            let (encoded, _, _) = WINDOWS_1252.encode(text);
            assert_eq!(detect(&encoded).map(|found| found.0), Some("windows-1252"), "{text}");
        }
    }
}
