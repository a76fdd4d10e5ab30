//! Results: `target/bench/NAME.json`, rows `{"row","value","unit","bare","ratio"}`, and a picture beside it.

use std::{fmt::Write as _, fs};

use serde::Serialize;

/// One figure.
#[derive(Debug, Serialize)]
pub struct Row {
    /// What was measured.
    pub row: String,
    /// The figure.
    pub value: f64,
    /// Its unit.
    pub unit: &'static str,
    /// The bare cost of the same work, where there is one.
    pub bare: Option<f64>,
    /// `value / bare`.
    pub ratio: Option<f64>,
}

impl Row {
    /// A figure on its own.
    pub fn new(row: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self { row: row.into(), value: round(value), unit, bare: None, ratio: None }
    }

    /// A figure beside its bare cost.
    pub fn beside(row: impl Into<String>, value: f64, unit: &'static str, bare: f64) -> Self {
        Self { bare: Some(round(bare)), ratio: Some(round(value / bare)), ..Self::new(row, value, unit) }
    }
}

fn round(v: f64) -> f64 {
    (v * 10_000.0).round() / 10_000.0
}

/// Prints the rows and writes them with their picture.
#[expect(clippy::disallowed_macros, reason = "the benchmark talks to its user")]
pub fn publish(name: &str, rows: &[Row]) {
    for row in rows {
        let beside =
            row.bare.zip(row.ratio).map(|(b, r)| format!("   bare {b}, ratio {r}")).unwrap_or_default();
        println!("{name:8} {:55} {:>10} {}{beside}", row.row, row.value, row.unit);
    }
    let dir = cau_tests::root().join("target/bench");
    fs::create_dir_all(&dir).expect("target/bench");
    let text = serde_json::to_string_pretty(rows).expect("JSON");
    fs::write(dir.join(format!("{name}.json")), text).expect("written");
    fs::write(dir.join(format!("{name}.svg")), picture(name, rows)).expect("written");
}

/// Bars: the figure, and behind it the bare cost, each row on its own scale (the units differ).
fn picture(name: &str, rows: &[Row]) -> String {
    let height = 40 + rows.len() * 44;
    let mut svg = format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" width="900" height="{height}" font-family="sans-serif" font-size="13"><rect width="900" height="{height}" fill="#fff"/><text x="16" y="24" font-size="16">{name}</text>"##
    );
    for (n, row) in rows.iter().enumerate() {
        let y = 40 + n * 44;
        let most = row.value.max(row.bare.unwrap_or(0.0)).max(1e-9);
        let width = |v: f64| (v / most * 500.0).max(1.0);
        let _ = write!(svg, r##"<text x="16" y="{}">{}</text>"##, y + 14, escape(&row.row));
        let _ = write!(
            svg,
            r##"<rect x="16" y="{}" width="{:.1}" height="12" fill="#2b6cb0"/>"##,
            y + 20,
            width(row.value)
        );
        if let Some(bare) = row.bare {
            let _ = write!(
                svg,
                r##"<rect x="16" y="{}" width="{:.1}" height="4" fill="#a0aec0"/>"##,
                y + 32,
                width(bare)
            );
        }
        let ratio = row.ratio.map(|r| format!(" · {r} × bare")).unwrap_or_default();
        let _ = write!(svg, r##"<text x="530" y="{}">{} {}{ratio}</text>"##, y + 31, row.value, row.unit);
    }
    svg.push_str("</svg>\n");
    svg
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

/// The value below which this part (0–1) of the values lies.
pub fn quantile(values: &mut [f64], part: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(((values.len().saturating_sub(1)) as f64 * part).round() as usize).copied().unwrap_or(f64::NAN)
}
