//! The validated content of a write: the fields that it sets or clears. All other fields stay unchanged.

use std::borrow::Cow;

use uuid::Uuid;

use super::UniqueKey;
use crate::fields::{Field, FieldId, Issue, IssueCode, Issues, OptionChanges, Registry, Value, Values, system};
use crate::json::{Json, Object};

/// The fields of which a new contact needs at least one.
const IDENTITY_FIELDS: [FieldId; 3] = [system::EMAIL, system::FIRST_NAME, system::LAST_NAME];
const IDENTITY_NAMES: [&str; 3] = ["email", "first_name", "last_name"];

/// Changes of fields. Each value is valid by the rules of its field; `None` clears the field.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContactPatch {
    changes: Vec<(FieldId, Option<Value>)>,
    /// The options that are added to `multi_select` fields and removed from them, of fields that `changes` does not
    /// contain.
    option_changes: Vec<(FieldId, OptionChanges)>,
    /// The id of a new contact; `None` for a generated id.
    id: Option<Uuid>,
}

/// The effect of a patch on one field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PatchedValue<'a> {
    /// The patch does not contain the field.
    Absent,
    /// The patch clears the field.
    Null,
    /// The patch sets the field to this value.
    Value(&'a Value),
}

impl PatchedValue<'_> {
    /// Returns whether the patch leaves the field unchanged.
    #[must_use]
    pub fn is_absent(self) -> bool {
        self == Self::Absent
    }
}

impl ContactPatch {
    /// Creates a patch from valid changes, at most one for each field.
    #[must_use]
    pub fn new(changes: Vec<(FieldId, Option<Value>)>) -> Self {
        Self { changes, ..Self::default() }
    }

    /// Parses the content of `fields` in a body.
    ///
    /// # Errors
    /// Returns an issue for each rejected key, in the order of the body.
    pub fn parse(fields: &Object<'_>, registry: &Registry) -> Result<Self, Issues> {
        let mut patch = Self::new(Vec::with_capacity(fields.len()));
        let mut issues = Issues::default();
        for (name, json) in fields {
            let parsed = match registry.get(name) {
                Some(field) if field.writable => patch.add_parsed(field, json),
                _ if system::is_system_owned(name) => {
                    Err(Issue::new(&**name, IssueCode::ForbiddenField, "is set by the system: leave it out"))
                }
                _ => {
                    let message = registry.unsupported_message(name);
                    let message = message.map_or("is not a field of this account's contacts".into(), Cow::Owned);
                    Err(Issue::new(&**name, IssueCode::UnknownField, message))
                }
            };
            if let Err(issue) = parsed {
                issues.push(issue);
            }
        }
        if issues.is_empty() { Ok(patch) } else { Err(issues) }
    }

    /// Parses the change of a field, and adds it.
    fn add_parsed(&mut self, field: &Field, json: &Json<'_>) -> Result<(), Issue> {
        if let Some(changes) = field.parse_option_changes(json)? {
            self.option_changes.push((field.id, changes));
            return Ok(());
        }
        let value = field.parse(json)?;
        field.check_storable(value.as_ref())?;
        self.changes.push((field.id, value));
        Ok(())
    }

    /// Parses the content of `fields` for a new contact, which needs an email or a name.
    ///
    /// # Errors
    /// Returns an issue for each rejected key. Without an email or a name, adds an issue for each of the three fields.
    pub fn parse_new(fields: &Object<'_>, registry: &Registry) -> Result<Self, Issues> {
        let parsed = Self::parse(fields, registry);
        let has_identity = match &parsed {
            Ok(patch) => patch.has_identity(),
            // A rejected email or name has its own issue, so the contact does not lack an identity as well.
            Err(issues) => {
                let is_rejected = |name: &str| issues.iter().any(|issue| issue.field == name);
                let is_set = |name: &str| {
                    let sent = fields.iter().find(|(key, _)| key == name);
                    let value = sent.zip(registry.get(name)).map(|((_, json), field)| field.parse(json));
                    matches!(value, Some(Ok(Some(_))))
                };
                IDENTITY_NAMES.iter().any(|name| is_rejected(name) || is_set(name))
            }
        };
        if has_identity {
            return parsed;
        }
        let mut issues = parsed.err().unwrap_or_default();
        issues.extend(missing_identity_issues());
        Err(issues)
    }

