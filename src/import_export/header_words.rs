//! Reduces headers to the words that name a field: `Telefon (geschäftlich)`, `Your phone number` and `Person - Phone` are
//! all a phone.

use std::collections::HashMap;
use std::sync::LazyLock;

/// What a word that names no field says about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Qualifier {
    /// Nothing: articles, questions and the number of the first of several fields.
    Filler,
    /// Whose value it is.
    Person,
    /// Whose value it is: a person through whom the contact is reached.
    Relative,
    /// Where a phone, an email address or a website is used.
    Place,
    /// That the value is a number.
    Number,
}

/// The words, in lower case and without accents, in English, German, French, Spanish and other languages.
const WORDS: [(Qualifier, &str); 5] = [
    (
        Qualifier::Filler,
        "a the hi hello there of at for in what which is are s your you do my our please enter provide full current primary main \
         preferred default parent parents guardian billing haupt primare ihr ihre ihren dein deine bitte eltern der die \
         des le la les l du de d del el y et and und en votre vos notre premier premiere principal principale su tu \
         tus di della dello il lo primaria primario principale do da dos seu sua een het van op uw je din ditt addr to reach can could we us \
         me should how if any up on 1 2 3 4 5 6 7 8 9",
    ),
    (
        Qualifier::Person,
        "contact contacts person people lead customer client member attendee invitee participant registrant respondent \
         partecipante guest user subscriber buyer payer applicant donor kontakt kunde mitglied teilnehmer payeur adherent \
         acheteur socio personne persona contacto cliente \
         contatto contato osoba",
    ),
    (Qualifier::Relative, "family mother father familie mutter vater famille mere pere madre padre familia"),
    (
        Qualifier::Place,
        "work home business office private personal direct corporate other day daytime evening best landline geschaftlich geschaft \
         gesch dienstlich beruflich privat priv personlich arbeit buro zuhause tagsuber professionnel professionnelle \
         pro personnel personnelle perso bureau domicile travail prive privee trabajo oficina casa particular laboral \
         profesional ufficio lavoro fisso fijo fixe privato personale aziendale werk thuis zakelijk arbete arbeid arbejde arb hem \
         hjem sluzbowy domowy prywatny comercial pessoal",
    ),
    (Qualifier::Number, "number numbers no nr num nummer nummern numero numeros numer"),
];

static QUALIFIERS: LazyLock<HashMap<&str, Qualifier>> = LazyLock::new(|| {
    WORDS.iter().flat_map(|(kind, words)| words.split_whitespace().map(|word| (word, *kind))).collect()
});

/// A header as words.
#[derive(Debug)]
pub(super) struct HeaderWords {
    /// All words, in lower case and without accents.
    words: Vec<String>,
    is_question: bool,
}

impl HeaderWords {
    pub(super) fn new(header: &str) -> Self {
        let is_question = header.trim_end().ends_with('?');
        let mut words = split_words(&without_variables(header));
        // The company of a billing address is that of its customer.
        if let Some(index) =
            words.windows(2).position(|pair| pair[1] == "address" && ["billing", "default"].contains(&&*pair[0]))
            && index + 2 < words.len()
        {
            words.remove(index + 1);
        }
        Self { words, is_question }
    }

    /// Returns the words that are no qualifiers, as one word.
    pub(super) fn essential(&self) -> String {
        self.words.iter().filter(|word| qualifier(word).is_none()).map(String::as_str).collect()
    }

    /// Returns the words that are no qualifiers, and the places, as one word: without `direct`, a direct line is any line.
    pub(super) fn essential_with_places(&self) -> String {
        let is_essential = |word: &&String| matches!(qualifier(word), None | Some(Qualifier::Place));
        self.words.iter().filter(is_essential).map(String::as_str).collect()
    }

    /// Returns the words that are no qualifiers in the singular, as one word.
    pub(super) fn essential_singular(&self) -> String {
        let essential = self.words.iter().filter(|word| qualifier(word).is_none());
        let mut words: Vec<_> = essential.map(|word| singular(word)).collect();
        // `Emails 1 Email`
        words.dedup();
        words.concat()
    }

