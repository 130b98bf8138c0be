//! The queries of the change feed and of a contact's history.

use std::time::Duration;

use axum::extract::MatchedPath;
use axum::http::{Extensions, Uri};

use uuid::Uuid;

use super::contact_query::parse_time;
use super::query_issues::QueryIssues;
use super::query_string::{QueryString, parse_number};
use crate::contacts::{FeedCursor, FeedScope};
use crate::fields::{CustomSelection, InvalidValue, Issue, IssueCode, Registry, Selection};
use crate::http::error::ApiError;
use crate::repository::{FeedRequest, FeedStart};

const DEFAULT_LIMIT: i64 = 100;
/// The maximum number of entries of a page.
pub(in crate::http) const MAX_CHANGES_LIMIT: i64 = 1_000;
/// The longest `wait`, in seconds.
const MAX_WAIT: i64 = 30;

/// The query of the change feed.
pub(in crate::http) struct FeedQuery {
    pub request: FeedRequest,
    /// How long to wait for a change if there is none.
    pub wait: Duration,
    /// The properties of contacts to return.
    pub properties: Selection,
}

impl FeedQuery {
    /// Parses the query. `actor` is the caller's actor, which `exclude_actor=me` excludes.
    pub(in crate::http) fn parse(
        query: &QueryString,
        account: Uuid,
        actor: Option<&str>,
        registry: &Registry,
    ) -> Result<Self, ApiError> {
        let mut issues = QueryIssues::for_query(query);
        let limit = issues.or_default(DEFAULT_LIMIT, parse_limit(query));
        let wait = query.single("wait", |text| parse_wait(text, "must be a number of seconds from 0 to 30"));
        let wait = issues.or_default(Duration::ZERO, wait);
        let after = query.single("after", |text| match text {
            "now" => Ok(FeedStart::Newest),
            text => decode_cursor(text, FeedScope::Feed(account)).map(FeedStart::Cursor),
        });
        let since = query.single("since", |text| parse_time(query, "since", text).map(FeedStart::Since));
        if query.contains("since") && query.contains("after") {
            issues.push(Issue::new("since", IssueCode::InvalidFormat, "cannot be combined with after"));
        }
        let (after, since) = (issues.optional(after), issues.optional(since));
        let exclude = issues.optional(query.single("exclude_actor", |text| parse_excluded_actor(text, actor)));
        let properties = issues.into_result_with(query.selection(registry))?;
        let after = after.or(since).unwrap_or(FeedStart::Oldest);
        let custom_fields = CustomSelection::from(&properties);
        Ok(Self { request: FeedRequest { after, limit, exclude, custom_fields }, wait, properties })
    }
}

/// The query of a contact's history.
pub(in crate::http) struct HistoryQuery {
    /// The last entry of the page before. `None`: the page starts with the newest entry.
    pub before: Option<FeedCursor>,
    /// The maximum number of entries.
    pub limit: i64,
    /// The properties of the contact to return.
    pub properties: Selection,
}

impl HistoryQuery {
    pub(in crate::http) fn parse(
        query: &QueryString,
        account: Uuid,
        contact: Uuid,
        registry: &Registry,
    ) -> Result<Self, ApiError> {
        let mut issues = QueryIssues::for_query(query);
        let limit = issues.or_default(DEFAULT_LIMIT, parse_limit(query));
        // The entries of a history are entries of the feed, so the `cursor` of an entry is a cursor of the feed.
        let after = issues.optional(query.single("after", |text| {
            decode_cursor(text, FeedScope::History(account, contact))
                .or_else(|_| decode_cursor(text, FeedScope::Feed(account)))
        }));
        let properties = issues.into_result_with(query.selection(registry))?;
        Ok(Self { before: after, limit, properties })
    }
}

/// Returns the `wait` of a query that is not validated yet, or zero if there is no valid `wait`.
pub(in crate::http) fn requested_wait(extensions: &Extensions, uri: &Uri) -> Duration {
    if extensions.get::<MatchedPath>().is_none_or(|route| route.as_str() != "/contacts/changes") {
        return Duration::ZERO;
    }
    let query = QueryString::parse(uri.query().unwrap_or_default()).ok();
    let wait = query.and_then(|query| query.single("wait", |text| parse_wait(text, "")).ok().flatten());
    wait.unwrap_or_default()
}

fn parse_limit(query: &QueryString) -> Result<Option<i64>, Issue> {
    query.single("limit", |text| parse_number(text, 1, MAX_CHANGES_LIMIT, "must be a number from 1 to 1000"))
}

fn parse_wait(text: &str, message: &'static str) -> Result<Duration, InvalidValue> {
    parse_number(text, 0, MAX_WAIT, message).map(|seconds| Duration::from_secs(seconds.unsigned_abs()))
}

/// Parses `exclude_actor`. Returns `None` for `me` if the caller has no actor: entries without an actor are excluded.
fn parse_excluded_actor(text: &str, caller: Option<&str>) -> Result<Option<String>, InvalidValue> {
    let message = "must be me or the id of an actor";
    match text {
        "me" => Ok(caller.map(str::to_owned)),
        "" => Err(InvalidValue::new(IssueCode::Required, message)),
        // PostgreSQL cannot store NUL, so no actor contains it.
        id if id.contains('\0') => Err(InvalidValue::new(IssueCode::InvalidFormat, message)),
        id => Ok(Some(id.to_owned())),
    }
}

fn decode_cursor(text: &str, scope: FeedScope) -> Result<FeedCursor, InvalidValue> {
    let message = "must be a `next` or `cursor` from a response to the same request";
    FeedCursor::decode(text, scope).ok_or_else(|| InvalidValue::new(IssueCode::InvalidFormat, message))
}
