//! The response to a batch: one result for each input, in input order (`docs/api-reference.md#batch`).

use std::collections::HashSet;
use std::sync::Arc;

use axum::http::StatusCode;
use serde::Serialize;

use crate::contacts::{RenderedContact, WriteOutcome};
use crate::fields::{Registry, Selection};
use crate::http::error::{ApiError, Problem};
use crate::http::json_response::JsonResponse;

/// A validated batch of writes: everything that its response needs besides the outcomes of the writes.
pub(super) struct ValidatedBatch {
    /// One entry for each input: `Ok` if the input became a write, otherwise the error.
    pub validity: Vec<Result<(), ApiError>>,
    pub selection: Selection,
    pub registry: Arc<Registry>,
    pub is_dry_run: bool,
}

impl ValidatedBatch {
    /// Returns the response for the outcomes of the writes, which are in the order of the valid inputs.
    pub(super) fn response(&self, outcomes: &[WriteOutcome]) -> Result<JsonResponse, ApiError> {
        let error = |outcome: &WriteOutcome| {
            outcome.as_ref().err().map(|rejection| ApiError::from_rejection(rejection, &self.registry))
        };
        let errors: Vec<_> = outcomes.iter().map(error).collect();
        let created = outcomes.iter().flatten().filter(|written| written.created).map(|written| written.contact.id);
        // A later input can change a contact that the batch creates. In a dry run, the results of all these inputs lack
        // the contact's id.
        let ids_to_hide: HashSet<_> = created.filter(|_| self.is_dry_run).collect();
        let default_properties = Selection::default();
        let mut outcomes = outcomes.iter().zip(&errors);
        let results = self.validity.iter().map(|validity| {
            let outcome = if validity.is_ok() { outcomes.next() } else { None };
            match (validity, outcome) {
                (Err(error), _) | (_, Some((_, Some(error)))) => BatchResult::from_error(error),
                (_, Some((Ok(written), None))) => {
                    let contact = &written.contact;
                    let status = if written.created { StatusCode::CREATED } else { StatusCode::OK };
                    let selection = if written.has_omitted_properties { &default_properties } else { &self.selection };
                    let rendered = if ids_to_hide.contains(&contact.id) {
                        contact.render_without_id(selection)
                    } else {
                        contact.render(selection)
                    };
                    let properties_omitted = written.has_omitted_properties;
                    BatchResult { properties_omitted, ..BatchResult::from_contact(status, rendered) }
                }
                _ => BatchResult::from_error(&ApiError::NotApplied),
            }
        });
        batch_response(results)
    }
}

/// Returns the response with these results. The status is 207 if an input failed.
pub(super) fn batch_response<'a>(results: impl Iterator<Item = BatchResult<'a>>) -> Result<JsonResponse, ApiError> {
    let results: Vec<_> = results.collect();
    let total = results.len();
    let failed = results.iter().filter(|result| result.error.is_some()).count();
    let status = if failed == 0 { StatusCode::OK } else { StatusCode::MULTI_STATUS };
    let summary = BatchSummary { total, succeeded: total - failed, failed };
    JsonResponse::new(status, &BatchResponseBody { results, summary })
}

#[derive(Serialize)]
struct BatchResponseBody<'a> {
    results: Vec<BatchResult<'a>>,
    summary: BatchSummary,
}

#[derive(Serialize)]
struct BatchSummary {
    total: usize,
    succeeded: usize,
    failed: usize,
}

/// The result of one input.
#[derive(Serialize)]
pub(super) struct BatchResult<'a> {
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    contact: Option<RenderedContact<'a>>,
    /// Whether the contact has the default properties only, because the response would be too large.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    properties_omitted: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Problem<'a>>,
}

impl<'a> BatchResult<'a> {
    pub(super) fn from_contact(status: StatusCode, contact: RenderedContact<'a>) -> Self {
        Self { status: status.as_u16(), contact: Some(contact), properties_omitted: false, error: None }
    }

    pub(super) fn from_error(error: &'a ApiError) -> Self {
        Self { status: error.status().as_u16(), contact: None, properties_omitted: false, error: Some(error.problem()) }
    }
}
