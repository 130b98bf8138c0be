//! Parsing of token requests (RFC 6749 §4.4.2) and client credentials (RFC 6749 §2.3.1).

use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::extract::{FromRequestParts, Request};
use axum::http::{HeaderMap, HeaderValue, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use utoipa::ToSchema;
use uuid::Uuid;

use super::error::TokenError;
use crate::clients::Scopes;
use crate::config::Secret;
use crate::http::app::App;
use crate::http::content_coding::RequestCoding;
use crate::http::error::ApiError;
use crate::http::limits::BodyWait;
use crate::http::query::{self, NoParameters};

const FORM: &str = "application/x-www-form-urlencoded";
const GRANT_TYPE: &str = "client_credentials";
/// The maximum size of the body in bytes, as sent and decoded. A form with everything in it takes less than 1 KiB.
const MAX_BODY_BYTES: usize = 8 * 1024;
/// The maximum time for receiving the body.
const BODY_TIMEOUT: Duration = Duration::from_secs(2);

/// Always `client_credentials`.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case", example = "client_credentials")]
#[allow(dead_code, reason = "describes the value that `parse_token_request` requires")]
enum GrantType {
    ClientCredentials,
}

/// The form of a token request
#[derive(ToSchema)]
#[schema(examples(json!({"grant_type": "client_credentials", "scope": "contacts:read contacts:write"})))]
#[allow(dead_code, reason = "describes the form that `ParsedForm` parses")]
pub(super) struct TokenForm {
    #[schema(inline)]
    grant_type: GrantType,
    /// The client's id, unless it is sent with HTTP Basic.
    #[schema(nullable = false)]
    client_id: Option<String>,
    /// The client's secret, unless it is sent with HTTP Basic.
    #[schema(nullable = false)]
    client_secret: Option<String>,
    /// The scopes of the token, separated by spaces. The client must have them. Default: all scopes of the client.
    #[schema(
        nullable = false,
        pattern = r"^(contacts:(read|write|purge)|fields:write)( (contacts:(read|write|purge)|fields:write))*$",
        example = "contacts:read"
    )]
    scope: Option<String>,
}

/// A well-formed token request. The credentials are not checked yet.
pub(super) struct TokenRequest {
    pub(super) credentials: ClientCredentials,
    /// The requested scopes.
    pub(super) scopes: Option<Scopes>,
}

/// The id and secret that a client sent.
#[derive(Debug, PartialEq)]
pub(super) struct ClientCredentials {
    pub(super) id: String,
    pub(super) secret: Secret,
}

/// Reads and parses a request. Checks the declared size, the query, the content type and then the body.
pub(super) async fn read_token_request(app: &App, request: Request) -> Result<TokenRequest, TokenError> {
    let limit = MAX_BODY_BYTES;
    let (mut parts, body) = request.into_parts();
    if body.size_hint().lower() > limit as u64 {
        return Err(ApiError::PayloadTooLarge { limit }.into());
    }
    if NoParameters::from_request_parts(&mut parts, app).await.is_err() {
        return Err(TokenError::InvalidRequest(
            "Remove the query from the URL: it is not valid percent-encoding, or it has dry_run",
        ));
    }
    if !is_form(&parts.headers) {
        return Err(TokenError::InvalidRequest("Send the body as application/x-www-form-urlencoded"));
    }
    let coding = RequestCoding::from_headers(&parts.headers)?;
    let wait = parts.extensions.remove().unwrap_or_default();
    parse_token_request(&parts.headers, &read_body(app, body, coding, &wait).await?)
}

async fn read_body(
    app: &App,
    body: Body,
    coding: Option<RequestCoding>,
    wait: &BodyWait,
) -> Result<String, TokenError> {
    let read = app.limits().bodies.read(Uuid::nil(), body, coding, MAX_BODY_BYTES, wait);
    let bytes = match tokio::time::timeout(BODY_TIMEOUT, read).await.unwrap_or(Err(ApiError::RequestTimeout)) {
        Ok(bytes) => bytes,
        Err(ApiError::InvalidBody(_)) => {
            return Err(TokenError::InvalidRequest("The body is incomplete, or it does not decode"));
        }
        Err(error) => return Err(error.into()),
    };
    String::from_utf8(bytes.into()).map_err(|_| TokenError::InvalidRequest("The body is not UTF-8"))
}

/// Returns whether the body is declared as a form. Without this check, JSON would be parsed as a form with one unknown
/// parameter.
fn is_form(headers: &HeaderMap) -> bool {
    let is_form = |value: &HeaderValue| {
        let essence = value.to_str().ok().and_then(|value| value.split(';').next());
        essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case(FORM))
    };
    let mut values = headers.get_all(header::CONTENT_TYPE).iter().peekable();
    values.peek().is_some() && values.all(is_form)
}

