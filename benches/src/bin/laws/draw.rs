//! The limit over time as SVG.

use std::fmt::Write;

use crate::scenario::Scenario;
use crate::simulation::Trace;

const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 45.0;
const TOP: f64 = 40.0;
const COLOURS: [&str; 6] = ["#c0392b", "#1f6fb2", "#2e8b57", "#b8860b", "#7d3c98", "#5f6a6a"];

/// Draws the best limit and those of `traces`.
pub(crate) fn svg(scenario: &Scenario, traces: &[(&str, &Trace)]) -> String {
    let best: Vec<(f64, f64)> = (0..=(scenario.duration * 20.0) as usize)
        .map(|tick| tick as f64 / 20.0)
        .map(|at| (at, scenario.now(at).servers))
        .collect();
    let top = best.iter().map(|(_, limit)| *limit).fold(1.0, f64::max) * 2.5;
    let x = |at: f64| LEFT + at / scenario.duration * (WIDTH - LEFT - 10.0);
    let y = |limit: f64| HEIGHT - 30.0 - limit.min(top) / top * (HEIGHT - 30.0 - TOP);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" \
         font-size=\"11\"><rect width=\"100%\" height=\"100%\" fill=\"#fff\"/><text x=\"{LEFT}\" y=\"15\" \
         font-size=\"13\">{}: limit over seconds</text>",
        escaped(&scenario.name)
    );
    for step in 0..=5 {
        let limit = top * f64::from(step) / 5.0;
        let at = scenario.duration * f64::from(step) / 5.0;
        let _ = write!(
            out,
            "<text x=\"5\" y=\"{:.1}\">{limit:.0}</text><path d=\"M{LEFT} {:.1}H{WIDTH}\" stroke=\"#eee\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\">{at:.0}</text>",
            y(limit) + 4.0,
            y(limit),
            x(at) - 5.0,
            HEIGHT - 12.0
        );
    }
    let points: Vec<String> =
        best.iter().map(|(at, limit)| format!("{:.1},{:.1}", x(*at), y(*limit))).collect();
    let _ = write!(
        out,
        "<polyline points=\"{}\" fill=\"none\" stroke=\"#000\" stroke-dasharray=\"5 4\"/>\
         <text x=\"{LEFT}\" y=\"30\">best</text>",
        points.join(" ")
    );
    for (index, (name, trace)) in traces.iter().enumerate() {
        let colour = COLOURS[index % COLOURS.len()];
        let mut path = String::new();
        for (number, (at, limit)) in trace.limits.iter().enumerate() {
            let (x, y) = (x(*at), y(*limit as f64));
            let _ = if number == 0 {
                write!(path, "M{x:.1} {y:.1}")
            } else {
                write!(path, "H{x:.1}V{y:.1}")
            };
        }
        let _ = write!(
            out,
            "<path d=\"{path}H{:.1}\" fill=\"none\" stroke=\"{colour}\"/><text x=\"{:.0}\" y=\"30\" \
             fill=\"{colour}\">{}</text>",
            x(scenario.duration),
            LEFT + 40.0 + 150.0 * index as f64,
            escaped(name)
        );
    }
    out.push_str("</svg>\n");
    out
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
