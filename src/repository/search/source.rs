//! The choice of the contacts that a search reads.

use super::index_candidates::{Branch, Lookup, Term};
use super::index_order::IndexOrder;

/// The number of contacts of a sample.
pub(super) const SAMPLE_SIZE: i64 = 250;
/// The number of changes after the position of the index from which on searches do not use it: they would have to look at each of
/// the changed contacts.
pub(super) const MAX_CHANGES: i64 = 20_000;

/// A walk in the order of an index is chosen if it probably has to read at most this many contacts.
const SHORT_WALK: i64 = 2_000;
/// The limit of such a walk.
const MAX_WALK: i64 = 4_000;
/// The limit of the second attempt, after lookups have found too many contacts. Many contacts match, so a walk is probably short.
const MAX_LONG_WALK: i64 = 50_000;
/// If lookups find more contacts than this, all contacts are read instead.
const MAX_FOUND: i64 = 20_000;
/// The limit of the first attempt of a search by id with one selective condition, for each contact that is needed, and its least value. To read a found contact takes three times
/// as long as a step of a walk, so it is shorter to walk if many are found.
const MAX_FOUND_PER_NEEDED: i64 = 200;
const MIN_MAX_FOUND: i64 = 2_000;
/// A further word is looked up if at most one of this many contacts has it: to read many entries would take longer than to check
/// the word on the contacts that the rarest word finds.
const MIN_CONTACTS_PER_MATCH: i64 = 10;
/// For the same reason, it is looked up if it is at most about this many times as frequent as the rarest word.
const MAX_FREQUENCY: i64 = 5;
/// If more than one of this many contacts meets the rarest condition, all contacts are read.
const MIN_CONTACTS_PER_RAREST_MATCH: i64 = 4;

/// The contacts that a search reads.
pub(super) enum Source<'a> {
    /// All contacts of the account.
    All,
    /// The contacts in the order of the search, until the page is full.
    AllInOrder(IndexOrder<'a>),
    /// The same, but at most this many of them: if the page is not full then, the contacts that the lookups find.
    FirstInOrder { order: IndexOrder<'a>, max_walk: i64, found: Found<'a> },
    /// The contacts that the lookups find.
    Found(Found<'a>),
}

/// The contacts that indexes find.
#[derive(Clone)]
pub(super) struct Found<'a> {
    pub(super) lookups: Vec<Lookup<'a>>,
    /// The number of contacts from which on the search fails; `None` if the search index is not one of the indexes.
    pub(super) max: Option<i64>,
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
            Self::AllInOrder(_) | Self::FirstInOrder { .. } => true,
            Self::Found(found) => found.max.is_some(),
        }
    }

    /// Whether a search with this number of conditions may read all contacts of the account.
    pub(super) fn is_scan(&self, conditions: usize) -> bool {
        match self {
            Self::All => true,
            Self::AllInOrder(_) => conditions > 0,
            Self::FirstInOrder { .. } | Self::Found(_) => false,
        }
    }

    /// Returns what the indexes find.
    pub(super) fn found(&self) -> Option<&Found<'a>> {
        match self {
            Self::FirstInOrder { found, .. } | Self::Found(found) => Some(found),
            Self::AllInOrder(_) | Self::All => None,
        }
    }

    /// Whether one of the lookups is for values of the entries.
    pub(super) fn looks_up_values(&self) -> bool {
        self.found().is_some_and(|found| found.lookups.iter().any(|lookup| matches!(lookup, Lookup::Entries(_))))
    }

    /// Returns the order and the maximum length of a walk.
    pub(super) fn walk(&self) -> Option<(IndexOrder<'a>, Option<i64>)> {
        match self {
            Self::AllInOrder(order) => Some((*order, None)),
            Self::FirstInOrder { order, max_walk, .. } => Some((*order, Some(*max_walk))),
            Self::Found(_) | Self::All => None,
        }
    }

    /// Returns the source of the next attempt, after the lookups have found too many contacts or the index was reset.
    pub(super) fn next(self, order: Option<IndexOrder<'a>>) -> Self {
        match (self.found(), order) {
            (Some(Found { lookups, max: Some(max) }), Some(order)) if *max < MAX_FOUND => Self::FirstInOrder {
                order,
                max_walk: MAX_LONG_WALK,
                found: Found { lookups: lookups.clone(), max: Some(MAX_FOUND) },
            },
            _ => Self::All,
        }
    }

    /// Chooses the source of a search that needs this many contacts and has this number of conditions.
    pub(super) fn choose(
        probe: &Probe,
        branches: &[Branch<'a>],
        order: Option<IndexOrder<'a>>,
        needed: i64,
        conditions: usize,
    ) -> Self {
        if probe.changes > MAX_CHANGES {
            return Self::All;
        }
        let max = match order {
            // Nearly all that is found matches.
            Some(IndexOrder::Id { .. }) if conditions.saturating_sub(probe.common_terms()) == 1 => {
                (needed * MAX_FOUND_PER_NEEDED).clamp(MIN_MAX_FOUND, MAX_FOUND)
            }
            // A step of a walk in another order takes longer.
            _ => MAX_FOUND,
        };
        let found = Found { lookups: probe.lookups(branches), max: Some(max) };
        // Without conditions, only archived contacts can be in the way.
        let is_short = probe.predicts_short_walk(needed) || (conditions == 0 && probe.sampled < SAMPLE_SIZE);
        match order.filter(|_| is_short) {
            // All contacts are read in this order, too.
            Some(IndexOrder::Id { .. }) if found.lookups.is_empty() => Self::All,
            Some(order) if found.lookups.is_empty() => Self::AllInOrder(order),
            Some(order) => Self::FirstInOrder { order, max_walk: MAX_WALK, found },
            None if found.lookups.is_empty() => Self::All,
            None => Self::Found(found),
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
        self.matching > 0 && self.matching * SHORT_WALK >= needed * self.sampled
    }

    /// Returns the number of terms that nearly all contacts meet.
    fn common_terms(&self) -> usize {
        self.counts.iter().filter(|count| **count * 10 >= self.sampled * 9).count()
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
    let max_count = (sampled / MIN_CONTACTS_PER_MATCH).min((rarest.count + 1) * MAX_FREQUENCY);
    let is_rare = |estimate: &&Estimate<'_>| estimate.count <= max_count;
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
        assert_eq!(query(&[("com", 250), ("ada", 3), ("gmb", 20)]).as_deref(), Some("ada & gmb"));
        assert_eq!(query(&[("com", 60), ("gmb", 50)]).as_deref(), Some("gmb"));
        assert_eq!(query(&[("ada", 7), ("gmb", 0), ("ltd", 0)]).as_deref(), Some("gmb & ltd"));
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
