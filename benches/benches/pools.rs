//! Groups of `tidegate-pools`.
fn main() {
    let suite = tidegate_benches::Suite::from_args("pools");
    suite.finish();
}
