//! Groups of `tidegate-limiter`, beside tokio's semaphore, Asyncband's and async-lock's (which is not FIFO).

mod bookkeeping;
mod contended;
mod fairness;
mod parked;
mod peer;
mod shrink;
mod uncontended;

use tidegate_benches::Suite;

fn main() {
    let mut suite = Suite::from_args("limiter");
    uncontended::measure(&mut suite);
    bookkeeping::measure(&mut suite);
    contended::measure(&mut suite);
    parked::measure(&mut suite);
    fairness::measure(&mut suite);
    shrink::measure(&mut suite);
    suite.finish();
}
