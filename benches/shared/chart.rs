//! Charts of bars, for the README. No color assumes a light or a dark background.

use std::fmt::Write;

const WIDTH: u32 = 720;
const HEIGHT_OF_BAR: u32 = 18;
/// From one bar to the next.
const STEP: u32 = 24;
/// Between groups of bars.
const GAP: u32 = 14;
const TOP: u32 = 62;
/// Where bars begin, and how long the longest is.
const LEFT: u32 = 150;
const LONGEST: f64 = 410.0;
/// Readable on white and on black.
const TEXT: &str = "#7a828c";

/// The color of alts' bars.
pub const ALTS: &str = "#e8680c";
/// The color of bars of the peer that alts is compared with first.
pub const RIVAL: &str = "#3f87d0";
/// The color of bars of what is under both.
pub const GROUND: &str = "#98a1ab";

/// A bar with its label to the left, and what is written to its right.
#[derive(Clone, Debug)]
pub struct Bar {
    /// To the left.
    pub label: String,
    /// As in SVG.
    pub color: &'static str,
    /// The longest bar has the greatest.
    pub value: f64,
    /// To the right.
    pub shown: String,
}

/// An SVG of named groups of bars. Groups without bars are left out.
pub fn draw(title: &str, subtitle: &str, groups: &[(impl AsRef<str>, Vec<Bar>)]) -> String {
    let bars = || groups.iter().flat_map(|(_, bars)| bars);
    let most = bars().map(|bar| bar.value).fold(f64::MIN_POSITIVE, f64::max);
    let mut body = String::new();
    let mut y = TOP;
    for (name, bars) in groups.iter().filter(|(_, bars)| !bars.is_empty()) {
        text(&mut body, 8, y + 14, "font-weight=\"600\"", name.as_ref());
        y += STEP;
        for bar in bars {
            let width = (bar.value / most * LONGEST).max(1.0);
            text(&mut body, LEFT - 10, y + 13, "text-anchor=\"end\"", &bar.label);
            let color = bar.color;
            let _ = writeln!(
                body,
                "<rect x=\"{LEFT}\" y=\"{y}\" width=\"{width:.1}\" height=\"{HEIGHT_OF_BAR}\" rx=\"2\" fill=\"{color}\"/>"
            );
            let end = f64::from(LEFT) + width + 8.0;
            text(&mut body, end, y + 13, "", &bar.shown);
            y += STEP;
        }
        y += GAP;
    }
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{y}\" viewBox=\"0 0 {WIDTH} {y}\" role=\"img\" \
         aria-label=\"{title}\" font-family=\"system-ui, sans-serif\" font-size=\"13\">\n"
    );
    text(&mut svg, 8, 22, "font-size=\"16\" font-weight=\"600\"", title);
    text(&mut svg, 8, 42, "", subtitle);
    svg + &body + "</svg>\n"
}

fn text(svg: &mut String, x: impl Into<f64>, y: u32, how: &str, what: &str) {
    let x = x.into();
    let _ = writeln!(svg, "<text x=\"{x:.0}\" y=\"{y}\" fill=\"{TEXT}\" {how}>{what}</text>");
}
