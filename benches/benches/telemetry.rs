//! Groups of `tidegate-telemetry`.
fn main() {
    let suite = tidegate_benches::Suite::from_args("telemetry");
    suite.finish();
}
