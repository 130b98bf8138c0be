//! Chooses the column of a field if the headers of several columns name it.

use std::sync::Arc;

use super::super::cell_values::is_yes_or_no;
use super::super::column_target::{LeftOut, MatchRank};
use super::super::header_meaning::{HeaderMeaning, unknown_meaning};
use super::super::header_name::comparable_name;
use super::super::table_sample::SharedIds;
use super::HeaderMapper;
use crate::fields::{Field, FieldId, Kind, system};

impl HeaderMapper<'_> {
    /// Leaves out columns that are mapped to a field by other words or by their values, if there is a better column for
    /// it: they may have another meaning. Leaves out ids that do not identify a contact, and websites that are none.
    pub(super) fn check_doubtful(&self, meanings: &mut [HeaderMeaning]) {
        self.resolve_names(meanings);
        let has_name =
            (0..meanings.len()).any(|index| self.may_be_names(index) && meanings[index].is_name(MatchRank::WeakAlias));
        for index in 0..meanings.len() {
            let replacement = match &meanings[index] {
                HeaderMeaning::Field(field, rank) => self.instead_of_field(index, field, *rank, meanings),
                meaning if meaning.is_name(MatchRank::Values) => {
                    let is_doubtful = has_name && !meaning.is_name(MatchRank::WeakAlias)
                        || self.sample.has_values(index) && !self.may_be_names(index);
                    is_doubtful.then(|| unknown_meaning(index, self.options, self.sample))
                }
                _ => None,
            };
            if let Some(replacement) = replacement {
                meanings[index] = replacement;
            }
        }
    }

    /// Returns what a column means instead of a field, if it hardly has the values of the field.
    fn instead_of_field(
        &self,
        index: usize,
        field: &Field,
        rank: MatchRank,
        meanings: &[HeaderMeaning],
    ) -> Option<HeaderMeaning> {
        let is_best = self.best_column(field.id, meanings) == Some(index);
        let is_flag = rank > MatchRank::Label && field.id != system::EXTERNAL_ID && self.has_flags(index);
        let is_number = rank > MatchRank::Label && self.has_only_numbers(index, field.id);
        let is_other_field = rank >= MatchRank::ReducedAlias && !is_best && self.options.create_fields;
        if is_flag || is_number || is_other_field || (rank == MatchRank::Values && !is_best) {
            return Some(unknown_meaning(index, self.options, self.sample));
        }
        if field.id == system::JOB_TITLE && rank > MatchRank::Alias && self.repeats_name(index, meanings) {
            return Some(HeaderMeaning::LeftOut(LeftOut::NoJobTitles));
        }
        let may_be_shared = match field.id {
            system::EXTERNAL_ID => rank > MatchRank::Label,
            system::EMAIL => rank >= MatchRank::ReducedAlias,
            _ => false,
        };
        if may_be_shared && self.is_shared(index, field.id, meanings) {
            return Some(HeaderMeaning::LeftOut(LeftOut::SharedIds));
        }
        let is_website = field.id == system::WEBSITE && rank > MatchRank::ExactName;
        // The addresses of the records in another program.
        let is_api = || rank > MatchRank::Alias && self.sample.values(index).all(|value| value.contains("/api/"));
        let is_no_website =
            is_website && self.sample.count_values(index).0 > 1 && (!self.has_form(index, field.kind) || is_api());
        is_no_website.then(|| HeaderMeaning::LeftOut(LeftOut::OtherForm(field.internal_name.clone())))
    }

    /// Returns whether a column has the same values as a column of names: some programs call the name of a record its title.
    fn repeats_name(&self, column: usize, meanings: &[HeaderMeaning]) -> bool {
        let names = [system::FIRST_NAME, system::LAST_NAME, system::COMPANY_NAME];
        let is_name = |meaning: &HeaderMeaning| match meaning {
            HeaderMeaning::Field(field, _) => names.contains(&field.id),
            meaning => meaning.is_name(MatchRank::Values),
        };
        (0..meanings.len()).any(|index| is_name(&meanings[index]) && self.sample.is_same(column, index))
    }

    /// Returns whether a column has a value with letters that is no flag.
    fn may_be_names(&self, index: usize) -> bool {
        self.sample.values(index).any(|value| value.contains(char::is_alphabetic)) && !self.has_flags(index)
    }

    /// Returns whether all values of a column are a yes or a no, as below `Is a company`.
    fn has_flags(&self, index: usize) -> bool {
        // A single letter can be a name.
        let is_flag = |value: &str| is_yes_or_no(value).is_some() && (value.len() > 1 || value.parse::<u8>().is_ok());
        self.sample.has_values(index) && self.sample.values(index).all(is_flag)
    }

    /// Returns whether no value of a column for a name, a company or a job title has a letter.
    fn has_only_numbers(&self, index: usize, field: FieldId) -> bool {
        let is_text = [system::FIRST_NAME, system::LAST_NAME, system::COMPANY_NAME, system::JOB_TITLE].contains(&field);
        let has_letter = |value: &str| value.contains(char::is_alphabetic);
        is_text && self.sample.values(index).count() > 1 && !self.sample.values(index).any(has_letter)
    }

    /// Finds the columns `Name` that are the last name or the company. Beside `Prénom (contact)`, `Nom (contact)` is the last
    /// name. Beside a first and a last name, or beside a contact person, a column with other names has the names of companies.
    fn resolve_names(&self, meanings: &mut [HeaderMeaning]) {
        let group = |index: usize| self.header[index].split_once('(').map(|(_, group)| comparable_name(group));
        let first = self.name_column(system::FIRST_NAME, meanings);
        self.replace_names(meanings, system::LAST_NAME, |index, _| {
            group(index).is_some() && first.and_then(group) == group(index)
        });
        let last = self.name_column(system::LAST_NAME, meanings);
        let has_other_names =
            |part: Option<usize>, index: usize| part.is_some_and(|part| self.sample.has_other_names(part, index));
        // Other words, as in `Preferred name`, say that it is a name of the person.
        self.replace_names(meanings, system::COMPANY_NAME, |index, rank| {
            rank == MatchRank::Alias && has_other_names(first, index) && has_other_names(last, index)
        });
        if self.name_column(system::COMPANY_NAME, meanings).is_none() {
            self.replace_names_beside_person(meanings);
        }
    }

    /// Gives the columns `Name` with other names than a contact person the meaning of a company.
    fn replace_names_beside_person(&self, meanings: &mut [HeaderMeaning]) {
        let is_person = |index: &usize| {
            matches!(meanings[*index], HeaderMeaning::FullName(..))
                && self.may_be_names(*index)
                && !self.sample.values(*index).any(|value| value.contains('@'))
        };
        let persons: Vec<_> = (0..meanings.len()).filter(is_person).collect();
        self.replace_names(meanings, system::COMPANY_NAME, |index, rank| {
            let is_other =
                |person: &usize| self.sample.has_other_names(*person, index) && !self.sample.is_part(index, *person);
            rank == MatchRank::Alias && persons.iter().any(is_other)
        });
    }

    /// Gives the columns `Name` for which `is_field` returns true the meaning of a field, if no other column names it.
    fn replace_names(
        &self,
        meanings: &mut [HeaderMeaning],
        field: FieldId,
        is_field: impl Fn(usize, MatchRank) -> bool,
    ) {
        let Some(field) = self.registry.by_id(field) else { return };
        for (index, meaning) in meanings.iter_mut().enumerate() {
            if let HeaderMeaning::Name(rank) = *meaning
                && is_field(index, rank)
            {
                *meaning = HeaderMeaning::Field(Arc::clone(field), rank.max(MatchRank::WeakAlias));
            }
        }
    }

    /// Returns whether contacts with different emails or names have the same value in a column for this unique field.
    fn is_shared(&self, column: usize, field: FieldId, meanings: &[HeaderMeaning]) -> bool {
        let ids = SharedIds { ids: column, are_emails: field == system::EMAIL, without: &[] };
        let is_shared = |other: Option<usize>| other.is_some_and(|other| self.sample.shared_id(ids, other).is_some());
        let email = self.name_column(system::EMAIL, meanings).filter(|_| field != system::EMAIL);
        if email.is_some() {
            return is_shared(email);
        }
        let name = (0..meanings.len()).find(|index| meanings[*index].is_name(MatchRank::WeakAlias));
        let parts = [system::FIRST_NAME, system::LAST_NAME].map(|field| self.name_column(field, meanings));
        is_shared(name) || parts.into_iter().any(is_shared)
    }

    /// Returns whether a value of a column has the form of an email address, a phone number or a web address.
    fn has_form(&self, index: usize, kind: Kind) -> bool {
        let has_form = |value: &str| match kind {
            Kind::Email | Kind::User => value.contains('@'),
            Kind::Phone => value.contains(|c: char| c.is_ascii_digit()),
            Kind::Url => value.contains(['.', ':']),
            _ => true,
        };
        self.sample.values(index).any(has_form)
    }

    /// Returns whether a column gives way to another column for the same field: it has no values, or no value of the form of
    /// the field. So does a column with another name than the field, if all contacts have the same email address or some the
    /// same id.
    fn gives_way(&self, index: usize, field: &Field, rank: MatchRank) -> bool {
        let known = self.giving_way.borrow().get(&(index, field.id)).copied();
        known.unwrap_or_else(|| {
            let gives_way = self.must_give_way(index, field, rank);
            self.giving_way.borrow_mut().insert((index, field.id), gives_way);
            gives_way
        })
    }

    fn must_give_way(&self, index: usize, field: &Field, rank: MatchRank) -> bool {
        let repeats = || match field.id {
            _ if rank <= MatchRank::Label => false,
            system::EMAIL => matches!(self.sample.count_values(index), (2.., 1)),
            system::EXTERNAL_ID => {
                let (values, different) = self.sample.count_values(index);
                different < values
            }
            _ => false,
        };
        !self.sample.has_values(index) || !self.has_form(index, field.kind) || repeats()
    }

    /// Returns the column whose header names a field in the best way, unless it gives way to another one.
    pub(super) fn best_column(&self, field: FieldId, meanings: &[HeaderMeaning]) -> Option<usize> {
        let candidates = meanings.iter().enumerate().filter_map(|(index, meaning)| match meaning {
            HeaderMeaning::Field(named, rank) if named.id == field => {
                Some((*rank != MatchRank::Chosen && self.gives_way(index, named, *rank), *rank, index))
            }
            _ => None,
        });
        candidates.min().map(|(_, _, index)| index)
    }

    /// Returns the column of a part of the name, if the column has values.
    pub(super) fn name_column(&self, field: FieldId, meanings: &[HeaderMeaning]) -> Option<usize> {
        self.best_column(field, meanings).filter(|index| self.sample.rows == 0 || self.sample.has_values(*index))
    }
}
