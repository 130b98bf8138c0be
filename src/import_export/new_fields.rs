//! The definitions of the fields that `--create-fields` creates.

use super::mapping_options::MappingOptions;
use super::table_sample::TableSample;
use crate::fields::{Kind, NewField, Registry};
use crate::json::Json;

/// Returns the definition of a field for a column. The label is the header. The type is the one that the user has chosen,
/// or the one that the values show.
///
/// # Errors
/// Fails if the header or the chosen name is not allowed, or if it is too similar to another name.
pub(super) fn define_field(
    (index, header): (usize, &str),
    chosen_name: Option<&str>,
    options: &MappingOptions,
    sample: &TableSample,
    (registry, others): (&Registry, &[NewField]),
) -> Result<NewField, String> {
    let refused = |reason: &str| Err(format!("Cannot create a field for column \"{header}\": {reason}"));
    let chosen_kind =
        options.field_types.iter().find(|choice| choice.is_for(index, header)).map(|choice| choice.choice);
    let kind = chosen_kind.unwrap_or_else(|| sample.detect_kind(index, options.date_format));
    let new = match parse_definition(header, chosen_name, kind) {
        Ok(new) => new,
        Err(reason) => return refused(&reason),
    };
    let name = &new.internal_name;
    let similar = registry.get_similar(name).map(|field| field.internal_name.as_str());
    let similar =
        similar.or_else(|| others.iter().map(|other| &*other.internal_name).find(|other| new.has_similar_name(other)));
    match similar {
        None => Ok(new),
        Some(similar) if similar == name => refused(&format!(
            "the name {name} is taken. To import into that field, use --map \"{header}={name}\". \
             To create another one, use --map \"{header}=NAME\""
        )),
        Some(similar) => refused(&format!(
            "its name {name} differs from {similar} only in underscores before digits. \
             Choose another name with --map \"{header}=NAME\""
        )),
    }
}

fn parse_definition(header: &str, internal_name: Option<&str>, kind: Kind) -> Result<NewField, String> {
    let mut body =
        vec![("label".into(), Json::String(header.into())), ("type".into(), Json::String(kind.as_str().into()))];
    body.extend(internal_name.map(|name| ("internal_name".into(), Json::String(name.into()))));
    NewField::parse(&body)
        .map_err(|issues| issues.first().map(|issue| format!("{} {}", issue.field, issue.message)).unwrap_or_default())
}
