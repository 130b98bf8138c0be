//! Chooses the column of a field if the headers of several columns name it.

use super::super::column_target::{LeftOut, MatchRank};
use super::super::header_meaning::{HeaderMeaning, unknown_meaning};
use super::HeaderMapper;
use crate::fields::{Field, FieldId, Kind, system};

impl HeaderMapper<'_> {
    /// Leaves out columns that are mapped to a field by other words or by their values, if there is a better column for
    /// it: they may have another meaning. Leaves out ids that do not identify a contact, and websites that are none.
    pub(super) fn check_doubtful(&self, meanings: &mut [HeaderMeaning]) {
        let is_good_name = |(index, meaning): (usize, &HeaderMeaning)| {
            self.sample.has_values(index) && meaning.is_name(MatchRank::WeakAlias)
        };
        let has_name = meanings.iter().enumerate().any(is_good_name);
        for index in 0..meanings.len() {
            let replacement = match &meanings[index] {
                HeaderMeaning::Field(field, rank) => {
                    let is_best = self.best_column(field.id, meanings) == Some(index);
                    let is_website = field.id == system::WEBSITE && *rank > MatchRank::ExactName;
                    if *rank >= MatchRank::ReducedAlias && !is_best {
                        Some(unknown_meaning(index, self.options, self.sample))
                    } else if field.id == system::EXTERNAL_ID
                        && *rank > MatchRank::Label
                        && self.is_shared(index, meanings)
                    {
                        Some(HeaderMeaning::LeftOut(LeftOut::SharedIds))
                    } else if is_website && self.sample.count_values(index).0 > 1 && !self.has_form(index, field.kind) {
                        Some(HeaderMeaning::LeftOut(LeftOut::OtherForm(field.internal_name.clone())))
                    } else {
                        None
                    }
                }
                meaning @ (HeaderMeaning::FullName(..) | HeaderMeaning::Name(_)) => {
                    let is_doubtful = has_name && !meaning.is_name(MatchRank::WeakAlias);
                    is_doubtful.then(|| unknown_meaning(index, self.options, self.sample))
                }
                _ => None,
            };
            if let Some(replacement) = replacement {
                meanings[index] = replacement;
            }
        }
    }

    /// Returns whether contacts with different emails or names have the same id in a column.
    fn is_shared(&self, ids: usize, meanings: &[HeaderMeaning]) -> bool {
        let names = || (0..meanings.len()).find(|index| meanings[*index].is_name(MatchRank::WeakAlias));
        let last_name = || self.name_column(system::LAST_NAME, meanings).or_else(names);
        let identity = self.name_column(system::EMAIL, meanings).or_else(last_name);
        identity.is_some_and(|column| self.sample.is_shared(ids, column))
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
    /// the field; or all contacts have the same email address, or some have the same id.
    fn gives_way(&self, index: usize, field: &Field) -> bool {
        let repeats = || match field.id {
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
                Some((*rank != MatchRank::Chosen && self.gives_way(index, named), *rank, index))
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
