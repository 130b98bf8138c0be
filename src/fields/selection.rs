//! `?properties=`: the fields that a response contains in addition to the default fields
//! (`docs/api-reference.md#contacts`).

use std::collections::HashSet;
use std::sync::Arc;

use super::{Field, Issue, IssueCode, Issues, Registry, RegistryVersion};

/// The items of a list of properties that stand for several fields: all fields, the custom fields, the system fields.
pub const SELECTION_WORDS: [&str; 3] = ["*", "custom", "system"];

/// The requested fields, in the requested order, once each.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// The requested fields, including default fields.
    named: Vec<Arc<Field>>,
    /// The requested fields that are not default fields.
    extra: Vec<Arc<Field>>,
    registry_version: RegistryVersion,
}

impl Selection {
    /// Parses a list of names and [`SELECTION_WORDS`]. Spaces around an item are trimmed. Empty and repeated items are
    /// skipped. An account can have a field with the name of a word, from before the words existed; the item then is the
    /// name of this field.
    ///
    /// # Errors
    /// Returns an issue for each name that is not a field of the account.
    pub fn parse<'a>(names: impl IntoIterator<Item = &'a str>, registry: &Registry) -> Result<Self, Issues> {
        // A body can have millions of names, so only the names of fields and of listed issues are remembered.
        let (mut named, mut issues, mut seen) = (Vec::new(), Issues::default(), HashSet::new());
        let names = names.into_iter().map(str::trim).filter(|name| !name.is_empty());
        for name in names {
            let fields = fields_of_item(name, registry);
            let is_new = if fields.is_none() && issues.is_full() { !seen.contains(name) } else { seen.insert(name) };
            match fields {
                Some(fields) if is_new => named.extend(fields),
                None if is_new => {
                    let message = registry.unsupported_message(name);
                    let message = message.unwrap_or_else(|| "is not a property of this account's contacts".to_owned());
                    issues.push(Issue::new(name, IssueCode::UnknownField, message));
                }
                _ => {}
            }
        }
        if issues.is_empty() { Ok(Self::new(named, registry)) } else { Err(issues) }
    }

    fn new(mut named: Vec<Arc<Field>>, registry: &Registry) -> Self {
        let mut known = HashSet::new();
        named.retain(|field| known.insert(field.id));
        let extra = named.iter().filter(|field| !field.default).cloned().collect();
        Self { named, extra, registry_version: registry.version() }
    }

    /// Returns a selection of every field.
    #[must_use]
    pub fn all(registry: &Registry) -> Self {
        Self::new(registry.fields().to_vec(), registry)
    }

    /// Returns the version of the registry that describes the fields.
    #[must_use]
    pub fn registry_version(&self) -> RegistryVersion {
        self.registry_version
    }

    /// Returns the requested fields, including default fields.
    #[must_use]
    pub fn named(&self) -> &[Arc<Field>] {
        &self.named
    }

    /// Returns the requested fields that are not default fields.
    #[must_use]
    pub fn extra(&self) -> &[Arc<Field>] {
        &self.extra
    }
}

/// Returns the fields that an item of the list requests; `None` if it is neither a name nor a word.
fn fields_of_item(item: &str, registry: &Registry) -> Option<Vec<Arc<Field>>> {
    let all = |is_requested: fn(&Field) -> bool| {
        registry.fields().iter().filter(|field| is_requested(field)).cloned().collect()
    };
    match (registry.get(item), item) {
        (Some(field), _) => Some(vec![Arc::clone(field)]),
        (None, "*") => Some(all(|_| true)),
        (None, "custom") => Some(all(|field| !field.system)),
        (None, "system") => Some(all(|field| field.system)),
        (None, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::registry::fixtures;
    use super::*;

    fn parse(list: &str) -> Result<Vec<String>, Vec<String>> {
        Selection::parse(list.split(','), &fixtures::registry())
            .map(|selection| selection.extra().iter().map(|field| field.internal_name.clone()).collect())
            .map_err(|issues| issues.into_iter().map(|issue| issue.field).collect())
    }

    #[test]
    fn selection_skips_empty_repeated_and_default_names() {
        assert_eq!(parse(" tags , ,email,phone,tags,,id").expect("all names are known"), ["tags", "phone"]);
        assert_eq!(parse("").expect("the list is empty"), [""; 0]);
        assert_eq!(parse("archived_by").expect("archived_by is a field"), ["archived_by"]);
    }

    #[test]
    fn words_stand_for_fields_in_the_order_of_the_registry() {
        let registry = fixtures::registry();
        let names = |is_named: fn(&Field) -> bool| -> Vec<String> {
            let fields = registry.fields().iter().filter(|field| is_named(field) && !field.default);
            fields.map(|field| field.internal_name.clone()).collect()
        };
        let (system, custom) = (names(|field| field.system), names(|field| !field.system));
        assert!(system.contains(&"phone".to_owned()) && custom.contains(&"tags".to_owned()));
        assert_eq!(parse("system").expect("a word"), system);
        assert_eq!(parse(" custom ,custom").expect("a word"), custom);
        assert_eq!(parse("*").expect("a word"), [system, custom].concat());
        let tags_first = parse("tags,*").expect("a name and a word");
        assert_eq!((tags_first[0].as_str(), tags_first.len()), ("tags", parse("*").expect("a word").len()));
        assert_eq!(parse("Custom,**").expect_err("words are exact"), ["Custom", "**"]);
    }

    #[test]
    fn field_with_the_name_of_a_word_takes_precedence() {
        let older = fixtures::custom(104, "custom", crate::fields::Kind::Text);
        let registry = Registry::new(RegistryVersion::default(), vec![older]);
        let selection = Selection::parse(["custom"], &registry).expect("a name");
        assert_eq!(selection.named().iter().map(|field| field.id.0).collect::<Vec<_>>(), [104]);
    }

    #[test]
    fn each_unknown_name_is_one_issue() {
        assert_eq!(
            parse("nope,phone,account_id,nope,Email").expect_err("some names are unknown"),
            ["nope", "account_id", "Email"]
        );
    }
}
