//! The picture: hit ratio against waste, and a reliability diagram, one row for each trace.

use std::path::Path;

use foremap::confidence::{Reliability, ReliabilityBin};
use plotters::coord::Shift;
use plotters::prelude::*;

use super::engine::Summary;
use super::run::Picture;

/// Width of a picture, and height of one trace's row, in pixels.
const WIDTH: u32 = 1_200;
const HEIGHT: u32 = 460;

/// Reliability of all predictions, and of those prefetched.
pub(super) struct Reliabilities {
    all: Vec<ReliabilityBin>,
    issued: Vec<ReliabilityBin>,
}

impl Reliabilities {
    pub(super) fn new(summary: &Summary) -> Self {
        let bins = |reliability: &Reliability| reliability.bins().collect();
        Self { all: bins(&summary.all), issued: bins(&summary.issued) }
    }
}

/// Draws to `path`.
pub(super) fn draw(path: &Path, pictures: &[Picture]) -> Result<(), String> {
    let mut svg = String::new();
    {
        let area =
            SVGBackend::with_string(&mut svg, (WIDTH, HEIGHT * pictures.len().max(1) as u32)).into_drawing_area();
        area.fill(&WHITE).map_err(|error| error.to_string())?;
        for (part, picture) in area.split_evenly((pictures.len().max(1), 1)).iter().zip(pictures) {
            let (left, right) = part.split_horizontally(WIDTH / 2);
            hits_against_waste(&left, picture).map_err(|error| error.to_string())?;
            reliability(&right, picture).map_err(|error| error.to_string())?;
        }
        area.present().map_err(|error| error.to_string())?;
    }
    std::fs::write(path, svg).map_err(|error| error.to_string())
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn<'a> = Result<(), DrawingAreaErrorKind<<SVGBackend<'a> as DrawingBackend>::ErrorType>>;

/// A chart's title and the room around it.
fn frame<'a, 'b>(area: &'b Area<'a>, title: &str) -> ChartBuilder<'b, 'b, SVGBackend<'a>> {
    let mut chart = ChartBuilder::on(area);
    chart.caption(title, ("sans-serif", 16)).margin(12).margin_right(30).x_label_area_size(36).y_label_area_size(56);
    chart
}

fn hits_against_waste<'a>(area: &Area<'a>, picture: &Picture) -> Drawn<'a> {
    let points =
        picture.rows.iter().map(|row| (row.wasted_per_request, row.hit_ratio)).chain(picture.curve.iter().copied());
    let (mut widest, mut lowest, mut highest) = (0.1_f64, 1.0_f64, 0.0_f64);
    for (waste, hits) in points {
        (widest, lowest, highest) = (widest.max(waste), lowest.min(hits), highest.max(hits));
    }
    let (low, high) = ((lowest - 0.03).max(0.0), (highest + 0.05).min(1.05));
    let mut chart = frame(area, &format!("{}: hits against waste", picture.trace))
        .build_cartesian_2d(0.0..widest * 1.25, low..high)?;
    chart
        .configure_mesh()
        .max_light_lines(0)
        .x_desc("wasted prefetches per request")
        .y_desc("hit ratio")
        .x_label_formatter(&|waste| format!("{waste:.2}"))
        .y_label_formatter(&|hits| format!("{hits:.2}"))
        .draw()?;
    let mut curve = picture.curve.clone();
    curve.sort_by(|a, b| a.0.total_cmp(&b.0));
    chart.draw_series(LineSeries::new(curve.clone(), &BLUE))?;
    chart.draw_series(curve.into_iter().map(|point| Circle::new(point, 2, BLUE.filled())))?;
    for (at, row) in picture.rows.iter().enumerate() {
        let point = (row.wasted_per_request, row.hit_ratio);
        // The engine's name stands above its curve.
        let (color, place) = if at == 0 { (BLUE, (-20, -20)) } else { (RGBColor(190, 60, 40), (7, -6)) };
        let label = EmptyElement::at(point)
            + Circle::new((0, 0), 4, color.filled())
            + Text::new(row.method.clone(), place, ("sans-serif", 12).into_font().color(&color));
        chart.draw_series(std::iter::once(label))?;
    }
    Ok(())
}

fn reliability<'a>(area: &Area<'a>, picture: &Picture) -> Drawn<'a> {
    let mut chart = frame(area, &format!("{}: reliability", picture.trace)).build_cartesian_2d(0.0..1.0, 0.0..1.0)?;
    chart
        .configure_mesh()
        .max_light_lines(0)
        .x_desc("stated probability")
        .y_desc("share that came true")
        .x_label_formatter(&|stated| format!("{stated:.1}"))
        .y_label_formatter(&|observed| format!("{observed:.1}"))
        .draw()?;
    chart.draw_series(LineSeries::new([(0.0, 0.0), (1.0, 1.0)], &BLACK.mix(0.3)))?;
    let series =
        [("all predictions", &picture.reliabilities.all, BLUE), ("prefetched", &picture.reliabilities.issued, RED)];
    for (name, bins, color) in series {
        let line = LineSeries::new(bins.iter().map(|bin| (bin.stated, bin.observed)), &color);
        let legend = move |(x, y)| PathElement::new([(x, y), (x + 16, y)], color);
        chart.draw_series(line)?.label(name).legend(legend);
        // The area of a point grows with the number of its predictions.
        let most = bins.iter().map(|bin| bin.predictions).max().unwrap_or(1) as f64;
        let size = |bin: &ReliabilityBin| 1.5 + 6.5 * (bin.predictions as f64 / most).sqrt();
        chart.draw_series(
            bins.iter().map(|bin| Circle::new((bin.stated, bin.observed), size(bin), color.mix(0.5).filled())),
        )?;
    }
    chart.configure_series_labels().position(SeriesLabelPosition::UpperLeft).background_style(WHITE.mix(0.8)).draw()
}
