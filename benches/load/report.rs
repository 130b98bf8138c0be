//! Measurements, their medians, and the table.

/// The result of one run.
#[derive(Clone, Debug)]
pub struct Measurement {
    /// Requests (or transactions) a second.
    pub rate: f64,
    /// The median latency in milliseconds. For pgbench, the mean.
    pub p50: f64,
    /// The 99th percentile of the latency in milliseconds.
    pub p99: f64,
    /// Processor time of the service in microseconds for each request.
    pub server_cpu: Option<f64>,
    /// Processor time of the database in microseconds for each request.
    pub database_cpu: Option<f64>,
    /// The peak memory of the service so far, in MiB.
    pub memory: Option<f64>,
}

impl Default for Measurement {
    fn default() -> Self {
        Self { rate: 0.0, p50: f64::NAN, p99: f64::NAN, server_cpu: None, database_cpu: None, memory: None }
    }
}

/// A measured operation, with the results of its rounds.
pub struct ResultRow {
    pub name: String,
    pub measurements: Vec<Measurement>,
}

/// Returns the median, or NaN when there are no values.
pub fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.filter(|value| !value.is_nan()).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Prints the medians as a table, with the ratio of each rate to the rate of `baseline`.
pub fn print_table(rows: &[ResultRow], baseline: &str) {
    let rate = |row: &ResultRow| median(row.measurements.iter().map(|measurement| measurement.rate));
    let baseline = rows.iter().find(|row| row.name == baseline).map_or(f64::NAN, rate);
    println!(
        "| operation, connections | per second | ratio | p50 ms | p99 ms | CPU µs, service + database | RSS MiB |"
    );
    println!("|---|---|---|---|---|---|---|");
    for row in rows {
        let median_of = |value: fn(&Measurement) -> f64| median(row.measurements.iter().map(value));
        let format_value =
            |value: f64, digits: usize| if value.is_nan() { "–".to_owned() } else { format!("{value:.digits$}") };
        println!(
            "| {} | {:.0} | {:.2} | {} | {} | {} + {} | {} |",
            row.name,
            rate(row),
            rate(row) / baseline,
            format_value(median_of(|measurement| measurement.p50), 2),
            format_value(median_of(|measurement| measurement.p99), 2),
            format_value(median_of(|measurement| measurement.server_cpu.unwrap_or(f64::NAN)), 0),
            format_value(median_of(|measurement| measurement.database_cpu.unwrap_or(f64::NAN)), 0),
            format_value(median_of(|measurement| measurement.memory.unwrap_or(f64::NAN)), 0),
        );
    }
}
