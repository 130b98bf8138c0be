//! The validated content of a write: which fields it sets or clears. A field that is absent stays as it is.

use uuid::Uuid;

use super::UniqueKey;
use crate::fields::{FieldId, Issue, IssueCode, Registry, Value, Values, system};
use crate::json::Object;

/// A new contact needs a value of one of these.
const IDENTIFYING: [FieldId; 3] = [system::EMAIL, system::FIRST_NAME, system::LAST_NAME];
const IDENTIFYING_NAMES: [&str; 3] = ["email", "first_name", "last_name"];

/// Changes to fields, each valid by its field's rules. `None` clears.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Draft {
    changes: Vec<(FieldId, Option<Value>)>,
    /// The id that a new contact is to have; without one it gets a fresh one.
    id: Option<Uuid>,
}

impl Draft {
    /// Changes that have been checked one by one, no field twice.
    #[must_use]
    pub fn of(changes: Vec<(FieldId, Option<Value>)>) -> Self {
        Self { changes, id: None }
    }

    /// Reads the content of `fields` in a body.
    ///
    /// # Errors
    /// An issue for each key that is refused, in the order sent.
    pub fn parse(fields: &Object<'_>, registry: &Registry) -> Result<Self, Vec<Issue>> {
        let mut changes = Vec::with_capacity(fields.len());
        let mut issues = Vec::new();
        for (name, json) in fields {
            let parsed = match registry.get(name) {
                Some(field) if field.writable => field.parse(json).map(|value| (field.id, value)),
                _ if system::is_system_owned(name) => {
                    Err(Issue::new(&**name, IssueCode::ForbiddenField, "is set by the system: leave it out"))
                }
                _ => Err(Issue::new(&**name, IssueCode::UnknownField, "is not a field of this account's contacts")),
            };
            match parsed {
                Ok(change) => changes.push(change),
                Err(issue) => issues.push(issue),
            }
        }
        if issues.is_empty() { Ok(Self { changes, id: None }) } else { Err(issues) }
    }

    /// Reads the content of `fields` for a new contact, which needs an email or a name.
    ///
    /// # Errors
    /// An issue for each key that is refused, and one for each of the three when none of them is sent.
    pub fn parse_new(fields: &Object<'_>, registry: &Registry) -> Result<Self, Vec<Issue>> {
        let parsed = Self::parse(fields, registry);
        let is_identified = match &parsed {
            Ok(draft) => draft.identifies(),
            // One that was sent but refused is reported as such.
            Err(issues) => {
                let is_refused = |name: &str| issues.iter().any(|issue| issue.field == name);
                let is_set = |name: &str| {
                    let sent = fields.iter().find(|(key, _)| key == name);
                    let value = sent.zip(registry.get(name)).map(|((_, json), field)| field.parse(json));
                    matches!(value, Some(Ok(Some(_))))
                };
                IDENTIFYING_NAMES.iter().any(|name| is_refused(name) || is_set(name))
            }
        };
        if is_identified {
            return parsed;
        }
        Err(parsed.err().unwrap_or_default().into_iter().chain(missing_identity()).collect())
    }

    /// This draft, for a new contact whose id is known beforehand. No caller of the API can choose one.
    #[must_use]
    pub fn with_id(self, id: Uuid) -> Self {
        Self { id: Some(id), ..self }
    }

    /// The id that a new contact is to have, if it is known beforehand.
    #[must_use]
    pub fn id(&self) -> Option<Uuid> {
        self.id
    }

    /// The unique keys that it sets.
    #[must_use]
    pub fn keys(&self, registry: &Registry) -> Vec<UniqueKey> {
        let set = self.changes.iter().filter_map(|(field, value)| Some((*field, value.as_ref()?)));
        let unique = |id| registry.unique_fields().iter().find(|field| field.id == id);
        set.filter_map(|(field, value)| Some(UniqueKey::of(unique(field)?, value))).collect()
    }

    /// What it sends for a field: `None` when it leaves the field alone, `Some(None)` when it clears it.
    #[must_use]
    pub fn get(&self, field: FieldId) -> Option<Option<&Value>> {
        self.changes.iter().find(|(id, _)| *id == field).map(|(_, value)| value.as_ref())
    }

