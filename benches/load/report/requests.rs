//! The table of operations with a throughput.

use super::measurement::{Measurement, PerBinary, format_value};

/// A measured operation.
struct ResultRow {
    name: String,
    /// The name of the row that this row is compared with.
    reference: Option<String>,
    measurements: PerBinary<Measurement>,
}

/// A table of operations, each with its ratios to the plain PATCH and to another row.
pub struct RequestTable {
    title: &'static str,
    /// The name of the row with the plain PATCH.
    patch: &'static str,
    /// What the rows are compared with besides the plain PATCH: the name of a column.
    comparison: &'static str,
    rows: Vec<ResultRow>,
}

impl RequestTable {
    pub fn new(title: &'static str, patch: &'static str, comparison: &'static str) -> Self {
        Self { title, patch, comparison, rows: vec![] }
    }

    /// Records the measurement of a round. The first measurement of an operation adds its row.
    pub fn record(&mut self, name: &str, reference: Option<&str>, binary: usize, measurement: Measurement) {
        let position = self.rows.iter().position(|row| row.name == name);
        let index = position.unwrap_or_else(|| {
            let reference = reference.map(str::to_owned);
            self.rows.push(ResultRow { name: name.to_owned(), reference, measurements: PerBinary::new() });
            self.rows.len() - 1
        });
        self.rows[index].measurements.record(binary, measurement);
    }

    fn find(&self, name: &str) -> Option<&ResultRow> {
        self.rows.iter().find(|row| row.name == name)
    }

    /// Returns the median ratio of a row's rate to the rate of another row.
    fn ratio(&self, row: &ResultRow, other: &str) -> f64 {
        let other = self.find(other);
        other.map_or(f64::NAN, |other| row.measurements.ratio_to(&other.measurements, |measurement| measurement.rate))
    }

    /// Prints the medians of the rounds. With `is_comparison`, the table has the old binary too.
    pub fn print(&self, is_comparison: bool) {
        println!("\n### {}\n", self.title);
        let (head, line) = if is_comparison { (" old per second | new ÷ old |", "---|---|") } else { ("", "") };
        println!(
            "| operation, connections | per second | ratio to PATCH | {} | p50 ms | p99 ms | \
             CPU µs, service + database | RSS MiB |{head}",
            self.comparison
        );
        println!("|---|---|---|---|---|---|---|---|{line}");
        for row in &self.rows {
            self.print_row(row, is_comparison);
        }
    }

    fn print_row(&self, row: &ResultRow, is_comparison: bool) {
        let median = |figure: fn(&Measurement) -> f64| row.measurements.median(figure);
        let reference = row.reference.as_deref().map_or(f64::NAN, |reference| self.ratio(row, reference));
        let old = if is_comparison {
            let rate = |measurement: &Measurement| measurement.rate;
            let old_rate = format_value(row.measurements.old_median(rate), 0);
            format!(" {old_rate} | {} |", row.measurements.format_new_to_old(rate))
        } else {
            String::new()
        };
        println!(
            "| {} | {} | {} | {} | {} | {} | {} + {} | {} |{old}",
            row.name,
            format_value(median(|measurement| measurement.rate), 0),
            format_value(self.ratio(row, self.patch), 2),
            format_value(reference, 2),
            format_value(median(|measurement| measurement.p50), 2),
            format_value(median(|measurement| measurement.p99), 2),
            format_value(median(|measurement| measurement.server_cpu), 0),
            format_value(median(|measurement| measurement.database_cpu), 0),
            format_value(median(|measurement| measurement.memory), 0),
        );
    }
}
