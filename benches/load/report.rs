//! Figures, their medians, and the table.

/// What one run of one way gave.
#[derive(Clone, Debug)]
pub struct Figures {
    /// Requests (or transactions) a second.
    pub rate: f64,
    /// Milliseconds. Of pgbench the mean.
    pub p50: f64,
    /// Milliseconds.
    pub p99: f64,
    /// Microseconds of processor time a request.
    pub server_cpu: Option<f64>,
    /// The same of the database.
    pub database_cpu: Option<f64>,
    /// MiB at the most so far.
    pub memory: Option<f64>,
}

impl Default for Figures {
    fn default() -> Self {
        Self { rate: 0.0, p50: f64::NAN, p99: f64::NAN, server_cpu: None, database_cpu: None, memory: None }
    }
}

/// One way, and what its rounds gave.
pub struct Row {
    pub name: String,
    pub figures: Vec<Figures>,
}

/// The median; not a number when there is none.
pub fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.filter(|value| !value.is_nan()).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Prints the medians as a table, with each rate's ratio to that of `baseline`.
pub fn print(rows: &[Row], baseline: &str) {
    let rate = |row: &Row| median(row.figures.iter().map(|figures| figures.rate));
    let baseline = rows.iter().find(|row| row.name == baseline).map_or(f64::NAN, rate);
    println!("| way, connections | per second | ratio | p50 ms | p99 ms | CPU µs, service + database | RSS MiB |");
    println!("|---|---|---|---|---|---|---|");
    for row in rows {
        let of = |figure: fn(&Figures) -> f64| median(row.figures.iter().map(figure));
        let show =
            |value: f64, digits: usize| if value.is_nan() { "–".to_owned() } else { format!("{value:.digits$}") };
        println!(
            "| {} | {:.0} | {:.2} | {} | {} | {} + {} | {} |",
            row.name,
            rate(row),
            rate(row) / baseline,
            show(of(|figures| figures.p50), 2),
            show(of(|figures| figures.p99), 2),
            show(of(|figures| figures.server_cpu.unwrap_or(f64::NAN)), 0),
            show(of(|figures| figures.database_cpu.unwrap_or(f64::NAN)), 0),
            show(of(|figures| figures.memory.unwrap_or(f64::NAN)), 0),
        );
    }
}
