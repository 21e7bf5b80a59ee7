//! What was measured, how it is printed, and how it compares with the goals.

use serde_json::{Map, Value, json};

use crate::goals;
use crate::installation::Setup;
use crate::workloads::Scale;

/// What a workload measured.
#[derive(Debug, Default)]
pub(crate) struct Report {
    figures: Vec<Figure>,
    details: Map<String, Value>,
}

/// A figure that there may be a goal for.
#[derive(Debug)]
struct Figure {
    name: String,
    value: f64,
    unit: &'static str,
}

/// A workload that was tried on a set-up.
pub(crate) struct Outcome {
    pub(crate) setup: Setup,
    pub(crate) workload: &'static str,
    /// How long it took with everything around it.
    pub(crate) seconds: f64,
    pub(crate) result: Result<Report, String>,
}

impl Report {
    /// Adds a figure of the table.
    pub(crate) fn figure(&mut self, name: &str, value: f64, unit: &'static str) {
        self.figures.push(Figure { name: name.to_owned(), value: rounded(value), unit });
    }

    /// Adds something that only the JSON line tells.
    pub(crate) fn detail(&mut self, name: &str, value: impl Into<Value>) {
        let value = match value.into() {
            Value::Number(number) if number.is_f64() => {
                number.as_f64().map_or(Value::Null, |value| rounded(value).into())
            }
            other => other,
        };
        self.details.insert(name.to_owned(), value);
    }

    /// Adds several numbers that only the JSON line tells.
    pub(crate) fn list(&mut self, name: &str, values: &[f64]) {
        self.detail(name, values.iter().map(|value| rounded(*value)).collect::<Vec<f64>>());
    }
}

/// The value that `share` of the values do not exceed (nearest rank).
pub(crate) fn percentile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let mut rank = 1_usize;
    // Counting up avoids a cast of a float to an index.
    while rank < sorted.len() && count(rank) < share * count(sorted.len()) {
        rank += 1;
    }
    sorted.get(rank - 1).copied().unwrap_or(f64::NAN)
}

/// The middle value.
pub(crate) fn median(values: &[f64]) -> f64 {
    percentile(values, 0.5)
}

/// A count as a number to divide by.
pub(crate) fn count(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::NAN, f64::from)
}

/// A span of microseconds in seconds.
pub(crate) fn seconds(micros: i64) -> f64 {
    i32::try_from(micros).map_or(f64::NAN, f64::from) / 1e6
}

/// Four significant digits.
fn rounded(value: f64) -> f64 {
    format!("{value:.3e}").parse().unwrap_or(value)
}

/// Prints an outcome as one line of JSON on stdout.
pub(crate) fn print_line(outcome: &Outcome, scale: Scale) {
    let mut line = json!({
        "setup": outcome.setup.name(),
        "workload": outcome.workload,
        "scale": scale.name(),
        "ok": outcome.result.is_ok(),
        "wall_seconds": rounded(outcome.seconds),
    });
    match &outcome.result {
        Ok(report) => {
            let figures: Map<String, Value> = report
                .figures
                .iter()
                .map(|figure| {
                    let goal = goals::find(outcome.workload, &figure.name, outcome.setup);
                    let body = json!({
                        "value": figure.value,
                        "unit": figure.unit,
                        "goal": goal.map(|goal| goal.to_string()),
                        "met": goal.filter(|_| scale == Scale::Full).map(|goal| goal.is_met(figure.value)),
                    });
                    (figure.name.clone(), body)
                })
                .collect();
            line["figures"] = figures.into();
            line["details"] = report.details.clone().into();
        }
        Err(error) => line["error"] = error.as_str().into(),
    }
    print(&line.to_string());
}

/// Prints the table of all outcomes on stdout.
pub(crate) fn print_table(outcomes: &[Outcome], scale: Scale) {
    let mut rows = vec![["setup", "workload", "figure", "measured", "goal", ""].map(str::to_owned)];
    for outcome in outcomes {
        let front = [outcome.setup.name().to_owned(), outcome.workload.to_owned()];
        match &outcome.result {
            Ok(report) => {
                rows.extend(report.figures.iter().map(|figure| row(front.clone(), figure, outcome, scale)));
            }
            Err(error) => {
                let [setup, workload] = front;
                let error = error.lines().next().unwrap_or_default().to_owned();
                rows.push([setup, workload, "failed".to_owned(), error, String::new(), String::new()]);
            }
        }
    }
    let widths: [usize; 6] = std::array::from_fn(|column| {
        rows.iter().map(|row| row[column].len()).filter(|width| *width < 60).max().unwrap_or(0)
    });
    print("");
    for row in &rows {
        let cells: Vec<String> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        print(cells.join("  ").trim_end());
    }
    if scale == Scale::Small {
        print("\nsmall scale: this shows that everything works, not how fast it is");
    }
}

fn row([setup, workload]: [String; 2], figure: &Figure, outcome: &Outcome, scale: Scale) -> [String; 6] {
    let goal = goals::find(outcome.workload, &figure.name, outcome.setup);
    let verdict = match goal {
        Some(goal) if scale == Scale::Full => {
            if goal.is_met(figure.value) {
                "met"
            } else {
                "missed"
            }
        }
        _ => "",
    };
    let measured = format!("{} {}", figure.value, figure.unit);
    let goal = goal.map_or_else(String::new, |goal| format!("{goal} {}", figure.unit));
    [setup, workload, figure.name.clone(), measured, goal, verdict.to_owned()]
}

#[expect(clippy::print_stdout, reason = "the results are what this program prints")]
fn print(line: &str) {
    println!("{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_occurred() {
        let values: Vec<f64> = (1..=20).rev().map(f64::from).collect();
        assert_eq!(percentile(&values, 0.5), 10.0);
        assert_eq!(percentile(&values, 0.95), 19.0);
        assert_eq!(percentile(&[7.0], 0.95), 7.0);
        assert!(percentile(&[], 0.5).is_nan());
    }

    #[test]
    fn figures_keep_four_digits() {
        assert_eq!(rounded(1_234.567), 1_235.0);
        assert_eq!(rounded(0.012_345_6), 0.012_35);
    }
}
