//! The JSON schema of a field's values, for the OpenAPI document.

use serde_json::{Value, json};

use super::{Field, Kind, system};

impl Field {
    /// The JSON schema (draft 2020-12, as OpenAPI 3.1 has it) of this field's values, with an example.
    #[must_use]
    pub fn schema(&self) -> Value {
        let options = || self.options.iter().map(|option| option.internal_name.as_str()).collect::<Vec<_>>();
        let mut schema = match self.kind {
            Kind::Uuid => json!({"type": "string", "format": "uuid"}),
            Kind::Text => {
                json!({"type": ["string", "null"], "maxLength": self.max_length, "pattern": "^[^\\u0000]*$"})
            }
            Kind::Email | Kind::User => json!({"type": ["string", "null"], "format": "email", "maxLength": 254}),
            Kind::Phone => json!({"type": ["string", "null"], "format": "phone", "maxLength": 40}),
            // International domains and paths are taken as people write them.
            Kind::Url => json!({"type": ["string", "null"], "format": "iri", "maxLength": self.max_length}),
            Kind::Number => json!({"type": ["number", "null"]}),
            Kind::Checkbox => json!({"type": ["boolean", "null"]}),
            Kind::Date => json!({"type": ["string", "null"], "format": "date"}),
            Kind::Datetime if self.system => json!({"type": "string", "format": "date-time"}),
            Kind::Datetime => json!({"type": ["string", "null"], "format": "date-time"}),
            Kind::Dropdown => json!({"anyOf": [{"type": "string", "enum": options()}, {"type": "null"}]}),
            Kind::MultiSelect => json!({"type": ["array", "null"], "items": {"type": "string", "enum": options()}}),
            Kind::Archived => {
                json!({"oneOf": [{"type": "boolean", "enum": [false]}, {"type": "string", "format": "date-time"}]})
            }
        };
        if self.id == system::ARCHIVED_BY {
            schema = json!({"type": ["string", "null"]});
        }
        if let Value::Object(members) = &mut schema {
            // The label of a custom field is anyone's text: as a title it would name types of generated clients.
            let (place, label) =
                if self.system { ("title", self.label.clone()) } else { ("description", plain(&self.label)) };
            members.insert(place.into(), json!(label));
            members.extend(self.example().map(|example| ("examples".into(), json!([example]))));
        }
        schema
    }

    fn example(&self) -> Option<Value> {
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
            system::WEBSITE => json!("https://example.com"),
            _ => return self.example_of_kind(),
        })
    }

    fn example_of_kind(&self) -> Option<Value> {
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

/// A label as a description, which pages render as Markdown: its own characters, and nothing that they could mean there.
fn plain(label: &str) -> String {
    let mut plain = String::with_capacity(label.len());
    let mut characters = label.chars().map(|character| if character.is_control() { ' ' } else { character }).peekable();
    while let Some(character) = characters.next() {
        // Anywhere; of a URL, which would become a link; of a heading or a list.
        let is_markup = "\\`*_[]<>&~|".contains(character)
            || (character == ':' && characters.peek() == Some(&'/'))
            || (plain.is_empty() && "#-+=".contains(character));
        plain.extend(Some('\\').filter(|_| is_markup));
        plain.push(character);
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::FieldOption;
    use crate::fields::registry_samples as samples;

    #[test]
    fn has_the_options_as_its_values() {
        let options = ["red", "green"].map(|name| FieldOption::new(name, "Any label")).to_vec();
        let field = |kind| Field { options: options.clone(), ..samples::custom(100, "colour", kind) };
        assert_eq!(field(Kind::Dropdown).schema()["anyOf"][0]["enum"], json!(["red", "green"]));
        assert_eq!(field(Kind::MultiSelect).schema()["items"]["enum"], json!(["red", "green"]));
    }

    #[test]
    fn a_label_says_nothing_but_itself() {
        let label = "# <img src=x> [a](javascript:b) `c` *d*\n_e_\u{7} http://x Größe: 5";
        let field = Field { label: label.into(), ..samples::custom(100, "odd", Kind::Text) };
        let expected = r"\# \<img src=x\> \[a\](javascript:b) \`c\` \*d\* \_e\_  http\://x Größe: 5";
        assert_eq!(field.schema()["description"], expected);
        assert_eq!(field.schema()["title"], Value::Null);
    }
}
