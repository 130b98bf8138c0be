//! The choice of the contacts that a search reads.

use super::index_candidates::{Branch, Lookup, Term};
use super::index_order::IndexOrder;

/// The number of contacts of a sample.
pub(super) const SAMPLE_SIZE: i64 = 250;
/// The number of changes after the position of the index from which on searches do not use it: they would have to look at each of
/// the changed contacts.
pub(super) const MAX_CHANGES: i64 = 20_000;

/// A walk in the order of an index is chosen if it probably has to read at most this many contacts.
pub(super) const MAX_WALK: i64 = 2_000;
/// If lookups find more contacts than this, all contacts are read instead.
pub(super) const MAX_FOUND: i64 = 20_000;
/// A word is looked up if at most one of this many contacts has it: to read many entries would take longer than to check the word
/// on the contacts that the other words find.
const MIN_CONTACTS_PER_MATCH: i64 = 10;
/// If more than one of this many contacts meets the rarest condition, all contacts are read.
const MIN_CONTACTS_PER_RAREST_MATCH: i64 = 4;

/// The contacts that a search reads.
pub(super) enum Source<'a> {
    /// All contacts of the account.
    All,
    /// The contacts in the order of the search, until the page is full. With lookups, at most [`MAX_WALK`] of them: if the page is
    /// not full then, the contacts that the lookups find.
    FirstInOrder { order: IndexOrder<'a>, lookups: Vec<Lookup<'a>> },
    /// The contacts that indexes find. `uses_entries`: the search index is one of them.
    Found { lookups: Vec<Lookup<'a>>, uses_entries: bool },
}

/// A look at an account before a search: the state of its index, and how many of some contacts match.
#[derive(Debug, Default)]
pub(super) struct Probe {
    /// The number of changes after the position of the index, at most one more than [`MAX_CHANGES`].
    pub(super) changes: i64,
    /// The number of contacts in the sample: the first ones in the order of the search, or by id.
    pub(super) sampled: i64,
    /// The number of contacts in the sample that match.
    pub(super) matching: i64,
    /// For each term of each branch, the number of contacts in the sample that meet it.
    pub(super) counts: Vec<i64>,
    /// For each term of each branch, the text query that finds its entries; `None` if it has none.
    pub(super) queries: Vec<Option<String>>,
}

impl<'a> Source<'a> {
    /// Whether the search index is used, so that the contacts that have changed since its position must be read, too.
    pub(super) fn uses_entries(&self) -> bool {
        match self {
            Self::All => false,
            Self::FirstInOrder { .. } => true,
            Self::Found { uses_entries, .. } => *uses_entries,
        }
    }

    /// Whether the search may read all contacts of the account. `has_conditions`: not every contact matches.
    pub(super) fn is_scan(&self, has_conditions: bool) -> bool {
        match self {
            Self::All => true,
            Self::FirstInOrder { lookups, .. } => lookups.is_empty() && has_conditions,
            Self::Found { .. } => false,
        }
    }

    /// Returns the lookups of a search that uses the search index.
    pub(super) fn entry_lookups(&self) -> &[Lookup<'a>] {
        match self {
            Self::FirstInOrder { lookups, .. } | Self::Found { lookups, uses_entries: true } => lookups,
            Self::Found { .. } | Self::All => &[],
        }
    }

    /// Chooses the source of a search that needs this many contacts. `has_conditions`: not every contact matches.
    pub(super) fn choose(
        probe: &Probe,
        branches: &[Branch<'a>],
        order: Option<IndexOrder<'a>>,
        needed: i64,
        has_conditions: bool,
    ) -> Self {
        if probe.changes > MAX_CHANGES {
            return Self::All;
        }
        let lookups = probe.lookups(branches);
        // Without conditions, only archived contacts can be in the way.
        let is_short = probe.predicts_short_walk(needed) || (!has_conditions && probe.sampled < SAMPLE_SIZE);
        match order.filter(|_| is_short) {
            // All contacts are read in this order, too.
            Some(IndexOrder::Id { .. }) if lookups.is_empty() => Self::All,
            Some(order) => Self::FirstInOrder { order, lookups },
            None if lookups.is_empty() => Self::All,
            None => Self::Found { lookups, uses_entries: true },
        }
    }
}

/// A condition with the number of contacts in the sample that meet it.
struct Estimate<'a> {
    term: Term<'a>,
    count: i64,
    /// The text query of a term with a text.
    query: Option<String>,
}

