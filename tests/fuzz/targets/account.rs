//! The account of the fuzz targets. It has a custom field of every type, and two unique custom fields.

use std::sync::{Arc, LazyLock};

use contacts::contacts::{Contact, ContactPatch};
use contacts::fields::{Field, FieldId, FieldOption, Kind, NewField, Registry, RegistryVersion};
use uuid::Uuid;

use super::parse_object;

pub const ACCOUNT: Uuid = Uuid::from_u128(0x0198_0000_0000_7000_8000_0000_0000_000a);
pub const CONTACT: Uuid = Uuid::from_u128(0x0198_0000_0000_7000_8000_0000_0000_000c);

/// The custom fields: `my_text`, `my_email` and so on, `badge` (a unique text) and `serial` (a unique number).
pub static REGISTRY: LazyLock<Arc<Registry>> = LazyLock::new(|| {
    let of_each_kind = Kind::CUSTOM.map(|kind| field(&format!("my_{}", kind.as_str()), kind, false));
    let unique = [field("badge", Kind::Text, true), field("serial", Kind::Number, true)];
    let fields = of_each_kind.into_iter().chain(unique).zip(FieldId::FIRST_CUSTOM..);
    let fields: Vec<_> = fields.map(|(field, id)| Field { id: FieldId(id), ..field }).collect();
    Arc::new(Registry::new(RegistryVersion::default(), fields))
});

/// A contact of the account, with a value of nearly every field.
pub static SAMPLE: LazyLock<Contact> = LazyLock::new(|| {
    let fields = parse_object(include_bytes!("../../../fuzz/corpus/body/every_field")).unwrap();
    Contact::new(&ContactPatch::parse(&fields, &REGISTRY).unwrap().with_id(CONTACT))
});

fn field(name: &str, kind: Kind, unique: bool) -> Field {
    let options = ["red", "green", "blue"].map(|name| FieldOption::new(name, name)).into();
    let options = if kind.has_options() { options } else { vec![] };
    NewField { internal_name: name.into(), label: name.into(), kind, unique, options }.into_unsaved()
}
