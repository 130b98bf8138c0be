//! The headers by which other programs call the fields of contacts, in English, German, French, Spanish and other
//! languages.
//!
//! The table is `field_aliases.csv`. A *weak* alias has several meanings: it counts only if no other column names the
//! field. A header that is not in the table is reduced to the words that name a field ([`HeaderWords`]).

use std::collections::HashMap;
use std::sync::LazyLock;

use super::cell_values::is_placeholder;
use super::column_target::MatchRank;
use super::full_name::NameOrder;
use super::header_name::comparable_name;
use super::header_words::{HeaderWords, question};
use crate::fields::system;

/// What a header stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FieldAlias {
    pub(super) meaning: AliasMeaning,
    pub(super) rank: MatchRank,
}

/// The meaning of an alias.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AliasMeaning {
    /// The field with this internal name.
    Field(&'static str),
    /// The complete name of a person, with the order of its parts if the header says it.
    FullName(Option<NameOrder>),
    /// The complete name, or the part of it that has no other column: `Name` beside `Vorname` is the last name.
    Name,
}

const TABLE: &str = include_str!("field_aliases.csv");

/// The aliases, by their comparable form.
static ALIASES: LazyLock<HashMap<String, FieldAlias>> =
    LazyLock::new(|| rows().map(|(header, alias)| (comparable_name(header), alias)).collect());

/// The aliases and the names of fields, by their essential words. Those with several meanings are not in it.
static ESSENTIAL: LazyLock<HashMap<String, FieldAlias>> = LazyLock::new(|| {
    let mut found: HashMap<String, Option<FieldAlias>> = HashMap::new();
    for (header, alias) in rows().chain(field_names()) {
        // Other numbers and persons of an account are no ids and no owners of its contacts.
        if matches!(alias.meaning, AliasMeaning::Field("external_id" | "contact_owner")) {
            continue;
        }
        let entry = found.entry(HeaderWords::new(header).essential_with_places()).or_insert(Some(alias));
        if entry.is_some_and(|other| other.meaning != alias.meaning) {
            *entry = None;
        }
    }
    found.remove("");
    found.into_iter().filter_map(|(words, alias)| Some((words, alias?))).collect()
});

/// Returns the rows of the table.
fn rows() -> impl Iterator<Item = (&'static str, FieldAlias)> {
    TABLE.lines().skip(1).filter_map(|line| {
        let (target, header) = line.split_once(',')?;
        let (target, rank) =
            target.strip_suffix('?').map_or((target, MatchRank::Alias), |target| (target, MatchRank::WeakAlias));
        let meaning = match target {
            "full_name" => AliasMeaning::FullName(None),
            "last_first_name" => AliasMeaning::FullName(Some(NameOrder::LastNameFirst)),
            "name" => AliasMeaning::Name,
            field => AliasMeaning::Field(field),
        };
        Some((header, FieldAlias { meaning, rank }))
    })
}

/// Returns the internal names of the fields that can be written.
fn field_names() -> impl Iterator<Item = (&'static str, FieldAlias)> {
    let writable = system::stored().iter().filter(|field| field.writable);
    writable.map(|field| {
        let name = field.internal_name.as_str();
        (name, FieldAlias { meaning: AliasMeaning::Field(name), rank: MatchRank::Alias })
    })
}

/// The maximum length of a header, in bytes, that is compared. Longer texts are values or explanations, and reducing them
/// would take long.
const MAX_HEADER_BYTES: usize = 200;

/// Returns what a header stands for, if it is in the table, as it is or reduced to its essential words.
pub(super) fn find_alias(header: &str) -> Option<FieldAlias> {
    if header.len() > MAX_HEADER_BYTES || is_placeholder(header.trim()) {
        return None;
    }
    find_in_table(header).or_else(|| find_without_kind(header)).or_else(|| {
        let words = HeaderWords::new(header);
        let found = find_pair(&words)
            .or_else(|| find_without_brackets(header))
            .or_else(|| find_alternatives(header))
            .or_else(|| find_essential(&words))
            .or_else(|| find_essential(&HeaderWords::new(question(header)?)))?;
        Some(FieldAlias { rank: MatchRank::ReducedAlias, ..found })
    })
}

fn find_in_table(header: &str) -> Option<FieldAlias> {
    ALIASES.get(&comparable_name(header)).copied()
}

