//! Spans of a run, its tasks and attempts, sent to a collector.

#[cfg(feature = "otlp")]
pub(crate) use sent::Spans;
#[cfg(not(feature = "otlp"))]
pub(crate) use unsent::Spans;

#[cfg(feature = "otlp")]
mod sent {
    use tidegate_workflow::otlp::Otlp;
    use tracing_subscriber::Layer as _;
    use tracing_subscriber::filter::{LevelFilter, Targets};
    use tracing_subscriber::layer::SubscriberExt as _;
    use tracing_subscriber::util::SubscriberInitExt as _;

    use crate::run::say;

    /// What the collector calls us.
    const SERVICE: &str = "tidegate";

    /// Those of one run, if anybody wants them.
    #[derive(Debug)]
    pub(crate) struct Spans(Option<Otlp>);

    impl Spans {
        /// To this address, else to that of the environment.
        ///
        /// # Errors
        ///
        /// It is none.
        pub(crate) fn start(address: Option<&str>) -> Result<Self, String> {
            let otlp = match address {
                Some(address) => Otlp::to(address, SERVICE).map(Some),
                None => Otlp::from_env(SERVICE),
            };
            let otlp = otlp.map_err(|error| error.to_string())?;
            if let Some(otlp) = &otlp {
                let ours = Targets::new().with_target("tidegate_workflow", LevelFilter::INFO);
                let layer = otlp.layer().with_filter(ours);
                tracing_subscriber::registry().with(layer).try_init().map_err(|e| e.to_string())?;
            }
            Ok(Self(otlp))
        }

        /// Sends the last ones; says which did not arrive.
        pub(crate) async fn end(self) {
            if let Some(otlp) = self.0
                && let Err(error) = otlp.shutdown().await
            {
                say(&format!("warning: {error}"));
            }
        }
    }
}

#[cfg(not(feature = "otlp"))]
mod unsent {
    /// None: this command was built without them.
    #[derive(Debug)]
    pub(crate) struct Spans;

    impl Spans {
        /// # Errors
        ///
        /// They were asked for.
        pub(crate) fn start(address: Option<&str>) -> Result<Self, String> {
            match address {
                None => Ok(Self),
                Some(_) => {
                    Err("this `tidegate` cannot send spans: build it with `--features otlp`"
                        .to_owned())
                }
            }
        }

        pub(crate) async fn end(self) {}
    }
}
