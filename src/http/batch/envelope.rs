//! The body of a batch: `{"inputs": [{"id"?, "fields"?, "if_match"?, "source_updated_at"?, "ref"?}…], "id_property"?,
//! "properties"?, "atomic"?, "on_archived"?}`.
//!
//! An error in the envelope rejects the whole call. An error in an input rejects only that input.

use std::borrow::Cow;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::contacts::{
    ContactPatch, ContactTarget, OnArchived, Precondition, Preconditions, UniqueKey, Upsert, Write, parse_id,
};
use crate::fields::{Field, InvalidValue, Issue, IssueCode, Number, Registry, Selection, Value, parse_instant, system};
use crate::http::error::ApiError;
use crate::http::query::unique_property;
use crate::json::{ArrayLimit, Json, Object};

/// The inputs of a batch. Parsing ends at the limit, so that more of them take no memory.
pub(super) const INPUTS_LIMIT: ArrayLimit = ArrayLimit { key: "inputs", max: MAX_INPUTS };
/// The maximum number of inputs of a batch.
pub(in crate::http) const MAX_INPUTS: usize = 1_000;
/// The number of characters of an unknown key that a message repeats.
const MAX_QUOTED_CHARACTERS: usize = 100;
/// The maximum number of characters of `ref`.
const MAX_REFERENCE_CHARACTERS: usize = 255;

/// The operation that a batch applies to each of its inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BatchAction {
    Create,
    Read,
    Update,
    Upsert,
    Archive,
}

impl BatchAction {
    /// Returns the keys of an input.
    fn input_keys(self) -> &'static [&'static str] {
        match self {
            Self::Create => &["fields", "ref"],
            Self::Read => &["id", "ref"],
            Self::Archive => &["id", "if_match", "ref"],
            Self::Update | Self::Upsert => &["id", "fields", "if_match", "source_updated_at", "ref"],
        }
    }
}

/// An input of a batch, as a JSON object that is not parsed further.
pub(super) type BatchInput<'a> = Object<'a>;

/// The parsed body of a batch. The content of its inputs is not parsed yet.
pub(super) struct BatchEnvelope<'b, 'a> {
    pub inputs: Vec<&'b BatchInput<'a>>,
    /// The unique property whose values identify the contacts. `None`: ids identify them.
    id_property: Option<Arc<Field>>,
    pub selection: Selection,
    pub is_atomic: bool,
    /// What an upsert does if only an archived contact has its key.
    on_archived: OnArchived,
}

/// An input, parsed for its action.
pub(super) struct ParsedInput<T> {
    /// The caller's own label of the input, which its result repeats.
    pub reference: Option<String>,
    pub parsed: Result<T, ApiError>,
}

impl<T> ParsedInput<T> {
    /// Parses an input with `parse`, after its label.
    pub(super) fn new(input: &BatchInput<'_>, parse: impl FnOnce() -> Result<T, ApiError>) -> Self {
        match parse_reference(input) {
            Ok(reference) => Self { reference, parsed: parse() },
            Err(error) => Self { reference: None, parsed: Err(error) },
        }
    }

    /// Returns the memory in addition to the size of this type and of the parsed value, in bytes.
    pub(super) fn memory_bytes(&self) -> usize {
        let reference = self.reference.as_ref().map_or(0, String::capacity);
        reference + self.parsed.as_ref().err().map_or(0, ApiError::memory_bytes)
    }
}

impl<'b, 'a> BatchEnvelope<'b, 'a> {
    pub(super) fn parse(body: &'b Object<'a>, action: BatchAction, registry: &Registry) -> Result<Self, ApiError> {
        let mut envelope = Self {
            inputs: vec![],
            id_property: None,
            selection: Selection::default(),
            is_atomic: false,
            on_archived: OnArchived::default(),
        };
        for (name, value) in body {
            match (&**name, value) {
                ("inputs", inputs) => envelope.inputs = parse_inputs(inputs)?,
                ("id_property", Json::Null) => {}
                ("id_property", _) if action == BatchAction::Create => {
                    return Err(invalid_body("batch/create does not support id_property. Leave it out"));
                }
                ("id_property", Json::String(name)) => envelope.id_property = parse_id_property(name, registry)?,
                ("id_property", _) => return Err(invalid_body("id_property must be a string")),
                ("properties", Json::Null) => {}
                ("properties", value) => envelope.selection = parse_properties(value, registry)?,
                ("atomic", Json::Bool(is_atomic)) => envelope.is_atomic = *is_atomic,
                ("atomic", _) => return Err(invalid_body("atomic must be true or false")),
                ("on_archived", Json::Null) if action == BatchAction::Upsert => {}
                ("on_archived", value) if action == BatchAction::Upsert => {
                    envelope.on_archived = parse_on_archived(value)?;
                }
                (unknown, _) => {
                    let keys = match action {
                        BatchAction::Upsert => "inputs, id_property, properties, atomic and on_archived",
                        _ => "inputs, id_property, properties and atomic",
                    };
                    return Err(invalid_body(format!("Unknown key \"{}\". A batch takes {keys}", shorten(unknown))));
                }
            }
        }
        if envelope.inputs.is_empty() || envelope.inputs.len() > INPUTS_LIMIT.max {
            return Err(invalid_input_count());
        }
        if action == BatchAction::Upsert && envelope.id_property.is_none() {
            return Err(invalid_body(
                "Missing id_property, for example \"id_property\": \"external_id\". The property id is not allowed here",
            ));
        }
        Ok(envelope)
    }