/// Returns the meaning of a header with the kind of its record or value after it, such as `Record ID - Contact` of HubSpot and
/// `E-Mail 1 - Wert` of Google.
fn find_without_kind(header: &str) -> Option<FieldAlias> {
    const RECORDS: [&str; 8] =
        ["contact", "contacts", "kontakt", "kontakte", "contacto", "contactos", "contato", "contatto"];
    const VALUES: [&str; 5] = ["value", "wert", "valeur", "valor", "valore"];
    const FIELDS_OF_VALUES: [&str; 4] = ["email", "phone", "mobile_phone", "website"];
    let header = header.replace(" – ", " - ");
    let (name, kind) = header.rsplit_once(" - ").map(|(name, kind)| (name, comparable_name(kind)))?;
    let found = find_in_table(name).or_else(|| find_essential(&HeaderWords::new(name)))?;
    let AliasMeaning::Field(field) = found.meaning else { return None };
    let is_record = field == "external_id" && RECORDS.contains(&&*kind);
    let is_value = FIELDS_OF_VALUES.contains(&field) && VALUES.contains(&&*kind);
    (is_record || is_value).then_some(found)
}

/// Returns the meaning of a header of two names, such as `Nachname, Vorname`.
fn find_pair(words: &HeaderWords) -> Option<FieldAlias> {
    // `First` and `Name` are one name if nothing is between them.
    if ESSENTIAL.contains_key(&words.as_slice().concat()) {
        return None;
    }
    let part = |text: &str| {
        let found = ALIASES.get(text).or_else(|| ESSENTIAL.get(text))?;
        match found.meaning {
            AliasMeaning::Name => Some("name"),
            AliasMeaning::Field(field @ ("first_name" | "last_name")) => Some(field),
            _ => None,
        }
    };
    let order = words.pairs().find_map(|(before, after)| match (part(&before)?, part(&after)?) {
        ("first_name", "last_name" | "name") | ("name", "last_name") => Some(NameOrder::FirstNameFirst),
        ("last_name", "first_name" | "name") | ("name", "first_name") => Some(NameOrder::LastNameFirst),
        _ => None,
    })?;
    Some(FieldAlias { meaning: AliasMeaning::FullName(Some(order)), rank: MatchRank::ReducedAlias })
}

/// Returns the meaning of a header without the text in brackets, which explains it.
fn find_without_brackets(header: &str) -> Option<FieldAlias> {
    let (before, rest) = header.split_once(['(', '['])?;
    let (inner, after) = rest.split_once([')', ']']).unwrap_or((rest, ""));
    let outer = find_alias(&format!("{before} {after}"))?;
    let words = HeaderWords::new(inner);
    let is_company =
        |word: &String| find_in_table(word).is_some_and(|found| found.meaning == AliasMeaning::Field("company_name"));
    if outer.meaning == AliasMeaning::Name && words.as_slice().iter().any(is_company) {
        return Some(FieldAlias { meaning: AliasMeaning::Field("company_name"), ..outer });
    }
    // The name of a column in a database, as in `Phone (s.tel)`.
    let is_technical = inner.contains('.') && !inner.contains(char::is_whitespace);
    // Other words, as in `Phone (fax)` and `Company (city)`, make it another thing.
    let explains =
        is_technical || words.names_no_field() || words.as_slice().iter().any(|word| EXPLANATIONS.contains(&&**word));
    match find_in_table(inner).filter(|_| !words.names_no_field()) {
        Some(inner) if inner.meaning == AliasMeaning::Field("mobile_phone") && is_phone(outer) => Some(inner),
        Some(inner) if inner.meaning == outer.meaning => Some(outer),
        None if explains => Some(outer),
        _ => None,
    }
}

/// Words of texts in brackets that only explain a header.
const EXPLANATIONS: [&str; 20] = [
    "required",
    "optional",
    "optionnel",
    "facultatif",
    "opcional",
    "obbligatorio",
    "obligatorio",
    "obligatoire",
    "mandatory",
    "pflichtfeld",
    "incl",
    "inkl",
    "including",
    "with",
    "mit",
    "fur",
    "adressattyp",
    "naturl",
    "facturation",
    "rechnung",
];

