//! The parameters that routes take, for the document.

use utoipa::IntoParams;

/// `?properties=`
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "documents what http/query.rs reads")]
pub(in crate::http) struct ShowParameters {
    /// Names of fields to show besides the default ones, joined by commas.
    #[param(example = "phone,job_title")]
    properties: Option<String>,
}

/// The parameters of a list.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "documents what http/query.rs reads")]
pub(in crate::http) struct ListParameters {
    /// How many contacts at most.
    #[param(minimum = 1, maximum = 100, default = 10)]
    limit: Option<i64>,
    /// How many contacts to skip. Not together with `after`.
    #[param(minimum = 0, default = 0)]
    offset: Option<i64>,
    /// Where to go on: the `next` of the page before, with the same filters.
    after: Option<String>,
    /// Archived contacts too.
    #[param(default = false)]
    archived: Option<bool>,
    /// Only contacts with this email, in any case.
    #[param(min_length = 1, example = "ada@example.com")]
    email: Option<String>,
    /// Only contacts with exactly this external id.
    #[param(min_length = 1, example = "crm-1815")]
    external_id: Option<String>,
}

/// `If-Match`
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[allow(dead_code, reason = "documents what http/conditional.rs reads")]
pub(in crate::http) struct IfMatch {
    /// Write only if the contact still has this `ETag` (or one of a list), or with `*` if it exists.
    #[param(rename = "If-Match")]
    if_match: Option<String>,
}

/// `If-None-Match`
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[allow(dead_code, reason = "documents what http/conditional.rs reads")]
pub(in crate::http) struct IfNoneMatch {
    /// Answer 304 without a body if the contact still has this `ETag`.
    #[param(rename = "If-None-Match")]
    if_none_match: Option<String>,
}
