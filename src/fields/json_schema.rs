//! The JSON schema of the values of a field, for the OpenAPI document.

use serde_json::{Value, json};

use super::{Field, Kind, system};

impl Field {
    /// Returns the JSON schema of this field's values, with an example. The schema conforms to draft 2020-12, which
    /// OpenAPI 3.1 uses. `option` is the schema of one option, for fields with options.
    #[must_use]
    pub fn json_schema(&self, option: &Value) -> Value {
        let mut schema = match self.kind {
            Kind::Uuid => json!({"type": "string", "format": "uuid"}),
            Kind::Text => {
                json!({"type": ["string", "null"], "maxLength": self.max_length, "pattern": "^[^\\u0000]*$"})
            }
            Kind::Email | Kind::User => json!({"type": ["string", "null"], "format": "email", "maxLength": 254}),
            Kind::Phone => json!({"type": ["string", "null"], "format": "phone", "maxLength": 40}),
            // URLs may contain international domains and paths without encoding.
            Kind::Url => json!({"type": ["string", "null"], "format": "iri", "maxLength": self.max_length}),
            Kind::Number if self.system => json!({"type": "integer", "minimum": 1}),
            Kind::Number => json!({"type": ["number", "null"]}),
            Kind::Checkbox => json!({"type": ["boolean", "null"]}),
            Kind::Date => json!({"type": ["string", "null"], "format": "date"}),
            Kind::Datetime if self.system => json!({"type": "string", "format": "date-time"}),
            Kind::Datetime => json!({"type": ["string", "null"], "format": "date-time"}),
            Kind::Dropdown => json!({"anyOf": [option, {"type": "null"}]}),
            Kind::MultiSelect => json!({"type": ["array", "null"], "items": option}),
            // Not `oneOf`, nor an enumeration of `false`: some generated clients do not compile with them.
            Kind::Archived => json!({"anyOf": [{"type": "boolean"}, {"type": "string", "format": "date-time"}]}),
        };
        if self.id == system::ARCHIVED_BY {
            schema = json!({"type": ["string", "null"]});
        }
        if let Value::Object(members) = &mut schema {
            // Client generators derive type names from titles. The label of a custom field is arbitrary text, so it is
            // a description.
            let (keyword, label) =
                if self.system { ("title", self.label.clone()) } else { ("description", escape_markdown(&self.label)) };
            members.insert(keyword.into(), json!(label));
            members.extend(self.example().map(|example| ("examples".into(), json!([example]))));
        }
        schema
    }

    /// Returns an example of a value, if the type of the field has one.
    #[must_use]
    pub fn example(&self) -> Option<Value> {
        Some(match self.id {
            system::ID => json!("0198c0de-7a3b-7c11-9d2e-5f0a1b2c3d4e"),
            system::FIRST_NAME => json!("Ada"),
            system::LAST_NAME => json!("Lovelace"),
            system::EMAIL => json!("ada@example.com"),
            system::CONTACT_OWNER => json!("owner@example.com"),
            system::EXTERNAL_ID => json!("crm-1815"),
            system::ARCHIVED => json!(false),
            system::CREATED_AT | system::UPDATED_AT => json!("2026-05-01T10:00:00.000Z"),
            system::PHONE | system::MOBILE_PHONE => json!("+44 20 7946 0958"),
            system::JOB_TITLE => json!("Analyst"),
            system::COMPANY_NAME => json!("Analytical Engines"),
            system::VERSION => json!(1),
            system::WEBSITE => json!("https://example.com"),
            _ => return self.example_for_kind(),
        })
    }

    fn example_for_kind(&self) -> Option<Value> {
        let first = || self.options.first().map(|option| option.internal_name.as_str());
        Some(match self.kind {
            Kind::Number => json!(42),
            Kind::Checkbox => json!(true),
            Kind::Date => json!("2026-05-01"),
            Kind::Datetime => json!("2026-05-01T10:00:00.000Z"),
            Kind::Dropdown => json!(first()?),
            Kind::MultiSelect => json!([first()?]),
            _ => return None,
        })
    }
}

/// Escapes a label for a description, which documentation pages render as Markdown. The page then displays the
/// characters of the label.
fn escape_markdown(label: &str) -> String {
    let mut escaped = String::with_capacity(label.len());
    let mut characters = label.chars().map(|character| if character.is_control() { ' ' } else { character }).peekable();
    while let Some(character) = characters.next() {
        // Markup characters, the colon of a URL (which would become a link), and the start of a heading or list. And the
        // slash of `*/`, which would end a comment in a generated client.
        let is_markup = "\\`*_[]<>&~|".contains(character)
            || (character == ':' && characters.peek() == Some(&'/'))
            || (character == '/' && escaped.ends_with('*'))
            || (escaped.is_empty() && "#-+=".contains(character));
        escaped.extend(Some('\\').filter(|_| is_markup));
        escaped.push(character);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::FieldOption;
    use crate::fields::registry_fixtures as fixtures;

    #[test]
    fn schema_of_an_option_field_refers_to_its_options() {
        let options = vec![FieldOption::new("red", "Any label")];
        let field = |kind| Field { options: options.clone(), ..fixtures::custom(100, "colour", kind) };
        let option = json!({"$ref": "#/components/schemas/ColourOption"});
        assert_eq!(field(Kind::Dropdown).json_schema(&option)["anyOf"], json!([option, {"type": "null"}]));
        assert_eq!(field(Kind::MultiSelect).json_schema(&option)["items"], option);
        assert_eq!(field(Kind::MultiSelect).json_schema(&option)["examples"], json!([["red"]]));
    }

    #[test]
    fn markup_in_a_label_is_escaped_in_the_description() {
        let label = "*/ # <img src=x> [a](javascript:b) `c` *d*\n_e_\u{7} http://x Größe: 5";
        let field = Field { label: label.into(), ..fixtures::custom(100, "odd", Kind::Text) };
        let expected = r"\*\/ # \<img src=x\> \[a\](javascript:b) \`c\` \*d\* \_e\_  http\://x Größe: 5";
        assert_eq!(field.json_schema(&json!({}))["description"], expected);
        assert_eq!(field.json_schema(&json!({}))["title"], Value::Null);
    }
}
