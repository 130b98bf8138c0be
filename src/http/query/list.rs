//! Which contacts a list is asked for.

use uuid::Uuid;

use super::{Found, Query, flag, number};
use crate::contacts::{Cursor, Filter, Listing, Start};
use crate::fields::{Issue, IssueCode, Refusal, Registry, Selection};
use crate::http::error::ApiError;

const DEFAULT_LIMIT: i64 = 10;
const MAX_LIMIT: i64 = 100;

impl Query {
    /// All parameters of a list: which contacts, from where, how many, and what to show of them.
    pub(in crate::http) fn listing(
        &self,
        account: Uuid,
        registry: &Registry,
    ) -> Result<(Listing, Selection), ApiError> {
        let mut found = Found::default();
        self.no_dry_run(&mut found);
        let rule = "must be a number from 1 to 100";
        let limit = found.or(DEFAULT_LIMIT, self.one("limit", |text| number(text, 1, MAX_LIMIT, rule)));
        let archived = found.or(false, self.one("archived", flag));
        let email = found.optional(self.one("email", key)).map(|email| email.trim().to_owned());
        let external_id = found.optional(self.one("external_id", key));
        let filter = Filter { archived, email, external_id };
        let start = self.start(account, &filter, &mut found);
        let selection = found.finish(self.selection(registry))?;
        Ok((Listing { filter, start, limit }, selection))
    }

    fn start(&self, account: Uuid, filter: &Filter, found: &mut Found) -> Start {
        let rule = "must be a number from 0 up";
        let offset = found.optional(self.one("offset", |text| number(text, 0, i64::MAX, rule)));
        let after = found.optional(self.one("after", |text| {
            let message = "must be the `next` of an answer to the same list with the same filters";
            Cursor::read(text, account, filter).ok_or_else(|| Refusal::new(IssueCode::InvalidFormat, message))
        }));
        if self.0.contains_key("offset") && self.0.contains_key("after") {
            let message = "can't be sent together with after";
            found.0.push(Issue::new("offset", IssueCode::InvalidFormat, message));
        }
        after.map_or(Start::Offset(offset.unwrap_or(0)), Start::After)
    }
}

fn key(text: &str) -> Result<String, Refusal> {
    if text.trim().is_empty() {
        return Err(Refusal::new(IssueCode::Required, "must not be blank: leave the parameter out to list all"));
    }
    // PostgreSQL holds no NUL.
    if text.contains('\0') {
        return Err(Refusal::new(IssueCode::InvalidFormat, "must not contain the character U+0000"));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::fields::registry_samples as samples;

    fn listing(query: &str) -> Result<Listing, (&'static str, Vec<String>)> {
        let parse = |query: &str| Query::parse(query)?.listing(Uuid::nil(), &samples::registry());
        parse(query).map(|(listing, _)| listing).map_err(|error| match error {
            ApiError::InvalidQuery(issues) => ("invalid_query", issues.into_iter().map(|issue| issue.field).collect()),
            ApiError::InvalidProperties(issues) => {
                ("invalid_properties", issues.into_iter().map(|issue| issue.field).collect())
            }
            other => (other.catalogue().1, vec![]),
        })
    }

    #[test]
    fn reads_a_list() {
        let all = Listing { filter: Filter::default(), start: Start::Offset(0), limit: 10 };
        assert_eq!(listing(""), Ok(all.clone()));
        assert_eq!(
            listing("unknown=1&limit=100&&offset=7"),
            Ok(Listing { start: Start::Offset(7), limit: 100, ..all.clone() })
        );
        let filter = Filter { archived: true, email: Some("a+b@c.de".into()), external_id: Some(" x y".into()) };
        assert_eq!(listing("archived=true&email=+a%2Bb@c.de&external_id=+x+y"), Ok(Listing { filter, ..all.clone() }));
        let cursor = Cursor::after(Uuid::max(), Uuid::nil(), &Filter::default());
        assert_eq!(listing(&format!("after={cursor}")), Ok(Listing { start: Start::After(Uuid::max()), ..all }));
    }

    #[rstest]
    #[case("limit=abc", &["limit"])]
    #[case("limit=0", &["limit"])]
    #[case("limit=101", &["limit"])]
    #[case("limit=", &["limit"])]
    #[case("limit=%2B5", &["limit"])]
    #[case("limit=1&limit=2", &["limit"])]
    #[case("offset=-1&archived=yes", &["archived", "offset"])]
    #[case("offset=99999999999999999999", &["offset"])]
    #[case("email=&external_id=%00", &["email", "external_id"])]
    #[case("after=abc", &["after"])]
    #[case("offset=x&after=q", &["offset", "after", "offset"])]
    #[case("limit=0&properties=nope", &["limit", "nope"])]
    #[case("x=%ff", &["x"])]
    #[case("%c3%28=1", &["\u{fffd}("])]
    fn names_every_malformed_parameter(#[case] query: &str, #[case] names: &[&str]) {
        assert_eq!(listing(query), Err(("invalid_query", names.iter().map(|name| (*name).to_owned()).collect())));
    }

    #[test]
    fn tells_unknown_properties_from_a_malformed_query() {
        assert_eq!(
            listing("properties=nope,phone&properties=neither"),
            Err(("invalid_properties", vec!["nope".into(), "neither".into()]))
        );
        let cursor = Cursor::after(Uuid::max(), Uuid::nil(), &Filter::default());
        assert_eq!(listing(&format!("after={cursor}&offset=0")), Err(("invalid_query", vec!["offset".into()])));
        assert_eq!(listing(&format!("after={cursor}&archived=true")), Err(("invalid_query", vec!["after".into()])));
    }
}
