//! Maps the columns of a CSV file to fields, and converts its rows to writes.

use std::collections::HashMap;
use std::sync::Arc;

use super::cell_values;
use super::rejected_row::RejectedRow;
use crate::contacts::{ContactPatch, Upsert, Write};
use crate::fields::{Field, Issues, MAX_CUSTOM_FIELDS, NewField, Registry, system};
use crate::json::Json;

/// The options that control how columns are mapped to fields.
#[derive(Debug, Clone, Default)]
pub struct MappingOptions {
    /// Pairs of a header and the internal name of its field. With an empty name, the column is skipped.
    pub maps: Vec<(String, String)>,
    /// The unique field that identifies the contact of each row.
    pub match_field: String,
    /// Whether an unknown header creates a text field.
    pub create_fields: bool,
}

/// The reasons why a header cannot be mapped, one line for each problem.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct HeaderError(pub Vec<String>);

/// The columns of a file, mapped to the fields of one version of an account's registry.
#[derive(Debug)]
pub struct ColumnMapping {
    registry: Arc<Registry>,
    columns: Vec<Column>,
    /// The index of the column that identifies the contact.
    match_column: usize,
    new_fields: Vec<NewField>,
    skipped_columns: Vec<String>,
}

/// The target of a column.
#[derive(Debug, Clone)]
enum Column {
    /// An existing field.
    Field(Arc<Field>),
    /// A field that does not exist yet. Its cells are only validated.
    NewField(Box<Field>),
    /// No target: the cells are ignored.
    Skipped,
}

impl ColumnMapping {
    /// Maps the columns of a header to fields.
    ///
    /// # Errors
    /// Lists every problem: unknown headers, two columns for one field, no column for the match field, and invalid
    /// `options`.
    pub fn new(header: &[String], options: &MappingOptions, registry: &Arc<Registry>) -> Result<Self, HeaderError> {
        let mut mapper =
            HeaderMapper { options, registry, new_fields: vec![], skipped_columns: vec![], problems: vec![] };
        mapper.check_maps(header);
        let columns = header.iter().enumerate().map(|(index, name)| mapper.map_column(index, name.trim()));
        let columns: Vec<_> = columns.collect();
        mapper.check_duplicates(&columns);
        let match_column = mapper.find_match_column(&columns);
        mapper.check_field_limit();
        let HeaderMapper { new_fields, skipped_columns, problems, .. } = mapper;
        match match_column {
            Some(match_column) if problems.is_empty() => {
                Ok(Self { registry: Arc::clone(registry), columns, match_column, new_fields, skipped_columns })
            }
            _ => Err(HeaderError(problems)),
        }
    }

    /// Returns the registry to whose fields the columns were mapped.
    #[must_use]
    pub fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    /// Returns the fields that must be created before the rows are written.
    ///
    /// Until then, [`Self::parse_row`] validates their cells but does not include them in the writes.
    #[must_use]
    pub fn new_fields(&self) -> &[NewField] {
        &self.new_fields
    }

    /// Returns the headers of the columns that are skipped because their fields are read-only.
    #[must_use]
    pub fn skipped_columns(&self) -> &[String] {
        &self.skipped_columns
    }

    /// Converts a row to an upsert by the match field.
    ///
    /// # Errors
    /// Lists every invalid cell of the row.
    pub fn parse_row<'a>(&self, cells: impl ExactSizeIterator<Item = &'a str>) -> Result<Write, RejectedRow> {
        if cells.len() != self.columns.len() {
            return Err(RejectedRow::for_cell_count(cells.len(), self.columns.len()));
        }
        let (mut changes, mut match_value, mut issues) = (Vec::with_capacity(self.columns.len()), None, vec![]);
        for (index, (column, text)) in self.columns.iter().zip(cells).enumerate() {
            match column {
                Column::Skipped => {}
                Column::NewField(field) => issues.extend(cell_values::parse(field, text).err()),
                Column::Field(field) => match cell_values::parse(field, text) {
                    Ok(None) => {}
                    Ok(value) if index == self.match_column => match_value = value,
                    Ok(value) => changes.push((field.id, value)),
                    Err(issue) => issues.push(issue),
                },
            }
        }
        match (&self.columns[self.match_column], match_value) {
            (Column::Field(field), Some(match_value)) if issues.is_empty() => {
                let upsert = Upsert::new(field, match_value, ContactPatch::new(changes));
                upsert.map(Write::Upsert).map_err(|issue| RejectedRow::from_issues(&[issue]))
            }
            (Column::Field(field), None) if issues.iter().all(|issue| issue.field != field.internal_name) => {
                Err(RejectedRow::for_missing_match_value(&field.internal_name, &issues))
            }
            _ => Err(RejectedRow::from_issues(&issues)),
        }
    }
}

