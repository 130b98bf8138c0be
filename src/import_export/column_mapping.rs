//! Maps the columns of a file to fields. Every column has a target, or a reason why it is left out.

mod column_choice;
#[cfg(test)]
mod tests;

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::sync::Arc;

use super::cell_values::{CellRules, DateEvidence, DateRule};
use super::column_target::{ColumnTarget, LeftOut, MatchRank, NameRules};
use super::full_name::NameOrder;
use super::header_meaning::{HeaderMeaning, find_meaning};
use super::header_name::comparable_name;
use super::mapping_options::{AllowedWrites, MappingOptions, RowRules};
use super::match_fields::find_match_columns;
use super::new_fields::define_field;
use super::organization_names::{OrganizationNames, is_company_flag};
use super::table_sample::{SharedIds, TableSample};
use crate::fields::{Field, FieldId, Kind, MAX_CUSTOM_FIELDS, NewField, Registry, system};

/// The reasons why a header cannot be mapped, one line for each problem.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct HeaderError(pub Vec<String>);

/// The columns of a file, mapped to the fields of one version of an account's registry.
#[derive(Debug)]
pub struct ColumnMapping {
    pub(super) registry: Arc<Registry>,
    pub(super) targets: Vec<ColumnTarget>,
    /// The columns that identify the contact of a row, in order.
    pub(super) match_columns: Vec<usize>,
    /// The column that marks the rows that are companies.
    pub(super) company_flag: Option<usize>,
    /// Whether several columns are mapped to unique fields, so that rows can clash with each other.
    pub(super) has_several_keys: bool,
    pub(super) row_rules: RowRules,
    new_fields: Vec<NewField>,
}

impl ColumnMapping {
    /// Maps the columns of a header to fields. `sample` has the first rows.
    ///
    /// # Errors
    /// Lists every problem: invalid `options`, no column that can be imported, no column for a match field, and dates that
    /// have two meanings.
    pub fn new(
        header: &[String],
        sample: &TableSample,
        options: &MappingOptions,
        registry: &Arc<Registry>,
    ) -> Result<Self, HeaderError> {
        let mut mapper = HeaderMapper {
            header,
            sample,
            options,
            registry,
            new_fields: vec![],
            problems: vec![],
            giving_way: RefCell::default(),
            name_winner: OnceCell::new(),
            company_flag: None,
        };
        mapper.check_choices();
        let mut meanings: Vec<_> =
            (0..header.len()).map(|index| find_meaning(index, header, options, sample, registry)).collect();
        mapper.check_doubtful(&mut meanings);
        mapper.company_flag = mapper.find_company_flag(&meanings);
        let mut targets = mapper.choose_targets(&meanings);
        let company_flag = mapper.company_flag.filter(|_| targets.iter().any(ColumnTarget::is_full_name));
        if let Some(target @ ColumnTarget::LeftOut(LeftOut::Unknown)) = company_flag.map(|index| &mut targets[index]) {
            *target = ColumnTarget::LeftOut(LeftOut::CompanyFlag);
        }
        let match_columns = find_match_columns(&targets, &options.match_fields, registry);
        let match_columns = match_columns.unwrap_or_else(|problems| {
            mapper.problems.extend(problems);
            vec![]
        });
        mapper.check_targets(&targets);
        let HeaderMapper { new_fields, problems, .. } = mapper;
        if !problems.is_empty() {
            return Err(HeaderError(problems));
        }
        let is_key = |target: &&ColumnTarget| matches!(target, ColumnTarget::Field(field, _) if field.unique);
        let has_several_keys = targets.iter().filter(is_key).count() > 1;
        let registry = Arc::clone(registry);
        let row_rules = options.row_rules;
        Ok(Self { registry, targets, match_columns, company_flag, has_several_keys, row_rules, new_fields })
    }

    /// Returns the registry to whose fields the columns were mapped.
    #[must_use]
    pub fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    /// Returns which contacts the import writes.
    #[must_use]
    pub fn allowed_writes(&self) -> AllowedWrites {
        self.row_rules.writes
    }

    /// Returns the match field and a value of it that rows with different names share.
    #[must_use]
    pub fn shared_key<'a>(&self, sample: &'a TableSample) -> Option<(&str, &'a str)> {
        let is_name = |target: &ColumnTarget| match target {
            ColumnTarget::Field(field, _) => [system::FIRST_NAME, system::LAST_NAME].contains(&field.id),
            target => target.is_full_name(),
        };
        let names: Vec<_> = (0..self.targets.len()).filter(|index| is_name(&self.targets[*index])).collect();
        self.match_columns.iter().enumerate().find_map(|(position, key)| {
            let ColumnTarget::Field(field, _) = &self.targets[*key] else { return None };
            let earlier = &self.match_columns[..position];
            let ids = SharedIds { ids: *key, are_emails: field.kind == Kind::Email, without: earlier };
            let value = names.iter().find_map(|name| sample.shared_id(ids, *name))?;
            Some((field.internal_name.as_str(), value))
        })
    }

    /// Returns the fields that must be created before the rows are written.
    ///
    /// Until then, [`Self::parse_row`] validates their cells but does not include them in the writes.
    #[must_use]
    pub fn new_fields(&self) -> &[NewField] {
        &self.new_fields
    }
}

