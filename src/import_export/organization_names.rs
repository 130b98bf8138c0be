//! Recognizes names of companies and other organizations, which are not split into first and last name.

use super::cell_values::is_yes_or_no;
use super::forms_of_address::has_form_of_address;
use super::full_name::plain_word;
use super::header_name::comparable_name;

/// Legal forms, which end the names of companies.
const LEGAL_FORMS: [&str; 48] = [
    "ltda",
    "eireli",
    "lda",
    "sa",
    "cv",
    "slu",
    "snc",
    "sro",
    "doo",
    "kft",
    "oo",
    "oyj",
    "hb",
    "kb",
    "ek",
    "asbl",
    "sprl",
    "eurl",
    "sasu",
    "pvt",
    "sl",
    "sas",
    "ab",
    "oy",
    "aps",
    "eg",
    "inc",
    "llc",
    "llp",
    "ltd",
    "limited",
    "corp",
    "corporation",
    "plc",
    "gmbh",
    "mbh",
    "ag",
    "kg",
    "kgaa",
    "ohg",
    "ug",
    "gbr",
    "ev",
    "sarl",
    "srl",
    "spa",
    "bv",
    "nv",
];

/// Legal forms that French and Russian companies have before their names.
const LEADING_LEGAL_FORMS: [&str; 10] = ["sarl", "eurl", "sas", "sasu", "sci", "ets", "ооо", "оао", "зао", "пао"];
/// Short legal forms that are no names, and count in any case.
const CERTAIN_SHORT_FORMS: [&str; 6] = ["ltd", "inc", "llc", "plc", "srl", "lda"];

/// The length up to which a legal form is only one in capitals or with dots.
const MAX_SHORT_FORM: usize = 3;

/// Words in the names of organizations, without accents.
const ORGANIZATIONS: [&str; 70] = [
    "school",
    "college",
    "university",
    "institute",
    "academy",
    "association",
    "foundation",
    "society",
    "club",
    "church",
    "hospital",
    "library",
    "hotel",
    "restaurant",
    "council",
    "agency",
    "services",
    "department",
    "ministry",
    "committee",
    "institut",
    "kirche",
    "verein",
    "verband",
    "amt",
    "ecole",
    "lycee",
    "universite",
    "mairie",
    "bibliotheque",
    "fondation",
    "syndicat",
    "federation",
    "colegio",
    "escuela",
    "universidad",
    "asociacion",
    "fundacion",
    "instituto",
    "ayuntamiento",
    "ministerio",
    "scuola",
    "liceo",
    "istituto",
    "associazione",
    "fondazione",
    "comune",
    "parroquia",
    "paroisse",
    "parish",
    "osz",
    "studio",
    "studios",
    "group",
    "collective",
    "trading",
    "supplies",
    "solutions",
    "systems",
    "technologies",
    "consulting",
    "partners",
    "company",
    "international",
    "apotheke",
    "pharmacy",
    "pharmacie",
    "farmacia",
    "center",
    "centre",
];
/// Words in which the German names of organizations end, such as `Grundschule`, without accents.
const ORGANIZATION_ENDINGS: [&str; 15] = [
    "schule",
    "gymnasium",
    "kolleg",
    "verein",
    "verband",
    "stiftung",
    "gesellschaft",
    "klinik",
    "kirche",
    "gemeinde",
    "bibliothek",
    "akademie",
    "zentrum",
    "universitat",
    "bucherei",
];

/// Which complete names of a column name companies or other organizations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OrganizationNames {
    /// Names with a legal form, such as `Acme GmbH`.
    WithLegalForm,
    /// Also names with a word such as `School`.
    WithWord,
    /// All names.
    All,
}

impl OrganizationNames {
    /// Detects which names of a column name organizations. `Church` is one if most others are organizations, too.
    pub(super) fn detect<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        const MIN_ORGANIZATIONS: usize = 3;
        const MIN_FOR_ALL: usize = 10;
        let (mut all, mut organizations) = (0_usize, 0_usize);
        for name in names {
            all += 1;
            organizations += usize::from(Self::WithWord.has(name));
        }
        match organizations {
            ..MIN_ORGANIZATIONS => Self::WithLegalForm,
            MIN_FOR_ALL.. if organizations * 10 >= all * 9 => Self::All,
            _ if organizations * 5 >= all * 3 => Self::WithWord,
            _ => Self::WithLegalForm,
        }
    }

    /// Returns whether a name of the column names an organization.
    pub(super) fn has(self, name: &str) -> bool {
        match self {
            Self::WithLegalForm => has_legal_form(name),
            _ if has_form_of_address(name) => false,
            Self::WithWord => has_legal_form(name) || has_organization_word(name),
            Self::All => true,
        }
    }
}

/// Returns whether a name begins or ends with a legal form, apart from a place in brackets.
fn has_legal_form(text: &str) -> bool {
    let text = text.split_once('(').filter(|_| text.trim_end().ends_with(')')).map_or(text, |(name, _)| name);
    let mut words = text.split(|c: char| c.is_whitespace() || c == ',').filter(|word| !word.is_empty());
    let is_form = |word: &str, forms: &[&str]| {
        // `Ek` is a name, `e.K.` is a legal form.
        let is_certain = CERTAIN_SHORT_FORMS.contains(&&*plain_word(word));
        let is_marked = is_certain || word.contains('.') || !word.contains(char::is_lowercase);
        forms.contains(&&*plain_word(word)) && (is_marked || plain_word(word).len() > MAX_SHORT_FORM)
    };
    let (Some(last), Some(first)) = (words.next_back(), words.next()) else { return false };
    is_form(last, &LEGAL_FORMS) || is_form(first, &LEADING_LEGAL_FORMS)
}

