//! The measurements as a picture: one panel of bars for each row that promises speak of.

use super::{
    measure::Measured,
    subject::Kind,
    table::{self, Row},
};
use std::fmt::Write as _;

/// The rows that are drawn.
const PANELS: [&str; 6] = [
    "1 KB, 1 at once: added p50, ms",
    "1 KB, 1 at once: p99, ms",
    "1 KB, 16 at once: requests/s",
    "stream: first event p50, ms",
    "stream: delay of an event p50, ms",
    "stream: CPU, µs an event, at once",
];
/// Pixels.
const WIDTH: f64 = 840.0;
const LABEL: f64 = 130.0;
const NUMBER: f64 = 80.0;
const BAR: f64 = 16.0;
const STEP: f64 = 22.0;
const TITLE: f64 = 34.0;

/// The whole picture.
pub fn svg(all: &[Measured]) -> String {
    let rows = table::rows(all);
    let drawn: Vec<&Row> =
        PANELS.iter().filter_map(|panel| rows.iter().find(|row| row.what == *panel)).collect();
    let mut body = String::new();
    let mut top = 10.0;
    for row in drawn {
        top = panel(&mut body, all, row, top);
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {top}\" width=\"{WIDTH}\" \
         height=\"{top}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n{body}</svg>\n"
    )
}

/// Draws one row below `top` and answers where it ends.
fn panel(body: &mut String, all: &[Measured], row: &Row, top: f64) -> f64 {
    let most = row.values.iter().flatten().copied().fold(f64::MIN_POSITIVE, f64::max);
    // Writing to a string does not fail.
    let _ = writeln!(body, "<text x=\"10\" y=\"{:.0}\" font-weight=\"bold\">{}</text>", top + 18.0, row.what);
    let mut y = top + TITLE - 6.0;
    for (one, value) in all.iter().zip(&row.values) {
        let Some(value) = value else { continue };
        let width = (WIDTH - LABEL - NUMBER) * value / most;
        let line = y + BAR - 4.0;
        let _ = writeln!(
            body,
            "<text x=\"10\" y=\"{line:.0}\">{}</text><rect x=\"{LABEL}\" y=\"{y:.0}\" width=\"{width:.1}\" \
             height=\"{BAR}\" fill=\"{}\"/><text x=\"{:.1}\" y=\"{line:.0}\">{}</text>",
            one.kind.name(),
            colour(one.kind),
            LABEL + width + 6.0,
            number(*value),
        );
        y += STEP;
    }
    y + 8.0
}

fn number(value: f64) -> String {
    if value >= 100.0 { format!("{value:.0}") } else { format!("{value:.2}") }
}

const fn colour(kind: Kind) -> &'static str {
    match kind {
        Kind::Direct | Kind::Floor | Kind::Pump => "#9aa5b1",
        Kind::Strict | Kind::Installed | Kind::Leased => "#2463c4",
        Kind::Litellm | Kind::Portkey => "#c47a24",
    }
}
