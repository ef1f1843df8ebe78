//! NVIDIA cards, by the library that comes with their driver.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::sync::Arc;

use nvml_wrapper::Nvml;
use nvml_wrapper::error::NvmlError;
use tidegate_telemetry::{GaugeVec, RegisterError, Registry};

use super::{Reading, Source};

/// What the driver installs.
const LIBRARY: &str = if cfg!(windows) { "nvml.dll" } else { "libnvidia-ml.so.1" };

/// How far a card is used, or where use is high. `None` is what the card does not tell, or does not matter.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct GpuUse {
    /// The share of the last sampling period, 0 to 1, in which something ran on the card.
    pub compute: Option<f64>,
    /// The share of its memory that is taken, 0 to 1.
    pub memory: Option<f64>,
    /// In degrees Celsius.
    pub celsius: Option<f64>,
}

impl GpuUse {
    fn figures(&self) -> [Option<f64>; 3] {
        [self.compute, self.memory, self.celsius]
    }
}

/// Reads how far NVIDIA's cards are used, by NVML. What it reads goes to the law as [`gpu_wait`](Reading::gpu_wait): the
/// greatest share that a figure of a card has reached of what [counts as high](Self::high). At 1 one of them is high, so that
/// is what [`gpu_wait_high`](crate::Config::gpu_wait_high) should be.
///
/// The library is loaded at run time: a program that has this source starts without a card.
///
/// # Examples
/// ```
/// use tidegate_workflow::{GpuSource, GpuUse};
///
/// let high = GpuUse { memory: Some(0.9), ..GpuUse::default() };
/// match GpuSource::new() {
///     Ok(cards) => drop(cards.high(high)), // for `Builder::adaptive`
///     Err(none) => println!("no cards are watched: {none}"),
/// }
/// ```
#[derive(Debug)]
pub struct GpuSource {
    nvml: Arc<Nvml>,
    high: GpuUse,
    last: Result<Vec<GpuUse>, String>,
    gauges: Option<[GaugeVec<1>; 3]>,
}

impl GpuSource {
    /// Of all cards of this machine. 95 % of the time and 95 % of the memory are high.
    ///
    /// # Errors
    /// When there is no NVML, or no driver that answers it.
    pub fn new() -> Result<Self, GpuError> {
        Self::with_library(LIBRARY)
    }

    /// The same with the library of another name or path.
    ///
    /// # Errors
    /// Those of [`new`](Self::new).
    pub fn with_library(library: impl AsRef<OsStr>) -> Result<Self, GpuError> {
        let library = library.as_ref();
        match Nvml::builder().lib_path(library).init() {
            Ok(nvml) => {
                let high = GpuUse { compute: Some(0.95), memory: Some(0.95), celsius: None };
                Ok(Self { nvml: Arc::new(nvml), high, last: Ok(Vec::new()), gauges: None })
            }
            Err(NvmlError::LibloadingError(error)) => {
                Err(GpuError::NoLibrary { library: library.to_owned(), why: error.to_string() })
            }
            Err(error) => Err(GpuError::NoDriver { why: error.to_string() }),
        }
    }

    /// What counts as high. Figures that are `None` do not count.
    pub fn high(mut self, high: GpuUse) -> Self {
        self.high = high;
        self
    }

    /// Also writes what it reads into the registry, at every read: `gpu_use_ratio`, `gpu_memory_use_ratio` and
    /// `gpu_temperature_celsius`, with the card's number as the label `gpu`.
    ///
    /// # Errors
    /// When one of the names is taken.
    pub fn publish(mut self, registry: &Registry) -> Result<Self, RegisterError> {
        let gauge = |name, help| registry.gauge_vec(name, help, ["gpu"]);
        self.gauges = Some([
            gauge("gpu_use_ratio", "Share of the time in which something ran on the card.")?,
            gauge("gpu_memory_use_ratio", "Share of the card's memory that is taken.")?,
            gauge("gpu_temperature_celsius", "Temperature of the card.")?,
        ]);
        Ok(self)
    }

    /// How far each card was used at the last read.
    pub fn cards(&self) -> &[GpuUse] {
        self.last.as_deref().unwrap_or_default()
    }

    fn tell(&self) {
        let Some(gauges) = &self.gauges else { return };
        for (at, card) in self.cards().iter().enumerate() {
            for (gauge, figure) in gauges.iter().zip(card.figures()) {
                gauge.set([&at.to_string()], figure.unwrap_or(f64::NAN));
            }
        }
    }
}

