//! A line of a vCard: `group.NAME;PARAMETER=value:text` (RFC 6350, section 3.3).

use encoding_rs::{Encoding, UTF_8, WINDOWS_1252};

/// The preference of a property that has none.
const NO_PREFERENCE: u32 = 101;

/// A property of a card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ContentLine {
    /// The name in upper case, without the group.
    pub(super) name: String,
    /// The parameters, with names and values in upper case. In version 2.1, a parameter can have a value only.
    parameters: Vec<(String, String)>,
    value: String,
}

/// Joins folded lines: a line that begins with a space or a tab continues the line before it, and so does the line after a
/// quoted-printable line that ends with `=`.
pub(super) fn unfold(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = vec![];
    for line in text.split('\n').flat_map(|line| line.strip_suffix('\r').unwrap_or(line).split('\r')) {
        let is_soft_break = |last: &&mut String| last.ends_with('=') && is_quoted_printable(last);
        if let Some(last) = lines.last_mut().filter(is_soft_break) {
            // An empty line ends the value, too.
            last.pop();
            last.push_str(line);
        } else if let (Some(rest), Some(last)) = (line.strip_prefix([' ', '\t']), lines.last_mut()) {
            last.push_str(rest);
        } else if !line.is_empty() {
            lines.push(line.to_owned());
        }
    }
    lines
}

fn is_quoted_printable(line: &str) -> bool {
    line.split(':').next().is_some_and(|start| start.to_ascii_uppercase().contains("QUOTED-PRINTABLE"))
}

impl ContentLine {
    /// Parses an unfolded line. Returns `None` if it has no name or no value.
    pub(super) fn parse(line: &str) -> Option<Self> {
        let (start, value) = split_outside_quotes(line, ':')?;
        let mut parts = split_all_outside_quotes(start, ';').into_iter();
        let name = parts.next()?;
        let name = name.rsplit('.').next().unwrap_or(name).trim().to_ascii_uppercase();
        let parameters = parts.map(|part| {
            let (name, value) = part.split_once('=').unwrap_or(("TYPE", part));
            (name.trim().to_ascii_uppercase(), value.trim().replace('"', "").to_ascii_uppercase())
        });
        Some(Self { name, parameters: parameters.collect(), value: value.to_owned() })
    }

    /// Returns whether the property has a type such as `CELL`.
    pub(super) fn has_type(&self, wanted: &str) -> bool {
        let mut types = self.parameters.iter().filter(|(name, _)| name == "TYPE");
        types.any(|(_, types)| types.split(',').any(|one| one.trim() == wanted))
    }

    /// Returns the order in which the owner of the card prefers this property, from 1.
    pub(super) fn preference(&self) -> u32 {
        let stated = self.parameters.iter().find(|(name, _)| name == "PREF").and_then(|(_, value)| value.parse().ok());
        stated.unwrap_or(if self.has_type("PREF") { 1 } else { NO_PREFERENCE })
    }

    /// Returns the value as a text, without escape characters.
    pub(super) fn text(&self) -> String {
        let text = unescape(&self.decoded());
        match text.strip_prefix("tel:") {
            // RFC 3966: `tel:+1-555-0100;ext=7`
            Some(number) => {
                let (number, extension) = number.split_once(";ext=").unwrap_or((number, ""));
                let number = number.split(';').next().unwrap_or(number);
                if extension.is_empty() { number.to_owned() } else { format!("{number} ext {extension}") }
            }
            None => text.strip_prefix("mailto:").map(str::to_owned).unwrap_or(text),
        }
    }

    /// Returns the components of the value, which are separated by semicolons.
    pub(super) fn components(&self) -> Vec<String> {
        let (mut components, mut current, mut is_escaped) = (vec![], String::new(), false);
        for character in self.decoded().chars() {
            if character == ';' && !is_escaped {
                components.push(std::mem::take(&mut current));
            } else {
                current.push(character);
            }
            is_escaped = character == '\\' && !is_escaped;
        }
        components.push(current);
        components.iter().map(|component| unescape(component).trim().to_owned()).collect()
    }

    /// Returns the value after quoted-printable, which version 2.1 has.
    fn decoded(&self) -> String {
        let parameter =
            |wanted: &str| self.parameters.iter().find(|(name, _)| name == wanted).map(|(_, value)| &**value);
        let is_quoted = parameter("ENCODING") == Some("QUOTED-PRINTABLE") || self.has_type("QUOTED-PRINTABLE");
        if !is_quoted {
            return self.value.clone();
        }
        let bytes = decode_quoted_printable(&self.value);
        // Without a character set, old phones wrote that of their system.
        let default = if std::str::from_utf8(&bytes).is_ok() { UTF_8 } else { WINDOWS_1252 };
        let charset = parameter("CHARSET").and_then(|name| Encoding::for_label(name.as_bytes())).unwrap_or(default);
        charset.decode_without_bom_handling(&bytes).0.into_owned()
    }
}

/// Splits a text at the first separator that is not within double quotes.
fn split_outside_quotes(text: &str, separator: char) -> Option<(&str, &str)> {
    let mut is_quoted = false;
    let index = text.char_indices().find(|(_, character)| {
        is_quoted ^= *character == '"';
        *character == separator && !is_quoted
    })?;
    Some((&text[..index.0], &text[index.0 + separator.len_utf8()..]))
}

fn split_all_outside_quotes(text: &str, separator: char) -> Vec<&str> {
    let (mut parts, mut rest) = (vec![], text);
    while let Some((part, after)) = split_outside_quotes(rest, separator) {
        parts.push(part);
        rest = after;
    }
    parts.push(rest);
    parts
}

fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => match characters.next() {
                Some('n' | 'N') => plain.push('\n'),
                Some(escaped) => plain.push(escaped),
                None => plain.push('\\'),
            },
            character => plain.push(character),
        }
    }
    plain
}

/// Decodes quoted-printable (RFC 2045, section 6.7). An invalid sequence stays as it is.
fn decode_quoted_printable(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let digit = |index: usize| bytes.get(index).and_then(|byte| char::from(*byte).to_digit(16));
    let (mut decoded, mut index) = (Vec::with_capacity(bytes.len()), 0);
    while index < bytes.len() {
        match (bytes[index], digit(index + 1), digit(index + 2)) {
            (b'=', Some(high), Some(low)) => {
                // Two hexadecimal digits are a byte.
                decoded.push((high * 16 + low) as u8);
                index += 3;
            }
            (byte, ..) => {
                decoded.push(byte);
                index += 1;
            }
        }
    }
    decoded
}
