//! The way of a request that writes one contact: through the stages of contract §1 in their order, to its answer.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::response::{IntoResponse, Response};

use super::answer::Answer;
use super::caller::Caller;
use super::conditional::Conditions;
use super::error::ApiError;
use super::extract::{self, Payload};
use super::idempotency::{Idempotency, RequestKey, replay};
use super::query::{Asked, Query, Takes};
use super::state::App;
use crate::contacts::{Write, WriteOutcome, Written};
use crate::fields::{Registry, Selection};
use crate::json::Object;
use crate::repository::{Done, Keep, Unit, Work, WriteError};

/// A request that writes contacts, but for who sends it and what its path names.
pub(super) struct WriteRequest {
    pub app: App,
    pub query: Query,
    pub conditions: Conditions,
    pub idempotency: Idempotency,
    pub payload: Payload,
}

impl FromRequest<App> for WriteRequest {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &App) -> Result<Self, ApiError> {
        let (mut parts, body) = request.into_parts();
        let query = Query::from_request_parts(&mut parts, app).await?;
        let Ok(conditions) = Conditions::from_request_parts(&mut parts, app).await;
        let Ok(idempotency) = Idempotency::from_request_parts(&mut parts, app).await;
        let payload = Payload::from_request(Request::from_parts(parts, body), app).await?;
        Ok(Self { app: app.clone(), query, conditions, idempotency, payload })
    }
}

/// How the answer to a write is made, given what to show of it and whether it was only tried.
pub(super) type Answering = fn(&Written, &Selection, bool) -> Result<Answer, ApiError>;

impl WriteRequest {
    /// Does the write that `build` makes of the query, the fields of the body (none on a route without one) and the
    /// registry. A registry that has changed meanwhile makes it anew.
    pub(super) async fn send(
        self,
        caller: Caller,
        takes: Takes,
        build: impl Fn(&Asked, &Object<'_>, &Registry) -> Result<Write, ApiError>,
        answering: Answering,
    ) -> Result<Response, ApiError> {
        let Self { app, query, idempotency, payload, .. } = self;
        let account = caller.account;
        let mut registry = app.registry(account).await?;
        let mut asked = query.contact(&registry, takes)?;
        let body = if takes.fields { payload.read().await? } else { Bytes::new() };
        let fields = if takes.fields { extract::fields(&body)? } else { vec![] };
        loop {
            let write = build(&asked, &fields, &registry)?;
            let key = idempotency.of(&caller, &body, &asked.selection)?;
            let work = Work {
                account,
                registry: Arc::clone(&registry),
                actor: caller.actor.as_deref().map(Arc::from),
                writes: vec![write],
                unit: Unit::Each,
                dry_run: asked.dry_run,
                keep: key.map(|key| keep(key, &asked, answering)),
            };
            match app.repository().write(work).await {
                Err(WriteError::RegistryChanged) => {
                    registry = app.repository().reload_registry(account).await?;
                    asked = query.contact(&registry, takes)?;
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
