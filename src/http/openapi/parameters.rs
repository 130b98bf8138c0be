//! The parameters of the operations. Their defaults are in the descriptions: some generated clients send each default
//! that a schema states, and `offset` cannot be combined with `after`.

use chrono::{DateTime, Utc};
use utoipa::IntoParams;
use uuid::Uuid;

use super::schemas::{ExportFormat, KeyProperty, OnArchived, SelectedProperty, UniqueProperty};

/// `?properties=`
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "describes the query that http/query parses")]
pub(in crate::http) struct PropertiesParameter {
    /// Names of fields to return in addition to the default fields, separated by commas. `*` stands for all fields,
    /// `custom` for the custom fields, `system` for the system fields.
    #[param(style = Form, explode = false, value_type = Option<Vec<SelectedProperty>>, nullable = false, example = json!(["phone", "job_title"]))]
    properties: Option<Vec<String>>,
}

/// `?properties=` of the change feed and of a history.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "describes the query that http/query parses")]
pub(in crate::http) struct FeedPropertiesParameter {
    /// Names of fields whose current values each entry has as `properties`, separated by commas. `*` stands for all fields,
    /// `custom` for the custom fields, `system` for the system fields.
    #[param(style = Form, explode = false, value_type = Option<Vec<SelectedProperty>>, nullable = false, example = json!(["phone", "job_title"]))]
    properties: Option<Vec<String>>,
}

/// The parameters of a list.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "describes the query that http/query parses")]
pub(in crate::http) struct ListParameters {
    /// The maximum number of contacts in the response. Default: 10.
    #[param(minimum = 1, maximum = 1000, nullable = false)]
    limit: Option<i64>,
    /// The number of contacts to skip. Cannot be combined with `after`. Default: 0.
    #[param(minimum = 0, nullable = false)]
    offset: Option<i64>,
    /// The `next` cursor of the previous page. The filters must be the same.
    #[param(nullable = false)]
    after: Option<String>,
    /// Include archived contacts. Default: false.
    #[param(nullable = false)]
    archived: Option<bool>,
    /// Only contacts with this email. Ignores case.
    #[param(pattern = r"^[^\u0000 ]*[^\s\u0000][^\u0000 ]* *$", example = "ada@example.com", nullable = false)]
    email: Option<String>,
    /// Only contacts with this external id. Compared exactly.
    #[param(pattern = r"^[^\u0000]+$", example = "sample-1", nullable = false)]
    external_id: Option<String>,
}

/// `If-Match`
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[allow(dead_code, reason = "describes the input that http/conditional_headers.rs parses")]
pub(in crate::http) struct IfMatch {
    /// Write only if the contact still has this `ETag`, or one of a list of them. The `ETag` of any selection of fields
    /// is accepted. `*`: write only if the contact exists.
    #[param(rename = "If-Match", nullable = false)]
    if_match: Option<String>,
}

/// `If-None-Match`
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[allow(dead_code, reason = "describes the input that http/conditional_headers.rs parses")]
pub(in crate::http) struct IfNoneMatch {
    /// Return 304 without a body if the resource still has this `ETag`, or one of a list of them.
    #[param(rename = "If-None-Match", nullable = false)]
    if_none_match: Option<String>,
}

/// `If-None-Match` on a write
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[allow(dead_code, reason = "describes the input that http/conditional_headers.rs parses")]
pub(in crate::http) struct IfNoneMatchOnWrite {
    /// Write only if the contact does not have this `ETag`, nor one of a list of them. `*`: write only if the contact
    /// does not exist.
    #[param(rename = "If-None-Match", nullable = false)]
    if_none_match: Option<String>,
}

/// `?dry_run=`
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "describes the query that http/query parses")]
pub(in crate::http) struct DryRun {
    /// Validate only: run every check and return the result without saving. A contact that would be created has a null
    /// `id`. Default: false.
    #[param(nullable = false)]
    dry_run: Option<bool>,
}

/// `?source_updated_at=`
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "describes the query that http/query parses")]
pub(in crate::http) struct SourceUpdatedAt {
    /// When the calling system made this change. If the same actor has already sent a newer change of this contact, the
    /// write changes nothing: the response has the contact and the header `Stale-Write: ignored`.
    #[param(nullable = false)]
    source_updated_at: Option<DateTime<Utc>>,
}

/// `?on_archived=`
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "describes the query that http/query parses")]
pub(in crate::http) struct OnArchivedParameter {
    /// What happens if no active contact has the value, but an archived contact does: `create` creates a new contact,
    /// `restore` restores and updates the archived one, `refuse` answers 409 `contact_archived`.
    #[param(value_type = Option<OnArchived>, nullable = false)]
    on_archived: Option<String>,
}

/// `Prefer`
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[allow(dead_code, reason = "describes the input that http/return_preference.rs parses")]
pub(in crate::http) struct Prefer {
    /// `return=minimal`: leave the contact out of the response (RFC 7240).
    #[param(rename = "Prefer", nullable = false)]
    prefer: Option<String>,
}

