//! The origins whose pages may call the API from a browser.

use url::Url;

use super::settings_reader::SettingsReader;

/// The origins whose pages may read the responses of the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AllowedOrigins {
    /// All origins.
    Any,
    /// These origins, in the form that browsers send: `https://app.example.com`.
    List(Vec<String>),
}

impl SettingsReader<'_> {
    /// Reads the allowed origins. `None`: no other origin is allowed.
    pub(super) fn read_allowed_origins(&mut self) -> Option<AllowedOrigins> {
        let text = self.read_text("CORS_ALLOWED_ORIGINS")?;
        let origins = parse_origins(&text);
        if origins.is_none() {
            let rule = "must be * or origins joined by commas, such as https://app.example.com,http://localhost:3000";
            self.add_problem("CORS_ALLOWED_ORIGINS", rule);
        }
        origins
    }
}

fn parse_origins(text: &str) -> Option<AllowedOrigins> {
    if text.trim() == "*" {
        return Some(AllowedOrigins::Any);
    }
    text.split(',').map(|origin| normalize_origin(origin.trim())).collect::<Option<_>>().map(AllowedOrigins::List)
}

/// Returns an origin in the form that browsers send (RFC 6454 §6.2): lower case, no default port, no path.
fn normalize_origin(text: &str) -> Option<String> {
    let url = Url::parse(text).ok().filter(|url| ["http", "https"].contains(&url.scheme()))?;
    // A pattern would match no origin, so it is reported as a mistake.
    let is_pattern = text.contains('*');
    let has_only_origin = !is_pattern && url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    let has_no_credentials = url.username().is_empty() && url.password().is_none();
    (has_only_origin && has_no_credentials).then(|| url.origin().ascii_serialization())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_normalized_to_the_form_that_browsers_send() {
        let list = |origins: &[&str]| Some(AllowedOrigins::List(origins.iter().map(ToString::to_string).collect()));
        assert_eq!(parse_origins("*"), Some(AllowedOrigins::Any));
        assert_eq!(parse_origins("https://app.example.com"), list(&["https://app.example.com"]));
        assert_eq!(
            parse_origins(" HTTPS://App.Example.com:443/ ,http://localhost:3000"),
            list(&["https://app.example.com", "http://localhost:3000"])
        );
    }

    #[test]
    fn text_that_is_not_an_origin_is_rejected() {
        for text in [
            "app.example.com",
            "https://",
            "https://a.example/path",
            "https://a.example?x",
            "https://a.example,",
            "*,https://a.example",
            "https://*.example.com",
            "https://user@a.example",
            "ftp://a.example",
            "null",
        ] {
            assert_eq!(parse_origins(text), None, "{text}");
        }
    }
}
