//! Groups of `tidegate-limiter`.
fn main() {
    let suite = tidegate_benches::Suite::from_args("limiter");
    suite.finish();
}
