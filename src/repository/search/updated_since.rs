//! Searches for the contacts that were updated since a time, answered from the change feed.

use chrono::{DateTime, Utc};
use sqlx::Row;
use uuid::Uuid;

use super::source::MAX_CHANGES;
use crate::contacts::{Comparison, Condition, Predicate, SearchRequest};
use crate::fields::{Value, system};
use crate::repository::pool::Pool;
use crate::repository::statement::sql;

/// Returns the time before which no contact that the search still has to return was updated; `None` if there is no such time.
pub(super) fn updated_since(request: &SearchRequest) -> Option<DateTime<Utc>> {
    let bounds = request.criteria.conditions.iter().filter_map(lower_bound);
    // A page in the order of updates continues after the last contact of the page before.
    let cursor = request.cursor.as_ref().zip(request.criteria.sorts.first());
    let continued = cursor.and_then(|(cursor, sort)| {
        let is_by_update = sort.field.id == system::UPDATED_AT && !sort.descending;
        instant(cursor.sort_keys.first()?.as_ref()?).filter(|_| is_by_update)
    });
    bounds.max().map(|bound| continued.map_or(bound, |continued| bound.max(continued)))
}

/// Returns the lower bound that a condition sets for `updated_at`.
fn lower_bound(condition: &Condition) -> Option<DateTime<Utc>> {
    let Predicate::Compared(comparisons) = &condition.predicate else { return None };
    let is_lower = |comparison: &Comparison| matches!(comparison, Comparison::Greater | Comparison::AtLeast);
    let bounds = comparisons.iter().filter(|(comparison, _)| is_lower(comparison));
    bounds.filter_map(|(_, value)| instant(value)).max().filter(|_| condition.field.id == system::UPDATED_AT)
}

fn instant(value: &Value) -> Option<DateTime<Utc>> {
    match value {
        Value::Text(text) => text.parse().ok(),
        _ => None,
    }
}

/// Returns the first position of the feed from which on its changes include every contact that was updated at this time or later.
/// Returns `None` if the feed does not include all of them, or if they are too many.
///
/// The times of a feed never decrease, so a binary search finds the position: all changes up to `low` are earlier than the
/// time, and all changes from `high` on are not.
pub(super) async fn position_of_first_update(
    pool: &Pool,
    account: Uuid,
    since: DateTime<Utc>,
) -> sqlx::Result<Option<i64>> {
    let find = sql!(
        "WITH RECURSIVE s (low, high) AS (\
             SELECT a.trimmed_position, 1 + greatest(a.trimmed_position, \
             (SELECT position FROM changes WHERE account_id = $1 ORDER BY position DESC LIMIT 1)) \
             FROM accounts a WHERE a.account_id = $1 \
             UNION ALL SELECT CASE WHEN h.at < $2 THEN h.position ELSE b.low END, CASE WHEN h.at < $2 THEN b.high ELSE b.middle + 1 END \
             FROM (SELECT low, high, (low + high - 1) / 2 AS middle FROM s WHERE high - low > 1) b \
             LEFT JOIN LATERAL (SELECT position, at FROM changes WHERE account_id = $1 AND position > b.middle \
             AND position < b.high ORDER BY position LIMIT 1) h ON true) \
         SELECT f.high FROM (SELECT low, high FROM s ORDER BY high - low LIMIT 1) f \
         JOIN accounts a ON a.account_id = $1 JOIN search_indexes i ON i.account_id = $1 \
         WHERE i.is_complete AND (i.unrecorded_until IS NULL OR i.unrecorded_until < $2) \
         AND (a.trimmed_position = 0 OR f.low > a.trimmed_position) AND f.high - f.low <= 1 \
         AND (SELECT count(*) FROM (SELECT FROM changes h WHERE h.account_id = $1 AND h.position >= f.high \
         ORDER BY h.position LIMIT $3) n) < $3"
    );
    let mut connection = pool.acquire_for(account).await?;
    let row = sqlx::query(find).bind(account).bind(since).bind(MAX_CHANGES).fetch_optional(&mut connection).await?;
    row.map(|row| row.try_get("high")).transpose()
}