    /// Returns this patch with an id for a new contact. Callers of the API cannot choose an id.
    #[must_use]
    pub fn with_id(self, id: Uuid) -> Self {
        Self { id: Some(id), ..self }
    }

    /// Returns the id for a new contact; `None` for a generated id.
    #[must_use]
    pub fn id(&self) -> Option<Uuid> {
        self.id
    }

    /// Returns the unique keys that the patch sets.
    #[must_use]
    pub fn unique_keys(&self, registry: &Registry) -> Vec<UniqueKey> {
        let unique_field = |id| registry.unique_fields().iter().find(|field| field.id == id);
        self.values().filter_map(|(field, value)| Some(UniqueKey::from_value(unique_field(field)?, value))).collect()
    }

    /// Returns the effect of the patch on a field.
    #[must_use]
    pub fn get(&self, field: FieldId) -> PatchedValue<'_> {
        match self.changes.iter().find(|(id, _)| *id == field) {
            None => PatchedValue::Absent,
            Some((_, None)) => PatchedValue::Null,
            Some((_, Some(value))) => PatchedValue::Value(value),
        }
    }

    /// Returns the fields that the patch contains.
    pub fn fields(&self) -> impl Iterator<Item = FieldId> {
        self.changes.iter().map(|(field, _)| *field).chain(self.option_changes.iter().map(|(field, _)| *field))
    }

    /// Returns the values that the patch sets. Options to add to a field and to remove from it are not included.
    pub(super) fn values(&self) -> impl Iterator<Item = (FieldId, &Value)> {
        self.changes.iter().filter_map(|(field, value)| Some((*field, value.as_ref()?)))
    }

    /// Returns the values that the patch sets, and for each field to which it adds options, these options.
    pub(super) fn set_or_added_values(&self) -> impl Iterator<Item = (FieldId, Cow<'_, Value>)> {
        let added = self.option_changes.iter();
        let added = added.filter_map(|(field, changes)| Some((*field, Cow::Owned(changes.added_value()?))));
        self.values().map(|(field, value)| (field, Cow::Borrowed(value))).chain(added)
    }

    /// Returns the memory of the values that the patch sets and adds, in bytes.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.set_or_added_values().map(|(_, value)| value.memory_bytes()).sum()
    }

    /// Returns this patch with a value for a field, unless the patch already contains the field.
    #[must_use]
    pub fn with_default(&self, (field, value): &(FieldId, Value)) -> Self {
        let mut patch = self.clone();
        if patch.get(*field).is_absent() {
            patch.changes.push((*field, Some(value.clone())));
        }
        patch
    }

    /// Returns whether the patch sets an email or a name, which a new contact needs (`docs/api-reference.md#create`).
    #[must_use]
    pub fn has_identity(&self) -> bool {
        IDENTITY_FIELDS.iter().any(|field| matches!(self.get(*field), PatchedValue::Value(_)))
    }

    /// Applies the changes to `values`.
    pub(super) fn apply(&self, values: &mut Values) {
        for (field, value) in &self.changes {
            values.set(*field, value.clone());
        }
        for (field, changes) in &self.option_changes {
            values.set(*field, changes.apply(values.get(*field)));
        }
    }
}

