//! The bodies of the fields API: the definition of a new custom field, and a change of a custom field
//! (`docs/api-reference.md#fields-api`).

use std::borrow::Cow;

use super::internal_names::{
    FIELD_NAME_RULE, distinct_form, field_name_from_label, is_field_name, is_option_name, is_reserved, name_from_label,
    parse_label,
};
use super::kinds::dropdown;
use super::{Field, FieldId, FieldOption, Issue, IssueCode, Issues, Kind};
use crate::json::{Json, Object};

const MAX_OPTIONS: usize = 1_000;
/// The maximum length of the options of a field as compact JSON, in bytes.
const MAX_OPTIONS_BYTES: usize = 65_536;

/// The definition of a new custom field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewField {
    /// The name in requests and responses.
    pub internal_name: String,
    /// The name for people.
    pub label: String,
    /// Its type.
    pub kind: Kind,
    /// Whether no two active contacts may share a value.
    pub unique: bool,
    /// Its options in order; empty for types without options.
    pub options: Vec<FieldOption>,
}

/// A change of a custom field. A property that is `None` stays unchanged.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldPatch {
    /// The new label.
    pub label: Option<String>,
    /// The complete new list of options, in order.
    pub options: Option<Vec<FieldOption>>,
}

impl NewField {
    /// Parses the body of `POST /fields`.
    ///
    /// # Errors
    /// Returns every problem of every key.
    pub fn parse(body: &Object<'_>) -> Result<Self, Issues> {
        let mut keys = DefinitionKeys::new(body, &["internal_name", "label", "type", "unique", "options"]);
        let label = keys.read_label();
        let kind = keys.read_kind();
        let internal_name = keys.read_internal_name(label.as_deref());
        let unique = keys.read_unique(kind);
        let options = keys.read_options(kind, &[]);
        let new = label.zip(kind).zip(internal_name).map(|((label, kind), internal_name)| Self {
            internal_name,
            label,
            kind,
            unique,
            options,
        });
        match new {
            Some(new) if keys.issues.is_empty() => Ok(new),
            _ => Err(keys.issues),
        }
    }

    /// Returns whether generated clients could not tell the field's name apart from this name
    /// (`docs/api-reference.md#fields-api`).
    #[must_use]
    pub fn has_similar_name(&self, internal_name: &str) -> bool {
        distinct_form(&self.internal_name) == distinct_form(internal_name)
    }

    /// Returns the field without its final id and times. It can validate values before the field is created.
    #[must_use]
    pub fn into_unsaved(self) -> Field {
        Field {
            id: FieldId(0),
            max_length: Field::default_max_length(self.kind, self.unique),
            internal_name: self.internal_name,
            label: self.label,
            kind: self.kind,
            system: false,
            default: false,
            writable: true,
            unique: self.unique,
            options: self.options,
            created_at: None,
            updated_at: None,
        }
    }
}

impl FieldPatch {
    /// Parses the body of `PATCH /fields/{internal_name}`. `field` is `None` if no field has this name: an invalid body
    /// is reported before an unknown field.
    ///
    /// # Errors
    /// Returns every problem of every key. For a system field, returns one issue of that field.
    pub fn parse(body: &Object<'_>, field: Option<&Field>) -> Result<Self, Issues> {
        field.map_or(Ok(()), reject_system_field)?;
        let mut keys = DefinitionKeys::new(body, &["label", "options"]);
        let label = keys.get("label").and_then(|_| keys.read_label());
        let kind = field.map_or(Kind::Dropdown, |field| field.kind);
        let current = field.map_or(&[][..], |field| &field.options);
        let options = keys.get("options").map(|_| keys.read_options(Some(kind), current));
        if keys.issues.is_empty() { Ok(Self { label, options }) } else { Err(keys.issues) }
    }
}

/// Rejects a change or deletion of a system field.
///
/// # Errors
/// Returns one issue of that field.
pub fn reject_system_field(field: &Field) -> Result<(), Issues> {
    if !field.system {
        return Ok(());
    }
    let message = "is a system field and cannot be changed or deleted";
    Err([Issue::new(&*field.internal_name, IssueCode::ForbiddenField, message)].into())
}

