//! The response to a batch: one result for each input, in input order (`docs/api-reference.md#batch`).

use std::collections::HashSet;
use std::sync::{Arc, LazyLock};

use axum::http::StatusCode;
use serde::Serialize;
use uuid::Uuid;

use super::envelope::ParsedInput;
use crate::contacts::{Contact, RenderedContact, WriteOutcome, WrittenContact};
use crate::fields::{Registry, Selection};
use crate::http::array_response::ArrayResponse;
use crate::http::error::{ApiError, Problem};
use crate::http::json_response::JsonResponse;
use crate::http::limits::ResponseMemory;
use crate::http::return_preference::ReturnPreference;

/// The selection of the contacts for which there is no more memory.
static DEFAULT_PROPERTIES: LazyLock<Selection> = LazyLock::new(Selection::default);

/// A validated batch of writes: everything that its response needs besides the outcomes of the writes.
pub(super) struct ValidatedBatch {
    /// One entry for each input: `Ok` if the input became a write, otherwise the error.
    pub inputs: Vec<ParsedInput<()>>,
    pub selection: Selection,
    pub registry: Arc<Registry>,
    pub is_dry_run: bool,
    pub preference: ReturnPreference,
}

impl ValidatedBatch {
    /// Returns the response for the outcomes of the writes, which are in the order of the valid inputs.
    pub(super) fn response(&self, outcomes: &[WriteOutcome]) -> Result<JsonResponse, ApiError> {
        let errors = self.errors(outcomes);
        let results: Vec<_> = self.results(outcomes, &errors).collect();
        let mut summary = BatchSummary::default();
        results.iter().for_each(|result| summary.count(result));
        let response = JsonResponse::new(summary.status(), &BatchResponseBody { results, summary })?;
        Ok(response.with_preference(self.preference))
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
        Ok(response.finish()?.with_preference(self.preference))
    }

    fn errors(&self, outcomes: &[WriteOutcome]) -> Vec<Option<ApiError>> {
        let error = |outcome: &WriteOutcome| {
            outcome.as_ref().err().map(|rejected| ApiError::from_rejection(&rejected.reason, &self.registry))
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
        self.inputs.iter().enumerate().map(move |(index, input)| {
            let label = InputLabel { index, reference: input.reference.as_deref() };
            let outcome = if input.parsed.is_ok() { outcomes.next() } else { None };
            match (&input.parsed, outcome) {
                (Err(error), _) => BatchResult::from_error(label, None, error),
                (_, Some((Ok(written), _))) => {
                    self.result_of_write(label, written, ids_to_hide.contains(&written.contact.id))
                }
                (_, Some((Err(rejected), Some(error)))) => {
                    BatchResult::from_error(label, rejected.contact.or(rejected.reason.archived_holder()), error)
                }
                _ => BatchResult::from_error(label, None, &ApiError::NotApplied),
            }
        })
    }

    /// Returns the result of a write that was accepted. `hides_id`: a dry run would create the contact.
    fn result_of_write<'a>(
        &'a self,
        label: InputLabel<'a>,
        written: &'a WrittenContact,
        hides_id: bool,
    ) -> BatchResult<'a> {
        let contact = &written.contact;
        let status = if written.created { StatusCode::CREATED } else { StatusCode::OK };
        let selection = if written.has_omitted_properties { &DEFAULT_PROPERTIES } else { &self.selection };
        let rendered = if hides_id { contact.render_without_id(selection) } else { contact.render(selection) };
        let is_minimal = self.preference.is_minimal();
        BatchResult {
            id: Some(contact.id).filter(|_| !hides_id),
            contact: Some(rendered).filter(|_| !is_minimal),
            properties_omitted: written.has_omitted_properties && !is_minimal,
            stale: written.is_stale,
            created_beside_archived: written.created_beside,
            ..BatchResult::new(label, status)
        }
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

/// The position of an input, and the caller's own label of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct InputLabel<'a> {
    pub index: usize,
    pub reference: Option<&'a str>,
}

/// The result of one input.
#[derive(Serialize)]
pub(super) struct BatchResult<'a> {
    index: usize,
    /// The contact of the input; `None` if there is none.
    id: Option<Uuid>,
    r#ref: Option<&'a str>,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    contact: Option<RenderedContact<'a>>,
    /// Whether the contact has the default properties only, because the response would be too large.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    properties_omitted: bool,
    /// Whether the write was ignored, because it is older than an earlier one.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    stale: bool,
    /// The archived contact that has the key of an upsert that created a contact.
    #[serde(skip_serializing_if = "Option::is_none")]
    created_beside_archived: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Problem<'a>>,
}

impl<'a> BatchResult<'a> {
    fn new(InputLabel { index, reference }: InputLabel<'a>, status: StatusCode) -> Self {
        Self {
            index,
            id: None,
            r#ref: reference,
            status: status.as_u16(),
            contact: None,
            properties_omitted: false,
            stale: false,
            created_beside_archived: None,
            error: None,
        }
    }

    /// Returns the result of reading a contact.
    pub(super) fn from_contact(label: InputLabel<'a>, contact: &'a Contact, selection: &'a Selection) -> Self {
        let (id, contact) = (Some(contact.id), Some(contact.render(selection)));
        Self { id, contact, ..Self::new(label, StatusCode::OK) }
    }

    /// Returns the result of an input that failed. `id` is the contact that it addresses, if there is one.
    pub(super) fn from_error(label: InputLabel<'a>, id: Option<Uuid>, error: &'a ApiError) -> Self {
        Self { id, error: Some(error.problem()), ..Self::new(label, error.status()) }
    }
}
