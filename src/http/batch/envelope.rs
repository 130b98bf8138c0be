//! The body of a batch: `{"inputs": [{"id"?, "fields"?}…], "id_property"?, "properties"?, "atomic"?}`.
//!
//! A fault of the envelope refuses the whole call, a fault of an input that input alone.

use std::borrow::Cow;
use std::sync::Arc;

use crate::contacts::{Draft, Precondition, Target, UniqueKey, Upsert, Write, parse_id};
use crate::fields::{Field, Issue, IssueCode, Registry, Selection, Value, system};
use crate::http::error::ApiError;
use crate::http::query::unique_property;
use crate::json::{Json, Object};

const MAX_INPUTS: usize = 1_000;

/// What a batch does with its inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Create,
    Read,
    Update,
    Upsert,
    Archive,
}

impl Action {
    /// The keys that an input of it has.
    fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Create => &["fields"],
            Self::Read | Self::Archive => &["id"],
            Self::Update | Self::Upsert => &["id", "fields"],
        }
    }
}

/// An input as it was sent.
pub(super) type Input<'a> = Object<'a>;

/// The body of a batch, its inputs not yet looked into.
pub(super) struct Envelope<'b, 'a> {
    pub inputs: Vec<&'b Input<'a>>,
    /// The unique property whose values the inputs have as `id`; `None` for ids.
    property: Option<Arc<Field>>,
    pub selection: Selection,
    pub atomic: bool,
}

impl<'b, 'a> Envelope<'b, 'a> {
    /// Reads the body.
    pub(super) fn parse(body: &'b Object<'a>, action: Action, registry: &Registry) -> Result<Self, ApiError> {
        let mut envelope = Self { inputs: vec![], property: None, selection: Selection::default(), atomic: false };
        for (name, value) in body {
            match (&**name, value) {
                ("inputs", Json::Array(inputs)) => {
                    let objects =
                        inputs.iter().map(|input| if let Json::Object(input) = input { Some(input) } else { None });
                    envelope.inputs =
                        objects.collect::<Option<_>>().ok_or(shape("inputs must be an array of objects"))?;
                }
                ("inputs", _) => return Err(shape("inputs must be an array of objects")),
                ("id_property", Json::String(name)) if action != Action::Create => {
                    let property = unique_property(registry, name);
                    let property =
                        property.map_err(|refusal| ApiError::InvalidQuery(vec![refusal.of("id_property")]))?;
                    envelope.property = Some(property).filter(|field| field.id != system::ID);
                }
                ("id_property", Json::Null) => {}
                ("id_property", _) if action == Action::Create => return Err(shape("a creation takes no id_property")),
                ("id_property", _) => return Err(shape("id_property must be a string")),
                ("properties", Json::Null) => {}
                ("properties", value) => envelope.selection = selection(value, registry)?,
                ("atomic", Json::Bool(atomic)) => envelope.atomic = *atomic,
                ("atomic", _) => return Err(shape("atomic must be true or false")),
                (other, _) => return Err(shape(format!("The body has an unknown key: {}", shortened(other)))),
            }
        }
        if !(1..=MAX_INPUTS).contains(&envelope.inputs.len()) {
            return Err(shape("inputs must hold 1 to 1000 objects"));
        }
        if action == Action::Upsert && envelope.property.is_none() {
            return Err(shape("id_property must name a unique property other than id"));
        }
        Ok(envelope)
    }

    /// The write that an input asks for.
    pub(super) fn write(&self, input: &Input<'_>, action: Action, registry: &Registry) -> Result<Write, ApiError> {
        refuse_other_keys(input, action)?;
        let precondition = Precondition::None;
        Ok(match action {
            Action::Create => {
                Write::Create(Draft::parse_new(fields(input)?, registry).map_err(ApiError::ValidationFailed)?)
            }
            Action::Update => {
                let id = self.id(input)?;
                let draft = Draft::parse(fields(input)?, registry).map_err(ApiError::ValidationFailed)?;
                Write::Update { target: self.target_of(id)?, draft, precondition }
            }
            Action::Upsert => {
                let (id, property) = (self.id(input)?, self.property.as_deref().ok_or(ApiError::NotFound)?);
                let upsert = Upsert::parse(property, value(property, id), fields(input)?, registry);
                Write::Upsert(upsert.map_err(ApiError::ValidationFailed)?)
            }
            Action::Archive | Action::Read => Write::Archive { target: self.target(input)?, precondition },
        })
    }