/// The keys of a body. Collects the issues of the keys that have been parsed.
struct DefinitionKeys<'a> {
    body: &'a Object<'a>,
    issues: Issues,
}

impl<'a> DefinitionKeys<'a> {
    /// Wraps a body. Records an issue for each key that is not in `known`.
    fn new(body: &'a Object<'a>, known: &[&str]) -> Self {
        const READ_ONLY: [&str; 8] =
            ["internal_name", "type", "unique", "system", "default", "writable", "created_at", "updated_at"];
        let mut keys = Self { body, issues: Issues::default() };
        for (name, _) in body.iter().filter(|(name, _)| !known.contains(&&**name)) {
            if READ_ONLY.contains(&&**name) {
                keys.reject(name, IssueCode::ForbiddenField, "cannot be set or changed by this request: leave it out");
            } else {
                let message = format!("is not a known key: this request takes {}", known.join(", "));
                keys.reject(name, IssueCode::UnknownField, message);
            }
        }
        keys
    }

    /// Records an issue of a key.
    fn reject(&mut self, key: &str, code: IssueCode, message: impl Into<Cow<'static, str>>) {
        self.issues.push(Issue::new(key, code, message));
    }

    /// Returns the value of a key, if the body contains it.
    fn get(&self, key: &str) -> Option<&'a Json<'a>> {
        self.body.iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// Returns the value of an optional key. `null` is the same as a missing key.
    fn get_non_null(&self, key: &str) -> Option<&'a Json<'a>> {
        self.get(key).filter(|value| **value != Json::Null)
    }

    /// Returns the label, or records an issue.
    fn read_label(&mut self) -> Option<String> {
        match self.get_non_null("label").map(parse_label) {
            Some(Ok(label)) => Some(label.to_owned()),
            Some(Err((code, message))) => {
                self.reject("label", code, message);
                None
            }
            None => {
                self.reject("label", IssueCode::Required, "is required");
                None
            }
        }
    }

    /// Returns the type, or records an issue.
    fn read_kind(&mut self) -> Option<Kind> {
        let names = || Kind::CUSTOM.map(Kind::as_str).join(", ");
        match self.get_non_null("type") {
            Some(Json::String(name)) => {
                let kind = Kind::custom_from_str(name);
                if kind.is_none() {
                    self.reject("type", IssueCode::InvalidOption, format!("must be one of {}", names()));
                }
                kind
            }
            Some(_) => {
                self.reject("type", IssueCode::InvalidType, format!("must be a string: one of {}", names()));
                None
            }
            None => {
                self.reject("type", IssueCode::Required, format!("is required: one of {}", names()));
                None
            }
        }
    }

    /// Returns the internal name, which is derived from the label by default, or records an issue. Records no issue if
    /// there is neither a name nor a label, because the missing label has its own issue.
    fn read_internal_name(&mut self, label: Option<&str>) -> Option<String> {
        let name = match self.get_non_null("internal_name") {
            Some(Json::String(name)) => name.clone().into_owned(),
            Some(_) => {
                self.reject("internal_name", IssueCode::InvalidType, "must be a string");
                return None;
            }
            None => field_name_from_label(label?),
        };
        if is_reserved(&name) {
            let message = format!("\"{name}\" is a reserved name: choose another internal_name");
            self.reject("internal_name", IssueCode::InvalidFormat, message);
            return None;
        }
        if !is_field_name(&name) {
            self.reject("internal_name", IssueCode::InvalidFormat, FIELD_NAME_RULE);
            return None;
        }
        Some(name)
    }

    /// Returns whether the field is unique. Records an issue for an invalid value. `kind` is `None` if the type is
    /// invalid.
    fn read_unique(&mut self, kind: Option<Kind>) -> bool {
        match self.get_non_null("unique") {
            None | Some(Json::Bool(false)) => false,
            Some(Json::Bool(true)) if kind.is_none_or(Kind::can_be_unique) => true,
            Some(Json::Bool(true)) => {
                let message = "only text, email, phone, number and url fields can be unique";
                self.reject("unique", IssueCode::InvalidOption, message);
                false
            }
            Some(_) => {
                self.reject("unique", IssueCode::InvalidType, "must be true or false");
                false
            }
        }
    }

    /// Returns the options. Records an issue for invalid options, and for a missing or forbidden list. `kind` is `None`
    /// if the type is invalid: then the options are not checked. Options may always be as large as `current`.
    fn read_options(&mut self, kind: Option<Kind>, current: &[FieldOption]) -> Vec<FieldOption> {
        let (sent, Some(kind)) = (self.get_non_null("options"), kind) else { return vec![] };
        let parsed = match sent {
            Some(_) if !kind.has_options() => {
                let message = format!("fields of type {} have no options: leave this key out", kind.as_str());
                Err((IssueCode::ForbiddenField, message))
            }
            None if !kind.has_options() => Ok(vec![]),
            Some(sent) => parse_options(sent).and_then(|options| check_options_size(options, current)),
            None => Err((IssueCode::Required, format!("is required: an array of 1 to {MAX_OPTIONS} options"))),
        };
        parsed.unwrap_or_else(|(code, message)| {
            self.reject("options", code, message);
            vec![]
        })
    }
}

/// Checks the size of options. Older builds stored larger ones: these may stay, but not grow.
fn check_options_size(
    options: Vec<FieldOption>,
    current: &[FieldOption],
) -> Result<Vec<FieldOption>, (IssueCode, String)> {
    let max = MAX_OPTIONS_BYTES.max(FieldOption::json_bytes(current));
    if FieldOption::json_bytes(&options) <= max {
        return Ok(options);
    }
    Err((IssueCode::TooLong, format!("must be at most {max} bytes together, as GET /fields returns them")))
}

fn parse_options(json: &Json<'_>) -> Result<Vec<FieldOption>, (IssueCode, String)> {
    let Json::Array(items) = json else { return Err((IssueCode::InvalidType, "must be an array of options".into())) };
    if items.is_empty() {
        return Err((IssueCode::Required, format!("must contain 1 to {MAX_OPTIONS} options")));
    }
    if items.len() > MAX_OPTIONS {
        return Err((IssueCode::TooLong, format!("must contain 1 to {MAX_OPTIONS} options")));
    }
    let mut options: Vec<FieldOption> = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        let number = index + 1;
        let option = parse_option(item).map_err(|(code, message)| (code, format!("option {number} {message}")))?;
        if dropdown::position(&options, &option.internal_name).is_some() {
            let message =
                format!("option {number} has the same internal_name as another option: {}", option.internal_name);
            return Err((IssueCode::InvalidOption, message));
        }
        options.push(option);
    }
    Ok(options)
}