/// Maps the columns of a header, and collects the problems.
struct HeaderMapper<'a> {
    header: &'a [String],
    sample: &'a TableSample,
    options: &'a MappingOptions,
    registry: &'a Registry,
    new_fields: Vec<NewField>,
    problems: Vec<String>,
    /// Whether columns give way to others for a field, as far as it is known: a file can have thousands of columns for one.
    giving_way: RefCell<HashMap<(usize, FieldId), bool>>,
    /// The best column with complete names, once it is known.
    name_winner: OnceCell<usize>,
    /// The column that marks the rows that are companies.
    company_flag: Option<usize>,
}

impl HeaderMapper<'_> {
    /// Reports each choice whose column is not in the file.
    fn check_choices(&mut self) {
        let has_column = |is_for: &dyn Fn(usize, &str) -> bool| {
            self.header.iter().enumerate().any(|(index, header)| is_for(index, header.trim()))
        };
        for map in &self.options.maps {
            if !has_column(&|index, header| map.is_for(index, header)) {
                let (column, name) = (&map.column, &map.choice);
                self.problems.push(format!("--map \"{column}={name}\": the file has no column \"{column}\""));
            }
        }
        for choice in &self.options.field_types {
            if !self.options.create_fields {
                let (column, kind) = (&choice.column, choice.choice.as_str());
                self.problems.push(format!("--field-type \"{column}={kind}\": only with --create-fields"));
            }
            if !has_column(&|index, header| choice.is_for(index, header)) {
                let (column, kind) = (&choice.column, choice.choice.as_str());
                self.problems.push(format!("--field-type \"{column}={kind}\": the file has no column \"{column}\""));
            }
        }
    }

    /// Chooses the target of each column. Of several columns for one field, the best one counts.
    fn choose_targets(&mut self, meanings: &[HeaderMeaning]) -> Vec<ColumnTarget> {
        let mut targets = Vec::with_capacity(meanings.len());
        for (index, meaning) in meanings.iter().enumerate() {
            let target = match meaning {
                HeaderMeaning::Field(field, rank) => self.field_or_left_out(index, field, *rank, meanings),
                HeaderMeaning::FullName(..) | HeaderMeaning::Name(_) => self.name_target(index, meanings),
                HeaderMeaning::NewField(name) => self.new_field(index, name.as_deref()),
                HeaderMeaning::LeftOut(reason) => ColumnTarget::LeftOut(reason.clone()),
                HeaderMeaning::Invalid(problem) => self.reject(problem.clone()),
            };
            targets.push(target);
        }
        targets
    }

    /// Records a problem. The column counts as left out, so that the other columns can be checked.
    fn reject(&mut self, problem: String) -> ColumnTarget {
        self.problems.push(problem);
        ColumnTarget::LeftOut(LeftOut::Unknown)
    }

    fn field_or_left_out(
        &mut self,
        index: usize,
        field: &Arc<Field>,
        rank: MatchRank,
        meanings: &[HeaderMeaning],
    ) -> ColumnTarget {
        let winner = self.best_column(field.id, meanings).unwrap_or(index);
        if winner == index {
            let rules = self.cell_rules(index, field.kind);
            return ColumnTarget::Field(Arc::clone(field), rules);
        }
        let name = &field.internal_name;
        if rank == MatchRank::Chosen {
            let (first, second) = (winner + 1, index + 1);
            return self.reject(format!("Columns {first} and {second} are both mapped to {name}"));
        }
        ColumnTarget::LeftOut(LeftOut::OtherColumn(name.clone(), winner))
    }

    /// Returns the target of a column with complete names. Beside a column with one part of the name, `Name` is the other
    /// part.
    fn name_target(&mut self, index: usize, meanings: &[HeaderMeaning]) -> ColumnTarget {
        let (first, last) =
            (self.name_column(system::FIRST_NAME, meanings), self.name_column(system::LAST_NAME, meanings));
        let rank = |index: usize| match &meanings[index] {
            HeaderMeaning::FullName(MatchRank::Chosen, _) => 0,
            // The host of an event, for example, is in every row.
            _ if matches!(self.sample.count_values(index), (2.., 1)) => 2,
            // Of two columns `Name` beside a first name, the last name is the one without the first name.
            HeaderMeaning::Name(_) if first.is_some_and(|first| self.sample.is_part(first, index)) => 2,
            _ if self.sample.has_values(index) => 1,
            _ => 3,
        };
        let winner = *self.name_winner.get_or_init(|| {
            let columns = (0..meanings.len()).filter(|index| meanings[*index].is_name(MatchRank::Values));
            columns.map(|index| (rank(index), index)).min().map_or(index, |(_, index)| index)
        });
        if winner != index {
            return ColumnTarget::LeftOut(LeftOut::OtherColumn("the name".to_owned(), winner));
        }
        let part = match (&meanings[index], first, last) {
            // A complete name contains the first name.
            (HeaderMeaning::Name(_), Some(first), None) if !self.sample.is_part(first, index) => {
                Some(system::LAST_NAME)
            }
            (HeaderMeaning::Name(_), None, Some(last)) if !self.sample.is_part(last, index) => Some(system::FIRST_NAME),
            _ => None,
        };
        match (part.and_then(|part| self.registry.by_id(part)), &meanings[index]) {
            (Some(field), _) => ColumnTarget::Field(Arc::clone(field), CellRules::default()),
            (None, meaning) => {
                let stated = if let HeaderMeaning::FullName(_, order) = meaning { *order } else { None };
                let names = || self.sample.values(index);
                let order = stated.unwrap_or_else(|| NameOrder::detect(names()));
                let is_only_name = first.is_none() && last.is_none() && self.company_flag.is_none();
                let organizations =
                    if is_only_name { OrganizationNames::detect(names()) } else { OrganizationNames::WithLegalForm };
                let may_be_part = matches!(meaning, HeaderMeaning::Name(_));
                ColumnTarget::FullName(NameRules { order, may_be_part, organizations })
            }
        }
    }

    /// Finds the column that marks companies, unless the user has left it out.
    fn find_company_flag(&self, meanings: &[HeaderMeaning]) -> Option<usize> {
        let is_flag = |index: &usize| {
            let is_chosen = matches!(meanings[*index], HeaderMeaning::LeftOut(LeftOut::Chosen));
            let has_values = self.sample.has_values(*index);
            !is_chosen && has_values && is_company_flag(&self.header[*index], self.sample.values(*index))
        };
        (0..self.header.len()).find(is_flag)
    }

    fn new_field(&mut self, index: usize, chosen_name: Option<&str>) -> ColumnTarget {
        let header = self.header[index].trim();
        let is_same = |other: &String| comparable_name(other) == comparable_name(header);
        if let Some(first) = self.header[..index].iter().position(is_same).filter(|_| chosen_name.is_none()) {
            return ColumnTarget::LeftOut(LeftOut::OtherColumn(format!("\"{header}\""), first));
        }
        let defined =
            define_field((index, header), chosen_name, self.options, self.sample, (self.registry, &self.new_fields));
        match defined {
            Ok(new) => {
                let rules = self.cell_rules(index, new.kind);
                let field = new.clone().into_unsaved();
                self.new_fields.push(new);
                ColumnTarget::NewField(Box::new(field), rules)
            }
            Err(problem) => self.reject(problem),
        }
    }

    /// Returns how the cells of a column are read. Records a problem if its dates have two meanings.
    fn cell_rules(&mut self, index: usize, kind: Kind) -> CellRules {
        let dates = match (kind, self.options.date_format) {
            (Kind::Date | Kind::Datetime, Some(format)) => format.rule(),
            (Kind::Date | Kind::Datetime, None) => match self.sample.date_evidence(index) {
                DateEvidence::Order(order) => DateRule::Ordered(order),
                DateEvidence::Clear => DateRule::Unambiguous,
                DateEvidence::Ambiguous => {
                    let (header, value) = (self.header[index].trim(), self.sample.ambiguous_date(index));
                    self.problems.push(format!(
                        "Column \"{header}\": {} can be day/month or month/day. Say which with \
                         --date-format dd/mm/yyyy or --date-format mm/dd/yyyy",
                        value.unwrap_or("a date")
                    ));
                    DateRule::Unambiguous
                }
            },
            _ => DateRule::Unambiguous,
        };
        let decimal_sign = if kind == Kind::Number { self.sample.decimal_sign(index) } else { Default::default() };
        CellRules { dates, decimal_sign }
    }

    /// Reports a file of which no column can be imported, and too many new fields.
    fn check_targets(&mut self, targets: &[ColumnTarget]) {
        let is_left_out = |target: &ColumnTarget| matches!(target, ColumnTarget::LeftOut(_));
        if self.problems.is_empty() && targets.iter().all(is_left_out) {
            let headers: Vec<_> = self.header.iter().map(|header| format!("\"{}\"", header.trim())).collect();
            let first = self.header.first().map(|header| header.trim()).filter(|header| !header.is_empty());
            self.problems.push(format!(
                "No column names a field: {}. The first row must name the columns. Map a column with \
                 --map \"{}=email\", or see the fields in docs/api-reference.md#system-fields",
                headers.join(", "),
                first.unwrap_or("#1")
            ));
        }
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
