//! The body of `POST` and `PATCH /fields`. Accepted fields follow the rules for names, labels and options.

use contacts::fields::{FieldOption, FieldPatch, Kind, NewField, RESERVED_NAMES, Registry, RegistryVersion};
use serde_json::json;

use super::account::REGISTRY;
use super::{expect_complete_issues, parse_object};

pub fn definition(bytes: &[u8]) {
    let Some(body) = parse_object(bytes) else { return };
    match NewField::parse(&body) {
        Ok(new) => expect_valid_field(new),
        Err(issues) => expect_complete_issues(&issues),
    }
    for field in ["email", "my_text", "my_dropdown"].map(|name| REGISTRY.get(name).map(|field| &**field)) {
        match FieldPatch::parse(&body, field) {
            Ok(patch) => {
                assert!(field.is_some_and(|field| !field.system));
                patch.label.iter().for_each(|label| expect_label(label));
                patch.options.iter().for_each(|options| expect_options(options));
            }
            Err(issues) => expect_complete_issues(&issues),
        }
    }
}

/// Checks the rules for a new field.
fn expect_valid_field(new: NewField) {
    expect_name(&new.internal_name);
    assert!(!new.internal_name.split('_').any(str::is_empty), "{}", new.internal_name);
    assert!(
        !RESERVED_NAMES.contains(&&*new.internal_name) || REGISTRY.get(&new.internal_name).is_some_and(|f| f.system),
        "{}",
        new.internal_name
    );
    expect_label(&new.label);
    expect_options(&new.options);
    assert!(Kind::CUSTOM.contains(&new.kind) && (!new.unique || new.kind.can_be_unique()));
    assert_eq!(new.options.is_empty(), !new.kind.has_options());
    expect_round_trip(&new);
    let name = new.internal_name.clone();
    let registry = Registry::new(RegistryVersion::default(), vec![new.into_unsaved()]);
    assert!(registry.get(&name).is_some());
}

/// Checks that the field, in the form in which responses contain it, is parsed as the same field.
fn expect_round_trip(new: &NewField) {
    let (name, kind) = (&new.internal_name, new.kind.as_str());
    let mut returned = json!({"internal_name": name, "label": new.label, "type": kind, "unique": new.unique});
    if new.kind.has_options() {
        returned["options"] = json!(new.options);
    }
    let returned = returned.to_string();
    assert_eq!(NewField::parse(&parse_object(returned.as_bytes()).unwrap()).as_ref(), Ok(new));
}

fn expect_options(options: &[FieldOption]) {
    assert!(options.len() <= 1_000);
    for (index, option) in options.iter().enumerate() {
        expect_name(&option.internal_name);
        expect_label(&option.label);
        assert!(options[..index].iter().all(|earlier| earlier.internal_name != option.internal_name));
    }
}

/// Checks that a name matches `^[a-z][a-z0-9_]{0,62}$`.
fn expect_name(name: &str) {
    assert!((1..=63).contains(&name.len()) && name.as_bytes()[0].is_ascii_lowercase(), "{name}");
    assert!(name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_')), "{name}");
}

fn expect_label(label: &str) {
    assert!((1..=255).contains(&label.chars().count()) && !label.contains('\0') && !label.trim().is_empty());
}
