//! The headers by which other programs call the fields of contacts, in English, German, French, Spanish and other
//! languages.
//!
//! The table is `field_aliases.csv`. A *weak* alias has several meanings: it counts only if no other column names the
//! field.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::header_name::comparable_name;
use crate::fields::system;

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

/// The beginnings of headers that only say whose value it is, such as `Person - Name` and `billing_phone`, in lower case and with the
/// characters that end them.
const PREFIXES: [(&str, &str); 8] = [
    ("person", "-:."),
    ("contact", "-:."),
    ("kontakt", "-:."),
    ("lead", "-:."),
    ("customer", "-:."),
    ("billing", "-:._ "),
    ("default address", " "),
    ("primary contact", "-:. "),
];

/// The ends of headers that forms add.
const SUFFIXES: [&str; 3] = ["(required)", "(optional)", "*"];

/// Returns what a header stands for, if it is in the table, with or without a prefix such as `Person - ` or a suffix such as
/// `(required)`.
pub(super) fn find_alias(header: &str) -> Option<FieldAlias> {
    find_in_table(header).or_else(|| {
        let lower = header.trim().to_lowercase();
        if let Some(rest) = SUFFIXES.iter().find_map(|suffix| lower.strip_suffix(suffix)) {
            return find_name(rest);
        }
        PREFIXES.iter().find_map(|(prefix, ends)| {
            let rest = lower.strip_prefix(prefix)?;
            let is_prefix =
                rest.trim_start().starts_with(|c| ends.contains(c)) || (ends.contains(' ') && rest.starts_with(' '));
            is_prefix.then(|| find_name(rest))?
        })
    })
}

fn find_in_table(header: &str) -> Option<FieldAlias> {
    ALIASES.get(&comparable_name(header)).copied()
}

/// Returns what the rest of a header stands for: an alias, or the internal name of a field.
fn find_name(rest: &str) -> Option<FieldAlias> {
    find_in_table(rest).or_else(|| {
        let comparable = comparable_name(rest);
        let field = system::stored()
            .iter()
            .find(|field| field.writable && comparable_name(&field.internal_name) == comparable)?;
        Some(FieldAlias { meaning: AliasMeaning::Field(field.internal_name.as_str()), is_weak: false })
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

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
        let find = |header: &str| find_alias(header).map(|alias| (alias.meaning, alias.is_weak));
        assert_eq!(find("E-mail 1 - Value"), Some((AliasMeaning::Field("email"), false)));
        assert_eq!(find("Téléphone mobile"), Some((AliasMeaning::Field("mobile_phone"), false)));
        assert_eq!(find("Title"), Some((AliasMeaning::Field("job_title"), true)));
        assert_eq!(find("Nom"), Some((AliasMeaning::Name, false)));
        assert_eq!(find("Colour"), None);
        for (header, name) in [
            ("Person - Email - Work", "email"),
            ("Contact: Phone", "phone"),
            ("billing_first_name", "first_name"),
            ("Billing Company", "company_name"),
            ("Default Address Phone", "phone"),
            ("Lead - Job title", "job_title"),
            ("Email Address (required)", "email"),
            ("First name *", "first_name"),
            ("E-postadress", "email"),
            ("Фамилия", "last_name"),
        ] {
            assert_eq!(find(header), Some((AliasMeaning::Field(name), false)), "{header}");
        }
        assert_eq!((find("Contact type"), find("Personal note"), find("Lead Source")), (None, None, None));
    }
}