/// Maps the columns of a header one by one, and collects the problems.
struct HeaderMapper<'a> {
    options: &'a MappingOptions,
    registry: &'a Registry,
    new_fields: Vec<NewField>,
    skipped_columns: Vec<String>,
    problems: Vec<String>,
}

impl HeaderMapper<'_> {
    /// Reports each `--map` whose header is not in the file.
    fn check_maps(&mut self, header: &[String]) {
        for (mapped, name) in &self.options.maps {
            if !header.iter().any(|header| header.trim() == mapped) {
                self.problems.push(format!("--map \"{mapped}={name}\": the file has no column \"{mapped}\""));
            }
        }
    }

    /// Returns the target of a column. Records a problem if there is none.
    fn map_column(&mut self, index: usize, header: &str) -> Column {
        let mapped = self.options.maps.iter().find(|(mapped, _)| mapped == header).map(|(_, name)| name.as_str());
        match mapped.unwrap_or(header) {
            "" if mapped.is_some() => Column::Skipped,
            "" => self.reject(format!("Column {} has no header. Give it the name of a field", index + 1)),
            name => match self.registry.get(name) {
                Some(field) if field.writable => Column::Field(Arc::clone(field)),
                Some(_) => self.skip_read_only(header, mapped),
                None if system::is_system_owned(name) => self.skip_read_only(header, mapped),
                None if self.options.create_fields => self.map_to_new_field(header, mapped),
                None => self.reject_unknown(header, mapped),
            },
        }
    }

    /// Records a problem. The column counts as skipped, so that the other columns can be checked.
    fn reject(&mut self, problem: String) -> Column {
        self.problems.push(problem);
        Column::Skipped
    }

    /// Skips a read-only column, because exported files contain such columns. An explicit `--map` to one is a problem.
    fn skip_read_only(&mut self, header: &str, mapped: Option<&str>) -> Column {
        if let Some(name) = mapped {
            return self.reject(format!("--map \"{header}={name}\": {name} is read-only and cannot be imported"));
        }
        self.skipped_columns.push(header.to_owned());
        Column::Skipped
    }

    /// Records that a header names no field, and how to fix it.
    fn reject_unknown(&mut self, header: &str, mapped: Option<&str>) -> Column {
        let name = mapped.unwrap_or(header);
        if let Some(message) = self.registry.unsupported_message(name) {
            return self.reject(format!("Cannot import column \"{header}\": the field {name} {message}"));
        }
        if let Some(name) = mapped {
            return self.reject(format!("--map \"{header}={name}\": the account has no field {name}"));
        }
        if header.contains([';', '\t']) {
            return self.reject(format!("Unknown column \"{header}\". Columns must be separated by commas"));
        }
        let field = self.similar_field(header).unwrap_or("FIELD");
        self.reject(format!(
            "Unknown column \"{header}\". Map it (--map \"{header}={field}\"), skip it (--map \"{header}=\"), \
             or use --create-fields"
        ))
    }

    /// Returns the writable field whose name has the letters and digits of this header: `email` for `E-Mail`.
    fn similar_field(&self, header: &str) -> Option<&str> {
        let name = field_definition(header, None).ok()?.internal_name.replace('_', "");
        let mut writable = self.registry.fields().iter().filter(|field| field.writable);
        let similar = writable.find(|field| field.internal_name.replace('_', "") == name);
        similar.map(|field| field.internal_name.as_str())
    }

    /// Maps a header to a new text field, or to the text field that an earlier import of the same file has created.
    fn map_to_new_field(&mut self, header: &str, mapped: Option<&str>) -> Column {
        let new = match field_definition(header, mapped) {
            Ok(new) => new,
            Err(issues) => {
                let problem = issues.first().map(|issue| format!("{} {}", issue.field, issue.message));
                let problem = problem.unwrap_or_default();
                return self.reject(format!("Cannot create a field for column \"{header}\": {problem}"));
            }
        };
        match self.registry.get(&new.internal_name) {
            Some(field) if field.writable && field.label == new.label && !field.system => {
                Column::Field(Arc::clone(field))
            }
            Some(existing) => {
                let name = &existing.internal_name;
                self.reject(format!(
                    "Cannot create a field for column \"{header}\": the field {name} already exists. \
                     To import into it, use --map \"{header}={name}\""
                ))
            }
            None => self.add_new_field(header, new),
        }
    }

    /// Adds a field to the fields to create. Records a problem if its name is too similar to another name. Two columns of
    /// one new field are reported by [`Self::check_duplicates`].
    fn add_new_field(&mut self, header: &str, new: NewField) -> Column {
        let is_equal = |other: &&str| *other == new.internal_name;
        let similar = self.registry.get_similar(&new.internal_name).map(|field| field.internal_name.as_str());
        let mut new_names = self.new_fields.iter().map(|other| other.internal_name.as_str());
        let similar = similar.or_else(|| new_names.find(|name| new.has_similar_name(name)));
        if let Some(similar) = similar.filter(|similar| !is_equal(similar)) {
            let name = &new.internal_name;
            return self.reject(format!(
                "Cannot create a field for column \"{header}\": its name {name} differs from {similar} only in \
                 underscores before digits. Choose another name with --map \"{header}=NAME\""
            ));
        }
        let field = new.clone().into_unsaved();
        self.new_fields.push(new);
        Column::NewField(Box::new(field))
    }

    /// Reports each field that has more than one column, because it is unclear which column to import.
    fn check_duplicates(&mut self, columns: &[Column]) {
        let mut first_columns = HashMap::new();
        for (number, column) in (1..).zip(columns) {
            let name = match column {
                Column::Field(field) => &field.internal_name,
                Column::NewField(field) => &field.internal_name,
                Column::Skipped => continue,
            };
            let first: usize = *first_columns.entry(name).or_insert(number);
            if first != number {
                self.problems.push(format!("Columns {first} and {number} are both mapped to {name}"));
            }
        }
    }

    /// Returns the index of the column that is mapped to the match field.
    fn find_match_column(&mut self, columns: &[Column]) -> Option<usize> {
        let name = &self.options.match_field;
        let is_unique = |field: &Arc<Field>| field.unique && field.writable;
        if !self.registry.get(name).is_some_and(is_unique) {
            let names: Vec<_> = self.registry.unique_fields().iter().map(|field| &*field.internal_name).collect();
            self.problems.push(format!("--match {name}: not a unique field. Choose {}", join_with_or(&names)));
            return None;
        }
        let is_match = |column: &Column| matches!(column, Column::Field(field) if field.internal_name == *name);
        let index = columns.iter().position(is_match);
        if index.is_none() {
            self.problems.push(format!("No column is mapped to {name}, which --match needs"));
        }
        index
    }

    /// Reports a problem if the new fields exceed the maximum number of custom fields of an account.
    fn check_field_limit(&mut self) {
        let existing = self.registry.fields().iter().filter(|field| !field.system).count();
        let new = self.new_fields.len();
        if existing + new > MAX_CUSTOM_FIELDS {
            self.problems.push(format!(
                "Cannot create {new} fields: an account can have at most {MAX_CUSTOM_FIELDS} custom fields, \
                 and this account has {existing}"
            ));
        }
    }
}

/// Returns `a`, `a or b`, or `a, b or c`.
fn join_with_or(names: &[&str]) -> String {
    match names {
        [first @ .., last] if !first.is_empty() => format!("{} or {last}", first.join(", ")),
        _ => names.concat(),
    }
}

/// Returns the definition of a text field for a header.
fn field_definition(header: &str, internal_name: Option<&str>) -> Result<NewField, Issues> {
    let mut body = vec![("label".into(), Json::String(header.into())), ("type".into(), Json::String("text".into()))];
    body.extend(internal_name.map(|name| ("internal_name".into(), Json::String(name.into()))));
    NewField::parse(&body)
}

#[cfg(test)]
mod tests;
