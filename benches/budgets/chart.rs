//! Draws lines as SVG. Knows points and pixels, but not their meaning.

use std::fmt::Write as _;

/// How an axis is divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scale {
    /// Equal steps.
    Linear,
    /// Powers of ten.
    Logarithmic,
}

/// A line of points, labelled at its right end.
#[derive(Debug)]
pub(crate) struct Line {
    /// The label.
    pub(crate) name: String,
    /// From left to right.
    pub(crate) points: Vec<(f64, f64)>,
}

/// A chart of some lines.
#[derive(Debug)]
pub(crate) struct Chart<'a> {
    /// Its subject, in a sentence.
    pub(crate) title: &'a str,
    /// The label of the horizontal axis.
    pub(crate) across: &'a str,
    /// The label of the vertical axis.
    pub(crate) up: &'a str,
    /// Both axes.
    pub(crate) scale: Scale,
    /// The first is drawn strongest.
    pub(crate) lines: Vec<Line>,
}

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 460.0;
const LEFT: f64 = 74.0;
const RIGHT: f64 = 660.0;
const TOP: f64 = 56.0;
const BOTTOM: f64 = 400.0;
/// Distinct in print and for colour-blind readers; the first line is ours.
const COLOURS: [&str; 6] = ["#0b5cad", "#c4500a", "#5c7a1f", "#8a3f8f", "#777777", "#a0851a"];
const DASHES: [&str; 6] = ["none", "none", "7 4", "2 3", "9 3 2 3", "4 4"];

impl Chart<'_> {
    /// The whole drawing.
    ///
    /// # Errors
    /// Never; writing into a string cannot fail, but says that it could.
    pub(crate) fn draw(&self) -> Result<String, std::fmt::Error> {
        let all = || self.lines.iter().flat_map(|line| &line.points);
        let across = Axis::over(self.scale, all().map(|point| point.0), LEFT, RIGHT);
        let up = Axis::over(self.scale, all().map(|point| point.1), BOTTOM, TOP);
        let mut svg = String::new();
        writeln!(
            svg,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" \
             height=\"{HEIGHT}\" font-family=\"Helvetica, Arial, sans-serif\" font-size=\"13\" role=\"img\">"
        )?;
        writeln!(svg, "<title>{}</title>", escape(self.title))?;
        writeln!(svg, "<rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#ffffff\"/>")?;
        writeln!(
            svg,
            "<text x=\"{LEFT}\" y=\"28\" font-size=\"16\" fill=\"#111\">{}</text>",
            escape(self.title)
        )?;
        for (value, label) in across.ticks() {
            let x = across.place(value);
            writeln!(svg, "<path d=\"M{x:.1} {TOP}V{BOTTOM}\" stroke=\"#e4e4e4\"/>")?;
            writeln!(
                svg,
                "<text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\" fill=\"#333\">{label}</text>",
                BOTTOM + 20.0
            )?;
        }
        for (value, label) in up.ticks() {
            let y = up.place(value);
            writeln!(svg, "<path d=\"M{LEFT} {y:.1}H{RIGHT}\" stroke=\"#e4e4e4\"/>")?;
            writeln!(
                svg,
                "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\" fill=\"#333\">{label}</text>",
                LEFT - 8.0,
                y + 4.0
            )?;
        }
        writeln!(svg, "<path d=\"M{LEFT} {TOP}V{BOTTOM}H{RIGHT}\" fill=\"none\" stroke=\"#333\"/>")?;
        let middle = f64::midpoint(LEFT, RIGHT);
        writeln!(
            svg,
            "<text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\" fill=\"#111\">{}</text>",
            BOTTOM + 46.0,
            escape(self.across)
        )?;
        let middle = f64::midpoint(TOP, BOTTOM);
        writeln!(
            svg,
            "<text transform=\"translate(18 {middle}) rotate(-90)\" text-anchor=\"middle\" fill=\"#111\">{}</text>",
            escape(self.up)
        )?;
        let labels = self.label_heights(&up);
        for (index, line) in self.lines.iter().enumerate() {
            let colour = COLOURS[index % COLOURS.len()];
            let (dash, width) = (DASHES[index % DASHES.len()], if index == 0 { 3.0 } else { 1.8 });
            let path: Vec<String> = line
                .points
                .iter()
                .map(|point| format!("{:.1} {:.1}", across.place(point.0), up.place(point.1)))
                .collect();
            writeln!(
                svg,
                "<path d=\"M{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"{width}\" stroke-dasharray=\"{dash}\"/>",
                path.join("L")
            )?;
            for point in &line.points {
                let (x, y) = (across.place(point.0), up.place(point.1));
                writeln!(svg, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{width:.1}\" fill=\"{colour}\"/>")?;
            }
            let weight = if index == 0 { "bold" } else { "normal" };
            writeln!(
                svg,
                "<text x=\"{}\" y=\"{:.1}\" fill=\"{colour}\" font-weight=\"{weight}\">{}</text>",
                RIGHT + 10.0,
                labels[index] + 4.0,
                escape(&line.name)
            )?;
        }
        svg += "</svg>\n";
        Ok(svg)
    }

    /// Each label beside its line's end, without overlaps.
    fn label_heights(&self, up: &Axis) -> Vec<f64> {
        let mut order: Vec<(usize, f64)> = self
            .lines
            .iter()
            .enumerate()
            .map(|(index, line)| (index, line.points.last().map_or(BOTTOM, |point| up.place(point.1))))
            .collect();
        order.sort_by(|one, other| one.1.total_cmp(&other.1));
        let mut heights = vec![0.0; order.len()];
        let mut least = f64::MIN;
        for (index, wanted) in order {
            let height = wanted.max(least);
            heights[index] = height;
            least = height + 16.0;
        }
        heights
    }
}

