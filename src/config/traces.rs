//! The settings of traces.

use percent_encoding::percent_decode_str;

use super::environment::Environment;
use super::secret::Secret;
use super::settings_error::SettingsError;
use super::settings_reader::{SettingsReader, is_web_url};

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const HEADERS: &str = "OTEL_EXPORTER_OTLP_HEADERS";
const PROTOCOL: &str = "OTEL_EXPORTER_OTLP_PROTOCOL";
const SAMPLER: &str = "OTEL_TRACES_SAMPLER";
const SAMPLER_ARGUMENT: &str = "OTEL_TRACES_SAMPLER_ARG";

/// The settings of traces. The variables have the names that OpenTelemetry defines.
#[derive(Debug, Clone)]
pub struct TraceSettings {
    /// The URL of the collector for traces (OTLP over HTTP).
    pub url: String,
    /// The headers of each request to the collector, usually credentials.
    pub headers: Vec<(String, Secret)>,
    /// The name of the service in traces.
    pub service_name: String,
    /// The rule that selects the traced requests.
    pub sampling: Sampling,
}

/// The rule that selects the traced requests.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampling {
    /// Whether the flag in `traceparent` decides for requests that have one.
    pub is_parent_based: bool,
    /// The share of the other requests that is traced, from 0 to 1.
    pub ratio: f64,
}

impl TraceSettings {
    /// Reads the settings of traces. Returns `None` if no collector is set.
    ///
    /// # Errors
    /// Lists every setting of traces that is malformed.
    pub fn read(environment: &Environment) -> Result<Option<Self>, SettingsError> {
        SettingsReader::read_group(environment, SettingsReader::read_trace_settings)
    }
}

impl SettingsReader<'_> {
    /// Reads the settings of traces. Without a collector, the other settings are not checked, because they may be meant
    /// for other programs.
    pub(super) fn read_trace_settings(&mut self) -> Option<TraceSettings> {
        let endpoint = self.read_text(ENDPOINT);
        let protocol = self.read_text_or(PROTOCOL, "http/protobuf");
        let headers = self.read_secret(HEADERS);
        let service_name = self.read_text_or("OTEL_SERVICE_NAME", env!("CARGO_PKG_NAME"));
        let (sampler, ratio) =
            (self.read_text_or(SAMPLER, "parentbased_always_on"), self.read_text_or(SAMPLER_ARGUMENT, "1"));
        let endpoint = endpoint?;
        if !is_web_url(&endpoint) {
            self.add_problem(ENDPOINT, "must be the URL of a collector, such as http://localhost:4318");
        }
        if protocol != "http/protobuf" {
            self.add_problem(PROTOCOL, "must be http/protobuf: no other protocol is supported");
        }
        Some(TraceSettings {
            url: format!("{}/v1/traces", endpoint.trim_end_matches('/')),
            headers: headers.map(|headers| self.parse_headers(headers.expose())).unwrap_or_default(),
            service_name,
            sampling: self.parse_sampling(&sampler, &ratio),
        })
    }

    /// Parses `name=value,…` with percent-encoded values.
    fn parse_headers(&mut self, text: &str) -> Vec<(String, Secret)> {
        let parse_header = |pair: &str| {
            let (name, value) = pair.split_once('=')?;
            let value = percent_decode_str(value.trim()).decode_utf8().ok()?;
            Some((name.trim().to_owned(), Secret::new(value))).filter(|(name, _)| !name.is_empty())
        };
        let pairs = text.split(',').filter(|pair| !pair.trim().is_empty());
        pairs.map(parse_header).collect::<Option<_>>().unwrap_or_else(|| {
            self.add_problem(HEADERS, "must be pairs joined by commas, such as name=value,other=value");
            vec![]
        })
    }

    fn parse_sampling(&mut self, sampler: &str, ratio: &str) -> Sampling {
        let rule = "must be one of parentbased_always_on, parentbased_always_off, parentbased_traceidratio, always_on, \
                    always_off, traceidratio";
        let ratio = ratio.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio)).unwrap_or_else(|| {
            self.add_problem(SAMPLER_ARGUMENT, "must be a number from 0 to 1");
            1.0
        });
        sampling_by_name(sampler, ratio).unwrap_or_else(|| {
            self.add_problem(SAMPLER, rule);
            Sampling { is_parent_based: true, ratio }
        })
    }
}

/// Returns the rule of an OpenTelemetry sampler. Returns `None` if the name is unknown.
fn sampling_by_name(sampler: &str, ratio: f64) -> Option<Sampling> {
    let (is_parent_based, kind) = match sampler.strip_prefix("parentbased_") {
        Some(kind) => (true, kind),
        None => (false, sampler),
    };
    let ratio = match kind {
        "always_on" => 1.0,
        "always_off" => 0.0,
        "traceidratio" => ratio,
        _ => return None,
    };
    Some(Sampling { is_parent_based, ratio })
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLLECTOR: (&str, &str) = (ENDPOINT, "http://localhost:4318/");

    fn read<const N: usize>(variables: [(&str, &str); N]) -> TraceSettings {
        TraceSettings::read(&variables.into()).expect("valid settings").expect("a collector")
    }

    #[test]
    fn collector_is_the_only_required_setting_and_without_it_nothing_is_checked() {
        let settings = read([COLLECTOR]);
        assert_eq!((&*settings.url, &*settings.service_name), ("http://localhost:4318/v1/traces", "contacts"));
        assert_eq!(settings.sampling, Sampling { is_parent_based: true, ratio: 1.0 });
        assert!(settings.headers.is_empty());
        let settings_of_other_programs = [(SAMPLER, "jaeger_remote"), (PROTOCOL, "grpc"), (HEADERS, "?")];
        assert!(TraceSettings::read(&settings_of_other_programs.into()).expect("unchecked settings").is_none());
    }

    #[test]
    fn every_sampler_name_is_supported() {
        let sampling = |sampler, ratio| read([COLLECTOR, (SAMPLER, sampler), (SAMPLER_ARGUMENT, ratio)]).sampling;
        for (sampler, is_parent_based, ratio) in [
            ("always_on", false, 1.0),
            ("always_off", false, 0.0),
            ("traceidratio", false, 0.25),
            ("parentbased_always_off", true, 0.0),
            ("parentbased_traceidratio", true, 0.25),
        ] {
            assert_eq!(sampling(sampler, "0.25"), Sampling { is_parent_based, ratio }, "{sampler}");
        }
        assert_eq!(read([COLLECTOR, (SAMPLER, "traceidratio")]).sampling.ratio, 1.0);
    }

    #[test]
    fn headers_are_decoded_and_hidden_in_debug_output() {
        let settings = read([COLLECTOR, (HEADERS, "authorization=Basic%20abc=, x-scope = a ,")]);
        let headers = settings.headers.iter().map(|(name, value)| (&**name, value.expose()));
        assert_eq!(headers.collect::<Vec<_>>(), [("authorization", "Basic abc="), ("x-scope", "a")]);
        assert!(!format!("{settings:?}").contains("abc"));
    }

    #[test]
    fn error_lists_every_malformed_trace_setting() {
        let malformed = [
            (ENDPOINT, "localhost:4318"),
            (HEADERS, "authorization"),
            (PROTOCOL, "grpc"),
            (SAMPLER, "some"),
            (SAMPLER_ARGUMENT, "2"),
        ];
        let SettingsError(lines) = TraceSettings::read(&malformed.into()).expect_err("malformed settings");
        for (name, _) in malformed {
            assert!(lines.iter().any(|line| line.starts_with(&format!("{name} "))), "{name} is missing in {lines:?}");
        }
    }
}
