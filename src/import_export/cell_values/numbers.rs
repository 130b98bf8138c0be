//! Numbers as people and spreadsheets write them: `1,234.50`, `1.234,50`, `1 234,50`.

/// The characters that separate groups of digits, beside the one of `,` and `.` that is not the decimal sign.
const GROUP_SEPARATORS: [char; 5] = [' ', '\u{a0}', '\u{202f}', '\'', '’'];

/// The decimal sign of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::import_export) enum DecimalSign {
    #[default]
    Point,
    Comma,
}

impl DecimalSign {
    /// Returns the decimal sign of a column: a comma if a value shows that it is one, and no value shows the opposite.
    pub(in crate::import_export) fn detect<'a>(values: impl Iterator<Item = &'a str>) -> Self {
        let (mut commas, mut points) = (false, false);
        for value in values {
            let digits = value.trim_start_matches(['-', '+']);
            commas |= is_decimal(digits, ',', '.');
            points |= is_decimal(digits, '.', ',');
        }
        if commas && !points { Self::Comma } else { Self::Point }
    }

    fn characters(self) -> (char, char) {
        match self {
            Self::Point => ('.', ','),
            Self::Comma => (',', '.'),
        }
    }
}

/// Returns whether a number shows that `decimal` is its decimal sign: the sign occurs once, after every `group` sign, and
/// not before exactly three digits, because it could separate groups then, unless only zero is before it.
fn is_decimal(digits: &str, decimal: char, group: char) -> bool {
    let Some((whole, fraction)) = digits.split_once(decimal) else { return false };
    let is_number =
        |text: &str| text.chars().all(|c| c.is_ascii_digit() || c == group || GROUP_SEPARATORS.contains(&c));
    let has_groups = whole.contains(group) || whole.contains(GROUP_SEPARATORS);
    let is_fraction = !fraction.is_empty() && fraction.bytes().all(|byte| byte.is_ascii_digit());
    is_number(whole) && is_fraction && (fraction.len() != 3 || has_groups || whole.len() > 3 || whole == "0")
}

/// Returns a number in the form of JSON, or `None` if the text is not a number.
pub(in crate::import_export) fn parse_number(text: &str, sign: DecimalSign) -> Option<String> {
    let (decimal, group) = sign.characters();
    let (minus, digits) = match text.strip_prefix(['-', '\u{2212}']) {
        Some(digits) => ("-", digits),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let (mantissa, exponent) = digits.find(['e', 'E']).map_or((digits, ""), |index| digits.split_at(index));
    let (whole, fraction) = mantissa.split_once(decimal).map_or((mantissa, None), |(a, b)| (a, Some(b)));
    let whole = join_groups(whole, group)?;
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_digits(&whole) || fraction.is_some_and(|fraction| !is_digits(fraction)) {
        return None;
    }
    let whole = whole.trim_start_matches('0');
    let whole = if whole.is_empty() { "0" } else { whole };
    let fraction = fraction.map(|fraction| format!(".{fraction}")).unwrap_or_default();
    Some(format!("{minus}{whole}{fraction}{exponent}"))
}

/// Joins the groups of a whole number: one to three digits, then groups of exactly three.
fn join_groups(whole: &str, group: char) -> Option<String> {
    let is_separator = |c: char| c == group || GROUP_SEPARATORS.contains(&c);
    if !whole.contains(is_separator) {
        return Some(whole.to_owned());
    }
    let groups: Vec<_> = whole.split(is_separator).collect();
    let (first, others) = groups.split_first()?;
    let is_valid = (1..=3).contains(&first.len()) && others.iter().all(|group| group.len() == 3);
    is_valid.then(|| groups.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimal_comma_is_detected_only_where_the_column_shows_it() {
        for (values, sign) in [
            (&["12,5", "3"][..], DecimalSign::Comma),
            (&["1.234,50"], DecimalSign::Comma),
            (&["1 234,567"], DecimalSign::Comma),
            (&["0,500", "0,123"], DecimalSign::Comma),
            (&["1,234"], DecimalSign::Point),
            (&["1,234.5", "1,234"], DecimalSign::Point),
            (&["1.5", "1,5"], DecimalSign::Point),
            (&["12", "abc", ""], DecimalSign::Point),
        ] {
            assert_eq!(DecimalSign::detect(values.iter().copied()), sign, "{values:?}");
        }
    }

    #[test]
    fn numbers_are_converted_to_json() {
        for (text, sign, json) in [
            ("1,234.50", DecimalSign::Point, Some("1234.50")),
            ("1.234,50", DecimalSign::Comma, Some("1234.50")),
            ("-1 234", DecimalSign::Point, Some("-1234")),
            ("+5", DecimalSign::Point, Some("5")),
            ("007", DecimalSign::Point, Some("7")),
            ("1.234", DecimalSign::Comma, Some("1234")),
            ("1e3", DecimalSign::Point, Some("1e3")),
            ("1,23", DecimalSign::Point, None),
            ("12,34,567", DecimalSign::Point, None),
            ("1.", DecimalSign::Point, None),
            ("", DecimalSign::Point, None),
            ("12 apples", DecimalSign::Point, None),
        ] {
            assert_eq!(parse_number(text, sign).as_deref(), json, "{text} {sign:?}");
        }
    }
}