/// Returns whether a name has a word such as `School`, or `&`. What follows a comma can be the employer of a person.
fn has_organization_word(name: &str) -> bool {
    let plain = deunicode::deunicode(name.split(',').next().unwrap_or_default()).to_lowercase();
    let words: Vec<_> = plain.split(|c: char| !c.is_alphabetic()).filter(|word| !word.is_empty()).collect();
    // `Charlotte Church` is a person.
    let is_last_name =
        |word: &str| words.len() == 2 && word == words[1] && ["church", "parish", "club"].contains(&word);
    let is_organization =
        |word: &str| ORGANIZATIONS.contains(&word) || ORGANIZATION_ENDINGS.iter().any(|ending| word.ends_with(ending));
    name.contains(" & ") || words.iter().any(|word| is_organization(word) && !is_last_name(word))
}

/// Returns whether a column marks the rows that are companies, as in exports of Odoo.
pub(super) fn is_company_flag<'a>(header: &str, mut values: impl Iterator<Item = &'a str>) -> bool {
    const HEADERS: [&str; 12] = [
        "iscompany",
        "isacompany",
        "istunternehmen",
        "isteinunternehmen",
        "istfirma",
        "isteinefirma",
        "estunesociete",
        "estuneentreprise",
        "esunacompania",
        "esunaempresa",
        "companytype",
        "eunazienda",
    ];
    HEADERS.contains(&&*comparable_name(header)) && values.all(|value| parse_company_flag(value).is_some())
}

/// Returns whether a cell marks its row as a company, or as a person. Returns `None` for any other text.
pub(super) fn parse_company_flag(cell: &str) -> Option<bool> {
    const COMPANIES: [&str; 7] = ["company", "unternehmen", "firma", "societe", "compania", "empresa", "azienda"];
    const PERSONS: [&str; 7] = ["person", "individual", "einzelperson", "personne", "individu", "persona", "individuo"];
    let word = comparable_name(cell);
    let is_mark = word.len() < 2 && !["0", "1"].contains(&&*word);
    let by_word = || COMPANIES.contains(&&*word).then_some(true).or(PERSONS.contains(&&*word).then_some(false));
    is_yes_or_no(cell.trim()).filter(|_| !is_mark).or_else(by_word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_a_legal_form_are_companies() {
        for (text, expected) in [
            ("Müller AG", true),
            ("Acme, Inc.", true),
            ("Schmidt GmbH & Co. KG", true),
            ("Turnverein e.V.", true),
            ("MAHINDRA & MAHINDRA LIMITED ( Punjab )", true),
            ("SARL Dupont Frères", true),
            ("Acme Ltd", true),
            ("Shanxi Industry And Trade Co.,Ltd", true),
            ("ООО Ромашка", true),
            ("Peças Usadas LTDA", true),
            ("Alfa Sp. z o.o.", true),
            ("Alves Ribeiro S.A.", true),
            ("Daniel Ek", false),
            ("Daniel Müller e.K.", true),
            ("Ada Lovelace", false),
            ("AG", false),
            ("", false),
        ] {
            assert_eq!(has_legal_form(text), expected, "{text}");
        }
    }

    #[test]
    fn most_names_of_a_column_show_whether_they_are_organizations() {
        for (names, expected) in [
            (&["Papageno-Grundschule", "Lycée Zola", "Colegio San José"][..], OrganizationNames::WithWord),
            (&["Lycée Zola"; 10], OrganizationNames::All),
            (&["Charlotte Church", "Ellen Church", "Tom Church"], OrganizationNames::WithLegalForm),
            (&["Acme GmbH", "Stadtschule Ulm", "Beta AG", "Ada Lovelace", "Grace Hopper"], OrganizationNames::WithWord),
            (
                &["Charlotte Church", "Ellen Church", "Tom Church", "Ada Lovelace", "Grace Hopper", "Jo Doe"],
                OrganizationNames::WithLegalForm,
            ),
            (&["Anna Hamt", "Peter Samt", "Jo Gutclub"], OrganizationNames::WithLegalForm),
            (
                &["Ada Lovelace, Cambridge University", "Bob B, Yale University", "Eve, X College"],
                OrganizationNames::WithLegalForm,
            ),
            (&["Hotel Adlon", "Hotel Ritz"], OrganizationNames::WithLegalForm),
            (&[], OrganizationNames::WithLegalForm),
        ] {
            assert_eq!(OrganizationNames::detect(names.iter().copied()), expected, "{names:?}");
        }
        assert!(OrganizationNames::WithWord.has("Stadtschule Ulm") && !OrganizationNames::WithWord.has("Ada Lovelace"));
        assert!(OrganizationNames::All.has("OSZ Banken") && !OrganizationNames::All.has("Frau Anna Schmidt"));
    }

    #[test]
    fn flags_of_companies_are_words_or_a_yes() {
        for (cell, expected) in [
            ("True", Some(true)),
            ("0", Some(false)),
            ("Company", Some(true)),
            ("Individual", Some(false)),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(parse_company_flag(cell), expected, "{cell}");
        }
        assert!(is_company_flag("Is a Company", ["Yes", "No"].into_iter()));
        assert!(
            !is_company_flag("Is a Company", ["Yes", "Acme"].into_iter())
                && !is_company_flag("Company", ["Yes"].into_iter())
        );
    }
}
