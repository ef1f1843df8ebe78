//! Finding passages: words, and how well a passage fits them.

use std::cmp::Ordering;
use std::collections::HashMap;

use crate::corpus::Passage;

/// A passage, and how well it fits.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Hit {
    pub(crate) passage: Passage,
    pub(crate) score: f64,
}

/// Words that say nothing of what a text is about.
const STOP: &[&str] = &[
    "a", "an", "and", "any", "are", "as", "at", "be", "by", "can", "defined", "do", "does", "fast",
    "find", "for", "from", "get", "happens", "has", "have", "how", "i", "if", "in", "is", "it",
    "its", "many", "me", "much", "my", "of", "on", "one", "or", "that", "the", "there", "this",
    "to", "was", "what", "when", "where", "which", "who", "why", "will", "with", "you",
];

/// The words of a text in lower case, cut down to their stems; names of code are split where their case changes.
pub(crate) fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut after_lower = false;
    for c in text.chars().chain([' ']) {
        if !c.is_alphanumeric() || (c.is_uppercase() && after_lower) {
            if !word.is_empty() && !STOP.contains(&word.as_str()) {
                words.push(stem(&word).to_owned());
            }
            word.clear();
        }
        if c.is_alphanumeric() {
            word.extend(c.to_lowercase());
        }
        after_lower = c.is_lowercase();
    }
    words
}

/// The word without the commonest endings of English, so that `tasks` finds `task`, `retries` finds `retry`, `running` finds
/// `run`.
fn stem(word: &str) -> &str {
    let endings = ["ings", "ing", "ied", "ies", "ed", "es", "ly", "s", "e", "y"];
    let fits = |ending: &&str| {
        let stem = word.strip_suffix(*ending)?;
        (stem.len() >= 4 && !(*ending == "s" && stem.ends_with('s'))).then_some(stem)
    };
    let stem = endings.iter().find_map(fits).unwrap_or(word);
    let doubled = ["nn", "mm", "pp", "tt", "gg"].iter().any(|twice| stem.ends_with(twice));
    if doubled { &stem[..stem.len() - 1] } else { stem }
}

/// The passages that fit the words best, by BM25 (Robertson and Zaragoza, "The Probabilistic Relevance Framework", 2009) with
/// k1 = 1.2 and b = 0.75, times the share of the words that occur. Words of the title count too.
pub(crate) fn best(passages: Vec<Passage>, query: &[String], count: usize) -> Vec<Hit> {
    const K1: f64 = 1.2;
    const B: f64 = 0.75;
    // Of each passage how often each word of the query occurs, and how many words it has.
    let counted: Vec<(Vec<u32>, usize)> =
        passages.iter().map(|of| occurrences(of, query)).collect();
    let total: usize = counted.iter().map(|(_, length)| length).sum();
    let mean = total as f64 / counted.len().max(1) as f64;
    let rarity = |at: usize| {
        let with = counted.iter().filter(|(counts, _)| counts[at] > 0).count() as f64;
        ((counted.len() as f64 - with + 0.5) / (with + 0.5) + 1.0).ln()
    };
    let rarity: Vec<f64> = (0..query.len()).map(rarity).collect();
    let score = |(counts, length): &(Vec<u32>, usize)| {
        let long = 1.0 - B + B * *length as f64 / mean.max(1.0);
        let of = |(count, rarity): (&u32, &f64)| {
            let count = f64::from(*count);
            rarity * count * (K1 + 1.0) / (count + K1 * long)
        };
        let sum: f64 = counts.iter().zip(&rarity).map(of).sum();
        let there = counts.iter().filter(|count| **count > 0).count();
        sum * there as f64 / query.len().max(1) as f64
    };
    let scores: Vec<f64> = counted.iter().map(score).collect();
    let hits = passages.into_iter().zip(scores).map(|(passage, score)| Hit { passage, score });
    let mut hits: Vec<Hit> = hits.filter(|hit| hit.score > 0.0).collect();
    // Stable, so that equals stay in the order of the files.
    hits.sort_by(by_score);
    hits.truncate(count);
    hits
}

/// The better one first.
pub(crate) fn by_score(a: &Hit, b: &Hit) -> Ordering {
    b.score.total_cmp(&a.score)
}

fn occurrences(passage: &Passage, query: &[String]) -> (Vec<u32>, usize) {
    let places: HashMap<&str, usize> =
        query.iter().enumerate().map(|(at, word)| (word.as_str(), at)).collect();
    let mut counts = vec![0; query.len()];
    let words = words(&format!("{} {}", passage.title, passage.text()));
    for word in &words {
        if let Some(at) = places.get(word.as_str()) {
            counts[*at] += 1;
        }
    }
    (counts, words.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passage(text: &str) -> Passage {
        Passage { path: String::new(), line: 1, title: String::new(), lines: vec![text.to_owned()] }
    }

    #[test]
    fn words_are_stems_without_those_that_say_nothing() {
        assert_eq!(words("How are running Tasks limited?"), ["run", "task", "limit"]);
        assert_eq!(words("CpuPool::run_with classes"), ["cpu", "pool", "run", "class"]);
    }

    #[test]
    fn rare_words_and_short_passages_count_more_and_words_that_are_missing_cost() {
        let texts = [
            "task task task",
            "task limit",
            "task limit and a long tail of other words",
            "pool",
            "task",
        ];
        let hits = best(texts.map(passage).into(), &words("task limit"), 3);
        let found: Vec<String> = hits.iter().map(|hit| hit.passage.text()).collect();
        assert_eq!(found, [texts[1], texts[2], texts[0]]);
    }
}
