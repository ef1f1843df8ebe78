//! Groups of `tidegate-workflow`.
fn main() {
    let suite = tidegate_benches::Suite::from_args("workflow");
    suite.finish();
}
