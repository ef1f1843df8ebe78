//! Two processes that share a cache on the disk, killed at random moments, again and again in one folder.
//!
//! 1. What is found is what was computed under its key: never another result, never half of one.
//! 2. Nothing is damaged: a result is there whole or not at all.
//! 3. What was invalidated before is not found, whoever was computing it meanwhile.
//! 4. There is no more than there is room for, and a little.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use tidegate_workflow::cache::{Key, ResultCache};
use tidegate_workflow::{Durable, TaskError};

use super::{Chance, say};

const KEYS: u64 = 64;

/// Too little for all of them.
const ROOM: u64 = 512 << 10;

/// A result says under which key it was computed, and how often everything had been invalidated when that began.
type Value = (u64, u64, Vec<u64>);

pub(crate) fn crash(kills: u32) -> Result<(), String> {
    let folder = std::env::temp_dir().join(format!("tidegate-crash-cache-{}", std::process::id()));
    fs::create_dir_all(&folder).map_err(|why| why.to_string())?;
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let runtime = runtime.map_err(|why| why.to_string())?;
    let mut chance = Chance(0x2545_f491_4f6c_dd1d);
    let (mut found, mut killed) = (0, 0);
    while killed < kills {
        let program = std::env::current_exe().map_err(|why| why.to_string())?;
        let children = (0..2).map(|at| {
            let seed = (u64::from(killed) * 2 + at).to_string();
            let mut command = Command::new(&program);
            let path = folder.to_string_lossy();
            // It ends when the pipe does: with whoever would have killed it.
            command.args(["cache-child", &path, &seed]).stdin(Stdio::piped()).spawn()
        });
        let children = children.collect::<Result<Vec<_>, _>>().map_err(|why| why.to_string())?;
        std::thread::sleep(Duration::from_micros(chance.below(250_000)));
        for mut child in children {
            child.kill().map_err(|why| why.to_string())?;
            let status = child.wait().map_err(|why| why.to_string())?;
            if status.code().is_some() {
                return Err(format!("a child ended by itself, in {}: {status}", folder.display()));
            }
            killed += 1;
        }
        let checked = runtime.block_on(check(&folder));
        found += checked
            .map_err(|why| format!("after {killed} kills, in {}: {why}", folder.display()))?;
    }
    let _ = fs::remove_dir_all(&folder);
    say(&format!(
        "{killed} kills of processes that share a cache: {found} results found afterwards, 0 wrong, 0 damaged, 0 stale"
    ));
    Ok(())
}

/// Reads, computes, and now and then invalidates, until it is killed or nobody is left to do so.
pub(crate) fn child(folder: &Path, seed: &str) -> Result<(), String> {
    std::thread::spawn(|| {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        std::process::exit(1);
    });
    let seed: u64 = seed.parse().map_err(|_| format!("`{seed}` is no number"))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build();
    runtime.map_err(|why| why.to_string())?.block_on(async {
        let cache = open(folder)?;
        let mut chance = Chance(seed);
        loop {
            // One of the two counts the invalidations.
            if seed.is_multiple_of(2) && chance.below(300) == 0 {
                let next = number(&folder.join("begun")) + 1;
                write(folder, "begun", next)?;
                cache.invalidate_all().await.map_err(|why| why.to_string())?;
                write(folder, "done", next)?;
            }
            let key = chance.below(KEYS);
            let least = number(&folder.join("done"));
            let value = get(&cache, folder, key).await.map_err(|why| why.to_string())?;
            is_right(key, least, &value)?;
        }
    })
}

async fn check(folder: &Path) -> Result<u64, String> {
    let cache = open(folder)?;
    let least = number(&folder.join("done"));
    let mut found = 0;
    for key in 0..KEYS {
        let before = cache.stats().from_disk;
        let value = get(&cache, folder, key).await.map_err(|why| why.to_string())?;
        is_right(key, least, &value)?;
        found += cache.stats().from_disk - before;
    }
    let stats = cache.stats();
    if stats.damaged + stats.not_kept > 0 {
        return Err(format!("{stats:?}"));
    }
    let takes = takes(&folder.join("cache/results"));
    // Three processes may each have written a sixteenth, and what it then was about to keep.
    if ROOM + 3 * (ROOM / 16 + (64 << 10)) < takes {
        return Err(format!("{takes} bytes, and there is room for {ROOM}"));
    }
    Ok(found)
}

fn open(folder: &Path) -> Result<ResultCache<Durable>, String> {
    let cache = ResultCache::builder().capacity(16).disk_bytes(ROOM).open(folder.join("cache"));
    cache.map_err(|why| why.to_string())
}

async fn get(
    cache: &ResultCache<Durable>,
    folder: &Path,
    key: u64,
) -> Result<std::sync::Arc<Value>, TaskError> {
    let begun = folder.join("begun");
    let compute = async move {
        let begun = number(&begun);
        Ok::<Value, TaskError>((key, begun, content(key, begun)))
    };
    cache.get_or_compute(Key::new("crash", 1, &key)?, compute).await
}

fn is_right(key: u64, least: u64, value: &Value) -> Result<(), String> {
    let (of, begun, content_of) = value;
    if (*of, content_of) != (key, &content(key, *begun)) {
        return Err(format!("key {key} has the result of key {of}, or half of one"));
    }
    if *begun < least {
        return Err(format!("key {key} has result {begun}, and {least} was invalidated"));
    }
    Ok(())
}

/// From a few bytes to 30 KiB, half of them compressible.
fn content(key: u64, begun: u64) -> Vec<u64> {
    let mut chance = Chance(key ^ begun << 32);
    let step = key % 2;
    (0..key * 64)
        .map(|at| if step == 0 { begun } else { at ^ chance.below(1 << 31) << 32 })
        .collect()
}

fn number(path: &Path) -> u64 {
    fs::read_to_string(path).ok().and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// Whole or not at all.
fn write(folder: &Path, name: &str, number: u64) -> Result<(), String> {
    let new = folder.join("number");
    fs::write(&new, number.to_string())
        .and_then(|()| fs::rename(&new, folder.join(name)))
        .map_err(|why| why.to_string())
}

fn takes(folder: &PathBuf) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(meta) if meta.is_dir() => takes(&entry.path()),
            Ok(meta) => meta.len().div_ceil(4096) * 4096,
            Err(_) => 0,
        })
        .sum()
}