struct Axis {
    scale: Scale,
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Axis {
    fn over(scale: Scale, values: impl Iterator<Item = f64> + Clone, from: f64, to: f64) -> Self {
        let most = values.clone().fold(f64::MIN_POSITIVE, f64::max);
        let least = values.filter(|value| *value > 0.0).fold(most, f64::min);
        let (low, high) = match scale {
            Scale::Linear => (0.0, most * 1.05),
            // Whole or half decades, so that little of the drawing is empty.
            Scale::Logarithmic => ((least.log10() * 2.0).floor() / 2.0, (most.log10() * 2.0).ceil() / 2.0),
        };
        Self { scale, low, high: if high > low { high } else { low + 1.0 }, from, to }
    }

    fn place(&self, value: f64) -> f64 {
        let value = match self.scale {
            Scale::Linear => value,
            Scale::Logarithmic => value.max(f64::MIN_POSITIVE).log10(),
        };
        self.from + (value - self.low) / (self.high - self.low) * (self.to - self.from)
    }

    fn ticks(&self) -> Vec<(f64, String)> {
        let mut ticks = Vec::new();
        match self.scale {
            Scale::Linear => {
                let rough = (self.high - self.low) / 6.0;
                let unit = 10f64.powf(rough.log10().floor());
                let step =
                    [1.0, 2.0, 5.0, 10.0].map(|factor| factor * unit).into_iter().find(|step| *step >= rough);
                let step = step.unwrap_or(unit * 10.0);
                let mut value = self.low;
                while value <= self.high {
                    ticks.push((value, number(value)));
                    value += step;
                }
            }
            Scale::Logarithmic => {
                let mut power = self.low.floor();
                while power <= self.high {
                    for factor in [1.0, 3.0] {
                        let value = factor * 10f64.powf(power);
                        if (self.low..=self.high).contains(&value.log10()) {
                            ticks.push((value, number(value)));
                        }
                    }
                    power += 1.0;
                }
            }
        }
        ticks
    }
}

fn number(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
