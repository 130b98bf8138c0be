//! The headers by which other programs call the fields of contacts, in English, German, French and Spanish.
//!
//! The table is `field_aliases.csv`. A *weak* alias has several meanings: it counts only if no other column names the
//! field.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::header_name::comparable_name;

/// What a header that is in the table stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FieldAlias {
    pub(super) meaning: AliasMeaning,
    /// Whether the header often means something else.
    pub(super) is_weak: bool,
}

/// The meaning of an alias.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AliasMeaning {
    /// The field with this internal name.
    Field(&'static str),
    /// The complete name of a person.
    FullName,
    /// The complete name, or the part of it that has no other column: `Name` beside `Vorname` is the last name.
    Name,
}

const TABLE: &str = include_str!("field_aliases.csv");

static ALIASES: LazyLock<HashMap<String, FieldAlias>> = LazyLock::new(|| {
    let rows = TABLE.lines().skip(1).filter_map(|line| {
        let (target, header) = line.split_once(',')?;
        let (target, is_weak) = target.strip_suffix('?').map_or((target, false), |target| (target, true));
        let meaning = match target {
            "full_name" => AliasMeaning::FullName,
            "name" => AliasMeaning::Name,
            field => AliasMeaning::Field(field),
        };
        Some((comparable_name(header), FieldAlias { meaning, is_weak }))
    });
    rows.collect()
});

/// Returns what a header in its comparable form stands for, if it is in the table.
pub(super) fn find_alias(comparable: &str) -> Option<FieldAlias> {
    ALIASES.get(comparable).copied()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::fields::system;

    #[test]
    fn every_alias_names_a_writable_field_and_no_alias_has_two_meanings() {
        let mut targets: BTreeMap<String, String> = BTreeMap::new();
        for line in TABLE.lines().skip(1) {
            let (target, header) = line.split_once(',').expect("a field and a header");
            let name = target.trim_end_matches('?');
            let is_field = system::stored().iter().any(|field| field.internal_name == name);
            assert!(is_field || ["full_name", "name"].contains(&name), "{line}");
            let comparable = comparable_name(header);
            assert!(!comparable.is_empty(), "{line}");
            let earlier = targets.insert(comparable, line.to_owned());
            assert!(earlier.is_none(), "{line} and {earlier:?}");
        }
        assert!(targets.len() > 200, "{} aliases", targets.len());
    }

    #[test]
    fn aliases_are_found_by_their_comparable_form() {
        let find = |header: &str| find_alias(&comparable_name(header)).map(|alias| (alias.meaning, alias.is_weak));
        assert_eq!(find("E-mail 1 - Value"), Some((AliasMeaning::Field("email"), false)));
        assert_eq!(find("Téléphone mobile"), Some((AliasMeaning::Field("mobile_phone"), false)));
        assert_eq!(find("Title"), Some((AliasMeaning::Field("job_title"), true)));
        assert_eq!(find("Nom"), Some((AliasMeaning::Name, false)));
        assert_eq!(find("Colour"), None);
    }
}