    /// Parses an input of a batch of writes.
    pub(super) fn parse_write(
        &self,
        input: &BatchInput<'_>,
        action: BatchAction,
        registry: &Registry,
    ) -> Result<Write, ApiError> {
        reject_unknown_keys(input, action)?;
        let preconditions = parse_preconditions(input)?;
        Ok(match action {
            BatchAction::Create => {
                let patch = ContactPatch::parse_new(input_fields(input)?, registry);
                Write::Create(patch.map_err(ApiError::ValidationFailed)?)
            }
            BatchAction::Update => {
                let id = self.input_id(input)?;
                let patch = ContactPatch::parse(input_fields(input)?, registry).map_err(ApiError::ValidationFailed)?;
                let source_updated_at = parse_source_time(input)?;
                Write::Update { target: self.parse_target(id)?, patch, preconditions, source_updated_at }
            }
            BatchAction::Upsert => {
                let id = self.input_id(input)?;
                let property = self.id_property.as_deref().ok_or(ApiError::NotFound)?;
                let upsert = Upsert::parse(property, parse_value(property, id), input_fields(input)?, registry);
                let (source_updated_at, on_archived) = (parse_source_time(input)?, self.on_archived);
                let upsert = upsert.map_err(ApiError::ValidationFailed)?;
                Write::Upsert(Upsert { preconditions, source_updated_at, on_archived, ..upsert })
            }
            BatchAction::Archive | BatchAction::Read => {
                Write::Archive { target: self.parse_target(self.input_id(input)?)?, preconditions }
            }
        })
    }

    /// Parses an input of a batch of reads, which consists of an `id` only. Returns the contact that the id identifies.
    pub(super) fn parse_id_only(&self, input: &BatchInput<'_>) -> Result<ContactTarget, ApiError> {
        reject_unknown_keys(input, BatchAction::Read)?;
        self.parse_target(self.input_id(input)?)
    }

    /// Returns the `id` of an input. A blank string is not an id, but it can be the value of a property.
    fn input_id<'i, 'j>(&self, input: &'i BatchInput<'j>) -> Result<&'i Json<'j>, ApiError> {
        let is_missing = |id: &Json<'_>| match id {
            Json::Null => true,
            Json::String(text) => text.is_empty() || (self.id_property.is_none() && text.trim().is_empty()),
            _ => false,
        };
        member(input, "id").filter(|id| !is_missing(id)).ok_or(ApiError::MissingContactId)
    }

    fn parse_target(&self, id: &Json<'_>) -> Result<ContactTarget, ApiError> {
        match (&self.id_property, id) {
            (None, Json::String(text)) => {
                parse_id(text).map(ContactTarget::Id).ok_or_else(|| ApiError::InvalidContactId(text.to_string()))
            }
            (None, _) => Err(invalid_body("id must be a string")),
            (Some(property), id) => {
                let value = parse_value(property, id).map_err(|issue| match id {
                    // As for a value in a path: no contact can have a value that is invalid for the property.
                    Json::String(_) => ApiError::ContactNotFound,
                    _ => ApiError::ValidationFailed([issue].into()),
                })?;
                Ok(ContactTarget::Key(UniqueKey::from_value(property, &value)))
            }
        }
    }
}

fn parse_inputs<'b, 'a>(inputs: &'b Json<'a>) -> Result<Vec<&'b BatchInput<'a>>, ApiError> {
    let as_object = |input: &'b Json<'a>| if let Json::Object(input) = input { Some(input) } else { None };
    let objects = if let Json::Array(inputs) = inputs { inputs.iter().map(as_object).collect() } else { None };
    objects.ok_or(invalid_body("inputs must be an array of objects"))
}

/// Returns the unique property with this name. Returns `None` for `id`, which is the default.
fn parse_id_property(name: &str, registry: &Registry) -> Result<Option<Arc<Field>>, ApiError> {
    let property = unique_property(registry, name);
    let property = property.map_err(|invalid| ApiError::InvalidQuery([invalid.for_field("id_property")].into()))?;
    Ok(Some(property).filter(|field| field.id != system::ID))
}