/// Returns the issues of a new contact that has neither an email nor a name.
#[must_use]
pub fn missing_identity_issues() -> [Issue; 3] {
    let message = "a new contact needs at least one of email, first_name, last_name";
    IDENTITY_NAMES.map(|name| Issue::new(name, IssueCode::Required, message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::registry_fixtures as fixtures;
    use crate::json::{self, Json};

    /// Parses `fields` with a parser of this module.
    fn parse_with<T>(
        fields: &str,
        parse: impl Fn(&Object<'_>, &Registry) -> Result<T, Issues>,
    ) -> Result<T, Vec<(String, &'static str)>> {
        let fields = json::parse(fields.as_bytes()).ok().and_then(Json::into_object).expect("a JSON object");
        parse(&fields, &fixtures::registry())
            .map_err(|issues| issues.into_iter().map(|issue| (issue.field, issue.code.as_str())).collect())
    }

    fn issues(list: &[(&str, &'static str)]) -> Vec<(String, &'static str)> {
        list.iter().map(|(field, code)| ((*field).to_owned(), *code)).collect()
    }

    #[test]
    fn every_rejected_key_is_reported_in_the_order_sent() {
        let fields = r#"{"nope": 1, "email": "x", "id": "1", "account_id": null, "archived_by": "me", "Email": "a@b.cd",
                         "shoe_size": "42", "first_name": "Ada", "tags": ["pink"]}"#;
        let expected = issues(&[
            ("nope", "unknown_field"),
            ("email", "invalid_format"),
            ("id", "forbidden_field"),
            ("account_id", "forbidden_field"),
            ("archived_by", "forbidden_field"),
            ("Email", "unknown_field"),
            ("shoe_size", "invalid_type"),
            ("tags", "invalid_option"),
        ]);
        assert_eq!(parse_with(fields, ContactPatch::parse), Err(expected));
    }

    #[test]
    fn new_contact_without_email_or_name_is_rejected() {
        for enough in [r#"{"email": "a@b.cd"}"#, r#"{"first_name": " "}"#, r#"{"last_name": "L", "email": ""}"#] {
            assert!(parse_with(enough, ContactPatch::parse_new).is_ok(), "{enough}");
        }
        let required = [("email", "required"), ("first_name", "required"), ("last_name", "required")];
        for nothing in ["{}", r#"{"email": " ", "phone": "+1 555"}"#, r#"{"first_name": null}"#] {
            assert_eq!(parse_with(nothing, ContactPatch::parse_new), Err(issues(&required)), "{nothing}");
        }
        assert_eq!(
            parse_with(r#"{"email": "x"}"#, ContactPatch::parse_new),
            Err(issues(&[("email", "invalid_format")]))
        );
        assert_eq!(
            parse_with(r#"{"last_name": "L", "nope": 1}"#, ContactPatch::parse_new),
            Err(issues(&[("nope", "unknown_field")]))
        );
        let both = [&[("nope", "unknown_field")], &required[..]].concat();
        assert_eq!(parse_with(r#"{"nope": 1}"#, ContactPatch::parse_new), Err(issues(&both)));
    }

    #[test]
    fn unique_keys_of_a_patch_are_the_keys_it_sets() {
        let keys =
            |fields| parse_with(fields, ContactPatch::parse).expect("valid fields").unique_keys(&fixtures::registry());
        assert_eq!(keys(r#"{"email": null, "shoe_size": 38}"#), []);
        let key = |field, key: &str| UniqueKey { field, key: key.to_owned() };
        assert_eq!(
            keys(r#"{"badge": "X", "email": "A@b.CD"}"#),
            [key(FieldId(102), "X"), key(system::EMAIL, "a@b.cd")]
        );
    }

    #[test]
    fn default_value_applies_only_to_an_absent_field() {
        let default = (system::EMAIL, Value::Text("a@b.cd".into()));
        let with_default =
            |fields| parse_with(fields, ContactPatch::parse).expect("valid fields").with_default(&default);
        assert_eq!(with_default("{}").get(system::EMAIL), PatchedValue::Value(&default.1));
        assert!(with_default("{}").has_identity());
        let sent = Value::Text("A@b.cd".into());
        assert_eq!(with_default(r#"{"email": "A@b.cd"}"#).get(system::EMAIL), PatchedValue::Value(&sent));
        assert_eq!(with_default(r#"{"email": null}"#).get(system::EMAIL), PatchedValue::Null);
    }
}
