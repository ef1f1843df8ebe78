use std::collections::BTreeSet;

use super::*;

/// A folder that goes with its test.
pub(in crate::cache) struct Folder(pub(in crate::cache) PathBuf);

impl Folder {
    pub(in crate::cache) fn new() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("tidegate-cache-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("a folder");
        Self(path)
    }

    pub(in crate::cache) fn results(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for folder in fs::read_dir(self.0.join("results")).expect("it is there") {
            let folder = folder.expect("it is read").path();
            found.extend(files(&folder).expect("it is read").into_iter().map(|file| file.path));
        }
        found
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn open(folder: &Folder, capacity: u64) -> Disk {
    Disk::open(folder.0.clone(), capacity, 1024).expect("it opens")
}

fn key(of: u64) -> [u8; 32] {
    *blake3::hash(&of.to_le_bytes()).as_bytes()
}

fn set_age(path: &Path, age: Duration) {
    let file = File::options().write(true).open(path).expect("it is there");
    file.set_modified(SystemTime::now() - age).expect("it is set");
}

#[test]
fn a_result_is_found_under_its_key_and_type_only() {
    let folder = Folder::new();
    let disk = open(&folder, 1 << 20);
    disk.keep(&disk.place(key(1), &[], "u32"), b"one");
    let found = disk.find(&disk.place(key(1), &[], "u32"), None).expect("it is kept");
    assert_eq!(found.value, b"one");
    assert_eq!(disk.find(&disk.place(key(1), &[], "i32"), None), None);
    assert_eq!(disk.find(&disk.place(key(2), &[], "u32"), None), None);
    // In the place of another key it is not that one's.
    let other = disk.place(key(2), &[], "u32");
    make_folder(other.path.parent().expect("a folder")).expect("it is made");
    fs::copy(disk.place(key(1), &[], "u32").path, &other.path).expect("it is copied");
    assert_eq!(disk.find(&other, None), None);
    assert_eq!(disk.told().damaged, 0);
}

#[test]
fn a_damaged_result_is_told_and_gone() {
    let folder = Folder::new();
    let disk = open(&folder, 1 << 20);
    let place = disk.place(key(1), &[], "u32");
    disk.keep(&place, b"one");
    let mut file = fs::read(&place.path).expect("it is there");
    *file.last_mut().expect("it is not empty") ^= 1;
    fs::write(&place.path, file).expect("it is written");
    assert_eq!(disk.find(&place, None), None);
    assert_eq!(disk.told().damaged, 1);
    assert!(!place.path.exists());
    disk.keep(&place, b"one");
    assert!(disk.find(&place, None).is_some());
    // An unreadable one, here a folder, is not found either.
    fs::remove_file(&place.path).expect("it is removed");
    fs::create_dir(&place.path).expect("it is made");
    assert_eq!(disk.find(&place, None), None);
    assert_eq!(disk.told().damaged, 2);
}

#[test]
fn a_result_is_no_older_than_the_limit_whoever_has_computed_it() {
    let folder = Folder::new();
    let disk = open(&folder, 1 << 20);
    let place = disk.place(key(1), &[], "u32");
    let hour = Duration::from_secs(3600);
    let long_ago = now_ms() - 2 * 3_600_000;
    let header = Header { since_1970_ms: long_ago, ..place.header.clone() };
    let file = entry::encode(&header, b"old", 1024).expect("it is encoded");
    disk.write(&place.path, &file).expect("it is written");
    assert_eq!(disk.find(&place, Some(hour)), None);
    let found = disk.find(&place, Some(3 * hour)).expect("it is young enough");
    assert!(2 * hour <= found.age && found.age < 3 * hour, "{:?}", found.age);
}

#[test]
fn there_is_never_much_more_than_there_is_room_for_and_what_was_used_last_stays() {
    let folder = Folder::new();
    let disk = open(&folder, 64 * BLOCK);
    let place = |of| disk.place(key(of), &[], "u32");
    for of in 0..64 {
        disk.keep(&place(of), b"value");
        set_age(&place(of).path, Duration::from_secs(10_000 - of));
    }
    disk.sweep(Duration::MAX);
    assert_eq!(folder.results().len(), 64, "there is room for so many");
    // The first one is used again.
    assert!(disk.find(&place(0), None).is_some());
    disk.keep(&place(64), b"value");
    disk.sweep(Duration::MAX);
    assert_eq!(folder.results().len(), 57, "a tenth less than there is room for");
    assert!(disk.find(&place(0), None).is_some());
    assert!(disk.find(&place(1), None).is_none());
    assert!(disk.find(&place(64), None).is_some());
    let asks = (0..100).filter(|of| disk.keep(&place(1_000 + of), b"value")).count();
    assert!(asks > 90, "more than a sixteenth has been written: {asks}");
    assert!(!open(&folder, 64 * BLOCK).keep(&place(0), b"value"), "not yet");
    let large = vec![0; 65 * BLOCK as usize];
    let noise: Vec<u8> = (0..3_000_u64).flat_map(key).chain(large).collect();
    let small = open(&folder, BLOCK);
    assert!(!small.keep(&place(5), &noise));
    assert_eq!(small.told().not_kept, 1);
}

#[test]
fn a_sweep_takes_what_is_too_old_and_what_was_left_half_written() {
    let folder = Folder::new();
    let disk = open(&folder, 1 << 20);
    let (old, young) = (disk.place(key(1), &[], "u32"), disk.place(key(2), &[], "u32"));
    for place in [&old, &young] {
        disk.keep(place, b"value");
    }
    set_age(&old.path, Duration::from_secs(100));
    let (left, under_way) = (folder.0.join("new/left"), folder.0.join("new/under-way"));
    for path in [&left, &under_way] {
        fs::write(path, b"half").expect("it is written");
    }
    set_age(&left, ABANDONED + Duration::from_secs(1));
    disk.sweep(Duration::from_secs(50));
    let there = [&old.path, &young.path, &left, &under_way].map(|path| path.exists());
    assert_eq!(there, [false, true, false, true]);
    // While somebody else sweeps, nobody does.
    set_age(&young.path, Duration::from_secs(100));
    let lock = File::options().write(true).open(folder.0.join("sweep")).expect("it is there");
    lock.lock().expect("it is locked");
    disk.sweep(Duration::from_secs(50));
    assert!(young.path.exists());
    drop(lock);
    disk.sweep(Duration::from_secs(50));
    assert!(!young.path.exists());
}

#[test]
fn what_is_invalidated_while_it_is_computed_elsewhere_is_not_found() {
    let folder = Folder::new();
    let (one, other) = (open(&folder, 1 << 20), open(&folder, 1 << 20));
    let computing = one.place(key(1), &["docs".into()], "u32");
    other.invalidate(&Target::Tag("docs".into())).expect("it is written");
    one.keep(&computing, b"of the past");
    let docs: &[Arc<str>] = &["docs".into()];
    for disk in [&one, &other] {
        disk.news();
        assert_eq!(disk.find(&disk.place(key(1), docs, "u32"), None), None);
    }
    one.keep(&one.place(key(1), docs, "u32"), b"new");
    assert!(other.find(&other.place(key(1), docs, "u32"), None).is_some());
    other.invalidate(&Target::Key(key(1))).expect("it is written");
    assert!(folder.results().is_empty(), "it takes no room any more");
    assert_eq!(one.news(), [Target::Key(key(1))]);
    assert_eq!(one.news(), []);
}

#[test]
fn without_the_list_of_invalidations_nothing_is_found() {
    let folder = Folder::new();
    let list = folder.0.join("invalidated");
    let keep = |disk: &Disk| disk.keep(&disk.place(key(1), &[], "u32"), b"value");
    let find = |disk: &Disk| disk.find(&disk.place(key(1), &[], "u32"), None).is_some();
    let disk = open(&folder, 1 << 20);
    keep(&disk);
    fs::remove_file(&list).expect("it is there");
    assert_eq!(disk.news(), [Target::All]);
    assert!(!find(&disk));
    assert_eq!(disk.told().damaged, 1);
    keep(&disk);
    assert!(find(&disk), "there is a list again");
    // In another process, too.
    fs::write(&list, b"?").expect("it is written");
    let other = open(&folder, 1 << 20);
    assert_eq!((find(&other), other.told().damaged), (false, 1));
    assert_eq!(disk.news(), [Target::All]);
    assert!(!find(&disk));
    // And if there can be none.
    keep(&disk);
    fs::remove_file(&list).expect("it is there");
    fs::create_dir(&list).expect("it is made");
    assert_eq!(disk.news(), [Target::All]);
    assert!(!find(&disk));
    assert!(disk.invalidate(&Target::All).is_err());
    assert!(Disk::open(folder.0.clone(), 1 << 20, 1024).is_err());
}

#[test]
fn a_disk_that_takes_nothing_is_told() {
    let folder = Folder::new();
    let disk = open(&folder, 1 << 20);
    fs::remove_dir(folder.0.join("new")).expect("it is empty");
    assert!(!disk.keep(&disk.place(key(1), &[], "u32"), b"value"));
    assert_eq!(disk.told().not_kept, 1);
    assert!(folder.results().is_empty());
    fs::create_dir(folder.0.join("new")).expect("it is made");
    let place = disk.place(key(1), &[], "u32");
    fs::write(place.path.parent().expect("a folder"), b"in the way").expect("it is written");
    assert!(!disk.keep(&place, b"value"));
    assert_eq!(disk.told().not_kept, 2);
    assert!(files(&folder.0.join("new")).expect("it is read").is_empty(), "nothing is left there");
}

#[test]
fn a_folder_of_something_else_is_left_as_it_is() {
    let folder = Folder::new();
    fs::write(folder.0.join("thesis.txt"), b"years of work").expect("it is written");
    let error = Disk::open(folder.0.clone(), 1 << 20, 1024).expect_err("it is not ours");
    assert!(error.to_string().contains("something else"), "{error}");
    let names = fs::read_dir(&folder.0).expect("it is read").count();
    assert_eq!(names, 1);
}

#[cfg(unix)]
#[test]
fn nobody_else_reads_results() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = Folder::new();
    let inside = Folder(folder.0.join("cache"));
    let disk = open(&inside, 1 << 20);
    let place = disk.place(key(1), &[], "u32");
    disk.keep(&place, b"value");
    let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    let seen: BTreeSet<u32> = [&*inside.0, &inside.0.join("results")].map(mode).into();
    assert_eq!(seen, BTreeSet::from([0o700]));
    assert_eq!(mode(&place.path), 0o600);
}
