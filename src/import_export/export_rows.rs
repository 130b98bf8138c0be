//! Converts contacts to rows of cells, one for each field.

use std::borrow::Cow;
use std::sync::Arc;

use super::cell_values;
use crate::contacts::Contact;
use crate::fields::{Field, format_instant, system};

/// Returns the header: the internal names of the fields.
pub fn export_header(fields: &[Arc<Field>]) -> impl Iterator<Item = &str> {
    fields.iter().map(|field| field.internal_name.as_str())
}

/// Returns the cells of a contact, one for each field. The cell of an unset field is empty.
///
/// With `spreadsheet_safe`, spreadsheets do not interpret any cell as a formula.
pub fn export_cells<'a>(
    contact: &'a Contact,
    fields: &'a [Arc<Field>],
    spreadsheet_safe: bool,
) -> impl Iterator<Item = Cow<'a, str>> {
    let cells = fields.iter().map(|field| format_cell(contact, field));
    cells.map(move |cell| if spreadsheet_safe { escape_formula(cell) } else { cell })
}

fn format_cell<'a>(contact: &'a Contact, field: &'a Field) -> Cow<'a, str> {
    let archival = contact.archival.as_ref();
    match field.id {
        system::ID => contact.id.to_string().into(),
        system::CREATED_AT => format_instant(contact.created_at).into(),
        system::UPDATED_AT => format_instant(contact.updated_at).into(),
        system::VERSION => contact.version.to_string().into(),
        system::ARCHIVED => archival.map_or("false".into(), |archival| format_instant(archival.at).into()),
        system::ARCHIVED_BY => archival.and_then(|archival| archival.by.as_deref()).unwrap_or_default().into(),
        id => contact.values.get(id).map(|value| cell_values::format(field, value)).unwrap_or_default(),
    }
}

/// Puts an apostrophe before a cell that a spreadsheet could interpret as a formula (OWASP, "CSV injection").
///
/// Spreadsheets treat full-width signs like the ASCII signs, and skip leading tabs and line breaks.
fn escape_formula(cell: Cow<'_, str>) -> Cow<'_, str> {
    const DANGEROUS: [char; 11] = ['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'];
    if cell.starts_with(DANGEROUS) { format!("'{cell}").into() } else { cell }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contacts::ContactPatch;
    use crate::fields::{FieldId, Number, Value, registry_fixtures as fixtures};

    fn contact() -> Contact {
        Contact::new(&ContactPatch::new(vec![
            (system::FIRST_NAME, Some(Value::Text("=1+1".into()))),
            (FieldId(100), Some(Value::Number(Number::Integer(-5)))),
            (FieldId(101), Some(Value::Options(["blue".into(), "red".into()].into()))),
        ]))
    }

    #[test]
    fn exported_row_has_a_cell_for_every_field() {
        let (contact, registry) = (contact(), fixtures::registry());
        let row: Vec<_> =
            export_header(registry.fields()).zip(export_cells(&contact, registry.fields(), false)).collect();
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
    fn spreadsheet_safe_cells_do_not_begin_formulas() {
        for cell in ["=1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", "\nx", "＝1"] {
            assert_eq!(escape_formula(cell.into()), format!("'{cell}"));
        }
        for cell in ["", "a=1", "'=1", " =1", "1-1"] {
            assert_eq!(escape_formula(cell.into()), cell);
        }
        let (contact, registry) = (contact(), fixtures::registry());
        assert!(export_cells(&contact, registry.fields(), true).any(|cell| cell == "'-5"));
    }
}
