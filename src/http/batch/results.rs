//! The response to a batch: one result for each input, in input order (`docs/api-reference.md#batch`).

use std::collections::HashSet;
use std::sync::{Arc, LazyLock};

use axum::http::StatusCode;
use serde::Serialize;
use uuid::Uuid;

use crate::contacts::{RenderedContact, WriteOutcome};
use crate::fields::{Registry, Selection};
use crate::http::array_response::ArrayResponse;
use crate::http::error::{ApiError, Problem};
use crate::http::json_response::JsonResponse;
use crate::http::limits::ResponseMemory;

/// The selection of the contacts for which there is no more memory.
static DEFAULT_PROPERTIES: LazyLock<Selection> = LazyLock::new(Selection::default);

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
        let errors = self.errors(outcomes);
        let results: Vec<_> = self.results(outcomes, &errors).collect();
        let mut summary = BatchSummary::default();
        results.iter().for_each(|result| summary.count(result));
        JsonResponse::new(summary.status(), &BatchResponseBody { results, summary })
    }

    /// Renders the response for the outcomes of the writes as [`Self::response`] does, result by result.
    pub(super) async fn render(
        &self,
        outcomes: &[WriteOutcome],
        mut response: BatchResponse<'_>,
    ) -> Result<JsonResponse, ApiError> {
        let errors = self.errors(outcomes);
        for result in self.results(outcomes, &errors) {
            response.push(&result).await?;
        }
        response.finish()
    }

    fn errors(&self, outcomes: &[WriteOutcome]) -> Vec<Option<ApiError>> {
        let error = |outcome: &WriteOutcome| {
            outcome.as_ref().err().map(|rejection| ApiError::from_rejection(rejection, &self.registry))
        };
        outcomes.iter().map(error).collect()
    }

    /// Returns the result of each input. `errors` contains the error of each outcome.
    fn results<'a>(
        &'a self,
        outcomes: &'a [WriteOutcome],
        errors: &'a [Option<ApiError>],
    ) -> impl Iterator<Item = BatchResult<'a>> {
        let created = outcomes.iter().flatten().filter(|written| written.created).map(|written| written.contact.id);
        // A later input can change a contact that the batch creates. In a dry run, the results of all these inputs lack
        // the contact's id.
        let ids_to_hide: HashSet<_> = created.filter(|_| self.is_dry_run).collect();
        let mut outcomes = outcomes.iter().zip(errors);
        self.validity.iter().map(move |validity| {
            let outcome = if validity.is_ok() { outcomes.next() } else { None };
            match (validity, outcome) {
                (Err(error), _) | (_, Some((_, Some(error)))) => BatchResult::from_error(error),
                (_, Some((Ok(written), None))) => {
                    let contact = &written.contact;
                    let status = if written.created { StatusCode::CREATED } else { StatusCode::OK };
                    let selection = if written.has_omitted_properties { &DEFAULT_PROPERTIES } else { &self.selection };
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
        })
    }
}

/// The response to a batch that is being rendered.
pub(super) struct BatchResponse<'a> {
    results: ArrayResponse<'a>,
    summary: BatchSummary,
}

impl<'a> BatchResponse<'a> {
    pub(super) fn new(memory: &'a ResponseMemory, account: Uuid) -> Result<Self, ApiError> {
        Ok(Self { results: ArrayResponse::new(memory, account, "results")?, summary: BatchSummary::default() })
    }

    /// Appends the result of the next input.
    pub(super) async fn push(&mut self, result: &BatchResult<'_>) -> Result<(), ApiError> {
        self.summary.count(result);
        self.results.push(result).await
    }

    /// Appends the result of the next input if the response does not become larger than 32 MiB. Returns whether it was
    /// appended.
    pub(super) async fn push_if_fits(&mut self, result: &BatchResult<'_>) -> Result<bool, ApiError> {
        let fits = self.results.push_if_fits(result).await?;
        if fits {
            self.summary.count(result);
        }
        Ok(fits)
    }

    /// Removes all results.
    pub(super) fn clear(&mut self) {
        self.results.clear();
        self.summary = BatchSummary::default();
    }

    /// Returns the response. The status is 207 if an input failed.
    pub(super) fn finish(self) -> Result<JsonResponse, ApiError> {
        self.results.finish_with(self.summary.status(), "summary", &self.summary)
    }
}

#[derive(Serialize)]
struct BatchResponseBody<'a> {
    results: Vec<BatchResult<'a>>,
    summary: BatchSummary,
}

#[derive(Default, Serialize)]
struct BatchSummary {
    total: usize,
    succeeded: usize,
    failed: usize,
}

impl BatchSummary {
    fn count(&mut self, result: &BatchResult<'_>) {
        self.total += 1;
        let counter = if result.error.is_some() { &mut self.failed } else { &mut self.succeeded };
        *counter += 1;
    }

    /// Returns the status of the whole response: 207 if an input failed.
    fn status(&self) -> StatusCode {
        if self.failed == 0 { StatusCode::OK } else { StatusCode::MULTI_STATUS }
    }
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