impl Probe {
    /// Whether the page is probably full after a few contacts in the order.
    fn predicts_short_walk(&self, needed: i64) -> bool {
        self.matching > 0 && self.matching * MAX_WALK >= needed * self.sampled
    }

    /// Returns a lookup for each branch. Returns none if there is a branch without one.
    fn lookups<'a>(&self, branches: &[Branch<'a>]) -> Vec<Lookup<'a>> {
        let mut first = 0;
        let lookup_of = |branch: &Branch<'a>| match branch {
            Branch::Exact(lookup) => Some(lookup.clone()),
            Branch::Terms(terms) => {
                let estimates = self.estimates(first, terms);
                first += terms.len();
                lookup_of_terms(&estimates, self.sampled)
            }
        };
        branches.iter().map(lookup_of).collect::<Option<Vec<_>>>().unwrap_or_default()
    }

    /// Returns the estimates of terms, of which this is the first among the terms of all branches.
    fn estimates<'a>(&self, first: usize, terms: &[Term<'a>]) -> Vec<Estimate<'a>> {
        let estimate = |(index, term): (usize, &Term<'a>)| Estimate {
            term: *term,
            count: self.counts.get(first + index).copied().unwrap_or_default(),
            query: self.queries.get(first + index).cloned().flatten(),
        };
        terms.iter().enumerate().map(estimate).collect()
    }
}

/// Returns the lookup of the rarest terms; `None` if even they match many contacts.
fn lookup_of_terms<'a>(estimates: &[Estimate<'a>], sampled: i64) -> Option<Lookup<'a>> {
    let is_usable = |estimate: &&Estimate<'_>| estimate.term.text().is_none() || estimate.query.is_some();
    let rarest = estimates.iter().filter(is_usable).min_by_key(|estimate| estimate.count)?;
    if rarest.count * MIN_CONTACTS_PER_RAREST_MATCH > sampled {
        return None;
    }
    let Some(rarest_query) = &rarest.query else {
        let Term::Condition(condition) = rarest.term else { return None };
        return Some(Lookup::Entries(condition));
    };
    let is_rare = |estimate: &&Estimate<'_>| estimate.count * MIN_CONTACTS_PER_MATCH <= sampled;
    let rare = estimates.iter().filter(is_rare).filter_map(|estimate| estimate.query.as_deref());
    let queries: Vec<_> =
        std::iter::once(rarest_query.as_str()).chain(rare.filter(|query| query != rarest_query)).collect();
    Some(Lookup::Words(queries.join(" & ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn estimates(words: &[(&'static str, i64)]) -> Vec<Estimate<'static>> {
        let estimate = |(word, count): &(&'static str, i64)| Estimate {
            term: Term::Word(word),
            count: *count,
            query: (!word.is_empty()).then(|| (*word).to_owned()),
        };
        words.iter().map(estimate).collect()
    }

    fn query(words: &[(&'static str, i64)]) -> Option<String> {
        match lookup_of_terms(&estimates(words), SAMPLE_SIZE)? {
            Lookup::Words(query) => Some(query),
            _ => None,
        }
    }

    #[test]
    fn frequent_words_are_not_looked_up() {
        assert_eq!(query(&[("com", 250), ("ada", 3), ("gmb", 25)]).as_deref(), Some("ada & gmb"));
        assert_eq!(query(&[("com", 60), ("gmb", 50)]).as_deref(), Some("gmb"));
        assert_eq!(query(&[("com", 70)]), None);
        assert_eq!(query(&[("", 0), ("gmb", 1)]).as_deref(), Some("gmb"), "a text without a query");
    }

    #[test]
    fn page_is_filled_by_a_walk_if_many_contacts_match() {
        let probe = |sampled, matching| Probe { sampled, matching, ..Probe::default() };
        assert!(probe(250, 2).predicts_short_walk(11));
        assert!(!probe(250, 1).predicts_short_walk(11));
        assert!(!probe(0, 0).predicts_short_walk(11));
    }
}
