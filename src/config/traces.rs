//! Where traces are sent, and which.

use percent_encoding::percent_decode_str;

use super::reader::{Reader, is_web_url};
use super::{Environment, Secret, SettingsError};

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const HEADERS: &str = "OTEL_EXPORTER_OTLP_HEADERS";
const PROTOCOL: &str = "OTEL_EXPORTER_OTLP_PROTOCOL";
const SAMPLER: &str = "OTEL_TRACES_SAMPLER";
const SAMPLER_ARGUMENT: &str = "OTEL_TRACES_SAMPLER_ARG";

/// Where traces are sent, and which. The names are OpenTelemetry's own.
#[derive(Debug, Clone)]
pub struct TraceSettings {
    /// The collector's URL for traces (OTLP over HTTP).
    pub url: String,
    /// Headers of each request to it: credentials, mostly.
    pub headers: Vec<(String, Secret)>,
    /// What the service calls itself.
    pub service_name: String,
    /// Which requests are traced.
    pub sampling: Sampling,
}

/// Which requests are traced.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampling {
    /// Whether a caller that takes part in a trace decides for itself.
    pub honours_parent: bool,
    /// Of all others: this share, from 0 to 1.
    pub ratio: f64,
}

impl TraceSettings {
    /// Reads where traces are sent; `None` when they are not.
    ///
    /// # Errors
    /// Every setting of it that is malformed.
    pub fn read(environment: &Environment) -> Result<Option<Self>, SettingsError> {
        Reader::read(environment, Reader::traces)
    }
}

impl Reader<'_> {
    /// Other programs share these settings: without a collector none of the rest has to make sense.
    pub(super) fn traces(&mut self) -> Option<TraceSettings> {
        let endpoint = self.text(ENDPOINT);
        let protocol = self.text_or(PROTOCOL, "http/protobuf");
        let headers = self.secret(HEADERS);
        let service_name = self.text_or("OTEL_SERVICE_NAME", env!("CARGO_PKG_NAME"));
        let (sampler, ratio) = (self.text_or(SAMPLER, "parentbased_always_on"), self.text_or(SAMPLER_ARGUMENT, "1"));
        let endpoint = endpoint?;
        if !is_web_url(&endpoint) {
            self.complain(ENDPOINT, "must be the URL of a collector, such as http://localhost:4318");
        }
        if protocol != "http/protobuf" {
            self.complain(PROTOCOL, "must be http/protobuf: nothing else is spoken");
        }
        Some(TraceSettings {
            url: format!("{}/v1/traces", endpoint.trim_end_matches('/')),
            headers: headers.map(|headers| self.headers(headers.expose())).unwrap_or_default(),
            service_name,
            sampling: self.sampling(&sampler, &ratio),
        })
    }

    /// `name=value,…`, values percent-encoded.
    fn headers(&mut self, text: &str) -> Vec<(String, Secret)> {
        let header = |pair: &str| {
            let (name, value) = pair.split_once('=')?;
            let value = percent_decode_str(value.trim()).decode_utf8().ok()?;
            Some((name.trim().to_owned(), Secret::new(value))).filter(|(name, _)| !name.is_empty())
        };
        let pairs = text.split(',').filter(|pair| !pair.trim().is_empty());
        pairs.map(header).collect::<Option<_>>().unwrap_or_else(|| {
            self.complain(HEADERS, "must be pairs joined by commas, such as name=value,other=value");
            vec![]
        })
    }

    fn sampling(&mut self, sampler: &str, ratio: &str) -> Sampling {
        let rule = "must be one of parentbased_always_on, parentbased_always_off, parentbased_traceidratio, always_on, \
                    always_off, traceidratio";
        let ratio = ratio.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio)).unwrap_or_else(|| {
            self.complain(SAMPLER_ARGUMENT, "must be from 0 to 1");
            1.0
        });
        sampling(sampler, ratio).unwrap_or_else(|| {
            self.complain(SAMPLER, rule);
            Sampling { honours_parent: true, ratio }
        })
    }
}

/// What one of OpenTelemetry's samplers does.
fn sampling(sampler: &str, ratio: f64) -> Option<Sampling> {
    let (honours_parent, kind) = match sampler.strip_prefix("parentbased_") {
        Some(kind) => (true, kind),
        None => (false, sampler),
    };
    let ratio = match kind {
        "always_on" => 1.0,
        "always_off" => 0.0,
        "traceidratio" => ratio,
        _ => return None,
    };
    Some(Sampling { honours_parent, ratio })
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLLECTOR: (&str, &str) = (ENDPOINT, "http://localhost:4318/");

    fn read<const N: usize>(variables: [(&str, &str); N]) -> TraceSettings {
        TraceSettings::read(&variables.into()).expect("good settings").expect("a collector")
    }

    #[test]
    fn needs_a_collector_only_and_looks_at_nothing_without_one() {
        let settings = read([COLLECTOR]);
        assert_eq!((&*settings.url, &*settings.service_name), ("http://localhost:4318/v1/traces", "contacts"));
        assert_eq!(settings.sampling, Sampling { honours_parent: true, ratio: 1.0 });
        assert!(settings.headers.is_empty());
        let of_others = [(SAMPLER, "jaeger_remote"), (PROTOCOL, "grpc"), (HEADERS, "?")];
        assert!(TraceSettings::read(&of_others.into()).expect("not looked at").is_none());
    }

    #[test]
    fn knows_the_samplers_by_name() {
        let sampling = |sampler, ratio| read([COLLECTOR, (SAMPLER, sampler), (SAMPLER_ARGUMENT, ratio)]).sampling;
        for (sampler, honours_parent, ratio) in [
            ("always_on", false, 1.0),
            ("always_off", false, 0.0),
            ("traceidratio", false, 0.25),
            ("parentbased_always_off", true, 0.0),
            ("parentbased_traceidratio", true, 0.25),
        ] {
            assert_eq!(sampling(sampler, "0.25"), Sampling { honours_parent, ratio }, "{sampler}");
        }
        assert_eq!(read([COLLECTOR, (SAMPLER, "traceidratio")]).sampling.ratio, 1.0);
    }

    #[test]
    fn headers_are_secrets() {
        let settings = read([COLLECTOR, (HEADERS, "authorization=Basic%20abc=, x-scope = a ,")]);
        let headers = settings.headers.iter().map(|(name, value)| (&**name, value.expose()));
        assert_eq!(headers.collect::<Vec<_>>(), [("authorization", "Basic abc="), ("x-scope", "a")]);
        assert!(!format!("{settings:?}").contains("abc"));
    }

    #[test]
    fn names_every_setting_that_is_malformed() {
        let malformed = [
            (ENDPOINT, "localhost:4318"),
            (HEADERS, "authorization"),
            (PROTOCOL, "grpc"),
            (SAMPLER, "some"),
            (SAMPLER_ARGUMENT, "2"),
        ];
        let SettingsError(lines) = TraceSettings::read(&malformed.into()).expect_err("malformed");
        for (name, _) in malformed {
            assert!(lines.iter().any(|line| line.starts_with(&format!("{name} "))), "{name} is not named in {lines:?}");
        }
    }
}
