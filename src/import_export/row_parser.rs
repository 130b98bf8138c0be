//! Converts rows to writes.

use super::cell_values::{self, CellRules, ParsedCell};
use super::column_mapping::ColumnMapping;
use super::column_target::{ColumnTarget, NameRules};
use super::full_name::{is_no_name, rest_of_name, split_name};
use super::mapping_options::{AllowedWrites, OnBadCell, WithoutKey};
use super::organization_names::parse_company_flag;
use super::parsed_row::{ParsedRow, RowAction};
use super::refused_row::RefusedRow;
use super::row_hash::RowHash;
use crate::contacts::{ContactPatch, ContactTarget, Preconditions, UniqueKey, Upsert, Write};
use crate::fields::{Field, FieldId, Issue, Kind, Value, system};

impl ColumnMapping {
    /// Converts a row to a write. Cells that a short row lacks are empty.
    ///
    /// # Errors
    /// Lists every invalid cell of the row.
    pub fn parse_row<'a>(&self, mut cells: impl Iterator<Item = &'a str>) -> Result<ParsedRow, RefusedRow> {
        let mut row = RowBuilder { changes: Vec::with_capacity(self.targets.len()), ..RowBuilder::default() };
        for (index, (target, cell)) in self.targets.iter().zip(&mut cells).enumerate() {
            row.add_cell(target, cell, self.match_columns.contains(&index));
            row.is_company |= self.company_flag == Some(index) && parse_company_flag(cell) == Some(true);
        }
        if let Some(extra) = cells.find(|cell| !cell.trim().is_empty()) {
            return Err(RefusedRow::for_extra_cell(extra, self.targets.len()));
        }
        row.add_full_name();
        let may_skip = self.row_rules.on_bad_cell == OnBadCell::Skip && !row.has_bad_key;
        if !row.issues.is_empty() && !may_skip {
            return Err(RefusedRow::from_issues(&row.issues));
        }
        let skipped_cells = (!row.issues.is_empty()).then(|| RefusedRow::from_issues(&row.issues));
        let keys = if self.has_several_keys { row.unique_keys(self) } else { vec![] };
        let other_values = std::mem::take(&mut row.other_values);
        let has_new_values = !row.new_values.is_empty();
        let action = self.action(row.changes, &row.new_values)?;
        Ok(ParsedRow { action, keys, other_values, skipped_cells, has_new_values })
    }

    /// Returns what a row with these values does. The first match field that has a value identifies the contact.
    fn action(
        &self,
        mut changes: Vec<(FieldId, Option<Value>)>,
        new_values: &[(String, String)],
    ) -> Result<RowAction, RefusedRow> {
        let key = self.match_columns.iter().find_map(|index| {
            let ColumnTarget::Field(field, _) = &self.targets[*index] else { return None };
            let position = changes.iter().position(|(id, value)| *id == field.id && value.is_some())?;
            Some((field, position))
        });
        let Some((field, position)) = key else { return self.action_without_key(changes, new_values) };
        if self.row_rules.writes == AllowedWrites::CreateOnly {
            return Ok(RowAction::Write(Write::Create(new_contact(named_by_company(changes))?), field.id));
        }
        let Some(value) = changes.remove(position).1 else { return self.action_without_key(changes, new_values) };
        let patch = ContactPatch::new(changes);
        if self.row_rules.writes == AllowedWrites::UpdateOnly {
            let target = ContactTarget::Key(UniqueKey::from_value(field, &value));
            let preconditions = Preconditions::default();
            return Ok(RowAction::Write(
                Write::Update { target, patch, preconditions, source_updated_at: None },
                field.id,
            ));
        }
        let upsert = Upsert::new(field, value, patch).map_err(|issue| RefusedRow::from_issues(&[issue]))?;
        Ok(RowAction::Write(Write::Upsert(Upsert { named_by_company: true, ..upsert }), field.id))
    }

    fn action_without_key(
        &self,
        changes: Vec<(FieldId, Option<Value>)>,
        new_values: &[(String, String)],
    ) -> Result<RowAction, RefusedRow> {
        // A row that says nothing about a contact, such as the further values of a list in the export of Odoo.
        if changes.is_empty() && new_values.is_empty() {
            return Ok(RowAction::Skip);
        }
        match (self.row_rules.without_key, self.row_rules.writes) {
            (WithoutKey::Refuse, _) => Err(RefusedRow::for_missing_key(&self.match_field_names())),
            (WithoutKey::Create, AllowedWrites::UpdateOnly) => Ok(RowAction::Skip),
            (WithoutKey::Create, _) => {
                let changes = named_by_company(changes);
                let hash = RowHash::from_values(&changes, new_values, &self.registry);
                Ok(RowAction::CreateWithoutKey(new_contact(changes)?, hash))
            }
        }
    }

    /// Returns the internal names of the match fields.
    #[must_use]
    pub fn match_field_names(&self) -> Vec<&str> {
        let name = |index: &usize| match &self.targets[*index] {
            ColumnTarget::Field(field, _) => Some(field.internal_name.as_str()),
            _ => None,
        };
        self.match_columns.iter().filter_map(name).collect()
    }
}

/// Names a new contact without email and name by its company, as address books show it.
fn named_by_company(mut changes: Vec<(FieldId, Option<Value>)>) -> Vec<(FieldId, Option<Value>)> {
    let value = |id: FieldId| changes.iter().find_map(|(field, value)| value.as_ref().filter(|_| *field == id));
    let has_identity = [system::EMAIL, system::FIRST_NAME, system::LAST_NAME].into_iter().any(|id| value(id).is_some());
    let company = value(system::COMPANY_NAME).filter(|_| !has_identity).cloned();
    changes.extend(company.map(|company| (system::LAST_NAME, Some(company))));
    changes
}

