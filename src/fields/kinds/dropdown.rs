//! `dropdown`: the internal name of one of the field's options.

use super::{Parsed, string};
use crate::fields::{FieldOption, IssueCode, Refusal, Value};
use crate::json::Json;

pub(in crate::fields) fn parse(json: &Json<'_>, options: &[FieldOption]) -> Parsed {
    let name = string(json)?;
    if name.is_empty() {
        return Ok(None);
    }
    position(options, name).map(|_| Some(Value::Text(name.to_owned()))).ok_or_else(|| unknown_option(options))
}

/// Where an option stands in its field's order.
pub(in crate::fields) fn position(options: &[FieldOption], name: &str) -> Option<usize> {
    options.iter().position(|option| option.internal_name == name)
}

/// The refusal of a name that is no option; it names the first few that are.
pub(super) fn unknown_option(options: &[FieldOption]) -> Refusal {
    const SHOWN: usize = 10;
    let names: Vec<_> = options.iter().take(SHOWN).map(|option| option.internal_name.as_str()).collect();
    let more = if options.len() > SHOWN { ", …" } else { "" };
    Refusal::new(IssueCode::InvalidOption, format!("must be one of the field's options: {}{more}", names.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::super::samples::{json, only_strings, refused, set};
    use super::*;

    #[test]
    fn takes_the_names_of_options_only() {
        let options = [FieldOption::new("small", "Small"), FieldOption::new("large", "Large")];
        assert_eq!(parse(&json("large"), &options), set("large"));
        assert_eq!(parse(&json(""), &options), Ok(None));
        refused(|json| parse(json, &options), IssueCode::InvalidOption, &["Large", "medium", " large", "\0"]);
        only_strings(|json| parse(json, &options));
    }
}
