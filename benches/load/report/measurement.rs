//! Measurements, and their statistics over the rounds.

/// The result of one run. A value that was not measured is NaN.
#[derive(Clone, Debug)]
pub struct Measurement {
    /// Requests (or transactions) a second.
    pub rate: f64,
    /// The median latency in milliseconds. For pgbench, the mean.
    pub p50: f64,
    /// The 99th percentile of the latency in milliseconds.
    pub p99: f64,
    /// Processor time of the service in microseconds for each request.
    pub server_cpu: f64,
    /// Processor time of the database in microseconds for each request.
    pub database_cpu: f64,
    /// The peak memory of the service so far, in MiB.
    pub memory: f64,
}

impl Default for Measurement {
    fn default() -> Self {
        let none = f64::NAN;
        Self { rate: none, p50: none, p99: none, server_cpu: none, database_cpu: none, memory: none }
    }
}

/// The values of each binary under test: the first is the new binary, the second, if there is one, the old binary.
pub struct PerBinary<T> {
    binaries: Vec<Vec<T>>,
}

impl<T> PerBinary<T> {
    pub fn new() -> Self {
        Self { binaries: vec![vec![], vec![]] }
    }

    /// Adds the value of a round. Each binary gets one value in each round.
    pub fn record(&mut self, binary: usize, value: T) {
        self.binaries[binary].push(value);
    }

    /// Returns the median of a figure of the new binary.
    pub fn median(&self, figure: impl Fn(&T) -> f64) -> f64 {
        median(self.binaries[0].iter().map(figure))
    }

    /// Returns the median of a figure of the old binary.
    pub fn old_median(&self, figure: impl Fn(&T) -> f64) -> f64 {
        median(self.binaries[1].iter().map(figure))
    }

    /// Returns the least and the greatest value of a figure of the new binary.
    pub fn range(&self, figure: impl Fn(&T) -> f64) -> (f64, f64) {
        range(self.binaries[0].iter().map(figure))
    }

    /// Returns the median of the ratios to the other values in the same round, both of the new binary.
    pub fn ratio_to(&self, other: &Self, figure: impl Fn(&T) -> f64) -> f64 {
        median(self.binaries[0].iter().zip(&other.binaries[0]).map(|(one, other)| figure(one) / figure(other)))
    }

    /// Formats the ratio of the new binary to the old binary: the median of the ratios of the rounds, and their range.
    pub fn format_new_to_old(&self, figure: impl Fn(&T) -> f64) -> String {
        let ratios: Vec<f64> =
            self.binaries[0].iter().zip(&self.binaries[1]).map(|(new, old)| figure(new) / figure(old)).collect();
        let (least, greatest) = range(ratios.iter().copied());
        match median(ratios.into_iter()) {
            ratio if ratio.is_nan() => "–".to_owned(),
            ratio => format!("{ratio:.2} ({least:.2}–{greatest:.2})"),
        }
    }
}

/// Returns the median, or NaN when there are no values.
fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.filter(|value| !value.is_nan()).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Returns the least and the greatest value. NaN is left out.
fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values.fold((f64::NAN, f64::NAN), |(least, greatest), value| (least.min(value), greatest.max(value)))
}

/// Formats a value with this many digits after the point. NaN is a dash.
pub fn format_value(value: f64, digits: usize) -> String {
    if value.is_nan() { "–".to_owned() } else { format!("{value:.digits$}") }
}
