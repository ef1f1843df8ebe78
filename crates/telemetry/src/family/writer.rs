//! Where the lines of families are written, and in which form.

use crate::exemplar;
use crate::family::Heads;
use crate::format::Format;
use crate::histogram::{Buffers, HistogramCells};
use crate::labels::Labels;
use crate::number::{write_f64, write_u64_line};
use crate::series::Series;

/// Where the lines of families are written, and in which form.
#[derive(Debug)]
pub(crate) struct Writer<'o> {
    pub(crate) out: &'o mut Vec<u8>,
    pub(crate) format: Format,
    created: bool,
    buffers: Buffers,
}

impl<'o> Writer<'o> {
    /// Appends to `out`; `created` asks for created timestamps where the format has them.
    pub(crate) fn new(out: &'o mut Vec<u8>, format: Format, created: bool) -> Self {
        Self { out, format, created, buffers: Buffers::new() }
    }

    /// The line of a series whose value is a whole number, with the exemplar of `cell`.
    #[inline]
    pub(crate) fn whole(&mut self, heads: &Heads, labels: &Labels, value: u64, cell: u32) {
        self.open(heads, labels);
        write_u64_line(self.out, value);
        self.exemplar(cell);
    }

    /// The line of a series.
    #[inline]
    pub(crate) fn line(&mut self, heads: &Heads, labels: &Labels, value: f64) {
        self.open(heads, labels);
        self.end(value);
    }

    /// Adds the exemplar of `cell`, if it has one, to the last line.
    #[inline]
    pub(crate) fn exemplar(&mut self, cell: u32) {
        if self.format == Format::OpenMetrics {
            exemplar::write(self.out, cell);
        }
    }

    /// The line that says when a series was made, if that is wanted.
    #[inline]
    pub(crate) fn created<M>(&mut self, heads: &Heads, series: &Series<M>) {
        if self.created && self.format == Format::OpenMetrics {
            self.out.extend_from_slice(&heads.created);
            self.out.extend_from_slice(series.labels.with_tail());
            self.end(series.created);
        }
    }

    /// The lines of a histogram.
    pub(crate) fn histogram(&mut self, heads: &Heads, series: &Series<HistogramCells>) {
        let heads = heads.histogram.as_ref().expect("a histogram has the heads of one");
        let (counts, sum) = series.value.observed(&mut self.buffers);
        let mut count = 0_u64;
        for (bucket, (bound, n)) in heads.bounds.iter().zip(counts).enumerate() {
            count = count.saturating_add(*n);
            self.out.extend_from_slice(&heads.bucket);
            self.out.extend_from_slice(series.labels.inner());
            self.out.extend_from_slice(bound);
            write_u64_line(self.out, count);
            if self.format == Format::OpenMetrics {
                exemplar::write(self.out, series.value.cell(bucket));
            }
        }
        // OpenMetrics has neither where observations may be negative: its sum is a counter.
        if self.format == Format::OpenMetrics && (heads.negative || sum.is_nan() || sum < 0.0) {
            return;
        }
        self.out.extend_from_slice(&heads.sum);
        self.out.extend_from_slice(series.labels.with_tail());
        self.end(sum);
        self.out.extend_from_slice(&heads.count);
        self.out.extend_from_slice(series.labels.with_tail());
        write_u64_line(self.out, count);
    }

    #[inline]
    fn open(&mut self, heads: &Heads, labels: &Labels) {
        self.out.extend_from_slice(&heads.sample);
        self.out.extend_from_slice(labels.with_tail());
    }

    #[inline]
    fn end(&mut self, value: f64) {
        write_f64(self.out, value);
        self.out.push(b'\n');
    }
}
