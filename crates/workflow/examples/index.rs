//! An index of the words of a source tree: which word stands in how many files, and which is the most frequent.
//!
//! ```sh
//! cargo run -p tidegate-workflow --example index -- crates
//! ```
//!
//! A task lists the files, and adds two tasks for each of them to the live run: one that reads it, on the pool for calls that
//! block and at most eight at once, and one that counts its words, on the pool for computations. The last task merges.

#![expect(clippy::print_stdout, reason = "an example that tells what it does")]

use std::collections::HashMap;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tidegate_workflow::pools::{Kind, Priority};
use tidegate_workflow::{Context, Graph, Orchestrator, Task, TaskError};

type Words = HashMap<String, u32>;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let here = concat!(env!("CARGO_MANIFEST_DIR"), "/src");
    let root = std::env::args().nth(1).unwrap_or_else(|| here.to_owned());
    let mut graph = Graph::new();
    graph.add(Task::new("list", move |cx| list(cx, PathBuf::from(&root))))?;
    graph.add(Task::offloaded("merge", Kind::Cpu(Priority::High), merge).needs(["list"]))?;

    let orchestrator = Orchestrator::builder().limit(64).agent("disk", 8).build()?;
    let finished = orchestrator.run(graph).await?;
    let words = finished.output::<Words>("merge")?;
    let most = words.iter().max_by_key(|(word, files)| (**files, word.len()));
    let (word, files) = most.ok_or("no words at all")?;
    println!("{} words, `{word}` in {files} files", words.len());
    println!("{}", finished.report());

    // The same by a plain loop.
    let alone = one_after_another(Path::new(&std::env::args().nth(1).unwrap_or(here.to_owned())))?;
    assert_eq!(*words, alone);
    Ok(())
}

/// Adds two tasks for each file before the one that merges.
async fn list(cx: Context, root: PathBuf) -> Result<Vec<Arc<str>>, TaskError> {
    let mut counts = Vec::new();
    for path in files(&root)? {
        let read: Arc<str> = Arc::from(format!("read {}", path.display()));
        let count: Arc<str> = Arc::from(format!("count {}", path.display()));
        let reading = move |_| std::fs::read_to_string(&path);
        let reading = Task::offloaded(Arc::clone(&read), Kind::Blocking, reading).agent("disk");
        let needs = [Arc::clone(&read)];
        let counting = move |cx: Context| Ok::<_, TaskError>(words(&cx.input::<String>(&read)?));
        let kind = Kind::Cpu(Priority::Normal);
        let counting = Task::offloaded(Arc::clone(&count), kind, counting).needs(needs);
        cx.run().submit(reading, &[]).await?;
        cx.run().submit(counting, &["merge"]).await?;
        counts.push(count);
    }
    Ok(counts)
}

fn merge(cx: Context) -> Result<Words, TaskError> {
    let mut files = Words::new();
    for count in cx.input::<Vec<Arc<str>>>("list")?.iter() {
        cx.input::<Words>(count)?
            .keys()
            .for_each(|word| *files.entry(word.clone()).or_default() += 1);
    }
    Ok(files)
}

fn words(text: &str) -> Words {
    let mut words = Words::new();
    for word in text.split(|c: char| !c.is_alphabetic()).filter(|word| word.len() > 3) {
        *words.entry(word.to_lowercase()).or_default() += 1;
    }
    words
}

fn files(root: &Path) -> std::io::Result<Vec<PathBuf>> {
    let (mut files, mut open) = (Vec::new(), vec![root.to_owned()]);
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    Ok(files)
}

fn one_after_another(root: &Path) -> std::io::Result<Words> {
    let mut all = Words::new();
    for path in files(root)? {
        let text = std::fs::read_to_string(path)?;
        words(&text).into_keys().for_each(|word| *all.entry(word).or_default() += 1);
    }
    Ok(all)
}
