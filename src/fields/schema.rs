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
            Kind::Text => json!({"type": ["string", "null"], "maxLength": self.max_length}),
            Kind::Email | Kind::User => json!({"type": ["string", "null"], "format": "email", "maxLength": 254}),
            Kind::Phone => json!({"type": ["string", "null"], "maxLength": 40}),
            Kind::Url => json!({"type": ["string", "null"], "format": "uri", "maxLength": self.max_length}),
            Kind::Number => json!({"type": ["number", "null"]}),
            Kind::Checkbox => json!({"type": ["boolean", "null"]}),
            Kind::Date => json!({"type": ["string", "null"], "format": "date"}),
            Kind::Datetime if self.system => json!({"type": "string", "format": "date-time"}),
            Kind::Datetime => json!({"type": ["string", "null"], "format": "date-time"}),
            Kind::Dropdown => {
                json!({"type": ["string", "null"], "description": format!("One of: {}", options().join(", "))})
            }
            Kind::MultiSelect => json!({"type": ["array", "null"], "items": {"type": "string", "enum": options()}}),
            Kind::Archived => {
                json!({"oneOf": [{"type": "boolean", "enum": [false]}, {"type": "string", "format": "date-time"}]})
            }
        };
        if self.id == system::ARCHIVED_BY {
            schema = json!({"type": ["string", "null"]});
        }
        if let Value::Object(members) = &mut schema {
            members.insert("title".into(), json!(self.label));
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
            _ => return None,
        })
    }
}