impl Source for GpuSource {
    /// On a thread for blocking calls, since a driver may take its time.
    async fn read(&mut self) -> Reading {
        let nvml = Arc::clone(&self.nvml);
        let read = tokio::task::spawn_blocking(move || cards(&nvml)).await;
        self.last = match read {
            Ok(Ok(cards)) if cards.is_empty() => Err("the driver knows no card".to_owned()),
            Ok(Ok(cards)) => Ok(cards),
            Ok(Err(error)) => Err(error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        self.tell();
        Reading { gpu_wait: strain(&self.high, self.cards()), ..Reading::default() }
    }

    fn trouble(&self) -> Option<String> {
        match &self.last {
            Err(why) => Some(format!("the cards cannot be read: {why}")),
            Ok(cards) if cards.is_empty() || strain(&self.high, cards).is_some() => None,
            Ok(_) => Some("a card does not tell a figure that counts".to_owned()),
        }
    }
}

/// What a card does not support is missing; any other error ends the read.
fn cards(nvml: &Nvml) -> Result<Vec<GpuUse>, NvmlError> {
    let figure = |read: Result<f64, NvmlError>| match read {
        Ok(value) => Ok(Some(value)),
        Err(NvmlError::NotSupported) => Ok(None),
        Err(error) => Err(error),
    };
    let card = |at| {
        use nvml_wrapper::enum_wrappers::device::TemperatureSensor::Gpu;
        let card = nvml.device_by_index(at)?;
        let memory = card.memory_info().map(|memory| memory.used as f64 / memory.total as f64);
        Ok(GpuUse {
            compute: figure(card.utilization_rates().map(|rates| f64::from(rates.gpu) / 100.0))?,
            memory: figure(memory)?,
            celsius: figure(card.temperature(Gpu).map(f64::from))?,
        })
    };
    (0..nvml.device_count()?).map(card).collect()
}

/// The greatest share of what is high; `None` without cards, or if a figure that counts is missing.
fn strain(high: &GpuUse, cards: &[GpuUse]) -> Option<f64> {
    let mut strain: Option<f64> = None;
    for card in cards {
        for (high, figure) in high.figures().into_iter().zip(card.figures()) {
            let Some(high) = high else { continue };
            let share = figure? / high;
            strain = Some(strain.map_or(share, |strain| strain.max(share)));
        }
    }
    strain
}

/// Why cards cannot be watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GpuError {
    /// The library cannot be loaded.
    NoLibrary {
        /// Its name or path.
        library: OsString,
        /// What the loader said.
        why: String,
    },
    /// The library is there, and no driver that answers.
    NoDriver {
        /// What the library said.
        why: String,
    },
}

impl fmt::Display for GpuError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoLibrary { library, why } => {
                let library = library.to_string_lossy();
                write!(
                    f,
                    "`{library}` of NVIDIA's driver cannot be loaded: {why}; install the driver, or leave cards out"
                )
            }
            Self::NoDriver { why } => write!(f, "NVIDIA's driver does not answer: {why}"),
        }
    }
}

impl std::error::Error for GpuError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_that_is_not_there_is_an_error_that_names_it() {
        let error = GpuSource::with_library("libno-such-cards.so.1").expect_err("there is none");
        assert!(matches!(error, GpuError::NoLibrary { .. }), "{error:?}");
        let text = error.to_string();
        assert!(
            text.contains("`libno-such-cards.so.1`") && text.contains("install the driver"),
            "{text}"
        );
    }

    #[test]
    fn the_card_that_is_used_most_counts_and_one_that_is_silent_leaves_no_reading() {
        let high = GpuUse { compute: Some(0.5), memory: Some(0.8), celsius: None };
        let card = |compute, memory| GpuUse { compute, memory, celsius: None };
        let mut cards = [card(Some(0.1), Some(0.2)), card(Some(0.2), Some(0.6))];
        assert!(strain(&high, &cards).is_some_and(|strain| (strain - 0.75).abs() < 1e-9));
        cards.reverse();
        assert!(strain(&high, &cards).is_some_and(|strain| (strain - 0.75).abs() < 1e-9));
        assert_eq!(strain(&high, &[cards[0], card(None, Some(0.1))]), None);
        assert_eq!(strain(&high, &[]), None);
    }
}
