//! What a run's records could be written to instead: a plain file, redb, fjall. Each gets records of the same size and syncs
//! them before it says so.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

/// What a task takes in the journal, about.
pub(crate) const RECORD: [u8; 64] = [7; 64];

/// Stores so many records from this number on, by one sync.
pub(crate) type Commit = Box<dyn FnMut(u64, usize) + Send>;

pub(crate) fn plain_file(path: &Path) -> Commit {
    let mut file = File::create(path).expect("a new file");
    Box::new(move |_, records| {
        file.write_all(&RECORD.repeat(records)).expect("written");
        file.sync_data().expect("synced");
    })
}

pub(crate) fn redb(path: &Path) -> Commit {
    const TABLE: redb::TableDefinition<'_, u64, &[u8]> = redb::TableDefinition::new("records");
    let database = redb::Database::create(path).expect("a new file");
    Box::new(move |first, records| {
        let write = database.begin_write().expect("nobody else writes");
        {
            let mut table = write.open_table(TABLE).expect("a table");
            for number in first..first + records as u64 {
                table.insert(number, RECORD.as_slice()).expect("inserted");
            }
        }
        write.commit().expect("synced");
    })
}

pub(crate) fn fjall(path: &Path) -> Commit {
    let database = fjall::Database::builder(path).open().expect("a new folder");
    let keyspace =
        database.keyspace("records", fjall::KeyspaceCreateOptions::default).expect("a keyspace");
    Box::new(move |first, records| {
        for number in first..first + records as u64 {
            keyspace.insert(number.to_be_bytes(), RECORD).expect("inserted");
        }
        database.persist(fjall::PersistMode::SyncData).expect("synced");
    })
}

/// Opens a new store in a folder.
type Open = fn(&Path) -> Commit;

/// Who opens a store: its name is that of the peer.
pub(crate) const STORES: [(&str, Open); 3] =
    [("plain file", plain_file), ("redb", redb), ("fjall", fjall)];

/// One record after another, each synced. No task does so: this is what the disk allows.
pub(crate) fn alone(tasks: usize, mut commit: Commit) -> Duration {
    let began = Instant::now();
    (0..tasks as u64).for_each(|number| commit(number, 1));
    began.elapsed()
}

/// Tasks that each store a record and wait for it, again and again: whatever has come while the store synced goes into the next
/// sync. Also the times waited, in nanoseconds.
pub(crate) async fn group_commit(
    tasks: usize,
    together: usize,
    mut commit: Commit,
) -> (Duration, Vec<u64>) {
    let (sender, receiver) = mpsc::channel::<oneshot::Sender<()>>();
    let committer = std::thread::spawn(move || {
        let mut first = 0;
        while let Ok(one) = receiver.recv() {
            let mut waiting = vec![one];
            waiting.extend(receiver.try_iter());
            commit(first, waiting.len());
            first += waiting.len() as u64;
            for one in waiting {
                // Whoever waited may have gone.
                let _ = one.send(());
            }
        }
    });
    let began = Instant::now();
    let lanes: Vec<_> = (0..together)
        .map(|_| {
            let sender = sender.clone();
            tokio::spawn(async move {
                let mut waits = Vec::with_capacity(tasks / together);
                for _ in 0..tasks / together {
                    let asked = Instant::now();
                    let (done, is_done) = oneshot::channel();
                    sender.send(done).expect("the committer lives");
                    is_done.await.expect("it is committed");
                    waits.push(u64::try_from(asked.elapsed().as_nanos()).unwrap_or(u64::MAX));
                }
                waits
            })
        })
        .collect();
    let mut waits = Vec::new();
    for lane in lanes {
        waits.extend(lane.await.expect("it ends"));
    }
    let took = began.elapsed();
    drop(sender);
    committer.join().expect("it ends");
    (took, waits)
}

/// Ninety-nine of a hundred are not longer, in milliseconds.
pub(crate) fn p99(mut waits: Vec<u64>) -> f64 {
    waits.sort_unstable();
    waits.get(waits.len() * 99 / 100).map_or(f64::NAN, |nanos| *nanos as f64 / 1e6)
}

/// Whatever a store has made.
pub(crate) fn remove(path: &PathBuf) {
    let _ = std::fs::remove_file(path);
    let _ = std::fs::remove_dir_all(path);
}