    /// This draft, which also sets a field that it leaves alone so far.
    #[must_use]
    pub fn with_default(&self, (field, value): &(FieldId, Value)) -> Self {
        let mut draft = self.clone();
        if draft.get(*field).is_none() {
            draft.changes.push((*field, Some(value.clone())));
        }
        draft
    }

    /// Whether it sets an email or a name, as a new contact needs (contract §5).
    #[must_use]
    pub fn identifies(&self) -> bool {
        IDENTIFYING.iter().any(|field| self.get(*field).flatten().is_some())
    }

    /// Applies the changes to `values`.
    pub(super) fn apply(&self, values: &mut Values) {
        for (field, value) in &self.changes {
            values.set(*field, value.clone());
        }
    }
}

/// What is wrong with a new contact that has neither an email nor a name.
#[must_use]
pub fn missing_identity() -> [Issue; 3] {
    let message = "a new contact needs at least one of email, first_name, last_name";
    IDENTIFYING_NAMES.map(|name| Issue::new(name, IssueCode::Required, message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::registry_samples as samples;
    use crate::json::{self, Json};

    fn with<T>(
        fields: &str,
        parse: impl Fn(&Object<'_>, &Registry) -> Result<T, Vec<Issue>>,
    ) -> Result<T, Vec<(String, &'static str)>> {
        let fields = json::parse(fields.as_bytes()).ok().and_then(Json::into_object).expect("an object");
        parse(&fields, &samples::registry())
            .map_err(|issues| issues.into_iter().map(|issue| (issue.field, issue.code.as_str())).collect())
    }

    fn issues(list: &[(&str, &'static str)]) -> Vec<(String, &'static str)> {
        list.iter().map(|(field, code)| ((*field).to_owned(), *code)).collect()
    }

    #[test]
    fn lists_every_refused_key_in_the_order_sent() {
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
        assert_eq!(with(fields, Draft::parse), Err(expected));
    }

    #[test]
    fn a_new_contact_needs_an_email_or_a_name() {
        for enough in [r#"{"email": "a@b.cd"}"#, r#"{"first_name": " "}"#, r#"{"last_name": "L", "email": ""}"#] {
            assert!(with(enough, Draft::parse_new).is_ok(), "{enough}");
        }
        let required = [("email", "required"), ("first_name", "required"), ("last_name", "required")];
        for nothing in ["{}", r#"{"email": " ", "phone": "+1 555"}"#, r#"{"first_name": null}"#] {
            assert_eq!(with(nothing, Draft::parse_new), Err(issues(&required)), "{nothing}");
        }
        assert_eq!(with(r#"{"email": "x"}"#, Draft::parse_new), Err(issues(&[("email", "invalid_format")])));
        assert_eq!(
            with(r#"{"last_name": "L", "nope": 1}"#, Draft::parse_new),
            Err(issues(&[("nope", "unknown_field")]))
        );
        let both = [&[("nope", "unknown_field")], &required[..]].concat();
        assert_eq!(with(r#"{"nope": 1}"#, Draft::parse_new), Err(issues(&both)));
    }

    #[test]
    fn knows_the_keys_it_sets() {
        let keys = |fields| with(fields, Draft::parse).expect("valid").keys(&samples::registry());
        assert_eq!(keys(r#"{"email": null, "shoe_size": 38}"#), []);
        let key = |field, key: &str| UniqueKey { field, key: key.to_owned() };
        assert_eq!(
            keys(r#"{"badge": "X", "email": "A@b.CD"}"#),
            [key(FieldId(102), "X"), key(system::EMAIL, "a@b.cd")]
        );
    }

    #[test]
    fn a_default_stands_back_behind_what_is_sent() {
        let named = (system::EMAIL, Value::Text("a@b.cd".into()));
        let with_default = |fields| with(fields, Draft::parse).expect("valid").with_default(&named);
        assert_eq!(with_default("{}").get(system::EMAIL), Some(Some(&named.1)));
        assert!(with_default("{}").identifies());
        let sent = Value::Text("A@b.cd".into());
        assert_eq!(with_default(r#"{"email": "A@b.cd"}"#).get(system::EMAIL), Some(Some(&sent)));
        assert_eq!(with_default(r#"{"email": null}"#).get(system::EMAIL), Some(None));
    }
}