fn parse_token_request(headers: &HeaderMap, body: &str) -> Result<TokenRequest, TokenError> {
    let form = ParsedForm::parse(body)?;
    match form.grant_type.as_deref() {
        None => return Err(TokenError::InvalidRequest("grant_type is missing: send grant_type=client_credentials")),
        Some(GRANT_TYPE) => {}
        Some(_) => return Err(TokenError::UnsupportedGrantType),
    }
    let invalid_scope = |_| {
        TokenError::InvalidScope(
            "scope must consist of contacts:read, contacts:write, contacts:purge and fields:write, separated by spaces",
        )
    };
    let scopes = form.scope.as_deref().map(str::parse).transpose().map_err(invalid_scope)?;
    Ok(TokenRequest { credentials: form.credentials(headers)?, scopes })
}

/// The parameters of the form. A parameter without a value counts as not sent (RFC 6749 §3.2). Unknown parameters are
/// ignored.
#[derive(Default)]
struct ParsedForm {
    grant_type: Option<String>,
    client_id: Option<String>,
    client_secret: Option<String>,
    scope: Option<String>,
}

impl ParsedForm {
    fn parse(body: &str) -> Result<Self, TokenError> {
        let mut form = Self::default();
        let mut seen = vec![];
        for pair in body.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let decoded = query::decode_form_component(name).zip(query::decode_form_component(value));
            let (name, value) = decoded.ok_or(TokenError::InvalidRequest("The form is not percent-encoded UTF-8"))?;
            let slot = match &*name {
                "grant_type" => &mut form.grant_type,
                "client_id" => &mut form.client_id,
                "client_secret" => &mut form.client_secret,
                "scope" => &mut form.scope,
                _ => continue,
            };
            if seen.contains(&name) {
                return Err(TokenError::InvalidRequest("A parameter is sent more than once"));
            }
            *slot = Some(value.into_owned()).filter(|value| !value.is_empty());
            seen.push(name);
        }
        Ok(form)
    }

    /// Returns the credentials, which must be either in the `Authorization` header or in the form.
    fn credentials(self, headers: &HeaderMap) -> Result<ClientCredentials, TokenError> {
        const BOTH: TokenError =
            TokenError::InvalidRequest("Send the credentials with HTTP Basic or in the form, not both");
        let Some(credentials) = basic_credentials(headers)? else {
            let missing =
                TokenError::MissingCredentials("Send client_id and client_secret in the form, or with HTTP Basic");
            let (id, secret) = self.client_id.zip(self.client_secret).ok_or(missing)?;
            return Ok(ClientCredentials { id, secret: Secret::new(secret) });
        };
        // The form may repeat the id, which is not a credential by itself (RFC 6749 §3.2.1).
        if self.client_secret.is_some() || self.client_id.is_some_and(|id| id != credentials.id) {
            return Err(BOTH);
        }
        Ok(credentials)
    }
}

/// Returns the credentials of `Authorization: Basic`, which are form-encoded before base64. `None` without the header.
fn basic_credentials(headers: &HeaderMap) -> Result<Option<ClientCredentials>, TokenError> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let malformed = TokenError::MissingCredentials(
        "Authorization must be Basic with the base64 encoding of client_id:client_secret, or be absent",
    );
    match decode_basic(value).filter(|_| values.next().is_none()) {
        Some(credentials) => Ok(Some(credentials)),
        None => Err(malformed),
    }
}

