//! Which part of the change feed, or of a contact's history, is asked for.

use uuid::Uuid;

use super::{Found, Query, number};
use crate::contacts::{FeedCursor, Scope};
use crate::fields::{IssueCode, Refusal};
use crate::http::error::ApiError;
use crate::repository::{After, FeedRequest};

const DEFAULT_LIMIT: i64 = 100;
const MAX_LIMIT: i64 = 1_000;
/// For how many seconds a reader of the feed can wait.
const MAX_WAIT: i64 = 30;

impl Query {
    /// Which part of the feed is asked for, and for how many seconds to wait for it. `actor` is who asks.
    pub(in crate::http) fn feed(&self, account: Uuid, actor: Option<&str>) -> Result<(FeedRequest, u64), ApiError> {
        let mut found = Found::default();
        self.no_dry_run(&mut found);
        let rule = "must be a number from 1 to 1000";
        let limit = found.or(DEFAULT_LIMIT, self.one("limit", |text| number(text, 1, MAX_LIMIT, rule)));
        let rule = "must be a number of seconds from 0 to 30";
        let wait = found.or(0, self.one("wait", |text| number(text, 0, MAX_WAIT, rule)));
        let after = found.or(
            After::Oldest,
            self.one("after", |text| match text {
                "now" => Ok(After::Newest),
                text => feed_cursor(text, Scope::Feed(account)).map(After::Cursor),
            }),
        );
        let exclude = found.optional(self.one("exclude_actor", |text| match text {
            "me" => Ok(actor.map(str::to_owned)),
            "" => Err(Refusal::new(IssueCode::Required, "must be me or an actor's id")),
            // PostgreSQL holds no NUL, and no actor has one.
            id if id.contains('\0') => Err(Refusal::new(IssueCode::InvalidFormat, "must be me or an actor's id")),
            id => Ok(Some(id.to_owned())),
        }));
        found.finish(Ok(()))?;
        Ok((FeedRequest { after, limit, exclude }, wait.unsigned_abs()))
    }

    /// Which part of a contact's history is asked for: before which position, and how much of it.
    pub(in crate::http) fn history(&self, account: Uuid, contact: Uuid) -> Result<(Option<i64>, i64), ApiError> {
        let mut found = Found::default();
        self.no_dry_run(&mut found);
        let rule = "must be a number from 1 to 1000";
        let limit = found.or(DEFAULT_LIMIT, self.one("limit", |text| number(text, 1, MAX_LIMIT, rule)));
        // Its entries are those of the feed, and so are their cursors.
        let after = found.optional(self.one("after", |text| {
            let of_entry = |_| feed_cursor(text, Scope::Feed(account));
            feed_cursor(text, Scope::History(account, contact)).or_else(of_entry)
        }));
        found.finish(Ok(()))?;
        Ok((after.map(|cursor| cursor.position()), limit))
    }

    /// For how many seconds a request is to wait, should it be one that can.
    pub(in crate::http) fn wait_of(query: Option<&str>) -> u64 {
        let wait = Self::parse(query.unwrap_or_default())
            .ok()
            .and_then(|query| query.one("wait", |text| number(text, 0, MAX_WAIT, "")).ok().flatten());
        wait.unwrap_or(0).unsigned_abs()
    }
}

fn feed_cursor(text: &str, scope: Scope) -> Result<FeedCursor, Refusal> {
    let message = "must be the `next` or a `cursor` of an answer to the same request";
    FeedCursor::read(text, scope).ok_or_else(|| Refusal::new(IssueCode::InvalidFormat, message))
}
