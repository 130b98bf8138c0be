//! What the fields API takes: the definition of a new custom field, and a change to one (contract §4).

use super::kinds::dropdown;
use super::names::{NAME_RULE, is_internal_name, label, name_from_label};
use super::{Field, FieldId, FieldOption, Issue, IssueCode, Kind, system};
use crate::json::{Json, Object};

const MAX_OPTIONS: usize = 1_000;

/// The definition of a custom field to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewField {
    /// What requests and answers will call it.
    pub internal_name: String,
    /// What people call it.
    pub label: String,
    /// Its type.
    pub kind: Kind,
    /// Whether no two active contacts may share a value.
    pub unique: bool,
    /// Its options in order; empty but for the option kinds.
    pub options: Vec<FieldOption>,
}

/// A change to a custom field. What is `None` stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldPatch {
    /// The new label.
    pub label: Option<String>,
    /// The whole new list of options, in order.
    pub options: Option<Vec<FieldOption>>,
}

impl NewField {
    /// Reads the body of `POST /fields`.
    ///
    /// # Errors
    /// Every problem of every key.
    pub fn parse(body: &Object<'_>) -> Result<Self, Vec<Issue>> {
        let mut keys = Keys::of(body, &["internal_name", "label", "type", "unique", "options"]);
        let label = keys.label();
        let kind = keys.kind();
        let internal_name = keys.internal_name(label.as_deref());
        let unique = keys.unique(kind);
        let options = keys.options_of(kind);
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

    /// The field as it will be, but for its id and its times: what values of it can be checked by before it is made.
    #[must_use]
    pub fn into_unsaved(self) -> Field {
        Field {
            id: FieldId(0),
            max_length: Field::max_length_of(self.kind, self.unique),
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
    /// Reads the body of `PATCH /fields/{internal_name}` for a field as it is, or for one that is not there:
    /// what is wrong with a body is said before that.
    ///
    /// # Errors
    /// Every problem of every key; for a system field that it is one.
    pub fn parse(body: &Object<'_>, field: Option<&Field>) -> Result<Self, Vec<Issue>> {
        field.map_or(Ok(()), refuse_system_field)?;
        let mut keys = Keys::of(body, &["label", "options"]);
        let label = keys.sent("label").and_then(|_| keys.label());
        let options =
            keys.sent("options").map(|_| keys.options_of(Some(field.map_or(Kind::Dropdown, |field| field.kind))));
        if keys.issues.is_empty() { Ok(Self { label, options }) } else { Err(keys.issues) }
    }
}

/// Refuses changes to a system field.
///
/// # Errors
/// One issue of that field.
pub fn refuse_system_field(field: &Field) -> Result<(), Vec<Issue>> {
    if !field.system {
        return Ok(());
    }
    let message = "is a system field: it can neither be changed nor deleted";
    Err(vec![Issue::new(&*field.internal_name, IssueCode::ForbiddenField, message)])
}

/// The keys of a body, read one after another; collects what is wrong with them.
struct Keys<'a> {
    body: &'a Object<'a>,
    issues: Vec<Issue>,
}

impl<'a> Keys<'a> {
    /// Refuses at once the keys that are not `known`.
    fn of(body: &'a Object<'a>, known: &[&str]) -> Self {
        const READ_ONLY: [&str; 8] =
            ["internal_name", "type", "unique", "system", "default", "writable", "created_at", "updated_at"];
        let mut keys = Self { body, issues: vec![] };
        for (name, _) in body.iter().filter(|(name, _)| !known.contains(&&**name)) {
            if READ_ONLY.contains(&&**name) {
                keys.refuse(name, IssueCode::ForbiddenField, "can't be set or changed here");
            } else {
                keys.refuse(
                    name,
                    IssueCode::UnknownField,
                    format!("is not known; this call takes {}", known.join(", ")),
                );
            }
        }
        keys
    }

    fn refuse(&mut self, key: &str, code: IssueCode, message: impl Into<std::borrow::Cow<'static, str>>) {
        self.issues.push(Issue::new(key, code, message));
    }

    fn sent(&self, key: &str) -> Option<&'a Json<'a>> {
        self.body.iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// What was sent for an optional key: `null` is the same as nothing.
    fn optional(&self, key: &str) -> Option<&'a Json<'a>> {
        self.sent(key).filter(|value| **value != Json::Null)
    }

    fn label(&mut self) -> Option<String> {
        match self.optional("label").map(label) {
            Some(Ok(label)) => Some(label.to_owned()),
            Some(Err((code, message))) => {
                self.refuse("label", code, message);
                None
            }
            None => {
                self.refuse("label", IssueCode::Required, "is required");
                None
            }
        }
    }

    fn kind(&mut self) -> Option<Kind> {
        let names = || Kind::CUSTOM.map(Kind::as_str).join(", ");
        match self.optional("type") {
            Some(Json::String(name)) => {
                let kind = Kind::custom_from_str(name);
                if kind.is_none() {
                    self.refuse("type", IssueCode::InvalidOption, format!("must be one of {}", names()));
                }
                kind
            }
            Some(_) => {
                self.refuse("type", IssueCode::InvalidType, format!("must be a string, one of {}", names()));
                None
            }
            None => {
                self.refuse("type", IssueCode::Required, format!("is required: one of {}", names()));
                None
            }
        }
    }

    fn internal_name(&mut self, label: Option<&str>) -> Option<String> {
        let name = match self.optional("internal_name") {
            Some(Json::String(name)) => name.clone().into_owned(),
            Some(_) => {
                self.refuse("internal_name", IssueCode::InvalidType, "must be a string");
                return None;
            }
            None => name_from_label(label?, "field"),
        };
        if system::RESERVED_NAMES.contains(&&*name) {
            self.refuse(
                "internal_name",
                IssueCode::InvalidFormat,
                format!("{name} is reserved: send another internal_name"),
            );
            return None;
        }
        if !is_internal_name(&name) {
            self.refuse("internal_name", IssueCode::InvalidFormat, NAME_RULE);
            return None;
        }
        Some(name)
    }

    fn unique(&mut self, kind: Option<Kind>) -> bool {
        match self.optional("unique") {
            None | Some(Json::Bool(false)) => false,
            Some(Json::Bool(true)) if kind.is_none_or(Kind::can_be_unique) => true,
            Some(Json::Bool(true)) => {
                let message = "only text, email, phone, number and url fields can be unique";
                self.refuse("unique", IssueCode::InvalidOption, message);
                false
            }
            Some(_) => {
                self.refuse("unique", IssueCode::InvalidType, "must be true or false");
                false
            }
        }
    }

    fn options_of(&mut self, kind: Option<Kind>) -> Vec<FieldOption> {
        let (sent, Some(kind)) = (self.optional("options"), kind) else { return vec![] };
        let parsed = match sent {
            Some(_) if !kind.has_options() => {
                Err((IssueCode::ForbiddenField, format!("a field of type {} has no options", kind.as_str())))
            }
            None if !kind.has_options() => Ok(vec![]),
            Some(sent) => options(sent),
            None => Err((IssueCode::Required, format!("is required: 1 to {MAX_OPTIONS} options"))),
        };
        parsed.unwrap_or_else(|(code, message)| {
            self.refuse("options", code, message);
            vec![]
        })
    }
}

fn options(json: &Json<'_>) -> Result<Vec<FieldOption>, (IssueCode, String)> {
    let Json::Array(items) = json else { return Err((IssueCode::InvalidType, "must be an array of options".into())) };
    if items.is_empty() {
        return Err((IssueCode::Required, format!("must hold 1 to {MAX_OPTIONS} options")));
    }
    if items.len() > MAX_OPTIONS {
        return Err((IssueCode::TooLong, format!("must hold 1 to {MAX_OPTIONS} options")));
    }
    let mut options: Vec<FieldOption> = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        let option = option(item).map_err(|(code, message)| (code, format!("option {} {message}", index + 1)))?;
        if dropdown::position(&options, &option.internal_name).is_some() {
            let message = format!("option {} repeats the name {}", index + 1, option.internal_name);
            return Err((IssueCode::InvalidOption, message));
        }
        options.push(option);
    }
    Ok(options)
}

fn option(json: &Json<'_>) -> Result<FieldOption, (IssueCode, &'static str)> {
    let Json::Object(members) = json else {
        return Err((IssueCode::InvalidType, "must be an object with a label and, if you like, an internal_name"));
    };
    let (mut name, mut option_label) = (None, None);
    for (key, value) in members {
        match (&**key, value) {
            ("label", value) => {
                option_label = Some(label(value).map_err(|(code, _)| (code, "needs a label of 1 to 255 characters"))?);
            }
            ("internal_name", Json::Null) => {}
            ("internal_name", Json::String(sent)) => name = Some(sent.clone().into_owned()),
            ("internal_name", _) => return Err((IssueCode::InvalidType, "needs a string as internal_name")),
            _ => return Err((IssueCode::UnknownField, "takes the keys label and internal_name only")),
        }
    }
    let option_label = option_label.ok_or((IssueCode::Required, "needs a label"))?;
    let name = name.unwrap_or_else(|| name_from_label(option_label, "option"));
    if !is_internal_name(&name) {
        return Err((
            IssueCode::InvalidFormat,
            "needs an internal_name of 1 to 63 of a-z, 0-9 and _, with a letter first",
        ));
    }
    Ok(FieldOption::new(name, option_label))
}

#[cfg(test)]
mod tests {
    use super::super::registry::samples;
    use super::*;
    use crate::json;

    fn new(body: &str) -> Result<NewField, Vec<(String, IssueCode)>> {
        let body = json::parse(body.as_bytes()).ok().and_then(Json::into_object).expect("an object");
        NewField::parse(&body).map_err(|issues| issues.into_iter().map(|issue| (issue.field, issue.code)).collect())
    }

    fn refused(body: &str, expected: &[(&str, IssueCode)]) {
        let issues = new(body).expect_err(body);
        let issues: Vec<_> = issues.iter().map(|(field, code)| (field.as_str(), *code)).collect();
        assert_eq!(issues, expected, "{body}");
    }

    #[test]
    fn reads_a_whole_definition() {
        let field = new(
            r#"{"label": "Size", "type": "dropdown", "unique": false, "options": [{"label": "Small"}, {"internal_name": "xl", "label": "Large"}]}"#,
        );
        assert_eq!(
            field.expect("valid"),
            NewField {
                internal_name: "size".into(),
                label: "Size".into(),
                kind: Kind::Dropdown,
                unique: false,
                options: vec![FieldOption::new("small", "Small"), FieldOption::new("xl", "Large")],
            }
        );
        assert!(new(r#"{"label": "B", "type": "text", "unique": true, "internal_name": null}"#).expect("valid").unique);
    }

    #[test]
    fn lists_every_problem() {
        use IssueCode::*;
        refused("{}", &[("label", Required), ("type", Required)]);
        refused(
            r#"{"label": 1, "type": "uuid", "unique": 1}"#,
            &[("label", InvalidType), ("type", InvalidOption), ("unique", InvalidType)],
        );
        refused(
            r#"{"label": " ", "type": "text", "colour": 1, "system": true}"#,
            &[("colour", UnknownField), ("system", ForbiddenField), ("label", Required)],
        );
        refused(r#"{"label": "Error", "type": "text"}"#, &[("internal_name", InvalidFormat)]);
        refused(r#"{"label": "X", "type": "text", "internal_name": "Bad-Name"}"#, &[("internal_name", InvalidFormat)]);
        refused(r#"{"label": "X", "type": "date", "unique": true}"#, &[("unique", InvalidOption)]);
        refused(r#"{"label": "X", "type": "text", "options": []}"#, &[("options", ForbiddenField)]);
        for (options, code) in [
            ("[]", Required),
            ("null", Required),
            ("{}", InvalidType),
            ("[1]", InvalidType),
            (r#"[{"internal_name": "a"}]"#, Required),
            (r#"[{"label": "A"}, {"label": "a"}]"#, InvalidOption),
            (r#"[{"label": "A", "colour": 1}]"#, UnknownField),
            (r#"[{"label": "A", "internal_name": "A"}]"#, InvalidFormat),
        ] {
            refused(
                &format!(r#"{{"label": "X", "type": "multi_select", "options": {options}}}"#),
                &[("options", code)],
            );
        }
    }

    #[test]
    fn changes_label_and_options_only() {
        let registry = samples::registry();
        let patch = |field: &str, body: &str| {
            let body = json::parse(body.as_bytes()).ok().and_then(Json::into_object).expect("an object");
            FieldPatch::parse(&body, registry.get(field).map(|field| &**field))
                .map_err(|issues| issues.into_iter().map(|issue| (issue.field, issue.code)).collect::<Vec<_>>())
        };
        assert_eq!(patch("tags", "{}"), Ok(FieldPatch::default()));
        let options = Some(vec![FieldOption::new("red", "Rot")]);
        assert_eq!(
            patch("tags", r#"{"options": [{"internal_name": "red", "label": "Rot"}]}"#),
            Ok(FieldPatch { label: None, options })
        );
        assert_eq!(patch("tags", r#"{"type": "text"}"#), Err(vec![("type".into(), IssueCode::ForbiddenField)]));
        assert_eq!(patch("shoe_size", r#"{"label": null, "options": [{"label": "A"}]}"#).expect_err("both").len(), 2);
        assert_eq!(patch("email", "{}"), Err(vec![("email".into(), IssueCode::ForbiddenField)]));
        assert_eq!(patch("nope", r#"{"label": ""}"#), Err(vec![("label".into(), IssueCode::Required)]));
    }
}
