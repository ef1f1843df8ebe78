//! What others make of our text: promtool, both parsers of Python's client, and a Prometheus server that scrapes us.
//!
//! Needs, on Debian: `apt-get install prometheus python3-pip` and `pip install prometheus_client==0.26.0`.

#[path = "../support/random.rs"]
mod random;
#[path = "../support/strict.rs"]
mod strict;

mod folder;
mod promtool;
mod python;
mod scraped;
mod server;
