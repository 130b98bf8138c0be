//! The body of `POST` and `PATCH /fields`: what is made of it keeps the rules of names, labels and options.

use contacts::fields::{FieldOption, FieldPatch, Kind, NewField, Registry, system};
use serde_json::json;

use super::account::REGISTRY;
use super::{expect_told, object};

pub fn definition(bytes: &[u8]) {
    let Some(body) = object(bytes) else { return };
    match NewField::parse(&body) {
        Ok(new) => expect_in_order(new),
        Err(issues) => expect_told(&issues),
    }
    for field in ["email", "my_text", "my_dropdown"].map(|name| REGISTRY.get(name).map(|field| &**field)) {
        match FieldPatch::parse(&body, field) {
            Ok(patch) => {
                assert!(field.is_some_and(|field| !field.system));
                patch.label.iter().for_each(|label| expect_label(label));
                patch.options.iter().for_each(|options| expect_options(options));
            }
            Err(issues) => expect_told(&issues),
        }
    }
}

fn expect_in_order(new: NewField) {
    expect_name(&new.internal_name);
    assert!(!system::RESERVED_NAMES.contains(&&*new.internal_name));
    expect_label(&new.label);
    expect_options(&new.options);
    assert!(Kind::CUSTOM.contains(&new.kind) && (!new.unique || new.kind.can_be_unique()));
    assert_eq!(new.options.is_empty(), !new.kind.has_options());
    expect_same_when_sent_again(&new);
    let name = new.internal_name.clone();
    let registry = Registry::new(1, 100, vec![new.into_unsaved()]);
    assert!(registry.get(&name).is_some());
}

/// An answer shows the field so; who sends that again asks for the same field.
fn expect_same_when_sent_again(new: &NewField) {
    let (name, kind) = (&new.internal_name, new.kind.as_str());
    let mut shown = json!({"internal_name": name, "label": new.label, "type": kind, "unique": new.unique});
    if new.kind.has_options() {
        shown["options"] = json!(new.options);
    }
    let shown = shown.to_string();
    assert_eq!(NewField::parse(&object(shown.as_bytes()).unwrap()).as_ref(), Ok(new));
}

fn expect_options(options: &[FieldOption]) {
    assert!(options.len() <= 1_000);
    for (index, option) in options.iter().enumerate() {
        expect_name(&option.internal_name);
        expect_label(&option.label);
        assert!(options[..index].iter().all(|earlier| earlier.internal_name != option.internal_name));
    }
}

/// `^[a-z][a-z0-9_]{0,62}$`
fn expect_name(name: &str) {
    assert!((1..=63).contains(&name.len()) && name.as_bytes()[0].is_ascii_lowercase(), "{name}");
    assert!(name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_')), "{name}");
}

fn expect_label(label: &str) {
    assert!((1..=255).contains(&label.chars().count()) && !label.contains('\0') && !label.trim().is_empty());
}
