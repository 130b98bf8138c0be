//! The parameters that routes take, for the document.

use utoipa::IntoParams;

use super::schemas::{KeyProperty, PropertyName, UniqueProperty};

/// `?properties=`
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "documents what http/query.rs reads")]
pub(in crate::http) struct ShowParameters {
    /// Names of fields to show besides the default ones, joined by commas.
    #[param(style = Form, explode = false, value_type = Option<Vec<PropertyName>>, nullable = false, example = json!(["phone", "job_title"]))]
    properties: Option<Vec<String>>,
}

/// The parameters of a list.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "documents what http/query.rs reads")]
pub(in crate::http) struct ListParameters {
    /// How many contacts at most.
    #[param(minimum = 1, maximum = 100, default = 10, nullable = false)]
    limit: Option<i64>,
    /// How many contacts to skip. Not together with `after`.
    #[param(minimum = 0, default = 0, nullable = false)]
    offset: Option<i64>,
    /// Where to go on: the `next` of the page before, with the same filters.
    #[param(nullable = false)]
    after: Option<String>,
    /// Archived contacts too.
    #[param(default = false, nullable = false)]
    archived: Option<bool>,
    /// Only contacts with this email, in any case.
    #[param(pattern = r"^[^\u0000]*[^\s\u0000][^\u0000]*$", example = "ada@example.com", nullable = false)]
    email: Option<String>,
    /// Only contacts with exactly this external id.
    #[param(pattern = r"^[^\u0000]*[^\s\u0000][^\u0000]*$", example = "sample-1", nullable = false)]
    external_id: Option<String>,
}

/// `If-Match`
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[allow(dead_code, reason = "documents what http/conditional.rs reads")]
pub(in crate::http) struct IfMatch {
    /// Write only if the contact still has this `ETag` (or one of a list), or with `*` if it exists.
    #[param(rename = "If-Match", nullable = false)]
    if_match: Option<String>,
}

/// `If-None-Match`
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[allow(dead_code, reason = "documents what http/conditional.rs reads")]
pub(in crate::http) struct IfNoneMatch {
    /// Answer 304 without a body if what is read still has this `ETag` (or one of a list).
    #[param(rename = "If-None-Match", nullable = false)]
    if_none_match: Option<String>,
}

/// `If-None-Match` on a write
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[allow(dead_code, reason = "documents what http/conditional.rs reads")]
pub(in crate::http) struct UnlessThere {
    /// Write only if there is no contact with this `ETag`: with `*`, only create.
    #[param(rename = "If-None-Match", nullable = false)]
    if_none_match: Option<String>,
}

/// `?dry_run=`
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "documents what http/query.rs reads")]
pub(in crate::http) struct DryRun {
    /// Only try: every check, and the answer that would be given, but nothing is written. A contact that would be
    /// created has a null `id`.
    #[param(default = false, nullable = false)]
    dry_run: Option<bool>,
}

/// `?id_property=`
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "documents what http/query.rs reads")]
pub(in crate::http) struct IdProperty {
    /// The unique property whose value stands in the path: `email`, `external_id` or a unique custom field. Only
    /// active contacts are found by it. Left out, the path holds an id.
    #[param(value_type = Option<UniqueProperty>, nullable = false, example = "external_id")]
    id_property: Option<String>,
}

/// `?id_property=` where it has to be sent.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "documents what http/query.rs reads")]
pub(in crate::http) struct NeededIdProperty {
    /// The unique property whose value stands in the path: `email`, `external_id` or a unique custom field.
    #[param(value_type = KeyProperty, example = "external_id")]
    id_property: String,
}

/// The parameters of the change feed.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "documents what http/query.rs reads")]
pub(in crate::http) struct FeedParameters {
    /// Where to go on: the `next` of the answer before (or the `cursor` of an entry), or `now` for what comes from here
    /// on. Left out: from the oldest entry kept.
    #[param(nullable = false)]
    after: Option<String>,
    /// How many entries at most.
    #[param(minimum = 1, maximum = 1000, default = 100, nullable = false)]
    limit: Option<i64>,
    /// For how many seconds to wait when there is nothing yet.
    #[param(minimum = 0, maximum = 30, default = 0, nullable = false)]
    wait: Option<i64>,
    /// Whose changes to leave out: `me`, or an actor's id. A system that syncs leaves out its own.
    #[param(pattern = r"^[^\u0000]+$", example = "me", nullable = false)]
    exclude_actor: Option<String>,
}

/// The parameters of a history.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "documents what http/query.rs reads")]
pub(in crate::http) struct HistoryParameters {
    /// Where to go on: the `next` of the answer before.
    #[param(nullable = false)]
    after: Option<String>,
    /// How many entries at most.
    #[param(minimum = 1, maximum = 1000, default = 100, nullable = false)]
    limit: Option<i64>,
}

/// `Idempotency-Key`
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[allow(dead_code, reason = "documents what http/idempotency.rs reads")]
pub(in crate::http) struct IdempotencyKey {
    /// A name of your own for this request, new for each: a repeat within 24 hours gets the first answer again, with
    /// `Idempotency-Replayed: true`, and does nothing. 1 to 255 visible ASCII characters.
    #[param(rename = "Idempotency-Key", pattern = "^[!-~]{1,255}$", nullable = false)]
    idempotency_key: Option<String>,
}
