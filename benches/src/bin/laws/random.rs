//! A family of scenarios without end: number `n` is the same on every machine, and was chosen by nobody.

use std::fmt::Write as _;

use crate::chance::Chance;

/// Scenario number `number`, as the text of a scenario file.
///
/// A backend for 2 to 200 at a time and 1 ms to 2 s of work, in which one thing changes a third of the way and, mostly, back
/// at two thirds.
pub(crate) fn text(number: u64) -> String {
    let mut dice = Dice(Chance::new(number.wrapping_mul(0xD134_2543_DE82_EF95)));
    let servers = dice.scale(2.0, 200.0).round();
    let mean_ms = dice.scale(1.0, 2000.0);
    let phase = phase(servers, mean_ms / 1e3);
    let load = if dice.one_in(4) { dice.between(0.3, 0.95) } else { dice.between(1.05, 2.5) };
    let is_shared = dice.one_in(4);
    let backend =
        if is_shared { format!("usl {:.3}", dice.between(0.0, 0.06)) } else { "fcfs".to_owned() };
    let limiters = [1, 1, 1, 2, 3][dice.below(5)].min(servers as usize / 2);
    let start = if dice.one_in(2) { 20.0 } else { dice.scale(2.0, 100.0).round() };
    let mut text = format!(
        "backend {backend}\nservice {}\nlimiters {limiters}\nstart {start}\nduration {:.1}\n\
         at 0 servers {servers} mean_ms {mean_ms:.2} load {load:.2}\n",
        dice.service(),
        3.0 * phase,
    );
    if dice.one_in(5) {
        let _ = writeln!(text, "bursts {:.0}", dice.scale(2.0, 12.0));
    }
    if dice.one_in(5) {
        let _ = writeln!(text, "refuses {:.1}", dice.between(1.2, 4.0));
    }
    let (what, key, before, after) = match dice.below(8) {
        0..=2 => ("drop", "servers", servers, (servers * dice.between(0.1, 0.9)).round().max(1.0)),
        3 => ("rise", "servers", servers, (servers * dice.scale(1.1, 4.0)).round()),
        4 => ("servers", "servers", servers, (servers * dice.scale(0.25, 3.0)).round().max(1.0)),
        5 => ("slower", "mean_ms", mean_ms, mean_ms * dice.scale(1.2, 4.0)),
        6 => ("faster", "mean_ms", mean_ms, mean_ms / dice.scale(1.2, 4.0)),
        _ => (
            "load",
            "load",
            load,
            if load < 1.0 { dice.between(1.1, 2.0) } else { dice.between(0.4, 0.9) },
        ),
    };
    let comes_back = dice.one_in(4);
    let ramp =
        if what == "servers" || dice.one_in(5) { dice.between(0.1, 0.8) * phase } else { 0.0 };
    for (at, value) in [(phase, after), (2.0 * phase, before)] {
        if at == phase || !comes_back {
            let to = at + ramp;
            let _ = writeln!(text, "{} {key} {value:.2}", when(at, to));
        }
    }
    let who = if limiters == 1 { String::new() } else { format!("{limiters} limiters, ") };
    let _ = writeln!(
        text,
        "name {number}: {who}{backend}, {servers} servers, {mean_ms:.0} ms, load {load:.1}; {what} {before:.0} → {after:.0}"
    );
    text
}

fn when(from: f64, to: f64) -> String {
    if from == to { format!("at {from:.2}") } else { format!("ramp {from:.2} {to:.2}") }
}

/// How long each third lasts: 50 times as long as the work takes, and 15 s; but no more than 60,000 pieces of work, and 4 s.
fn phase(servers: f64, mean: f64) -> f64 {
    (50.0 * mean).max(15.0).min(60_000.0 * mean / servers).max(4.0)
}

struct Dice(Chance);

impl Dice {
    fn below(&mut self, sides: usize) -> usize {
        (self.0.unit() * sides as f64) as usize
    }

    fn one_in(&mut self, sides: usize) -> bool {
        self.below(sides) == 0
    }

    fn between(&mut self, from: f64, to: f64) -> f64 {
        from + self.0.unit() * (to - from)
    }

    /// As likely between 1 and 2 as between 100 and 200.
    fn scale(&mut self, from: f64, to: f64) -> f64 {
        self.between(from.ln(), to.ln()).exp()
    }

    fn service(&mut self) -> String {
        match self.below(6) {
            0 => "fixed".to_owned(),
            1 => "exponential".to_owned(),
            2 => {
                let (slow, share) = (self.between(3.0, 8.0), self.between(0.02, 0.12));
                // The mean of both is 1.
                let fast = (1.0 - share * slow) / (1.0 - share);
                format!("bimodal {fast:.3} {slow:.3} {share:.3}")
            }
            _ => format!("lognormal {:.2}", self.between(0.05, 2.0)),
        }
    }
}