/// Parses the `id` of an input as a value of a property: of the property's JSON type, or in the text form of a path.
fn parse_value(property: &Field, id: &Json<'_>) -> Result<Value, Issue> {
    let parsed = match id {
        Json::String(text) => property.parse_text(text)?,
        other => property.parse(other)?,
    };
    parsed.ok_or_else(|| Issue::new(&*property.internal_name, IssueCode::Required, "must not be blank in id"))
}

fn parse_on_archived(json: &Json<'_>) -> Result<OnArchived, ApiError> {
    let on_archived = if let Json::String(name) = json { OnArchived::from_name(name) } else { None };
    on_archived.ok_or(invalid_body("on_archived must be create, restore or refuse"))
}

/// Parses `ref`, the caller's own label of an input.
fn parse_reference(input: &BatchInput<'_>) -> Result<Option<String>, ApiError> {
    match member(input, "ref") {
        None | Some(Json::Null) => Ok(None),
        Some(Json::String(text)) if text.chars().count() <= MAX_REFERENCE_CHARACTERS => Ok(Some(text.to_string())),
        Some(_) => Err(invalid_body("ref must be a string of at most 255 characters")),
    }
}

/// Parses `source_updated_at` of an input.
fn parse_source_time(input: &BatchInput<'_>) -> Result<Option<DateTime<Utc>>, ApiError> {
    let wrong_type = || InvalidValue::new(IssueCode::InvalidType, "must be a string");
    let parsed = match member(input, "source_updated_at") {
        None | Some(Json::Null) => return Ok(None),
        Some(Json::String(text)) => parse_instant(text),
        Some(_) => Err(wrong_type()),
    };
    let invalid = |invalid: InvalidValue| ApiError::ValidationFailed([invalid.for_field("source_updated_at")].into());
    parsed.map(Some).map_err(invalid)
}

/// Returns a member of an input.
fn member<'i, 'a>(input: &'i BatchInput<'a>, name: &str) -> Option<&'i Json<'a>> {
    input.iter().find(|(key, _)| key == name).map(|(_, json)| json)
}

fn input_fields<'i, 'a>(input: &'i BatchInput<'a>) -> Result<&'i Object<'a>, ApiError> {
    match member(input, "fields") {
        Some(Json::Object(fields)) => Ok(fields),
        _ => Err(invalid_body("The input must have \"fields\": {internal_name: value, …}")),
    }
}

/// Parses `if_match` of an input: entity tags as in the header, or the version of the contact.
fn parse_preconditions(input: &BatchInput<'_>) -> Result<Preconditions, ApiError> {
    let if_match = match member(input, "if_match") {
        None => Some(Precondition::None),
        Some(Json::String(text)) => Precondition::parse(text),
        Some(Json::Number(digits)) => parse_version(digits).map(Precondition::Version),
        Some(_) => None,
    };
    let message = "if_match must be a string as in the header If-Match, such as \"\\\"tag\\\"\", or the contact's version, \
                   an integer from 1 on";
    Ok(Preconditions { if_match: if_match.ok_or(invalid_body(message))?, ..Preconditions::default() })
}

/// Parses the version of a contact. `5.0` is the integer 5.
fn parse_version(digits: &str) -> Option<i64> {
    match Number::parse(digits)? {
        Number::Integer(version) => i64::try_from(version).ok().filter(|version| *version >= 1),
        Number::Double(_) => None,
    }
}

fn reject_unknown_keys(input: &BatchInput<'_>, action: BatchAction) -> Result<(), ApiError> {
    match input.iter().find(|(name, _)| !action.input_keys().contains(&&**name)) {
        Some((name, _)) => {
            let keys = action.input_keys().join(" and ");
            Err(invalid_body(format!("Unknown key \"{}\". The inputs of this batch take {keys}", shorten(name))))
        }
        None => Ok(()),
    }
}

/// Parses `properties`: an array of names, or names separated by commas as in a query.
fn parse_properties<'a>(json: &'a Json<'_>, registry: &Registry) -> Result<Selection, ApiError> {
    let as_name = |item: &'a Json<'_>| if let Json::String(name) = item { Some(&**name) } else { None };
    let selection = match json {
        Json::String(list) => Selection::parse(list.split(','), registry),
        Json::Array(items) if items.iter().all(|item| as_name(item).is_some()) => {
            Selection::parse(items.iter().filter_map(as_name), registry)
        }
        _ => return Err(invalid_body("properties must be an array of names")),
    };
    selection.map_err(ApiError::InvalidProperties)
}

/// Returns the error for a batch without inputs or with too many.
pub(super) fn invalid_input_count() -> ApiError {
    invalid_body("inputs must contain 1 to 1000 objects")
}

fn invalid_body(message: impl Into<Cow<'static, str>>) -> ApiError {
    ApiError::InvalidBody(message.into())
}

fn shorten(key: &str) -> String {
    key.chars().take(MAX_QUOTED_CHARACTERS).collect()
}