    /// Returns the words in the singular, as one word.
    pub(super) fn all_singular(&self) -> String {
        self.words.iter().map(|word| singular(word)).collect()
    }

    /// Returns whether the qualifiers of this header leave the meaning of the field `name` as it is: the company of a
    /// contact is not its office, and a number is a phone number.
    pub(super) fn allow(&self, name: &str) -> bool {
        let is_phone = matches!(name, "phone" | "mobile_phone");
        let reaches_person = is_phone || name == "email";
        let names_person = matches!(name, "name" | "first_name" | "last_name");
        let is_allowed = |(index, word): (usize, &String)| match qualifier(word) {
            None | Some(Qualifier::Filler) => true,
            Some(Qualifier::Person) => index == 0 || reaches_person || names_person,
            Some(Qualifier::Relative) => reaches_person,
            Some(Qualifier::Place) => reaches_person || name == "website",
            Some(Qualifier::Number) => is_phone,
        };
        // The last contact and the first to reach are no names, but the first of a buyer is one.
        let is_name_of_person = matches!(&*self.words, [person, _] if qualifier(person) == Some(Qualifier::Person));
        let is_only_order = ["first", "last"].contains(&&*self.essential()) && !is_name_of_person;
        !is_only_order && (self.is_question || self.words.iter().enumerate().all(is_allowed))
    }

    /// Returns whether the header has only qualifiers, such as `Work` and `Number`.
    pub(super) fn is_qualifier(&self) -> bool {
        let kinds = || self.words.iter().map(|word| qualifier(word));
        kinds().all(|kind| kind.is_some())
            && kinds().any(|kind| matches!(kind, Some(Qualifier::Place | Qualifier::Number)))
    }

    /// Returns whether the header says only where a phone is used, such as `Work`.
    pub(super) fn is_place_of_phone(&self) -> bool {
        const NO_PLACES: [&str; 8] = ["other", "day", "daytime", "evening", "best", "tagsuber", "corporate", "direct"];
        let is_place = |word: &String| qualifier(word) != Some(Qualifier::Number) && !NO_PLACES.contains(&&**word);
        self.is_qualifier() && self.words.iter().all(is_place)
    }

    /// Returns whether the header asks for a number, such as `What's the best number to reach you on?`, but not for that of a
    /// member or of people.
    pub(super) fn asks_for_number(&self) -> bool {
        let is_person = |word: &String| qualifier(word) == Some(Qualifier::Person) && word != "contact";
        let has_number = self.words.iter().any(|word| qualifier(word) == Some(Qualifier::Number));
        self.is_question && self.is_qualifier() && has_number && !self.words.iter().any(is_person)
    }

    /// Returns whether all words are qualifiers.
    pub(super) fn names_no_field(&self) -> bool {
        self.words.iter().all(|word| qualifier(word).is_some())
    }

    /// Returns the two parts of the header before and after each of its words, each as one word, without the words that
    /// connect them.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (String, String)> {
        const CONNECTIVES: [&str; 8] = ["and", "und", "et", "y", "e", "i", "a", "och"];
        (1..self.words.len()).map(|index| {
            let (before, after) = self.words.split_at(index);
            let after = if after.len() > 1 && CONNECTIVES.contains(&&*after[0]) { &after[1..] } else { after };
            (before.concat(), after.concat())
        })
    }

    /// Returns the words.
    pub(super) fn as_slice(&self) -> &[String] {
        &self.words
    }
}

fn qualifier(word: &str) -> Option<Qualifier> {
    QUALIFIERS.get(word).copied()
}

/// Returns a question of a form without the answers that it repeats, as in `And your last name, {{field:a1b2}}?`.
fn without_variables(header: &str) -> String {
    let mut parts = header.split("{{");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + part.split_once("}}").map_or(part, |(_, rest)| rest))
}

