//! The picture: hit ratio against waste, and a reliability diagram, one row for each trace.

use anyhow::{Result, anyhow};
use foremap::confidence::ReliabilityBin;
use foremap_replay::Row;
use plotters::coord::Shift;
use plotters::prelude::*;

/// Width of a picture, and height of one trace's row, in pixels.
const WIDTH: u32 = 1_200;
const HEIGHT: u32 = 460;

/// Results of a trace.
pub(crate) struct Picture {
    pub(crate) trace: String,
    pub(crate) rows: Vec<Row>,
    /// Waste and hit ratio of the engine over several budgets.
    pub(crate) curve: Vec<(f64, f64)>,
    /// Reliability of all predictions, and of those prefetched.
    pub(crate) all: Vec<ReliabilityBin>,
    pub(crate) issued: Vec<ReliabilityBin>,
}

/// Draws all of them.
pub(crate) fn svg(pictures: &[Picture]) -> Result<String> {
    let mut svg = String::new();
    draw(&mut svg, pictures).map_err(|error| anyhow!("cannot draw: {error}"))?;
    Ok(svg)
}

fn draw<'a>(svg: &'a mut String, pictures: &[Picture]) -> Drawn<'a> {
    let rows = pictures.len().max(1);
    let area = SVGBackend::with_string(svg, (WIDTH, HEIGHT * rows as u32)).into_drawing_area();
    area.fill(&WHITE)?;
    for (part, picture) in area.split_evenly((rows, 1)).iter().zip(pictures) {
        let (left, right) = part.split_horizontally(WIDTH / 2);
        hits_against_waste(&left, picture)?;
        reliability(&right, picture)?;
    }
    area.present()
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
    let series = [("all predictions", &picture.all, BLUE), ("prefetched", &picture.issued, RED)];
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

#[cfg(test)]
mod tests {
    use foremap_replay::trace::synthesize;
    use foremap_replay::{CacheSize, Latency, Models, Settings, Tuning, replay};

    use super::*;

    #[test]
    fn the_picture_shows_every_method_and_both_reliabilities() {
        let trace = synthesize("synthetic:profiles?requests=3000").expect("a workload");
        let settings = Settings {
            cache: CacheSize::Share(0.05),
            waste_budget: 0.25,
            models: Models::Pooled,
            memory: 8_000_000,
            latency: Latency::Requests(0),
            tuning: Tuning::default(),
            series: None,
        };
        let replayed = replay("p", &trace, &settings, &["lru".parse().expect("a baseline")], &()).expect("a replay");
        let (all, issued) = (replayed.all.bins().collect(), replayed.issued.bins().collect());
        let curve = vec![(0.1, 0.5), (0.2, 0.6)];
        let svg = svg(&[Picture { trace: "p".to_owned(), rows: replayed.rows, curve, all, issued }]).expect("drawn");
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
        for text in ["p: hits against waste", "p: reliability", "lru", "foremap", "all predictions", "prefetched"] {
            assert!(svg.contains(text), "{text}");
        }
    }
}
