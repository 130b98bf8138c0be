//! Finds what each header of a file means.

use std::sync::Arc;

use super::column_target::{LeftOut, MatchRank};
use super::column_values::{find_by_values, has_foreign_ids, has_job_titles};
use super::field_aliases::{AliasMeaning, find_alias};
use super::full_name::NameOrder;
use super::header_name::comparable_name;
use super::mapping_options::MappingOptions;
use super::table_sample::TableSample;
use crate::fields::{Field, Kind, Registry, system};

/// The last two headers of a report of refused rows.
pub const REPORT_HEADERS: [&str; 2] = ["reason", "line"];
/// The name by which `--map` chooses a column as the complete name.
const FULL_NAME: &str = "full_name";
/// What a header means.
#[derive(Debug, Clone)]
pub(super) enum HeaderMeaning {
    /// A field, if no other column names it in a better way.
    Field(Arc<Field>, MatchRank),
    /// The complete name, with the order of its parts if the header says it.
    FullName(MatchRank, Option<NameOrder>),
    /// The complete name, or the part of it that has no other column.
    Name(MatchRank),
    /// A custom field to create. The name is set if the user has chosen it.
    NewField(Option<String>),
    /// Nothing.
    LeftOut(LeftOut),
    /// A choice of the user that is not possible, with the reason.
    Invalid(String),
}

impl HeaderMeaning {
    /// Returns whether this is the complete name, with this rank or a better one.
    pub(super) fn is_name(&self, worst: MatchRank) -> bool {
        matches!(self, Self::FullName(rank, _) | Self::Name(rank) if *rank <= worst)
    }
}

/// Returns whether a header names a field, the name of a person or a read-only column. It is a sign of a header row.
pub(super) fn is_known_header(header: &str, registry: &Registry) -> bool {
    let header = header.trim();
    let comparable = comparable_name(header);
    !comparable.is_empty() && (find_field(header, &comparable, registry).is_some() || find_alias(header).is_some())
}

/// Returns whether the last columns are the ones that a report of refused rows adds.
#[must_use]
pub fn is_report(header: &[String]) -> bool {
    matches!(header, [_, .., reason, line] if [reason, line] == REPORT_HEADERS)
}

/// Finds what the header of a column means. `is_report` says whether the file is a report of refused rows.
pub(super) fn find_meaning(
    index: usize,
    header: &[String],
    options: &MappingOptions,
    sample: &TableSample,
    registry: &Registry,
) -> HeaderMeaning {
    let name = without_group(header[index].trim(), header);
    if let Some(map) = options.maps.iter().find(|map| map.is_for(index, header[index].trim())) {
        return chosen_meaning(name, &map.choice, options, registry);
    }
    if is_report(header) && index + 2 >= header.len() {
        return HeaderMeaning::LeftOut(LeftOut::Report);
    }
    let comparable = comparable_name(name);
    if comparable.is_empty() {
        return HeaderMeaning::LeftOut(LeftOut::NoHeader);
    }
    if let Some(message) = registry.unsupported_message(name) {
        return HeaderMeaning::LeftOut(LeftOut::Unsupported(message));
    }
    match find_field(name, &comparable, registry) {
        Some((field, _)) if field.id == system::ID && has_foreign_ids(index, sample) => external_id(registry),
        Some((field, _)) if !field.writable => HeaderMeaning::LeftOut(LeftOut::ReadOnly),
        Some((field, rank)) => check_owner(field, rank, index, sample),
        None if system::is_system_owned(name) => HeaderMeaning::LeftOut(LeftOut::ReadOnly),
        None => find_by_alias(index, name, options, sample, registry),
    }
}

/// Returns a header such as `Phones / Primary Phone` without the group, if another column is in the same group.
fn without_group<'a>(name: &'a str, header: &[String]) -> &'a str {
    let Some((group, rest)) = name.split_once(" / ") else { return name };
    let is_member = |other: &String| other.trim().split_once(" / ").is_some_and(|(other, _)| other == group);
    let members = header.iter().filter(|other| is_member(other)).count();
    if members > 1 { rest } else { name }
}