fn decode_basic(value: &HeaderValue) -> Option<ClientCredentials> {
    let (scheme, encoded) = value.to_str().ok()?.split_once(' ')?;
    let bytes = STANDARD.decode(encoded.trim()).ok().filter(|_| scheme.eq_ignore_ascii_case("basic"))?;
    let text = String::from_utf8(bytes).ok()?;
    let (id, secret) = text.split_once(':')?;
    let id = query::decode_form_component(id)?.into_owned();
    let secret = Secret::new(query::decode_form_component(secret)?);
    Some(ClientCredentials { id, secret })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const GRANT: &str = "grant_type=client_credentials";

    fn headers(authorization: &[&str]) -> HeaderMap {
        let value = |text: &&str| HeaderValue::from_str(text).expect("a header");
        authorization.iter().map(|text| (header::AUTHORIZATION, value(text))).collect()
    }

    fn basic_header(text: &str) -> String {
        format!("Basic {}", STANDARD.encode(text))
    }

    fn credentials(authorization: &[&str], form: &str) -> Result<ClientCredentials, TokenError> {
        parse_token_request(&headers(authorization), &format!("{GRANT}{form}")).map(|request| request.credentials)
    }

    fn code(result: Result<impl Sized, TokenError>) -> &'static str {
        match result {
            Ok(_) => "",
            Err(TokenError::InvalidRequest(_)) => "invalid_request",
            Err(TokenError::MissingCredentials(_) | TokenError::WrongCredentials) => "invalid_client",
            Err(TokenError::UnsupportedGrantType) => "unsupported_grant_type",
            Err(TokenError::InvalidScope(_)) => "invalid_scope",
            Err(TokenError::SlowDown { .. }) => "slow_down",
            Err(TokenError::Api(_)) => "error of any route",
        }
    }

    #[test]
    fn credentials_are_accepted_in_the_form_or_with_basic() {
        let expected = ClientCredentials { id: "a b".into(), secret: Secret::new("c:d+") };
        for (authorization, form) in [
            (vec![], "&client_id=a+b&client_secret=c:d%2B"),
            (vec![basic_header("a+b:c%3Ad%2B")], ""),
            (vec![basic_header("a%20b:c:d%2B").replace("Basic", "bAsIc")], "&client_id=a+b&client_secret="),
        ] {
            let authorization: Vec<_> = authorization.iter().map(String::as_str).collect();
            assert_eq!(credentials(&authorization, form).ok().as_ref(), Some(&expected), "{authorization:?} {form}");
        }
    }

    #[test]
    fn credentials_sent_twice_are_rejected() {
        let basic = basic_header("a:b");
        assert_eq!(code(credentials(&[&basic], "&client_id=a&client_secret=b")), "invalid_request");
        assert_eq!(code(credentials(&[&basic], "&client_secret=b")), "invalid_request");
        assert_eq!(code(credentials(&[&basic], "&client_id=c")), "invalid_request");
        assert_eq!(code(credentials(&[&basic, &basic], "")), "invalid_client");
    }

    #[rstest]
    #[case::none("", "")]
    #[case::no_secret("", "&client_id=a&client_secret=")]
    #[case::no_id("", "&client_secret=b")]
    #[case::another_scheme("Bearer YTpi", "&client_id=a&client_secret=b")]
    #[case::invalid_base64("Basic !", "")]
    #[case::no_colon("Basic YWI=", "")]
    #[case::invalid_utf8("Basic /zr/", "")]
    #[case::scheme_alone("Basic", "")]
    fn missing_or_malformed_credentials_are_invalid_client(#[case] authorization: &str, #[case] form: &str) {
        let authorization: Vec<_> = Some(authorization).filter(|text| !text.is_empty()).into_iter().collect();
        assert_eq!(code(credentials(&authorization, form)), "invalid_client");
    }

    #[rstest]
    #[case("client_id=a&client_secret=b", "invalid_request")]
    #[case("grant_type=&client_id=a&client_secret=b", "invalid_request")]
    #[case("grant_type=password&client_id=a&client_secret=b", "unsupported_grant_type")]
    #[case("grant_type=client_credentials&grant_type=client_credentials", "invalid_request")]
    #[case("grant_type=client_credentials&scope=&scope=contacts:read", "invalid_request")]
    #[case("grant_type=client_credentials&client_id=%ff&client_secret=b", "invalid_request")]
    #[case("grant_type=client_credentials&client_id=a&client_secret=b&scope=contacts:all", "invalid_scope")]
    #[case("grant_type=client_credentials&client_id=a&client_secret=b&resource=x&resource=y&scope=", "")]
    #[case("{}", "invalid_request")]
    #[case("", "invalid_request")]
    fn form_is_parsed_by_the_rules_of_rfc_6749(#[case] body: &str, #[case] expected: &str) {
        assert_eq!(code(parse_token_request(&HeaderMap::new(), body)), expected);
    }

    #[test]
    fn requested_scope_is_parsed() {
        let request =
            |form: &str| parse_token_request(&HeaderMap::new(), &format!("{GRANT}&client_id=a&client_secret=b{form}"));
        let scopes = |form: &str| request(form).ok().and_then(|request| request.scopes);
        assert_eq!(scopes(""), None);
        assert_eq!(scopes("&scope="), None);
        assert_eq!(scopes("&scope=contacts:read+fields%3Awrite"), "fields:write contacts:read".parse().ok());
    }

    #[test]
    fn only_a_declared_form_is_accepted() {
        let is_form = |values: &[&'static str]| {
            let headers = values.iter().map(|value| (header::CONTENT_TYPE, HeaderValue::from_static(value)));
            is_form(&headers.collect())
        };
        assert!(is_form(&[FORM]) && is_form(&["Application/X-WWW-Form-Urlencoded; charset=UTF-8"]));
        assert!(!is_form(&[]) && !is_form(&["application/json"]) && !is_form(&[FORM, "text/plain"]));
    }
}
