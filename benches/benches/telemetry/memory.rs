//! Bytes that are allocated and not freed, as they were asked for, and how often that was.
#![expect(unsafe_code, reason = "a global allocator is an unsafe trait")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicIsize, AtomicUsize, Ordering};

use tidegate_benches::Suite;
use tidegate_telemetry::{Format, Registry};

use crate::BOUNDS;
use crate::encode::counters_of;
use crate::peers::{Measured, Path, client, fast, prometheus};

static COUNTING: AtomicBool = AtomicBool::new(false);
static LIVE: AtomicIsize = AtomicIsize::new(0);
static MADE: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The system's allocator; counts while it is told to.
struct Counting;

fn count(bytes: isize) {
    if COUNTING.load(Ordering::Relaxed) {
        LIVE.fetch_add(bytes, Ordering::Relaxed);
        MADE.fetch_add(usize::from(bytes > 0), Ordering::Relaxed);
    }
}

// SAFETY: every call goes on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller keeps the same promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: the caller keeps the same promises.
        unsafe { System.dealloc(ptr, layout) }
    }
}

/// How many bytes are still allocated after `make`, while what it made lives.
fn bytes_of<T>(make: impl FnOnce() -> T) -> usize {
    LIVE.store(0, Ordering::Relaxed);
    COUNTING.store(true, Ordering::Relaxed);
    let made = make();
    COUNTING.store(false, Ordering::Relaxed);
    drop(made);
    LIVE.load(Ordering::Relaxed).max(0) as usize
}

/// How many allocations `run` makes.
fn allocations_of(run: impl FnOnce()) -> usize {
    MADE.store(0, Ordering::Relaxed);
    COUNTING.store(true, Ordering::Relaxed);
    run();
    COUNTING.store(false, Ordering::Relaxed);
    MADE.load(Ordering::Relaxed)
}

/// Bytes that a series with two labels costs, all in.
pub(crate) fn bytes(suite: &mut Suite, id: &str, series: usize) {
    if !suite.wants(id) {
        return;
    }
    let paths: Vec<String> = (0..series).map(|i| format!("/api/v1/resource/{i:06}")).collect();
    let each = |bytes: usize| bytes as f64 / series as f64;
    // A thread lets go of the series of dropped vectors when it looks up in a new one: not while ours is counted.
    counters_of(&Registry::new(), 1).inc(["GET", "/"]);
    let ours = bytes_of(|| {
        let registry = Registry::new();
        let vec = counters_of(&registry, series);
        paths.iter().for_each(|path| vec.inc(["GET", path]));
        (registry, vec)
    });
    let prom = bytes_of(|| {
        let (registry, vec) = prometheus();
        paths.iter().for_each(|path| vec.with_label_values(&["GET", path]).inc());
        (registry, vec)
    });
    let client = bytes_of(|| {
        let (registry, vec) = client();
        for path in &paths {
            vec.get_or_create(&Path::of("GET", path)).inc();
        }
        (registry, vec)
    });
    let fast = bytes_of(|| {
        let (registry, vec) = fast();
        for path in &paths {
            vec.with_or_new(&Path::of("GET", path), |counter| {
                counter.inc();
            });
        }
        (registry, vec)
    });
    let measured = bytes_of(|| {
        let vec = Measured::new();
        paths.iter().for_each(|path| vec.inc(("GET", path)));
        vec
    });
    suite
        .figure(id, "bytes")
        .ours(&[each(ours)])
        .peer("prometheus", &[each(prom)])
        .peer("prometheus-client", &[each(client)])
        .peer("fastmetrics", &[each(fast)])
        .peer("measured", &[each(measured)])
        .at_most_value(150.0)
        .report();
}

/// Allocations of what a program does all the time, once everything is there.
pub(crate) fn allocations(suite: &mut Suite) {
    let registry = Registry::new();
    let vec = counters_of(&registry, 1_000);
    let wait = registry.histogram("wait_seconds", "Wait.", BOUNDS).expect("it is in order");
    let paths: Vec<String> = (0..1_000).map(|i| format!("/api/v1/resource/{i:06}")).collect();
    let mut out = Vec::new();
    let mut round = |formats: &[Format]| {
        paths.iter().for_each(|path| vec.inc(["GET", path]));
        wait.observe(0.3);
        for format in formats {
            out.clear();
            registry.encode(*format, &mut out);
        }
    };
    // Twice: the first round makes the series and may leave the output one buffer short.
    let both = [Format::Text, Format::OpenMetrics];
    (0..2).for_each(|_| round(&both));
    for (id, formats) in
        [("telemetry/allocations/write", &[][..]), ("telemetry/allocations/encode", &both)]
    {
        let made = allocations_of(|| round(formats));
        suite.figure(id, "allocations").ours(&[made as f64]).at_most_value(0.0).report();
    }
}
