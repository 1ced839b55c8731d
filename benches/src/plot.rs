//! A record as a picture: speed over batch size, a panel for each format.

use std::fs;
use std::path::Path;

use plotters::prelude::*;

use crate::record::{Case, Record, Run};
use crate::shape::Shape;

const COLUMNS: usize = 4;
const PANEL: (u32, u32) = (340, 260);
const LEGEND: i32 = 56;
/// One for each contender, ours first: distinct for most who see colours differently.
const COLOURS: [RGBColor; 7] = [
    RGBColor(213, 94, 0),
    RGBColor(0, 114, 178),
    RGBColor(86, 180, 233),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(0, 0, 0),
];
const LIMIT: RGBColor = RGBColor(110, 110, 110);

/// Draws the first shape of the first run of a record, as SVG.
///
/// # Errors
/// One line, if there is nothing to draw, or the file cannot be written.
pub fn draw(record: &Record, path: &Path) -> Result<(), String> {
    let run = record.runs.first().ok_or("the record has no run")?;
    let shape = run.cases.first().ok_or("the record has no case")?.shape;
    let picture = Picture::of(run, shape);
    let mut text = String::new();
    let root = SVGBackend::with_string(&mut text, picture.size()).into_drawing_area();
    picture
        .draw(&root, &format!("{}, {shape}, {} thread(s)", record.processor, run.threads))
        .map_err(|error| error.to_string())?;
    drop(root);
    fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;
type Drawn<'a> = Result<(), DrawingAreaErrorKind<<SVGBackend<'a> as DrawingBackend>::ErrorType>>;

/// What is drawn: the cases of one shape, by format.
struct Picture<'a> {
    panels: Vec<(&'a str, Vec<&'a Case>)>,
    names: Vec<&'a str>,
    batches: (f64, f64),
    speeds: (f64, f64),
}

impl<'a> Picture<'a> {
    fn of(run: &'a Run, shape: Shape) -> Self {
        let mut panels: Vec<(&str, Vec<&Case>)> = Vec::new();
        let mut names: Vec<&str> = Vec::new();
        let cases = run.cases.iter().filter(|case| case.shape == shape);
        for case in cases.clone() {
            match panels.iter_mut().find(|(format, _)| *format == case.format) {
                Some((_, cases)) => cases.push(case),
                None => panels.push((&case.format, vec![case])),
            }
            for times in &case.times {
                if !names.contains(&times.name.as_str()) {
                    names.push(&times.name);
                }
            }
        }
        let speeds = cases.clone().flat_map(|case| {
            let times = case.times.iter().map(|times| times.median_us).chain([case.limit_us]);
            times.map(move |us| speed(case, us))
        });
        Self { panels, names, batches: range(cases.map(|case| case.batch as f64)), speeds: range(speeds) }
    }

    fn size(&self) -> (u32, u32) {
        let columns = self.panels.len().clamp(1, COLUMNS);
        let rows = self.panels.len().div_ceil(columns);
        let legend = self.strokes().map(|(name, _)| stroke_width(name)).sum::<i32>() as u32;
        ((PANEL.0 * columns.max(2) as u32).max(legend), PANEL.1 * rows as u32 + LEGEND as u32)
    }

    /// What the legend explains.
    fn strokes(&self) -> impl Iterator<Item = (&'a str, RGBColor)> {
        self.names.iter().copied().zip(COLOURS).chain([("limit of quantloom", LIMIT)])
    }

    fn draw(&self, root: &Area<'_>, title: &str) -> Result<(), Box<dyn std::error::Error>> {
        root.fill(&WHITE)?;
        let (head, body) = root.split_vertically(LEGEND);
        self.legend(&head, title).map_err(|error| error.to_string())?;
        let columns = self.panels.len().clamp(1, COLUMNS);
        let areas = body.split_evenly((self.panels.len().div_ceil(columns), columns));
        for (area, (format, cases)) in areas.iter().zip(&self.panels) {
            self.panel(area, format, cases).map_err(|error| error.to_string())?;
        }
        Ok(root.present()?)
    }

    /// The title, and below it a stroke and a name for each line.
    fn legend<'b>(&self, area: &Area<'b>, title: &str) -> Drawn<'b> {
        area.draw(&Text::new(title.to_owned(), (12, 8), ("sans-serif", 16)))?;
        let mut x = 12;
        for (name, colour) in self.strokes() {
            area.draw(&PathElement::new([(x, 42), (x + 22, 42)], colour.stroke_width(3)))?;
            area.draw(&Text::new(name.to_owned(), (x + 28, 35), ("sans-serif", 14)))?;
            x += stroke_width(name);
        }
        Ok(())
    }

    fn panel<'b>(&self, area: &Area<'b>, format: &str, cases: &[&Case]) -> Drawn<'b> {
        let batches = (self.batches.0..self.batches.1).log_scale().base(2.0);
        let mut chart = ChartBuilder::on(area)
            .caption(format, ("sans-serif", 15))
            .margin(8)
            .x_label_area_size(34)
            .y_label_area_size(48)
            .build_cartesian_2d(batches, (self.speeds.0..self.speeds.1).log_scale())?;
        let mut mesh = chart.configure_mesh();
        mesh.x_desc("batch").y_desc("Gop/s").light_line_style(WHITE).x_labels(10);
        mesh.x_label_formatter(&|batch| format!("{batch:.0}")).y_label_formatter(&|speed| format!("{speed:.0}")).draw()?;
        let limit = cases.iter().map(|case| (case.batch as f64, speed(case, case.limit_us)));
        chart.draw_series(DashedLineSeries::new(limit, 5, 4, LIMIT.stroke_width(1)))?;
        // Ours last, on top.
        for (index, (name, colour)) in self.names.iter().zip(COLOURS).enumerate().rev() {
            let points = cases.iter().filter_map(|case| Some((case.batch as f64, speed(case, case.times(name)?.median_us))));
            chart.draw_series(LineSeries::new(points, colour.stroke_width(if index == 0 { 3 } else { 2 })))?;
        }
        Ok(())
    }
}

/// The room that a stroke and its name take in the legend.
fn stroke_width(name: &str) -> i32 {
    48 + 8 * name.len() as i32
}

/// 10⁹ operations per second.
fn speed(case: &Case, us: f64) -> f64 {
    case.operations() / us / 1e3
}

/// Least and largest of some positive numbers, never equal.
fn range(numbers: impl Iterator<Item = f64>) -> (f64, f64) {
    let (least, largest) =
        numbers.fold((f64::INFINITY, 0.0_f64), |(least, largest), number| (least.min(number), largest.max(number)));
    (least, largest.max(least * 2.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::tests::sample;

    #[test]
    fn a_picture_names_formats_and_contenders() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("record.svg");
        draw(&sample(), &path).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        for shown in ["any, 1000x500, 1 thread(s)", "\nA\n", "quantloom", "near", "far", "limit of quantloom", "batch", "Gop/s"]
        {
            assert!(text.contains(shown), "{shown}");
        }
        // Ours, two peers: a line each, of two points.
        assert!(COLOURS[..3].iter().all(|colour| {
            let hex = format!("#{:02X}{:02X}{:02X}", colour.0, colour.1, colour.2);
            text.matches(&hex).count() == 2
        }));
        let nothing = Record { runs: Vec::new(), ..sample() };
        assert!(draw(&nothing, &path).is_err());
    }
}
