//! The searches of the scenario `search`, on accounts whose contacts have names in common.

/// A kind of search. Each request has other values.
#[derive(Clone, Copy, PartialEq)]
pub enum SearchKind {
    /// The query is a last name, which 50 of a million contacts have.
    Name,
    /// The query is a first and a last name.
    TwoNames,
    /// The query is the beginning of an email.
    Beginning,
    /// The query is a word that every contact has, and a last name.
    CommonWord,
    /// The query is one letter.
    Letter,
    /// A filter on the phone number.
    Phone,
    /// A filter on the beginning of the company.
    Company,
    /// The first page in the order of last names.
    Sorted,
    /// The same from the last name on.
    SortedDescending,
    /// The contacts that were updated in the last second.
    Updated,
    /// The contacts that were created in the last second.
    Created,
    /// A filter without an index.
    Unindexed,
}

impl SearchKind {
    /// Returns the body, for a random number.
    pub fn body(self, random: u64, contacts: u64) -> String {
        let (first, last, contact) = (random % 400, random / 7 % 20_000, random % contacts);
        let query = |query: String| format!(r#"{{"query":"{query}"}}"#);
        let filter = |property: &str, operator: &str, value: String| {
            format!(r#"{{"filters":[{{"property":"{property}","operator":"{operator}","value":"{value}"}}]}}"#)
        };
        let second_ago = || (chrono::Utc::now() - chrono::TimeDelta::seconds(1)).to_rfc3339();
        match self {
            Self::Name => query(format!("last{last}")),
            Self::TwoNames => query(format!("first{first} last{last}")),
            Self::Beginning => query(format!("c{}", contact / 10)),
            Self::CommonWord => query(format!("example last{last}")),
            Self::Letter => query("l".to_owned()),
            Self::Phone => filter("phone", "eq", format!("+1 555 {contact}")),
            Self::Company => filter("company_name", "starts_with", format!("company {}", random % 1_000)),
            Self::Sorted => r#"{"sorts":["last_name"],"limit":100}"#.to_owned(),
            Self::SortedDescending => r#"{"sorts":["-last_name"],"limit":100}"#.to_owned(),
            Self::Updated => filter("updated_at", "gte", second_ago()),
            Self::Created => filter("created_at", "gte", second_ago()),
            Self::Unindexed => filter("job_title", "eq", format!("Title {random}")),
        }
    }
}
