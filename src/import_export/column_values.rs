//! What the values of a column show about its meaning.

use uuid::Uuid;

use super::column_target::MatchRank;
use super::forms_of_address::is_title;
use super::header_name::comparable_name;
use super::header_words::HeaderWords;
use super::table_sample::TableSample;
use crate::fields::{FieldId, system};

/// What programs call the roles of their users, which are no job titles.
const ROLES_OF_USERS: [&str; 16] = [
    "enduser",
    "agent",
    "admin",
    "administrator",
    "user",
    "customer",
    "subscriber",
    "member",
    "guest",
    "owner",
    "editor",
    "viewer",
    "contributor",
    "author",
    "lead",
    "contact",
];

/// Returns whether a cell holds an email address. A header row has none.
#[must_use]
pub fn is_address(cell: &str) -> bool {
    let is_part = |part: &str| !part.is_empty() && !part.contains(char::is_whitespace);
    cell.trim().split_once('@').is_some_and(|(local, domain)| is_part(local) && is_part(domain) && domain.contains('.'))
}

/// Returns whether a cell begins with an email address, as in `a@example.com ::: b@example.com`.
fn begins_with_address(cell: &str) -> bool {
    cell.split([';', ',', '\n']).flat_map(|part| part.split(":::")).next().is_some_and(is_address)
}

/// Returns the field that the values of a column belong to, if its header names none: email addresses, phone numbers
/// below a header such as `Work`, and the ids below a header such as `HubSpot Contact ID`.
pub(super) fn find_by_values(index: usize, header: &str, sample: &TableSample) -> Option<(FieldId, MatchRank)> {
    let words = HeaderWords::new(header);
    let is_nearly_all = |number: usize, count: usize| count > 0 && number * 10 >= count * 9;
    let are_nearly_all = |is_match: &dyn Fn(&str) -> bool| {
        let matching = sample.values(index).filter(|value| is_match(value)).count();
        is_nearly_all(matching, sample.values(index).count())
    };
    let are_different = || {
        let (count, different) = sample.count_values(index);
        is_nearly_all(different, count)
    };
    // Many contacts have the email of one manager.
    let is_own = !words.as_slice().iter().any(|word| OTHER_PERSONS.iter().any(|other| word.starts_with(other)));
    // Numbers without a sign of a phone can be other numbers, so the header must speak of one.
    let has_phones = || {
        let names_phone = || is_own && has_phone_word(words.as_slice());
        let may_name_phone = || (words.is_place_of_phone() || words.asks_for_number()) && are_different();
        words.is_qualifier() && are_nearly_all(&is_phone)
            || (names_phone() || may_name_phone()) && are_nearly_all(&is_any_phone)
    };
    if is_own && are_nearly_all(&begins_with_address) && are_different() {
        Some((system::EMAIL, MatchRank::Values))
    } else if has_phones() {
        Some((system::PHONE, MatchRank::Values))
    } else if is_id_of_vendor(words.as_slice()) && are_different() {
        Some((system::EXTERNAL_ID, MatchRank::Values))
    } else {
        None
    }
}

/// The beginnings of words for persons who are not the contact.
const OTHER_PERSONS: [&str; 18] = [
    "cc",
    "bcc",
    "owner",
    "manager",
    "assist",
    "assign",
    "created",
    "modified",
    "updated",
    "refer",
    "supervisor",
    "boss",
    "spouse",
    "emergency",
    "sales",
    "host",
    "sender",
    "reports",
];

/// Returns whether a value looks like a phone number and not like another number, such as `2026-0001`, or a date.
pub(super) fn is_phone(value: &str) -> bool {
    const MIN_DIGITS: usize = 9;
    let digits = value.chars().filter(char::is_ascii_digit).count();
    let has_form = value.starts_with(['+', '0', '(']) || (digits >= MIN_DIGITS && value.contains([' ', '-', '.', '/']));
    let is_number = value.chars().all(|c| c.is_ascii_digit() || "+-()/. ".contains(c));
    (6..=15).contains(&digits) && has_form && is_number && !is_date(value)
}

/// Returns whether a value has the form of a date, such as `01.02.2026`.
fn is_date(value: &str) -> bool {
    let lengths: Vec<_> = value.split(['.', '/', '-']).map(str::len).collect();
    matches!(*lengths, [1..=2, 1..=2, 2 | 4] | [4, 1..=2, 1..=2])
}

