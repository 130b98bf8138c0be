//! Cells with several values for a field that takes one: `ada@example.com; ada@work.example`.

use std::borrow::Cow;

use super::ParsedCell;
use crate::fields::{Field, Issue, IssueCode, Kind, Value};

/// Marks that people and spreadsheets write into cells without a value. No name is one of them.
const MARKS: [&str; 12] = ["-", "--", "–", "—", "?", "n/a", "N/A", "#N/A", "#REF!", "#VALUE!", "#NAME?", "#DIV/0!"];
/// Words that people write into cells without a value, in lower case.
const WORDS_FOR_NOTHING: [&str; 11] =
    ["na", "none", "null", "nil", "unknown", "unbekannt", "k.a.", "k. a.", "keine", "http://", "https://"];
/// The separator of Google Contacts.
const GOOGLE_SEPARATOR: &str = ":::";

/// Parses a cell of one or several values. The first one is the value, of phones the first valid one; the others are returned
/// as they are.
///
/// # Errors
/// Fails if the first value is not valid, or none of the phones.
pub(super) fn parse_first(field: &Field, text: &str) -> Result<ParsedCell, Issue> {
    // Nearly all cells have one value in the form of the API.
    let issue = match field.parse_text(text) {
        Ok(_) if field.kind == Kind::Phone && is_two_phones(text) => {
            Issue::new(&*field.internal_name, IssueCode::InvalidFormat, "must be one phone number")
        }
        Ok(value) => return Ok(ParsedCell { value, ..ParsedCell::default() }),
        Err(issue) => issue,
    };
    let text = without_formula(text);
    if is_placeholder(text) {
        return Ok(ParsedCell::default());
    }
    let text = with_plain_extension(field.kind, text);
    let values = split_list(field.kind, &text).into_iter().filter(|value| !is_placeholder(value));
    let (unusable, values): (Vec<_>, Vec<_>) = values.partition(|value| is_unusable(field.kind, value));
    let unusable = unusable.into_iter().map(str::to_owned).collect();
    if values.is_empty() {
        return Ok(ParsedCell { unusable, ..ParsedCell::default() });
    }
    // An email identifies a contact: another address does not replace an invalid one.
    let tried = if field.kind == Kind::Phone { values.len() } else { 1 };
    let parsed = (0..tried).find_map(|index| Some((index, parse_other_form(field, values[index])?)));
    let (taken, value) = parsed.ok_or(issue)?;
    let is_other = |(index, value): (usize, &str)| (index != taken).then(|| value.to_owned());
    let others = values.into_iter().enumerate().filter_map(is_other).collect();
    Ok(ParsedCell { value: Some(value), others, unusable })
}

/// Returns a list of phones without the semicolon before an extension (RFC 3966), which separates no values.
fn with_plain_extension(kind: Kind, text: &str) -> Cow<'_, str> {
    if kind == Kind::Phone && text.contains(";ext=") { text.replace(";ext=", " ext ").into() } else { text.into() }
}

/// Returns whether no contact has this value: the number of a fax, or the internal address of a mailbox in Exchange.
fn is_unusable(kind: Kind, text: &str) -> bool {
    if kind == Kind::Phone { is_fax(text) } else { is_exchange_address(text) }
}

/// Returns whether a text is a number with the label of a fax.
fn is_fax(text: &str) -> bool {
    let lower = text.to_lowercase();
    let has_label = ["fax", "telefax", "téléfax", "pager"].iter().any(|label| lower.starts_with(label));
    has_label && text.contains(|c: char| c.is_ascii_digit())
}

/// Returns whether a text is two phone numbers with ` / ` between them, and not one number with a slash.
fn is_two_phones(text: &str) -> bool {
    const MIN_DIGITS: usize = 6;
    let has_number = |part: &str| part.bytes().filter(u8::is_ascii_digit).count() >= MIN_DIGITS;
    // The second part of `+49 6221 / 123456` is no number of its own.
    text.split_once(" / ")
        .is_some_and(|(first, second)| has_number(first) && has_number(second) && second.starts_with(['+', '0', '(']))
}

