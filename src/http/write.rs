//! The way of a request that writes one contact: through the stages of contract §1 in their order, to its answer.

use std::sync::Arc;

use axum::response::{IntoResponse, Response};

use super::answer::Answer;
use super::caller::Caller;
use super::error::ApiError;
use super::extract::{self, Payload};
use super::idempotency::{Idempotency, RequestKey, replay};
use super::query::{Asked, Query, Takes};
use super::state::App;
use crate::contacts::{Write, WriteOutcome, Written};
use crate::fields::{Registry, Selection};
use crate::json::Object;
use crate::repository::{Done, Keep, Unit, Work, WriteError};

/// A request that writes, but for its path and body.
pub(super) struct WriteRequest {
    pub app: App,
    pub caller: Caller,
    pub query: Query,
    /// `None` on routes whose methods are idempotent as they are.
    pub idempotency: Option<Idempotency>,
    pub takes: Takes,
}

/// How the answer to a write is made, given what to show of it and whether it was only tried.
pub(super) type Answering = fn(&Written, &Selection, bool) -> Result<Answer, ApiError>;

impl WriteRequest {
    /// Does the write that `build` makes of the query, the fields of the body (none for a route without one) and the
    /// registry. A registry that has changed meanwhile makes it anew.
    pub(super) async fn send(
        self,
        payload: Option<Payload>,
        build: impl Fn(&Asked, &Object<'_>, &Registry) -> Result<Write, ApiError>,
        answering: Answering,
    ) -> Result<Response, ApiError> {
        let account = self.caller.account;
        let mut registry = self.app.registry(account).await?;
        let mut asked = self.query.contact(&registry, self.takes)?;
        let body = match payload {
            Some(payload) => payload.read().await?,
            None => axum::body::Bytes::from_static(br#"{"fields":{}}"#),
        };
        let fields = extract::fields(&body)?;
        loop {
            let write = build(&asked, &fields, &registry)?;
            let key = self.idempotency.as_ref().map(|sent| sent.of(&self.caller, &body)).transpose()?.flatten();
            let work = Work {
                account,
                registry: Arc::clone(&registry),
                actor: self.caller.actor.as_deref().map(Arc::from),
                writes: vec![write],
                unit: Unit::Each,
                dry_run: asked.dry_run,
                keep: key.map(|key| keep(key, &asked, answering)),
            };
            match self.app.repository().write(work).await {
                Err(WriteError::RegistryChanged) => {
                    registry = self.app.repository().reload_registry(account).await?;
                    asked = self.query.contact(&registry, self.takes)?;
                }
                Err(error) => return Err(error.into()),
                Ok(Done::Replayed(answer)) => return replay(&answer),
                Ok(Done::Fresh(outcomes)) => return answer(outcomes, &asked, &registry, answering),
            }
        }
    }
}

fn answer(
    outcomes: Vec<WriteOutcome>,
    asked: &Asked,
    registry: &Registry,
    answering: Answering,
) -> Result<Response, ApiError> {
    let outcome = outcomes.into_iter().next().ok_or(ApiError::Internal("a write without an outcome".into()))?;
    let written = outcome.map_err(|refusal| ApiError::of_refusal(&refusal, registry))?;
    Ok(answering(&written, &asked.selection, asked.dry_run)?.into_response())
}

fn keep(RequestKey { key, fingerprint }: RequestKey, asked: &Asked, answering: Answering) -> Keep<[WriteOutcome]> {
    let (selection, dry_run) = (asked.selection.clone(), asked.dry_run);
    let answer = move |outcomes: &[WriteOutcome]| {
        let written = outcomes.first()?.as_ref().ok()?;
        answering(written, &selection, dry_run).ok().map(|answer| answer.to_bytes())
    };
    Keep { key, fingerprint, answer: Box::new(answer) }
}