/// Returns the question at the end of a header without the words before it, as in `First up, what's your first name?`. Returns
/// `None` if there are none, or if they speak of somebody else.
pub(super) fn question(header: &str) -> Option<&str> {
    const OTHERS: [&str; 12] = [
        "if",
        "emergency",
        "child",
        "kid",
        "partner",
        "spouse",
        "friend",
        "guest",
        "falls",
        "notfall",
        "kind",
        "urgence",
    ];
    let text = header.trim_end().strip_suffix('?')?;
    let start = text.rfind([',', ':', '.', '!'])? + 1;
    let introduction = split_words(&text[..start]);
    let is_other = introduction.iter().any(|word| OTHERS.contains(&&**word));
    (!is_other).then(|| header[start..].trim())
}

/// Splits a header into words of letters or digits.
fn split_words(header: &str) -> Vec<String> {
    let ascii = if header.is_ascii() { header.to_owned() } else { deunicode::deunicode(header) };
    let mut words: Vec<String> = vec![];
    let mut last = ' ';
    for character in ascii.chars() {
        let continues = last.is_ascii_alphabetic() == character.is_ascii_alphabetic() && last.is_ascii_alphanumeric();
        if character.is_ascii_alphanumeric() {
            match words.last_mut().filter(|_| continues) {
                Some(word) => word.push(character.to_ascii_lowercase()),
                None => words.push(character.to_ascii_lowercase().into()),
            }
        }
        last = character;
    }
    words
}

/// Returns an English word in the singular.
fn singular(word: &str) -> String {
    const MIN_LENGTH: usize = 4;
    match (word.strip_suffix("ies"), word.strip_suffix("sses"), word.strip_suffix('s')) {
        _ if word.len() < MIN_LENGTH || word.ends_with("ss") => word.to_owned(),
        (Some(stem), ..) => format!("{stem}y"),
        (_, Some(stem), _) => format!("{stem}ss"),
        (.., Some(stem)) => stem.to_owned(),
        _ => word.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_reduced_to_the_words_that_name_a_field() {
        for (header, essential) in [
            ("Telefon (geschäftlich)", "telefon"),
            ("Your phone number", "phone"),
            ("Person - E-Mail-Adresse - Arbeit", "emailadresse"),
            ("Company1", "company"),
            ("What's your email address, _____?", "emailaddress"),
            ("Número de teléfono móvil", "telefonomovil"),
            ("And your *last name*, {{field:a1b2}}?", "lastname"),
            ("What's your role in your company?", "rolecompany"),
            ("Fax (work)", "fax"),
            ("Work", ""),
        ] {
            assert_eq!(HeaderWords::new(header).essential(), essential, "{header}");
        }
        assert_eq!(HeaderWords::new("Phone numbers").all_singular(), "phonenumber");
        assert_eq!(question("First up, what's your first name?"), Some("what's your first name?"));
        assert_eq!(question("What is your name?"), None);
        assert_eq!(question("In case of emergency, what is the phone number?"), None);
        assert_eq!(HeaderWords::new("Companies").essential_singular(), "company");
        assert_eq!(HeaderWords::new("Business address").all_singular(), "businessaddress");
    }

    #[test]
    fn qualifiers_must_fit_to_the_field() {
        for (header, name, expected) in [
            ("Work phone", "phone", true),
            ("Phone number", "phone", true),
            ("Account number", "company_name", false),
            ("Company contact", "company_name", false),
            ("Company office", "company_name", false),
            ("Contact company", "company_name", true),
            ("What company do you work for?", "company_name", true),
        ] {
            assert_eq!(HeaderWords::new(header).allow(name), expected, "{header}");
        }
        assert!(HeaderWords::new("Work").is_qualifier() && HeaderWords::new("Number").is_qualifier());
        assert!(!HeaderWords::new("Work city").is_qualifier() && !HeaderWords::new("Contact").is_qualifier());
    }

    #[test]
    fn header_is_divided_into_pairs() {
        let pairs: Vec<_> = HeaderWords::new("Cognome e Nome").pairs().collect();
        assert!(pairs.contains(&("cognome".into(), "nome".into())), "{pairs:?}");
    }
}