/// Returns the meaning that the user has chosen. An empty name leaves the column out.
fn chosen_meaning(header: &str, name: &str, options: &MappingOptions, registry: &Registry) -> HeaderMeaning {
    let invalid = |reason: &str| HeaderMeaning::Invalid(format!("--map \"{header}={name}\": {reason}"));
    if name.is_empty() {
        return HeaderMeaning::LeftOut(LeftOut::Chosen);
    }
    match registry.get(name) {
        Some(field) if field.writable => HeaderMeaning::Field(Arc::clone(field), MatchRank::Chosen),
        Some(_) => invalid(&format!("{name} is read-only and cannot be imported")),
        None if system::is_system_owned(name) => invalid(&format!("{name} is read-only and cannot be imported")),
        None if name == FULL_NAME => HeaderMeaning::FullName(MatchRank::Chosen, None),
        None => match registry.unsupported_message(name) {
            Some(message) => invalid(&format!("the field {message}")),
            None if options.create_fields => HeaderMeaning::NewField(Some(name.to_owned())),
            None => invalid(&format!("the account has no field {name}")),
        },
    }
}

/// Returns the field with this internal name or label.
fn find_field<'a>(name: &str, comparable: &str, registry: &'a Registry) -> Option<(&'a Arc<Field>, MatchRank)> {
    let find = |is_match: &dyn Fn(&Field) -> bool| registry.fields().iter().find(|field| is_match(field));
    if let Some(field) = registry.get(name) {
        return Some((field, MatchRank::ExactName));
    }
    let by_name = find(&|field| comparable_name(&field.internal_name) == comparable);
    let by_label = || find(&|field| comparable_name(&field.label) == comparable);
    by_name.map(|field| (field, MatchRank::InternalName)).or_else(|| Some((by_label()?, MatchRank::Label)))
}

fn find_by_alias(
    index: usize,
    header: &str,
    options: &MappingOptions,
    sample: &TableSample,
    registry: &Registry,
) -> HeaderMeaning {
    let Some(alias) = find_alias(header) else {
        let by_values = find_by_values(index, header, sample).and_then(|(id, rank)| Some((registry.by_id(id)?, rank)));
        return match by_values {
            Some((field, rank)) => HeaderMeaning::Field(Arc::clone(field), rank),
            None => unknown_meaning(index, options, sample),
        };
    };
    match alias.meaning {
        AliasMeaning::FullName(order) => HeaderMeaning::FullName(alias.rank, order),
        AliasMeaning::Name => HeaderMeaning::Name(alias.rank),
        AliasMeaning::Field(name) => match registry.get(name).filter(|field| field.system) {
            Some(field)
                if field.id == system::JOB_TITLE
                    && alias.rank != MatchRank::Alias
                    && !has_job_titles(header, index, sample) =>
            {
                match unknown_meaning(index, options, sample) {
                    HeaderMeaning::LeftOut(LeftOut::Unknown) => HeaderMeaning::LeftOut(LeftOut::NoJobTitles),
                    new_field => new_field,
                }
            }
            Some(field) => check_owner(field, alias.rank, index, sample),
            None => unknown_meaning(index, options, sample),
        },
    }
}

/// Returns the meaning of a header that names no field.
pub(super) fn unknown_meaning(index: usize, options: &MappingOptions, sample: &TableSample) -> HeaderMeaning {
    match (options.create_fields, sample.has_values(index)) {
        (true, true) => HeaderMeaning::NewField(None),
        (true, false) => HeaderMeaning::LeftOut(LeftOut::Empty),
        (false, _) => HeaderMeaning::LeftOut(LeftOut::Unknown),
    }
}

fn external_id(registry: &Registry) -> HeaderMeaning {
    let field = registry.by_id(system::EXTERNAL_ID);
    field.map_or(HeaderMeaning::LeftOut(LeftOut::ReadOnly), |field| {
        HeaderMeaning::Field(Arc::clone(field), MatchRank::WeakAlias)
    })
}

/// Leaves out a column for a user that has values but no email: programs write the names of owners there.
fn check_owner(field: &Arc<Field>, rank: MatchRank, index: usize, sample: &TableSample) -> HeaderMeaning {
    let has_email = || sample.values(index).any(|value| value.contains('@'));
    if field.kind == Kind::User && field.system && sample.has_values(index) && !has_email() {
        return HeaderMeaning::LeftOut(LeftOut::OtherForm(field.internal_name.clone()));
    }
    HeaderMeaning::Field(Arc::clone(field), rank)
}