/// Returns whether a header has a word for a phone, as in `School phone`, and none for a fax or an emergency.
fn has_phone_word(words: &[String]) -> bool {
    const PHONES: [&str; 8] = ["phone", "tel", "telefon", "telefono", "telefone", "fone", "handy", "rufnummer"];
    const OTHERS: [&str; 6] = ["fax", "telefax", "emergency", "notfall", "urgence", "emergencia"];
    let is_any = |list: &[&str], word: &String| list.iter().any(|end| word.ends_with(end));
    words.iter().any(|word| is_any(&PHONES, word)) && !words.iter().any(|word| is_any(&OTHERS, word))
}

/// Returns whether a value looks like a phone number, or has as many digits as one and no date, and nothing else.
fn is_any_phone(value: &str) -> bool {
    is_phone(value) || ((9..=15).contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Returns whether a header is the name of another program before `contact id`, `customer id` or the like.
fn is_id_of_vendor(words: &[String]) -> bool {
    const OTHER_CONTACTS: [&str; 6] = ["parent", "primary", "account", "company", "related", "reports"];
    let [vendor, kind, id] = words else { return false };
    id == "id"
        && ["contact", "customer", "person", "lead", "profile", "prospect"].contains(&&**kind)
        && !OTHER_CONTACTS.contains(&&**vendor)
}

/// Returns whether a column has the ids of another system. Ids of contacts are UUIDs, and short ids are numbers of a table that
/// another file has, too.
pub(super) fn has_foreign_ids(index: usize, sample: &TableSample) -> bool {
    const MIN_LENGTH: usize = 8;
    let is_foreign = |value: &str| value.len() >= MIN_LENGTH && Uuid::try_parse(value).is_err();
    sample.has_values(index) && sample.values(index).all(|value| is_foreign(value.trim()))
}

/// Returns whether a column can have job titles: its values are not mostly forms of address and, if the header speaks of
/// roles, not all roles of users.
pub(super) fn has_job_titles(header: &str, index: usize, sample: &TableSample) -> bool {
    let may_be_role = comparable_name(header).contains("rol");
    let (mut values, mut forms, mut roles) = (0_usize, 0_usize, 0_usize);
    for value in sample.values(index) {
        values += 1;
        forms += usize::from(is_title(value));
        roles += usize::from(may_be_role && ROLES_OF_USERS.contains(&&*comparable_name(value)));
    }
    values == 0 || (forms * 2 <= values && roles < values)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(header: &str, values: &[&str]) -> Option<FieldId> {
        let mut sample = TableSample::new(1, true);
        values.iter().for_each(|value| sample.add_row(std::iter::once(*value)));
        find_by_values(0, header, &sample).map(|(field, _)| field)
    }

    #[test]
    fn values_show_the_field_of_a_column_whose_header_names_none() {
        for (header, values, expected) in [
            ("Courrier", &["a@b.cd", "e@f.gh"][..], Some(system::EMAIL)),
            ("Manager", &["a@b.cd", "e@f.gh"], None),
            ("Courrier", &["a@b.cd", "a@b.cd", "a@b.cd"], None),
            ("Work", &["+44 20 7946 0001", "202-555-0100"], Some(system::PHONE)),
            ("Courrier", &["a@b.cd ::: x@y.zz", "e@f.gh"], Some(system::EMAIL)),
            ("Work", &["3684932360", "2025550100"], Some(system::PHONE)),
            ("Work", &["20240131", "20240228"], None),
            ("Day", &["1733050000", "1733050001"], None),
            ("CC", &["a@b.cd", "e@f.gh"], None),
            ("Verteiler", &["a@b.cd: Chef", "e@f.gh: Rat"], None),
            ("What’s the best number to reach you on?", &["+44 20 7946 0001"], Some(system::PHONE)),
            ("Number of people?", &["2", "3"], None),
            ("What is your member number?", &["202555010", "202555011"], None),
            ("Number", &["3684932360", "2025550100"], None),
            ("Number", &["2026-0001", "2026-0002"], None),
            ("Other", &["2026-01-31", "2026-02-28"], None),
            ("Other", &["01.02.2026", "03.04.2026"], None),
            ("City", &["+44 20 7946 0001"], None),
            ("Basic_Phone", &["+44 20 7946 0001"], Some(system::PHONE)),
            ("supplierPhone", &["(415) 555-0100"], Some(system::PHONE)),
            ("Emergency phone", &["+44 20 7946 0001"], None),
            ("Phone model", &["Nokia 3310"], None),
            ("Klaviyo Customer ID", &["a1", "b2"], Some(system::EXTERNAL_ID)),
            ("Parent Contact ID", &["a1", "b2"], None),
        ] {
            assert_eq!(found(header, values), expected, "{header} {values:?}");
        }
    }
}
