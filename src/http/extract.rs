//! Paths and bodies, read by the rules of contract §1 and refused in our own shape.

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, FromRequestParts, RawPathParams, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, header};
use uuid::Uuid;

use super::error::ApiError;
use super::query::Query;
use super::state::App;
use crate::contacts::{Target, UniqueKey, parse_id};
use crate::fields::{Field, Issue, IssueCode, Value};
use crate::json::{self, Json, Object};

/// The one parameter of a path, percent-decoded once.
pub(super) struct Segment(pub(super) String);

impl FromRequestParts<App> for Segment {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        // What does not decode to UTF-8 names nothing that exists.
        let params = RawPathParams::from_request_parts(parts, app).await.map_err(|_| ApiError::NotFound)?;
        let value = params.iter().next().map(|(_, value)| value.to_owned());
        value.map(Self).ok_or(ApiError::NotFound)
    }
}

/// How a path names a contact: an id, or the value of a unique property.
pub(super) struct ContactPath(String);

impl ContactPath {
    /// The contact's id. An id that is no UUID is an object that does not exist: asked for at that stage, so
    /// that the answer to it does not differ from another account's (contract §2).
    pub(super) fn id(&self) -> Result<Uuid, ApiError> {
        parse_id(&self.0).ok_or(ApiError::NotFound)
    }

    /// The contact's id, or one that no contact has: where an `Idempotency-Key` is looked at before the object.
    pub(super) fn id_or_nil(&self) -> Uuid {
        self.id().unwrap_or_default()
    }

    /// The contact that the path names, by id or by this property. A value that the property can't have is one that no
    /// contact has.
    pub(super) fn target(&self, property: Option<&Field>) -> Result<Target, ApiError> {
        match property {
            None => self.id().map(Target::Id),
            Some(field) => {
                let value = self.value(field).map_err(|_| ApiError::NotFound)?;
                Ok(Target::Key(UniqueKey::of(field, &value)))
            }
        }
    }

    /// The value of a property that the path holds.
    pub(super) fn value(&self, property: &Field) -> Result<Value, Issue> {
        let missing = || Issue::new(&*property.internal_name, IssueCode::Required, "must not be blank in the path");
        property.parse_text(&self.0)?.ok_or_else(missing)
    }
}

impl FromRequestParts<App> for ContactPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let Segment(segment) = Segment::from_request_parts(parts, app).await?;
        if segment.trim().is_empty() && !Query::names_property(parts.uri.query()) {
            return Err(ApiError::MissingContactId);
        }
        Ok(Self(segment))
    }
}

/// A body, not read yet: a handler reads it when the stages before are passed.
pub(super) struct Payload {
    app: App,
    body: Body,
    is_json: bool,
    limit: usize,
}

impl FromRequest<App> for Payload {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &App) -> Result<Self, ApiError> {
        let is_json = is_json(request.headers());
        let limit = body_limit(request.uri().path(), app);
        Ok(Self { app: app.clone(), body: request.into_body(), is_json, limit })
    }
}

impl Payload {
    /// Reads the whole body, if it is declared as JSON.
    pub(super) async fn read(self) -> Result<Bytes, ApiError> {
        if !self.is_json {
            return Err(ApiError::UnsupportedMediaType);
        }
        self.app.limits().bodies.read(self.body, self.limit).await
    }
}

/// How many bytes the body of a request to this path can have.
pub(super) fn body_limit(path: &str, app: &App) -> usize {
    let is_batch = path.starts_with("/contacts/batch/");
    if is_batch { app.settings().max_batch_body_bytes } else { app.settings().max_body_bytes }
}

/// Whether a body is, by its declaration, JSON: `application/json`, any `+json`, or no declaration at all.
fn is_json(headers: &HeaderMap) -> bool {
    let essence = |value: &HeaderValue| {
        let value = value.to_str().ok()?.split(';').next()?.trim().to_ascii_lowercase();
        let (main, sub) = value.split_once('/')?;
        Some(!main.is_empty() && ((main == "application" && sub == "json") || sub.ends_with("+json")))
    };
    headers.get_all(header::CONTENT_TYPE).iter().all(|value| essence(value).unwrap_or(false))
}

/// The members of a body that is an object.
pub(super) fn object(bytes: &Bytes) -> Result<Object<'_>, ApiError> {
    json::parse(bytes)?.into_object().ok_or(ApiError::InvalidBody("The body must be a JSON object".into()))
}

/// The content of `fields` of a body that is `{"fields": {…}}` and nothing else.
pub(super) fn fields(bytes: &Bytes) -> Result<Object<'_>, ApiError> {
    const SHAPE: &str = "The body must be {\"fields\": {internal_name: value, …}} and nothing else";
    let members = object(bytes).map_err(|error| match error {
        ApiError::InvalidBody(_) => ApiError::InvalidBody(SHAPE.into()),
        other => other,
    })?;
    match <[_; 1]>::try_from(members) {
        Ok([(name, Json::Object(fields))]) if name == "fields" => Ok(fields),
        _ => Err(ApiError::InvalidBody(SHAPE.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_json_by_its_many_names() {
        let declared = |value: &'static str| {
            is_json(&HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(value))]))
        };
        assert!(is_json(&HeaderMap::new()));
        for good in [
            "application/json",
            "Application/JSON; charset=utf-8",
            "application/merge-patch+json",
            "application/vnd.api+json;v=1",
        ] {
            assert!(declared(good), "{good}");
        }
        for bad in ["text/plain", "application/x-www-form-urlencoded", "", "json", "application/jsonp", "text/json"] {
            assert!(!declared(bad), "{bad}");
        }
    }

    #[test]
    fn takes_fields_and_nothing_else() {
        let code = |body: &'static str| {
            fields(&Bytes::from_static(body.as_bytes())).map(|_| ()).map_err(|error| error.catalogue().1)
        };
        assert_eq!(code(r#"{"fields": {}}"#), Ok(()));
        for body in [
            "{}",
            "[]",
            "null",
            "\"fields\"",
            r#"{"fields": []}"#,
            r#"{"fields": null}"#,
            r#"{"fields": {}, "id": 1}"#,
            r#"{"Fields": {}}"#,
        ] {
            assert_eq!(code(body), Err("invalid_body"), "{body}");
        }
        for body in ["", "{", r#"{"fields": {}, "fields": {}}"#] {
            assert_eq!(code(body), Err("invalid_json"), "{body}");
        }
    }
}