/// Parses one option. The messages of its errors follow the number of the option.
fn parse_option(json: &Json<'_>) -> Result<FieldOption, (IssueCode, &'static str)> {
    let Json::Object(members) = json else {
        return Err((IssueCode::InvalidType, "must be an object with a label and an optional internal_name"));
    };
    let (mut name, mut label) = (None, None);
    for (key, value) in members {
        match (&**key, value) {
            ("label", value) => {
                let parsed = parse_label(value);
                label = Some(parsed.map_err(|(code, _)| (code, "needs a label of 1 to 255 characters"))?);
            }
            ("internal_name", Json::Null) => {}
            ("internal_name", Json::String(sent)) => name = Some(sent.clone().into_owned()),
            ("internal_name", _) => return Err((IssueCode::InvalidType, "needs a string as internal_name")),
            _ => return Err((IssueCode::UnknownField, "has an unknown key: only label and internal_name are allowed")),
        }
    }
    let label = label.ok_or((IssueCode::Required, "needs a label"))?;
    let name = name.unwrap_or_else(|| name_from_label(label, "option"));
    if !is_option_name(&name) {
        return Err((
            IssueCode::InvalidFormat,
            "needs an internal_name of 1 to 63 characters of a-z, 0-9 and _ that starts with a letter",
        ));
    }
    Ok(FieldOption::new(name, label))
}

#[cfg(test)]
mod tests;
