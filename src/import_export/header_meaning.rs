//! Finds what each header of a file means.

use std::sync::Arc;

use uuid::Uuid;

use super::column_target::{LeftOut, MatchRank};
use super::field_aliases::{AliasMeaning, find_alias};
use super::header_name::comparable_name;
use super::mapping_options::MappingOptions;
use super::table_sample::TableSample;
use crate::fields::{Field, Kind, Registry, system};

/// The last two headers of a report of refused rows.
pub const REPORT_HEADERS: [&str; 2] = ["reason", "line"];
/// The name by which `--map` chooses a column as the complete name.
const FULL_NAME: &str = "full_name";
/// Forms of address and academic degrees, which some programs call the title of a person.
const FORMS_OF_ADDRESS: [&str; 42] = [
    "mr",
    "mrs",
    "ms",
    "miss",
    "mx",
    "dr",
    "prof",
    "sir",
    "rev",
    "herr",
    "frau",
    "hr",
    "fr",
    "m",
    "mme",
    "mlle",
    "monsieur",
    "madame",
    "sr",
    "sra",
    "srta",
    "don",
    "dona",
    "drprof",
    "profdr",
    "professor",
    "doctor",
    "drmr",
    "drmrs",
    "mrmrs",
    "drmed",
    "drmeddent",
    "drrernat",
    "drphil",
    "drjur",
    "dring",
    "dipling",
    "diplkfm",
    "mag",
    "ing",
    "phd",
    "msc",
];
/// What programs call the roles of their users, which are no job titles.
const ROLES_OF_USERS: [&str; 16] = [
    "enduser",
    "agent",
    "admin",
    "administrator",
    "user",
    "customer",
    "subscriber",
    "member",
    "guest",
    "owner",
    "editor",
    "viewer",
    "contributor",
    "author",
    "lead",
    "contact",
];

/// What a header means.
#[derive(Debug, Clone)]
pub(super) enum HeaderMeaning {
    /// A field, if no other column names it in a better way.
    Field(Arc<Field>, MatchRank),
    /// The complete name.
    FullName(MatchRank),
    /// The complete name, or the part of it that has no other column.
    Name,
    /// A custom field to create. The name is set if the user has chosen it.
    NewField(Option<String>),
    /// Nothing.
    LeftOut(LeftOut),
    /// A choice of the user that is not possible, with the reason.
    Invalid(String),
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
    let name = header[index].trim();
    if let Some(map) = options.maps.iter().find(|map| map.is_for(index, name)) {
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
        None if name == FULL_NAME => HeaderMeaning::FullName(MatchRank::Chosen),
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
    let unknown = || match (options.create_fields, sample.has_values(index)) {
        (true, true) => HeaderMeaning::NewField(None),
        (true, false) => HeaderMeaning::LeftOut(LeftOut::Empty),
        (false, _) => HeaderMeaning::LeftOut(LeftOut::Unknown),
    };
    let Some(alias) = find_alias(header) else { return unknown() };
    let rank = if alias.is_weak { MatchRank::WeakAlias } else { MatchRank::Alias };
    match alias.meaning {
        AliasMeaning::FullName => HeaderMeaning::FullName(rank),
        AliasMeaning::Name => HeaderMeaning::Name,
        AliasMeaning::Field(name) => match registry.get(name).filter(|field| field.system) {
            Some(field) if field.id == system::JOB_TITLE && !has_job_titles(index, sample) => unknown(),
            Some(field) => check_owner(field, rank, index, sample),
            None => unknown(),
        },
    }
}

/// Returns whether a column has the ids of another system. Ids of contacts are UUIDs, and short ids are numbers of a table that
/// another file has, too.
fn has_foreign_ids(index: usize, sample: &TableSample) -> bool {
    const MIN_LENGTH: usize = 8;
    let is_foreign = |value: &str| value.len() >= MIN_LENGTH && Uuid::try_parse(value).is_err();
    sample.has_values(index) && sample.values(index).all(|value| is_foreign(value.trim()))
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
        return HeaderMeaning::LeftOut(LeftOut::NoEmails);
    }
    HeaderMeaning::Field(Arc::clone(field), rank)
}

/// Returns whether a column can have job titles: its values are neither mostly forms of address nor all roles of users.
fn has_job_titles(index: usize, sample: &TableSample) -> bool {
    let (mut values, mut forms, mut roles) = (0_usize, 0_usize, 0_usize);
    for value in sample.values(index).map(comparable_name) {
        values += 1;
        forms += usize::from(FORMS_OF_ADDRESS.contains(&&*value));
        roles += usize::from(ROLES_OF_USERS.contains(&&*value));
    }
    values == 0 || (forms * 2 <= values && roles < values)
}
