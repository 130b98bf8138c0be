//! `dropdown`: the internal name of one of the field's options.

use super::{Parsed, expect_string};
use crate::fields::{FieldOption, InvalidValue, IssueCode, Value};
use crate::json::Json;

/// Parses the internal name of an option.
pub(in crate::fields) fn parse(json: &Json<'_>, options: &[FieldOption]) -> Parsed {
    let name = expect_string(json)?;
    if name.is_empty() {
        return Ok(None);
    }
    position(options, name).map(|_| Some(Value::Text(name.into()))).ok_or_else(|| unknown_option(options))
}

/// Returns the index of an option in the field's order.
pub(in crate::fields) fn position(options: &[FieldOption], name: &str) -> Option<usize> {
    options.iter().position(|option| option.internal_name == name)
}

/// Returns the error for a name that is not an option. Its message lists the first 10 options.
pub(super) fn unknown_option(options: &[FieldOption]) -> InvalidValue {
    const MAX_LISTED: usize = 10;
    let names: Vec<_> = options.iter().take(MAX_LISTED).map(|option| option.internal_name.as_str()).collect();
    let more = if options.len() > MAX_LISTED { ", …" } else { "" };
    let message = format!("must be one of the field's options: {}{more}", names.join(", "));
    InvalidValue::new(IssueCode::InvalidOption, message)
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{expect_rejected, expect_strings_only, json, text_value};
    use super::*;

    #[test]
    fn dropdown_field_accepts_only_names_of_options() {
        let options = [FieldOption::new("small", "Small"), FieldOption::new("large", "Large")];
        assert_eq!(parse(&json("large"), &options), text_value("large"));
        assert_eq!(parse(&json(""), &options), Ok(None));
        expect_rejected(|json| parse(json, &options), IssueCode::InvalidOption, &["Large", "medium", " large", "\0"]);
        expect_strings_only(|json| parse(json, &options));
    }
}
