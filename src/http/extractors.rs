//! Extractors for paths and bodies, whose failures are errors of this API
//! (`docs/api-reference.md#requests-and-responses`).

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, FromRequestParts, OptionalFromRequestParts, RawPathParams, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use uuid::Uuid;

use super::app::App;
use super::content_coding::RequestCoding;
use super::error::ApiError;
use super::limits::BodyWait;
use super::query::QueryString;
use crate::contacts::{ContactTarget, UniqueKey, parse_id};
use crate::fields::{Field, Issue, IssueCode, Value};
use crate::json::{Json, Object};

/// The value of the only parameter of a route's path, percent-decoded once.
pub(super) struct PathParameter(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for PathParameter {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        <Self as OptionalFromRequestParts<S>>::from_request_parts(parts, state).await?.ok_or(ApiError::NotFound)
    }
}

/// Returns `None` for a route without path parameters.
impl<S: Send + Sync> OptionalFromRequestParts<S> for PathParameter {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Option<Self>, ApiError> {
        // A value that is not UTF-8 identifies no object.
        let parameters = RawPathParams::from_request_parts(parts, state).await.map_err(|_| ApiError::NotFound)?;
        Ok(parameters.iter().next().map(|(_, value)| Self(value.to_owned())))
    }
}

/// The part of a path that identifies a contact: an id, or the value of a unique property.
pub(super) struct ContactPath(String);

impl ContactPath {
    /// Returns the contact's id.
    ///
    /// # Errors
    /// [`ApiError::ContactNotFound`] if the path does not hold a UUID. Call this where the contact is looked up: the
    /// response must be the same as for a contact of another account (`docs/api-reference.md#errors`).
    pub(super) fn id(&self) -> Result<Uuid, ApiError> {
        parse_id(&self.0).ok_or(ApiError::ContactNotFound)
    }

    /// Returns the contact's id, or the nil UUID, which no contact has, if the path does not hold a UUID. For routes
    /// that check other parts of the request, such as the `Idempotency-Key`, before they look up the contact.
    pub(super) fn id_or_nil(&self) -> Uuid {
        parse_id(&self.0).unwrap_or_default()
    }

    /// Returns the contact that the path identifies, by its id or by this property.
    ///
    /// # Errors
    /// [`ApiError::InvalidContactId`] if the path does not hold a UUID. [`ApiError::ContactNotFound`] if it holds a
    /// value that is invalid for the property, because no contact can have that value.
    pub(super) fn target(&self, property: Option<&Field>) -> Result<ContactTarget, ApiError> {
        match property {
            None => {
                let id = parse_id(&self.0);
                id.map(ContactTarget::Id).ok_or_else(|| ApiError::InvalidContactId(self.0.clone()))
            }
            Some(field) => {
                let value = self.value(field).map_err(|_| ApiError::ContactNotFound)?;
                Ok(ContactTarget::Key(UniqueKey::from_value(field, &value)))
            }
        }
    }

    /// Parses the path as a value of a property.
    pub(super) fn value(&self, property: &Field) -> Result<Value, Issue> {
        let blank = || Issue::new(&*property.internal_name, IssueCode::Required, "must not be blank in the path");
        property.parse_text(&self.0)?.ok_or_else(blank)
    }

    fn parse(parameter: String, parts: &Parts) -> Result<Self, ApiError> {
        if parameter.trim().is_empty() && !QueryString::has_id_property(parts.uri.query()) {
            return Err(ApiError::MissingContactId);
        }
        Ok(Self(parameter))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for ContactPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let PathParameter(parameter) = <PathParameter as FromRequestParts<S>>::from_request_parts(parts, state).await?;
        Self::parse(parameter, parts)
    }
}

/// Returns `None` for a route without path parameters.
impl<S: Send + Sync> OptionalFromRequestParts<S> for ContactPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Option<Self>, ApiError> {
        let parameter = <PathParameter as OptionalFromRequestParts<S>>::from_request_parts(parts, state).await?;
        parameter.map(|PathParameter(parameter)| Self::parse(parameter, parts)).transpose()
    }
}

/// A request body that has not been read yet. Handlers read it after the checks that precede the body.
pub(super) struct Payload {
    app: App,
    body: Body,
    /// Whether the content type and the content coding are supported.
    encoding: Result<Option<RequestCoding>, ApiError>,
    limit: usize,
    wait: BodyWait,
}