/// Returns the content of a new contact, which needs an email or a name.
fn new_contact(changes: Vec<(FieldId, Option<Value>)>) -> Result<ContactPatch, RefusedRow> {
    let patch = ContactPatch::new(changes);
    if patch.has_identity() { Ok(patch) } else { Err(RefusedRow::for_missing_identity()) }
}

/// The values of a row, cell by cell.
#[derive(Default)]
struct RowBuilder<'a> {
    changes: Vec<(FieldId, Option<Value>)>,
    /// The values of fields that do not exist yet, each after the name of its field.
    new_values: Vec<(String, String)>,
    full_name: Option<(&'a str, NameRules)>,
    /// Whether another column marks the row as a company.
    is_company: bool,
    issues: Vec<Issue>,
    has_bad_key: bool,
    other_values: Vec<String>,
}

impl<'a> RowBuilder<'a> {
    fn add_cell(&mut self, target: &ColumnTarget, cell: &'a str, is_key: bool) {
        match target {
            ColumnTarget::LeftOut(_) => {}
            ColumnTarget::FullName(rules) => self.full_name = Some((cell, *rules)),
            ColumnTarget::NewField(field, rules) => {
                if let Some(value) = self.parse_cell(field, cell, *rules, is_key) {
                    let text = cell_values::format(field, &value).into_owned();
                    self.new_values.push((field.internal_name.clone(), text));
                }
            }
            ColumnTarget::Field(field, rules) => {
                if let Some(value) = self.parse_cell(field, cell, *rules, is_key) {
                    self.changes.push((field.id, Some(value)));
                }
            }
        }
    }

    fn parse_cell(&mut self, field: &Field, cell: &str, rules: CellRules, is_key: bool) -> Option<Value> {
        match cell_values::parse(field, cell, rules) {
            Ok(ParsedCell { value, others, unusable }) => {
                let name = &field.internal_name;
                let why_unusable =
                    if field.kind == Kind::Phone { "it is a fax" } else { "it is an internal address of Exchange" };
                for (values, reason) in [(others, "the field takes one value"), (unusable, why_unusable)] {
                    if !values.is_empty() {
                        self.other_values.push(format!("because {reason}: {name}: {}", values.join(", ")));
                    }
                }
                value
            }
            Err(issue) => {
                self.has_bad_key |= is_key;
                self.issues.push(issue);
                None
            }
        }
    }

    /// Takes the first and the last name from the complete name, if the row lacks one of them.
    fn add_full_name(&mut self) {
        let text_of = |id: FieldId| {
            self.changes.iter().find_map(|(field, value)| match value {
                Some(Value::Text(text)) if *field == id => Some(&**text),
                _ => None,
            })
        };
        let (first, last) = (text_of(system::FIRST_NAME), text_of(system::LAST_NAME));
        let company = text_of(system::COMPANY_NAME);
        let Some((name, rules)) = self.full_name.filter(|_| first.is_none() || last.is_none()) else { return };
        let mut lines = name.lines().map(cell_values::trim).filter(|line| !line.is_empty());
        let name = lines.next().unwrap_or_default();
        let others: Vec<_> = lines.collect();
        if !others.is_empty() {
            self.other_values.push(format!("because a row is one contact: name: {}", others.join(", ")));
        }
        // Odoo writes the company before the name.
        let name = company.and_then(|company| name.strip_prefix(company)?.strip_prefix(", ")).unwrap_or(name);
        let is_organization = self.is_company || rules.organizations.has(name) || company == Some(name);
        let is_only_name = first.is_none() && last.is_none();
        if is_organization && !is_no_name(name) && is_only_name {
            // As in address books, the last name of a company is its name.
            let new_company = company.is_none().then_some(name);
            return self.add_texts([(system::LAST_NAME, Some(name)), (system::COMPANY_NAME, new_company)]);
        }
        let Some(parts) = split_name(name, rules.order).filter(|_| is_only_name || !is_organization) else { return };
        let other_part = |part: Option<&'a str>| part.filter(|_| rules.may_be_part);
        let (new_first, new_last) = match (first, last) {
            (None, None) => parts,
            (Some(first), None) => (None, rest_of_name(name, first).or(other_part(parts.1.or(parts.0)))),
            (None, Some(last)) => (rest_of_name(name, last).or(other_part(parts.0.or(parts.1))), None),
            (Some(_), Some(_)) => return,
        };
        self.add_texts([(system::FIRST_NAME, new_first), (system::LAST_NAME, new_last)]);
    }

    fn add_texts(&mut self, texts: [(FieldId, Option<&str>); 2]) {
        for (id, text) in texts {
            let Some((text, field)) = text.zip(system::stored().iter().find(|field| field.id == id)) else { continue };
            match field.parse_text(cell_values::trim(text)) {
                Ok(None) => {}
                Ok(value) => self.changes.push((id, value)),
                Err(issue) => self.issues.push(issue),
            }
        }
    }

    fn unique_keys(&self, mapping: &ColumnMapping) -> Vec<UniqueKey> {
        let unique = mapping.registry.unique_fields();
        let key = |(id, value): &(FieldId, Option<Value>)| {
            let field = unique.iter().find(|field| field.id == *id)?;
            Some(UniqueKey::from_value(field, value.as_ref()?))
        };
        self.changes.iter().filter_map(key).collect()
    }
}