/// Returns the meaning of a header of several names of one field, such as `Company / Organization`.
fn find_alternatives(header: &str) -> Option<FieldAlias> {
    const WORDS: [&str; 7] = [" or ", " oder ", " ou ", " o ", " u ", " of ", " eller "];
    let separated = WORDS.iter().fold(header.to_lowercase(), |text, word| text.replace(word, "/"));
    let parts: Vec<_> = separated.split(['/', '|']).collect();
    if parts.len() < 2 {
        return None;
    }
    let parts: Vec<_> = parts.into_iter().map(find_alias).collect::<Option<_>>()?;
    let first = *parts.first()?;
    let is_phones = parts.iter().all(|part| is_phone(*part));
    let phone = FieldAlias { meaning: AliasMeaning::Field("phone"), rank: MatchRank::ReducedAlias };
    match parts.iter().all(|part| part.meaning == first.meaning) {
        true => Some(first),
        false => is_phones.then_some(phone),
    }
}

fn is_phone(alias: FieldAlias) -> bool {
    matches!(alias.meaning, AliasMeaning::Field("phone" | "mobile_phone"))
}

/// Returns the meaning of the essential words of a header.
fn find_essential(words: &HeaderWords) -> Option<FieldAlias> {
    let find = |text: &str| ESSENTIAL.get(text).or_else(|| ALIASES.get(text)).copied();
    let as_field = |alias: &FieldAlias| matches!(alias.meaning, AliasMeaning::Field(_));
    let found = find(&words.essential())
        .or_else(|| ALIASES.get(&words.all_singular()).copied().filter(as_field))
        .or_else(|| find(&words.essential_singular()).filter(as_field))?;
    let name = match found.meaning {
        AliasMeaning::Field("external_id" | "contact_owner") => return None,
        AliasMeaning::Field(name) => name,
        AliasMeaning::FullName(_) | AliasMeaning::Name => "name",
    };
    words.allow(name).then_some(found)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const FIRST_NAME_FIRST: AliasMeaning = AliasMeaning::FullName(Some(NameOrder::FirstNameFirst));
    const LAST_NAME_FIRST: AliasMeaning = AliasMeaning::FullName(Some(NameOrder::LastNameFirst));

    fn meaning(header: &str) -> Option<AliasMeaning> {
        find_alias(header).map(|alias| alias.meaning)
    }

    #[test]
    fn every_alias_names_a_writable_field_and_no_alias_has_two_meanings() {
        let mut targets: BTreeMap<String, String> = BTreeMap::new();
        for line in TABLE.lines().skip(1) {
            let (target, header) = line.split_once(',').expect("a field and a header");
            let name = target.trim_end_matches('?');
            let is_field = system::stored().iter().any(|field| field.internal_name == name);
            assert!(is_field || ["full_name", "last_first_name", "name"].contains(&name), "{line}");
            let comparable = comparable_name(header);
            assert!(!comparable.is_empty(), "{line}");
            let earlier = targets.insert(comparable, line.to_owned());
            assert!(earlier.is_none(), "{line} and {earlier:?}");
        }
        assert!(targets.len() > 200, "{} aliases", targets.len());
    }

    #[test]
    fn aliases_are_found_by_their_comparable_form() {
        let find = |header: &str| find_alias(header).map(|alias| (alias.meaning, alias.rank));
        assert_eq!(find("E-mail 1 - Value"), Some((AliasMeaning::Field("email"), MatchRank::Alias)));
        assert_eq!(find("Téléphone mobile"), Some((AliasMeaning::Field("mobile_phone"), MatchRank::Alias)));
        assert_eq!(find("Title"), Some((AliasMeaning::Field("job_title"), MatchRank::WeakAlias)));
        assert_eq!(find("Nom"), Some((AliasMeaning::Name, MatchRank::Alias)));
        assert_eq!(find("Your job title"), Some((AliasMeaning::Field("job_title"), MatchRank::ReducedAlias)));
        assert_eq!(find("ID de registro - Contact"), Some((AliasMeaning::Field("external_id"), MatchRank::Alias)));
        assert_eq!(find("ID de registro - Company"), None);
        assert_eq!(find("Teléfono 1 – Valor").map(|alias| alias.0), Some(AliasMeaning::Field("phone")));
        assert_eq!(find("#N/A"), None);
        assert_eq!(find("Account - Contact"), None);
        assert_eq!(find("Firma - Wert"), None);
        assert_eq!(find("Colour"), None);
    }

    #[test]
    fn other_words_of_a_header_do_not_matter() {
        for (header, name) in [
            ("Person - Email - Work", "email"),
            ("Persona - Correo electrónico - Trabajo", "email"),
            ("Contact: Phone", "phone"),
            ("billing_first_name", "first_name"),
            ("Billing Company", "company_name"),
            ("default_billing_address_company", "company_name"),
            ("Default Address Phone", "phone"),
            ("Lead - Job title", "job_title"),
            ("Telefon Geschäft", "phone"),
            ("First up, what's your first name?", "first_name"),
            ("And your *last name*, {{field:a1b2}}?", "last_name"),
            ("Phone number, please?", "phone"),
            ("Emails 1 Email", "email"),
            ("Phone (s.tel)", "phone"),
            ("Email Address (required)", "email"),
            ("First name *", "first_name"),
            ("E-postadress", "email"),
            ("Фамилия", "last_name"),
            ("Telefoon op werk", "phone"),
            ("Rufnummer (geschäftlich)", "phone"),
            ("Mobiltelefon (geschäftlich)", "mobile_phone"),
            ("Phone (cell)", "mobile_phone"),
            ("Tel. (Handy)", "mobile_phone"),
            ("Telefon/Handy", "phone"),
            ("Telefonnummer (für Rückfragen)", "phone"),
            ("Primary Phone Number", "phone"),
            ("Home Mobile", "mobile_phone"),
            ("Número de teléfono móvil", "mobile_phone"),
            ("Teléfono de contacto", "phone"),
            ("Phone numbers", "phone"),
            ("Companies", "company_name"),
            ("Company1", "company_name"),
            ("Firma / Organisation", "company_name"),
            ("Entreprise / Organisme", "company_name"),
            ("Current Employer", "company_name"),
            ("What company do you work for?", "company_name"),
            ("What's your email address, _____?", "email"),
            ("Corporate website", "website"),
            ("Name (company)", "company_name"),
            ("your-phone", "phone"),
            ("What is the best phone number to reach you?", "phone"),
            ("Empresa u organización", "company_name"),
            ("Company or school", "company_name"),
            ("Teléfono madre/padre", "phone"),
            ("Téléphone fixe (contact) (facturation)", "phone"),
            ("Name (Adressattyp Unternehmen)", "company_name"),
            ("Prénom payeur", "first_name"),
            ("Buyer First", "first_name"),
        ] {
            assert_eq!(meaning(header), Some(AliasMeaning::Field(name)), "{header}");
        }
        assert_eq!(meaning("What is your name?"), Some(AliasMeaning::Name));
        assert_eq!(meaning("Parent/Guardian Name"), Some(AliasMeaning::Name));
    }

    #[test]
    fn words_that_change_the_meaning_matter() {
        for header in [
            "Contact type",
            "Personal note",
            "Lead Source",
            "Email opt-out",
            "Email Status",
            "E-mail 1 - Label",
            "Phone (fax)",
            "Company (city)",
            "Email (manager)",
            "Email (opt-out)",
            "Mother name",
            "Home Fax",
            "Assistant's Phone",
            "Emergency Contact Phone",
            "Last contact",
            "Last reached",
            "Last reach",
            "First contact date",
            "Account number",
            "Organization number",
            "Number of employees",
            "Company contact",
            "Home",
            "Work address",
            "Student name",
            "Line 1",
            "Page 2",
        ] {
            assert_eq!(meaning(header), None, "{header}");
        }
    }

    #[test]
    fn long_texts_are_no_headers_and_take_no_time() {
        assert_eq!(meaning(&format!("x{}{}", "(a)".repeat(12), " - Wert".repeat(8))), None);
        for text in ["(".repeat(1_000_000), "a/".repeat(1_000_000), "a ".repeat(1_000_000), "(/[".repeat(60)] {
            assert_eq!(meaning(&text), None);
        }
    }

    #[test]
    fn headers_with_both_names_say_their_order() {
        for (header, expected) in [
            ("Vorname Nachname", FIRST_NAME_FIRST),
            ("Nombre y apellidos", FIRST_NAME_FIRST),
            ("First and last name", FIRST_NAME_FIRST),
            ("Imię i nazwisko", FIRST_NAME_FIRST),
            ("NOM Prénom", LAST_NAME_FIRST),
            ("Name/Vorname (natürl. Person)", LAST_NAME_FIRST),
            ("Cognome e Nome", LAST_NAME_FIRST),
            ("Surname, First name", LAST_NAME_FIRST),
            ("ФИО", LAST_NAME_FIRST),
        ] {
            assert_eq!(meaning(header), Some(expected), "{header}");
        }
    }
}
