//! A contact as a row of cells: every field, in the registry's order.

use std::borrow::Cow;

use super::cell;
use crate::contacts::Contact;
use crate::fields::{Field, Registry, format_instant, system};

/// The header: the internal name of every field.
pub fn header(registry: &Registry) -> impl Iterator<Item = &str> {
    registry.fields().iter().map(|field| field.internal_name.as_str())
}

/// The cells of a contact, empty where a field is unset. With `spreadsheet_safe` no cell can be taken for a formula.
pub fn cells<'a>(
    contact: &'a Contact,
    registry: &'a Registry,
    spreadsheet_safe: bool,
) -> impl Iterator<Item = Cow<'a, str>> {
    let cells = registry.fields().iter().map(|field| cell_of(contact, field));
    cells.map(move |cell| if spreadsheet_safe { disarmed(cell) } else { cell })
}

fn cell_of<'a>(contact: &'a Contact, field: &'a Field) -> Cow<'a, str> {
    let archival = contact.archival.as_ref();
    match field.id {
        system::ID => contact.id.to_string().into(),
        system::CREATED_AT => format_instant(contact.created_at).into(),
        system::UPDATED_AT => format_instant(contact.updated_at).into(),
        system::ARCHIVED => archival.map_or("false".into(), |archival| format_instant(archival.at).into()),
        system::ARCHIVED_BY => archival.and_then(|archival| archival.by.as_deref()).unwrap_or_default().into(),
        id => contact.values.get(id).map(|value| cell::text(field, value)).unwrap_or_default(),
    }
}

/// A cell that no spreadsheet takes for a formula (OWASP, "CSV injection"): with an apostrophe before what begins one.
/// Full-width signs count as their narrow twins, and leading tabs and line breaks are skipped by spreadsheets.
fn disarmed(cell: Cow<'_, str>) -> Cow<'_, str> {
    const DANGEROUS: [char; 11] = ['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'];
    if cell.starts_with(DANGEROUS) { format!("'{cell}").into() } else { cell }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contacts::Draft;
    use crate::fields::{FieldId, Number, Value, registry_samples as samples};

    fn contact() -> Contact {
        Contact::new(&Draft::of(vec![
            (system::FIRST_NAME, Some(Value::Text("=1+1".into()))),
            (FieldId(100), Some(Value::Number(Number::Integer(-5)))),
            (FieldId(101), Some(Value::Options(vec!["blue".into(), "red".into()]))),
        ]))
    }

    #[test]
    fn shows_every_field_under_its_name() {
        let (contact, registry) = (contact(), samples::registry());
        let row: Vec<_> = header(&registry).zip(cells(&contact, &registry, false)).collect();
        let cell = |name: &str| row.iter().find(|(header, _)| *header == name).map(|(_, cell)| &**cell);
        assert_eq!(cell("id"), Some(&*contact.id.to_string()));
        assert_eq!(cell("created_at"), Some(&*format_instant(contact.created_at)));
        for (name, text) in [
            ("first_name", "=1+1"),
            ("email", ""),
            ("archived", "false"),
            ("archived_by", ""),
            ("shoe_size", "-5"),
            ("tags", "red;blue"),
        ] {
            assert_eq!(cell(name), Some(text), "{name}");
        }
        assert_eq!(row.len(), registry.fields().len());
    }

    #[test]
    fn disarms_what_begins_a_formula() {
        for cell in ["=1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", "\nx", "＝1"] {
            assert_eq!(disarmed(cell.into()), format!("'{cell}"));
        }
        for cell in ["", "a=1", "'=1", " =1", "1-1"] {
            assert_eq!(disarmed(cell.into()), cell);
        }
        let (contact, registry) = (contact(), samples::registry());
        assert!(cells(&contact, &registry, true).any(|cell| cell == "'-5"));
    }
}
