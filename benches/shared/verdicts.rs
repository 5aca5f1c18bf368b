//! Figures beside what is required of them.

use std::fmt::Write;

/// A figure, and what it is to be.
#[derive(Clone, Debug)]
pub struct Verdict {
    what: String,
    figure: f64,
    required: f64,
    stretch: Option<f64>,
    at_least: bool,
}

impl Verdict {
    /// The figure is to be so much or less.
    pub fn at_most(
        what: impl Into<String>,
        figure: f64,
        required: f64,
        stretch: impl Into<Option<f64>>,
    ) -> Self {
        Self { what: what.into(), figure, required, stretch: stretch.into(), at_least: false }
    }

    /// The figure is to be so much or more.
    pub fn at_least(
        what: impl Into<String>,
        figure: f64,
        required: f64,
        stretch: impl Into<Option<f64>>,
    ) -> Self {
        Self { at_least: true, ..Self::at_most(what, figure, required, stretch) }
    }

    fn word(&self) -> &'static str {
        let reached = |bound: f64| match self.at_least {
            true => self.figure >= bound,
            false => self.figure <= bound,
        };
        match () {
            () if self.stretch.is_some_and(reached) => "stretch",
            () if reached(self.required) => "met",
            () => "NOT MET",
        }
    }
}

/// A table with a line for each.
pub fn table(verdicts: &[Verdict]) -> String {
    let mut table =
        format!("{:<64}{:>9}{:>12}{:>12}  verdict\n", "target", "figure", "required", "stretch");
    for verdict in verdicts {
        let sign = if verdict.at_least { ">=" } else { "<=" };
        let bound = |bound: f64| format!("{sign} {}", short(bound));
        let stretch = verdict.stretch.map_or("-".to_owned(), bound);
        let (figure, required) = (short(verdict.figure), bound(verdict.required));
        let (what, word) = (&verdict.what, verdict.word());
        let _ = writeln!(table, "{what:<64}{figure:>9}{required:>12}{stretch:>12}  {word}");
    }
    table
}

/// Bytes without a point, ratios with two digits behind it.
fn short(figure: f64) -> String {
    if figure.abs() >= 100.0 { format!("{figure:.0}") } else { format!("{figure:.2}") }
}
