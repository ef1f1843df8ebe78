//! One measured line: ours, the peers, the ratio and the target.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The result of one group, as `cargo xtask peers --json` prints it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Stable name, `crate/what/variant`.
    pub id: String,
    /// What `ours_ns` and `peers` count: `ns` an operation unless the group says otherwise (`bytes`, `ms`, …).
    pub unit: String,
    /// Ours, in `unit`; the key says `ns` because all but a few groups are times.
    pub ours_ns: f64,
    /// Each peer, in `unit`.
    pub peers: BTreeMap<String, f64>,
    /// The peer with the smallest figure; empty when the group has none.
    pub best_peer: String,
    /// Ours over the best peer: the median over rounds of the ratio within a round, or the ratio of the medians if that is worse.
    pub ratio: f64,
    /// The promise: `ratio` at most this, unless `targets` names a peer; absent when nothing is promised.
    pub target: Option<f64>,
    /// Promises against one peer (ratio) or, under the key `value`, against a fixed figure in `unit`.
    pub targets: BTreeMap<String, f64>,
    /// Whether every promise was kept.
    pub met: bool,
}

impl Row {
    /// The row as one line of a table for people.
    pub fn to_line(&self) -> String {
        let peers = self.peers.iter().map(|(name, value)| format!("{name} {}", short(*value)));
        let peers = peers.collect::<Vec<_>>().join(", ");
        let mut promises: Vec<String> =
            self.target.iter().map(|t| format!("≤ {t:.2}x best")).collect();
        promises.extend(self.targets.iter().map(|(against, limit)| match against.as_str() {
            "value" => format!("≤ {} {}", short(*limit), self.unit),
            peer => format!("≤ {limit:.2}x {peer}"),
        }));
        let verdict = match (promises.is_empty(), self.met) {
            (true, _) => "",
            (false, true) => "  met",
            (false, false) => "  MISSED",
        };
        let ratio =
            if self.peers.is_empty() { "-".to_owned() } else { format!("{:.2}", self.ratio) };
        format!(
            "{:<44} {:>9} {:<5} ratio {ratio:>5}  [{peers}]  {}{verdict}",
            self.id,
            short(self.ours_ns),
            self.unit,
            promises.join(", "),
        )
    }
}

fn short(value: f64) -> String {
    match value.abs() {
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}