impl FromRequest<App> for Payload {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &App) -> Result<Self, ApiError> {
        let headers = request.headers();
        let encoding = check_content_type(headers).and_then(|()| RequestCoding::from_headers(headers));
        let limit = body_limit(request.uri().path(), app);
        let wait = request.extensions().get().cloned().unwrap_or_default();
        Ok(Self { app: app.clone(), body: request.into_body(), encoding, limit, wait })
    }
}

impl Payload {
    /// Reads and decodes the whole body. Large bodies take memory from the share of the account.
    ///
    /// # Errors
    /// [`ApiError::UnsupportedMediaType`] or [`ApiError::UnsupportedJsonPatch`] if the body is not declared as JSON,
    /// [`ApiError::UnsupportedContentEncoding`] if it has another coding, and the errors of reading a body.
    pub(super) async fn read(self, account: Uuid) -> Result<Bytes, ApiError> {
        let coding = self.encoding?;
        self.app.limits().bodies.read(account, self.body, coding, self.limit, &self.wait).await
    }
}

/// Returns the maximum number of bytes of a body on this path.
pub(super) fn body_limit(path: &str, app: &App) -> usize {
    let is_batch = path.starts_with("/contacts/batch/");
    if is_batch { app.settings().max_batch_body_bytes } else { app.settings().max_body_bytes }
}

/// Checks that the content type is `application/json` or any `+json`, except the type of JSON Patch (RFC 6902), whose
/// body is a list of operations. A body without a content type counts as JSON.
fn check_content_type(headers: &HeaderMap) -> Result<(), ApiError> {
    for value in headers.get_all(header::CONTENT_TYPE) {
        let essence = value.to_str().ok().and_then(|value| value.split(';').next()).unwrap_or_default();
        let essence = essence.trim().to_ascii_lowercase();
        match essence.split_once('/').filter(|(main, _)| !main.is_empty()) {
            Some(("application", "json-patch+json")) => return Err(ApiError::UnsupportedJsonPatch),
            Some(("application", "json")) => {}
            Some((_, sub)) if sub.ends_with("+json") => {}
            _ => return Err(ApiError::UnsupportedMediaType),
        }
    }
    Ok(())
}

/// Parses a body that must be a JSON object, and converts the object ([`BodyParser::parse`]).
///
/// [`BodyParser::parse`]: super::limits::BodyParser::parse
pub(super) async fn parse_object<T>(
    app: &App,
    account: Uuid,
    bytes: &Bytes,
    convert: impl FnOnce(&Object<'_>) -> Result<T, ApiError> + Send,
) -> Result<T, ApiError> {
    let convert = |json: Json<'_>| convert(&object_from_json(json)?);
    app.limits().body_parser.parse(account, bytes, None, convert).await
}

/// Returns the members of a body that must be a JSON object.
pub(super) fn object_from_json(json: Json<'_>) -> Result<Object<'_>, ApiError> {
    json.into_object().ok_or(ApiError::InvalidBody("The body must be a JSON object".into()))
}

/// Returns the content of `fields` of a body that must be exactly `{"fields": {…}}`.
pub(super) fn fields_from_json(json: Json<'_>) -> Result<Object<'_>, ApiError> {
    const MESSAGE: &str = "The body must be {\"fields\": {internal_name: value, …}} and nothing else";
    match json.into_object().map(<[_; 1]>::try_from) {
        Some(Ok([(name, Json::Object(fields))])) if name == "fields" => Ok(fields),
        _ => Err(ApiError::InvalidBody(MESSAGE.into())),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;
    use crate::json;

    #[test]
    fn json_content_types_are_accepted_and_others_are_not() {
        let declared = |value: &'static str| {
            let value = HeaderValue::from_static(value);
            check_content_type(&HeaderMap::from_iter([(header::CONTENT_TYPE, value)])).is_ok()
        };
        assert!(check_content_type(&HeaderMap::new()).is_ok());
        for valid in [
            "application/json",
            "Application/JSON; charset=utf-8",
            "application/merge-patch+json",
            "application/vnd.api+json;v=1",
        ] {
            assert!(declared(valid), "{valid}");
        }
        for invalid in [
            "text/plain",
            "application/x-www-form-urlencoded",
            "",
            "json",
            "application/jsonp",
            "text/json",
            "/x+json",
            "application/json-patch+json",
        ] {
            assert!(!declared(invalid), "{invalid}");
        }
    }

    #[test]
    fn body_must_be_an_object_with_fields_only() {
        let code = |body: &'static str| {
            let json = json::parse(body.as_bytes()).map_err(ApiError::from);
            json.and_then(fields_from_json).map(|_| ()).map_err(|error| error.code())
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
