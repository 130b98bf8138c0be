//! The table of figures that are not the throughput of an operation.

use super::measurement::{PerBinary, format_value};

/// A measured figure.
struct Figure {
    name: &'static str,
    /// The number of digits after the point.
    digits: usize,
    values: PerBinary<f64>,
}

/// A table of figures.
pub struct FigureTable {
    title: &'static str,
    figures: Vec<Figure>,
}

impl FigureTable {
    pub fn new(title: &'static str) -> Self {
        Self { title, figures: vec![] }
    }

    /// Records the value of a round. The first value of a figure adds its row.
    pub fn record(&mut self, name: &'static str, digits: usize, binary: usize, value: f64) {
        let position = self.figures.iter().position(|figure| figure.name == name);
        let index = position.unwrap_or_else(|| {
            self.figures.push(Figure { name, digits, values: PerBinary::new() });
            self.figures.len() - 1
        });
        self.figures[index].values.record(binary, value);
    }

    /// Prints the medians and ranges of the rounds. With `is_comparison`, the table has the old binary too.
    pub fn print(&self, is_comparison: bool) {
        println!("\n### {}\n", self.title);
        let (head, line) = if is_comparison { (" old median | new ÷ old |", "---|---|") } else { ("", "") };
        println!("| figure | median | least to greatest |{head}\n|---|---|---|{line}");
        for Figure { name, digits, values } in &self.figures {
            let (least, greatest) = values.range(|value| *value);
            let old = if is_comparison {
                let old_median = format_value(values.old_median(|value| *value), *digits);
                format!(" {old_median} | {} |", values.format_new_to_old(|value| *value))
            } else {
                String::new()
            };
            println!(
                "| {name} | {} | {} to {} |{old}",
                format_value(values.median(|value| *value), *digits),
                format_value(least, *digits),
                format_value(greatest, *digits),
            );
        }
    }
}