/// Returns whether a text says that there is no value.
pub(in crate::import_export) fn is_placeholder(text: &str) -> bool {
    MARKS.iter().chain(&WORDS_FOR_NOTHING).any(|placeholder| placeholder.eq_ignore_ascii_case(text))
}

/// Returns whether a text is a mark for no value that can be no name.
pub(in crate::import_export) fn is_mark(text: &str) -> bool {
    const MAX_BYTES: usize = 7;
    text.len() <= MAX_BYTES && MARKS.contains(&text)
}

/// Splits a text at the separators that no value of the type contains.
fn split_list(kind: Kind, text: &str) -> Vec<&str> {
    let is_separator = |c: char| match kind {
        Kind::Email | Kind::User => matches!(c, ';' | ',' | '\n' | '\r' | '|'),
        Kind::Phone => matches!(c, ';' | ',' | '\n' | '\r' | '|'),
        _ => c == '\n' || c == '\r',
    };
    let pieces = text.split(GOOGLE_SEPARATOR).flat_map(|piece| piece.split(is_separator));
    // A URL can contain a semicolon and a slash, and a phone number a slash, but no space beside it.
    let pieces = pieces.flat_map(|piece| piece.split(if kind == Kind::Url { "; " } else { "\n" }));
    let pieces = pieces.flat_map(|piece| piece.split(" / ")).flat_map(|piece| split_at_or(kind, piece));
    let pieces = pieces.flat_map(|piece| split_addresses(kind, piece)).flat_map(|piece| split_at_labels(kind, piece));
    let is_blank = |c: char| c.is_whitespace() || super::is_invisible(c);
    pieces.map(|piece| super::trim(piece.trim_matches(is_blank))).filter(|piece| !piece.is_empty()).collect()
}

/// Splits a text at the words "or" and "and" of several languages.
fn split_at_or(kind: Kind, text: &str) -> Vec<&str> {
    const WORDS: [&str; 8] = [" oder ", " or ", " ou ", " o ", " und ", " and ", " et ", " y "];
    let parts: Vec<_> =
        WORDS.iter().fold(vec![text], |parts, word| parts.into_iter().flat_map(|part| part.split(word)).collect());
    // The words can be a part of a name before an address: `Tom and Jerry <tj@example.com>`.
    let sign = |part: &&str| if kind == Kind::Phone { part.contains(char::is_numeric) } else { part.contains('@') };
    if parts.iter().all(sign) { parts } else { vec![text] }
}

/// Splits phone numbers before the labels of the others: `Phone: 030 12 Mobile: 0170 12`.
fn split_at_labels(kind: Kind, text: &str) -> Vec<&str> {
    let mut starts = vec![0];
    if kind == Kind::Phone && text.matches(": ").count() > 1 {
        let words =
            text.split_inclusive(' ').scan(0, |end, word| Some((std::mem::replace(end, *end + word.len()), word)));
        starts
            .extend(words.filter(|(start, word)| *start > 0 && word.trim_end().ends_with(':')).map(|(start, _)| start));
    }
    let ends = starts.iter().skip(1).copied().chain([text.len()]);
    starts.iter().zip(ends).map(|(start, end)| &text[*start..end]).collect()
}

/// Splits a text at its spaces if that makes each part an address.
fn split_addresses(kind: Kind, text: &str) -> Vec<&str> {
    let parts: Vec<_> = text.split_whitespace().collect();
    let is_list =
        matches!(kind, Kind::Email | Kind::User) && parts.len() > 1 && parts.iter().all(|part| part.contains('@'));
    if is_list { parts } else { vec![text] }
}

/// Returns the text in `="0301234"`, with which programs keep Excel from changing a number.
fn without_formula(text: &str) -> &str {
    text.strip_prefix("=\"").and_then(|text| text.strip_suffix('"')).map_or(text, super::trim)
}

/// Returns whether a text is the internal address of a mailbox in Exchange, which Outlook writes instead of an email address.
fn is_exchange_address(text: &str) -> bool {
    text.get(..3).is_some_and(|start| start.eq_ignore_ascii_case("/o="))
}

