//! Finds the columns that identify the contact of a row.

use super::column_target::ColumnTarget;
use crate::fields::{Field, Registry};

/// The fields that identify a contact if the user chooses none.
const DEFAULT: [&str; 2] = ["external_id", "email"];

/// Returns the columns of the match fields, in order.
///
/// # Errors
/// Lists each chosen field that is not unique or has no column.
pub(super) fn find_match_columns(
    targets: &[ColumnTarget],
    chosen: &[String],
    registry: &Registry,
) -> Result<Vec<usize>, Vec<String>> {
    let column_of = |name: &str| {
        let is_target = |target: &ColumnTarget| matches!(target, ColumnTarget::Field(field, _) if field.internal_name == name && field.unique);
        targets.iter().position(is_target)
    };
    if chosen.is_empty() {
        return Ok(DEFAULT.iter().filter_map(|name| column_of(name)).collect());
    }
    let (mut columns, mut problems) = (vec![], vec![]);
    for name in chosen {
        let is_unique = |field: &Field| field.unique && field.writable;
        if !registry.get(name).is_some_and(|field| is_unique(field)) {
            let names: Vec<_> = registry.unique_fields().iter().map(|field| &*field.internal_name).collect();
            problems.push(format!("--match {name}: not a unique field. Choose {}", join_with_or(&names)));
        } else if let Some(column) = column_of(name) {
            columns.push(column);
        } else {
            problems.push(format!(
                "No column is mapped to {name}, which --match needs. Map it with --map \"HEADER={name}\""
            ));
        }
    }
    if problems.is_empty() { Ok(columns) } else { Err(problems) }
}

/// Returns `a`, `a or b`, or `a, b or c`.
fn join_with_or(names: &[&str]) -> String {
    match names {
        [first @ .., last] if !first.is_empty() => format!("{} or {last}", first.join(", ")),
        _ => names.concat(),
    }
}
