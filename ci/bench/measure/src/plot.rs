//! Plots of medians, as SVG.

use std::error::Error;
use std::path::Path;

use plotters::coord::ranged1d::SegmentValue;
use plotters::prelude::*;

/// Colours of the servers, in their order. They differ in lightness, too.
const COLOURS: [RGBColor; 3] = [RGBColor(214, 96, 40), RGBColor(28, 86, 160), RGBColor(150, 150, 150)];
const FONT: &str = "sans-serif";
const INK: RGBColor = RGBColor(40, 40, 40);
const LABELS_WIDTH: u32 = 190;
const LEGEND_HEIGHT: u32 = 70;
const PANEL_WIDTH: u32 = 380;
const ROW_HEIGHT: u32 = 26;

/// One figure of several servers, in panels beside each other.
#[derive(Debug)]
pub struct Plot<'a> {
    /// Title, with the unit of the values.
    pub title: &'a str,
    /// Names of the servers. The factor from the second to the first is written at the end of each row.
    pub servers: &'a [&'a str],
    /// Names of the rows, which all panels have.
    pub rows: &'a [String],
    /// Panels, from left to right.
    pub panels: &'a [Panel],
}

/// One panel of a plot.
#[derive(Debug)]
pub struct Panel {
    /// Title: the conditions of its values.
    pub title: String,
    /// A value for each row and server; absent where nothing was measured.
    pub values: Vec<Vec<Option<f64>>>,
}

impl Plot<'_> {
    /// Writes the plot to a file: dots on a logarithmic axis, one for each server, joined row by row.
    ///
    /// # Errors
    ///
    /// Fails if the file cannot be written, or if there is no panel, row or value.
    pub fn write(&self, file: &Path) -> Result<(), Box<dyn Error>> {
        let panels = u32::try_from(self.panels.len())?;
        let height = LEGEND_HEIGHT + 60 + ROW_HEIGHT * u32::try_from(self.rows.len())?;
        let root = SVGBackend::new(file, (LABELS_WIDTH + PANEL_WIDTH * panels, height)).into_drawing_area();
        root.fill(&WHITE)?;
        let (legend, mut rest) = root.split_vertically(LEGEND_HEIGHT);
        self.draw_legend(&legend)?;
        for (number, panel) in self.panels.iter().enumerate() {
            let labels = if number == 0 { LABELS_WIDTH } else { 0 };
            let (area, others) = rest.split_horizontally(labels + PANEL_WIDTH);
            self.draw_panel(panel, labels, &area)?;
            rest = others;
        }
        root.present()?;
        Ok(())
    }

    fn draw_legend(&self, area: &Area<'_>) -> Result<(), Box<dyn Error>> {
        area.draw(&Text::new(self.title, (12, 10), (FONT, 18).into_font().color(&INK)))?;
        let mut x = 18;
        for (server, colour) in self.servers.iter().zip(COLOURS) {
            area.draw(&Circle::new((x, 50), 5, colour.filled()))?;
            area.draw(&Text::new(*server, (x + 12, 43), (FONT, 14).into_font().color(&INK)))?;
            x += 40 + 9 * i32::try_from(server.len())?;
        }
        Ok(())
    }

    fn draw_panel(&self, panel: &Panel, labels: u32, area: &Area<'_>) -> Result<(), Box<dyn Error>> {
        let values = || panel.values.iter().flatten().flatten().copied();
        let smallest = values().reduce(f64::min).ok_or("there is no value to plot")?;
        let largest = values().reduce(f64::max).ok_or("there is no value to plot")?;
        // Room for the factors behind the last dot.
        let axis = (smallest / 1.5..largest * 4.0).log_scale();
        let last = self.rows.len().checked_sub(1).ok_or("there is no row to plot")?;
        let mut chart = ChartBuilder::on(area)
            .caption(&panel.title, (FONT, 15).into_font().color(&INK))
            .margin_right(10)
            .x_label_area_size(30)
            .y_label_area_size(labels)
            .build_cartesian_2d(axis, (0..last).into_segmented())?;
        // The first row is the uppermost one.
        let label = |place: &SegmentValue<usize>| match place {
            SegmentValue::CenterOf(place) => self.rows[last - place].clone(),
            _ => String::new(),
        };
        chart
            .configure_mesh()
            .disable_y_mesh()
            .light_line_style(BLACK.mix(0.04))
            .bold_line_style(BLACK.mix(0.12))
            .axis_style(BLACK.mix(0.2))
            .label_style((FONT, 13).into_font().color(&INK))
            .y_labels(self.rows.len())
            .y_label_formatter(&label)
            .x_label_formatter(&|value| format!("{value}"))
            .draw()?;
        for (row, values) in panel.values.iter().enumerate() {
            let place = SegmentValue::CenterOf(last - row);
            let ends = values.iter().flatten().copied();
            if let (Some(left), Some(right)) = (ends.clone().reduce(f64::min), ends.reduce(f64::max)) {
                let line = vec![(left, place.clone()), (right, place.clone())];
                chart.draw_series([PathElement::new(line, BLACK.mix(0.3))])?;
            }
            for (value, colour) in values.iter().zip(COLOURS) {
                let dot = value.map(|value| Circle::new((value, place.clone()), 5, colour.filled()));
                chart.draw_series(dot)?;
            }
            if let [Some(first), Some(second), ..] = values[..] {
                let text = EmptyElement::at((first.max(second), place))
                    + Text::new(factor(first / second), (10, -6), (FONT, 13).into_font().color(&INK));
                chart.draw_series([text])?;
            }
        }
        Ok(())
    }
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

fn factor(value: f64) -> String {
    if value < 10.0 { format!("{value:.1} x") } else { format!("{value:.0} x") }
}
