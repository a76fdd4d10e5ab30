//! Plots as SVG, to stand within a page.

use plotters::prelude::*;

/// Pixels.
const SIZE: (u32, u32) = (860, 240);
const COLOURS: [RGBColor; 4] =
    [RGBColor(22, 110, 170), RGBColor(200, 90, 30), RGBColor(40, 140, 80), RGBColor(130, 80, 160)];

/// One line of a plot: what it shows, and its points.
pub type Line<'a> = (&'a str, Vec<(f64, f64)>);

/// Lines over one another from zero up; empty when there is nothing to show. `below`: what stands under the horizontal axis.
pub fn lines(title: &str, below: &str, lines: &[Line<'_>]) -> String {
    let points = || lines.iter().flat_map(|(_, points)| points);
    if points().count() < 2 {
        return String::new();
    }
    let most = |of: fn(&(f64, f64)) -> f64| points().map(of).fold(0.0, f64::max).max(1e-9);
    let (left, right) = (points().map(|p| p.0).fold(f64::INFINITY, f64::min), most(|p| p.0));
    let lowest = points().map(|p| p.1).fold(0.0, f64::min);
    let range = (left.min(0.0)..right, lowest..most(|p| p.1) * 1.05);
    let mut svg = String::new();
    // Drawing into a string cannot fail.
    let _ = draw(&mut svg, title, below, lines, range);
    svg
}

type Range = std::ops::Range<f64>;

fn draw(
    svg: &mut String,
    title: &str,
    below: &str,
    lines: &[Line<'_>],
    (across, up): (Range, Range),
) -> Result<(), Box<dyn std::error::Error>> {
    let area = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption(title, ("sans-serif", 16))
        .margin(8)
        .x_label_area_size(36)
        .y_label_area_size(56)
        .build_cartesian_2d(across, up)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .x_desc(below)
        .label_style(("sans-serif", 12))
        .axis_desc_style(("sans-serif", 12))
        .draw()?;
    for ((name, points), colour) in lines.iter().zip(COLOURS.iter().cycle()) {
        let series = chart.draw_series(LineSeries::new(points.iter().copied(), colour.stroke_width(2)))?;
        if !name.is_empty() {
            series
                .label(*name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], colour.stroke_width(2)));
        }
    }
    if lines.iter().any(|(name, _)| !name.is_empty()) {
        chart
            .configure_series_labels()
            .background_style(WHITE.mix(0.8))
            .border_style(BLACK.mix(0.2))
            .label_font(("sans-serif", 12))
            .draw()?;
    }
    area.present()?;
    Ok(())
}

/// How values spread: for each value the share of all that are not above it.
pub fn spread(title: &str, unit: &str, all: &[Line<'_>]) -> String {
    let sorted: Vec<Line<'_>> = all
        .iter()
        .map(|(name, values)| {
            let mut sorted: Vec<f64> = values.iter().map(|v| v.1).filter(|v| v.is_finite()).collect();
            sorted.sort_by(f64::total_cmp);
            let n = sorted.len().max(1) as f64;
            (*name, sorted.into_iter().enumerate().map(|(k, v)| (v, (k + 1) as f64 * 100.0 / n)).collect())
        })
        .collect();
    lines(title, &format!("{unit}; up: % of all that are not above"), &sorted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plot_has_its_title_its_axes_and_its_lines() {
        let svg = lines(
            "Lõi CPU",
            "s",
            &[("bridge", vec![(0.0, 0.1), (1.0, 0.4)]), ("phones", vec![(0.0, 0.2), (1.0, 0.2)])],
        );
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
        for wanted in ["Lõi CPU", "bridge", "phones", "polyline"] {
            assert!(svg.contains(wanted), "{wanted}: {svg}");
        }
        assert_eq!(lines("nothing", "s", &[("", Vec::new())]), "");
    }

    #[test]
    fn a_spread_leaves_out_what_is_no_number() {
        let svg = spread("delay", "ms", &[("", vec![(0.0, 3.0), (0.0, f64::NAN), (0.0, 1.0)])]);
        assert!(svg.contains("polyline"));
    }
}
