//! A server for `/metrics`, `/healthz` and `/readyz`, for one that scrapes in good faith and for those who do not.
//!
//! [`Server::start`] gives it a thread of its own, so that it answers also when the program's runtime is saturated.
//! Within a runtime of yours, [`Server::serve`] does the same, and [`Endpoint`] is the bare hyper service.
//!
//! ```
//! use tidegate_telemetry::Registry;
//! use tidegate_telemetry::http::{Endpoint, Server};
//!
//! let registry = Registry::new();
//! let endpoint = Endpoint::new(registry).ready_when("store", || Ok(()));
//! let running = Server::new(endpoint).bind(([127, 0, 0, 1], 0)).start()?;
//! println!("http://{}/metrics", running.addr());
//! running.stop();
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! What it does against clients that take and do not give:
//!
//! | client | answer |
//! |---|---|
//! | sends half a request, or idles | closed after [`Server::header_timeout`], 5 s |
//! | reads slowly or not at all | closed when a response is not taken within [`Server::write_timeout`], 10 s |
//! | opens many connections | past [`Server::max_connections`], 128, the oldest is closed for the newest |
//! | scrapes in a crowd | one rendering serves all who asked before it began |
//! | long headers | 431 above 16 KiB or 64 headers |

mod endpoint;
mod patience;
mod render;
mod server;

pub use endpoint::{Body, Endpoint};
pub use server::{Running, Server};