    /// The contact that an input names and does nothing else.
    pub(super) fn target(&self, input: &Input<'_>) -> Result<Target, ApiError> {
        refuse_other_keys(input, Action::Read)?;
        self.target_of(self.id(input)?)
    }

    /// What an input names its contact by. A text of blanks is no id, but can be a value of a property.
    fn id<'i, 'j>(&self, input: &'i Input<'j>) -> Result<&'i Json<'j>, ApiError> {
        let is_missing = |id: &Json<'_>| match id {
            Json::Null => true,
            Json::String(text) => text.is_empty() || (self.property.is_none() && text.trim().is_empty()),
            _ => false,
        };
        let id = input.iter().find(|(name, _)| name == "id").map(|(_, id)| id);
        id.filter(|id| !is_missing(id)).ok_or(ApiError::MissingContactId)
    }

    fn target_of(&self, id: &Json<'_>) -> Result<Target, ApiError> {
        match (&self.property, id) {
            (None, Json::String(text)) => parse_id(text).map(Target::Id).ok_or(ApiError::NotFound),
            (None, _) => Err(shape("id must be a string")),
            (Some(property), id) => {
                let value = value(property, id).map_err(|issue| match id {
                    // As in a path: what the property can't be, no contact has.
                    Json::String(_) => ApiError::NotFound,
                    _ => ApiError::ValidationFailed(vec![issue]),
                })?;
                Ok(Target::Key(UniqueKey::of(property, &value)))
            }
        }
    }
}

/// The value of a property that an input has as its id: of the property's own type, or as the text that a path would
/// hold.
fn value(property: &Field, id: &Json<'_>) -> Result<Value, Issue> {
    let parsed = match id {
        Json::String(text) => property.parse_text(text)?,
        other => property.parse(other)?,
    };
    parsed.ok_or_else(|| Issue::new(&*property.internal_name, IssueCode::Required, "must not be blank as an id"))
}

fn fields<'i, 'a>(input: &'i Input<'a>) -> Result<&'i Object<'a>, ApiError> {
    match input.iter().find(|(name, _)| name == "fields") {
        Some((_, Json::Object(fields))) => Ok(fields),
        _ => Err(shape("The input must have fields: {internal_name: value, …}")),
    }
}

fn refuse_other_keys(input: &Input<'_>, action: Action) -> Result<(), ApiError> {
    match input.iter().find(|(name, _)| !action.keys().contains(&&**name)) {
        Some((name, _)) => {
            let keys = action.keys().join(" and ");
            Err(shape(format!("The input has a key besides {keys}: {}", shortened(name))))
        }
        None => Ok(()),
    }
}

/// The fields to show: an array of names, or names joined by commas as in a query.
fn selection(json: &Json<'_>, registry: &Registry) -> Result<Selection, ApiError> {
    let name = |item: &'_ Json<'_>| if let Json::String(name) = item { Some(name.to_string()) } else { None };
    let names: Option<Vec<String>> = match json {
        Json::String(list) => Some(list.split(',').map(str::to_owned).collect()),
        Json::Array(items) => items.iter().map(name).collect(),
        _ => None,
    };
    let names = names.ok_or(shape("properties must be an array of names"))?;
    let names = names.iter().map(String::as_str);
    Selection::parse(names, registry).map_err(ApiError::InvalidProperties)
}

fn shape(rule: impl Into<Cow<'static, str>>) -> ApiError {
    ApiError::InvalidBody(rule.into())
}

/// A name as a message repeats it.
fn shortened(name: &str) -> String {
    name.chars().take(100).collect()
}