/// `?id_property=`
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "describes the query that http/query parses")]
pub(in crate::http) struct IdProperty {
    /// The unique property whose value is in the path: `email`, `external_id` or a unique custom field. Finds active
    /// contacts only. Default: the path holds the contact's id.
    #[param(value_type = Option<UniqueProperty>, nullable = false, example = "external_id")]
    id_property: Option<String>,
}

/// `?id_property=` where it is required.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "describes the query that http/query parses")]
pub(in crate::http) struct RequiredIdProperty {
    /// The unique property whose value is in the path: `email`, `external_id` or a unique custom field.
    #[param(value_type = KeyProperty, example = "external_id")]
    id_property: String,
}

/// The parameters of the change feed.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "describes the query that http/query parses")]
pub(in crate::http) struct FeedParameters {
    /// The `next` cursor of the previous response, or the `cursor` of an entry. `now`: only changes from now on.
    /// Default: from the oldest entry that is stored.
    #[param(nullable = false)]
    after: Option<String>,
    /// Start at the first entry whose `at` is this time or later. Cannot be combined with `after`. A later time than all
    /// entries is the same as `after=now`.
    #[param(nullable = false, example = "2026-05-01T10:00:00Z")]
    since: Option<DateTime<Utc>>,
    /// The maximum number of entries in the response. Default: 100.
    #[param(minimum = 1, maximum = 1000, nullable = false)]
    limit: Option<i64>,
    /// Seconds to wait for an entry if there is none yet. Default: 0.
    #[param(minimum = 0, maximum = 30, nullable = false)]
    wait: Option<i64>,
    /// Leave out the changes of this actor: `me`, or an actor's id. Systems that sync use it to skip their own changes.
    #[param(pattern = r"^[^\u0000]+$", example = "me", nullable = false)]
    exclude_actor: Option<String>,
}

/// The parameters of a history.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "describes the query that http/query parses")]
pub(in crate::http) struct HistoryParameters {
    /// The `next` cursor of the previous response.
    #[param(nullable = false)]
    after: Option<String>,
    /// The maximum number of entries in the response. Default: 100.
    #[param(minimum = 1, maximum = 1000, nullable = false)]
    limit: Option<i64>,
}

/// The parameters of an export.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "describes the query that http/query parses")]
pub(in crate::http) struct ExportParameters {
    /// The format: `csv`, with a header row, or `ndjson`, one contact a line.
    #[param(value_type = ExportFormat, example = "ndjson")]
    format: String,
    /// Names of fields to return in addition to the default fields, separated by commas. Default: all fields.
    #[param(style = Form, explode = false, value_type = Option<Vec<SelectedProperty>>, nullable = false, example = json!(["phone", "job_title"]))]
    properties: Option<Vec<String>>,
    /// Put an apostrophe before each cell that a spreadsheet could run as a formula. Only with `csv`. Default: false.
    #[param(nullable = false)]
    spreadsheet_safe: Option<bool>,
}

/// `Idempotency-Key`
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[allow(dead_code, reason = "describes the input that http/idempotency.rs parses")]
pub(in crate::http) struct IdempotencyKey {
    /// A new key for each request, chosen by the caller: 1 to 255 visible ASCII characters, optionally in double quotes.
    /// Repeating a request with its key within 24 hours has no effect and returns the first response again, with
    /// `Idempotency-Replayed: true`.
    #[param(
        rename = "Idempotency-Key",
        pattern = r#"^("[!-~]{1,255}"|[!#-~][!-~]{0,254}|"[!-~]{0,253}[!#-~]|")$"#,
        nullable = false
    )]
    idempotency_key: Option<String>,
}

/// `{contactId}` of a route that identifies a contact by its id or a unique property.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[allow(dead_code, reason = "describes the input that http/extractors.rs parses")]
pub(in crate::http) struct ContactIdOrValue {
    /// The contact's id, or its value of `id_property`
    #[param(rename = "contactId", min_length = 1, example = "sample-1")]
    contact_id: String,
}

/// `{contactId}` of a route that identifies a contact by a unique property.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[allow(dead_code, reason = "describes the input that http/extractors.rs parses")]
pub(in crate::http) struct ContactValue {
    /// The contact's value of `id_property`
    #[param(rename = "contactId", min_length = 1, example = "sample-1")]
    contact_id: String,
}

/// `{contactId}` of a route that identifies a contact by its id.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[allow(dead_code, reason = "describes the input that http/extractors.rs parses")]
pub(in crate::http) struct ContactIdParameter {
    /// The contact's id
    #[param(rename = "contactId", example = "01980000-0000-7000-8000-000000000001")]
    contact_id: Uuid,
}

/// `{contactId}` of the route that purges a contact. Its example differs from the other routes, so that trying this
/// route does not purge the contact of their examples.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[allow(dead_code, reason = "describes the input that http/extractors.rs parses")]
pub(in crate::http) struct PurgedContactId {
    /// The contact's id
    #[param(rename = "contactId", example = "01980000-0000-7000-8000-000000000003")]
    contact_id: Uuid,
}
