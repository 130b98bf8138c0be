//! The answer to a batch: one result an input, in their order.

use std::collections::HashSet;
use std::sync::Arc;

use axum::http::StatusCode;
use serde::Serialize;

use crate::contacts::{Shown, WriteOutcome};
use crate::fields::{Registry, Selection};
use crate::http::answer::Answer;
use crate::http::error::{ApiError, Problem};

/// What the answer to a batch is made of, besides what becomes of its writes.
pub(super) struct Batch {
    /// Of each input whether it became a write, or why not.
    pub checked: Vec<Result<(), ApiError>>,
    pub selection: Selection,
    pub registry: Arc<Registry>,
    pub dry_run: bool,
}

impl Batch {
    /// The answer, given what became of the writes.
    pub(super) fn answer(&self, outcomes: &[WriteOutcome]) -> Result<Answer, ApiError> {
        let refusal = |outcome: &WriteOutcome| {
            outcome.as_ref().err().map(|refusal| ApiError::of_refusal(refusal, &self.registry))
        };
        let refusals: Vec<_> = outcomes.iter().map(refusal).collect();
        let created = outcomes.iter().flatten().filter(|written| written.created).map(|written| written.contact.id);
        let unborn: HashSet<_> = created.filter(|_| self.dry_run).collect();
        let mut written = outcomes.iter().zip(&refusals);
        let results =
            self.checked.iter().map(|checked| match (checked, checked.is_ok().then(|| written.next()).flatten()) {
                (Err(error), _) | (_, Some((_, Some(error)))) => ResultOf::error(error),
                (_, Some((Ok(written), None))) => {
                    let contact = &written.contact;
                    let shown = if unborn.contains(&contact.id) {
                        contact.show_without_id(&self.selection)
                    } else {
                        contact.show(&self.selection)
                    };
                    ResultOf::contact(if written.created { StatusCode::CREATED } else { StatusCode::OK }, shown)
                }
                _ => ResultOf::error(&ApiError::NotApplied),
            });
        answer(results)
    }
}

/// The answer that holds these results: 207 when an input failed.
pub(super) fn answer<'a>(results: impl Iterator<Item = ResultOf<'a>>) -> Result<Answer, ApiError> {
    let results: Vec<_> = results.collect();
    let total = results.len();
    let failed = results.iter().filter(|result| result.error.is_some()).count();
    let status = if failed == 0 { StatusCode::OK } else { StatusCode::MULTI_STATUS };
    Answer::of(status, &Body { results, summary: Summary { total, succeeded: total - failed, failed } })
}

#[derive(Serialize)]
struct Body<'a> {
    results: Vec<ResultOf<'a>>,
    summary: Summary,
}

#[derive(Serialize)]
struct Summary {
    total: usize,
    succeeded: usize,
    failed: usize,
}

/// The answer to one input.
#[derive(Serialize)]
pub(super) struct ResultOf<'a> {
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    contact: Option<Shown<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Problem<'a>>,
}

impl<'a> ResultOf<'a> {
    pub(super) fn contact(status: StatusCode, contact: Shown<'a>) -> Self {
        Self { status: status.as_u16(), contact: Some(contact), error: None }
    }

    pub(super) fn error(error: &'a ApiError) -> Self {
        Self { status: error.catalogue().0.as_u16(), contact: None, error: Some(error.problem()) }
    }
}