/// Parses one value in a form that the API does not accept but that has one meaning.
fn parse_other_form(field: &Field, text: &str) -> Option<Value> {
    let text = match field.kind {
        Kind::Email | Kind::User => plain_address(text).into(),
        Kind::Phone => plain_phone(text).into(),
        _ => with_scheme(text),
    };
    field.parse_text(&text).ok().flatten()
}

/// Returns the address in `Ada <ada@example.com>`, `mailto:ada@example.com` and `ada@example.com (work)`.
fn plain_address(text: &str) -> &str {
    const LABELS: [&str; 4] = ["mailto:", "smtp:", "email:", "e-mail:"];
    let without_label = |label: &&str| {
        let start = text.get(..label.len())?;
        start.eq_ignore_ascii_case(label).then(|| &text[label.len()..])
    };
    let text = LABELS.iter().find_map(without_label).unwrap_or(text);
    let text = text.split_once(" (").filter(|(address, _)| address.contains('@')).map_or(text, |(address, _)| address);
    let text = text.trim_end_matches(['.', '#']);
    let address = text.rsplit_once('<').and_then(|(_, rest)| rest.strip_suffix('>')).unwrap_or(text);
    address.trim_matches(|c: char| c.is_whitespace() || super::is_invisible(c) || matches!(c, '\'' | '"'))
}

/// Returns a phone number with ASCII spaces and hyphens, without the invisible characters that phones copy along, and
/// without a label such as `Tel:` or `(work)`.
fn plain_phone(text: &str) -> String {
    let text = text.strip_prefix('\'').unwrap_or(text);
    let is_label = |label: &str| !label.bytes().any(|byte| byte.is_ascii_digit());
    let text = text.split_once(':').filter(|(label, _)| is_label(label)).map_or(text, |(_, number)| number.trim());
    let text = without_word(text);
    let parts = text.rsplit_once('(').and_then(|(before, rest)| Some((before, rest.split_once(')')?)));
    let text = match parts {
        Some((before, (label, after))) if is_label(label) => format!("{} {}", before.trim(), after.trim()),
        _ => text.to_owned(),
    };
    let convert = |c: char| match c {
        c if super::is_invisible(c) => None,
        '\u{2010}'..='\u{2015}' | '\u{2212}' => Some('-'),
        '[' => Some('('),
        ']' => Some(')'),
        c if c.is_whitespace() => Some(' '),
        '\u{ff0b}' => Some('+'),
        '·' | '•' | '_' => Some(' '),
        c => Some(c),
    };
    let plain: String = text.trim().chars().filter_map(convert).collect();
    with_extension(plain)
}

/// Returns a phone number with its extension after `ext`, which others call `extension` or write as `(DW 12)`.
fn with_extension(number: String) -> String {
    const WORDS: [&str; 9] =
        ["extensión", "extension", "ext:", "durchwahl", "nebenstelle", "nebenst", "poste", "dw", "kl."];
    let lower = number.to_lowercase();
    let found = WORDS.iter().find_map(|word| Some((lower.find(word)?, word)));
    let Some((start, word)) = found.filter(|_| lower.len() == number.len()) else { return number };
    let is_separator = |c: char| c.is_whitespace() || "(:.-".contains(c);
    let before = number[..start].trim_end_matches(is_separator);
    let after = number[start + word.len()..].trim_matches(|c: char| is_separator(c) || c == ')');
    if after.starts_with(|c: char| c.is_ascii_digit()) { format!("{before} ext {after}") } else { number }
}

/// Returns a phone number without a word such as `Tel.` before it.
fn without_word(text: &str) -> &str {
    let Some((word, number)) = text.split_once(' ') else { return text };
    let word = word.trim_end_matches('.').to_lowercase();
    let words = ["tel", "telefon", "fon", "phone", "ph", "mobil", "mobile", "mob", "handy", "cell", "t", "m"];
    if words.contains(&&*word) { number.trim_start() } else { text }
}

/// Returns a web address with a scheme.
fn with_scheme(text: &str) -> Cow<'_, str> {
    let text = text.trim_matches(['<', '>']).trim_start_matches("//");
    let has_host = text.split(['/', '?', '#']).next().is_some_and(|host| host.contains('.') && !host.contains('@'));
    if text.contains("://") || !has_host { text.into() } else { format!("https://{text}").into() }
}
