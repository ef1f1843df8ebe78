//! Groups of `tidegate-taskgroup`.
fn main() {
    let suite = tidegate_benches::Suite::from_args("taskgroup");
    suite.finish();
}
