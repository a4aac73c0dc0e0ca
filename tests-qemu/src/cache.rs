//! What the lab makes and keeps: trees, kernels, initrds and media, keyed by what they were made from, in a cache outside of
//! the work tree, which all clones and several runs at once share.
//!
//! ```text
//! cache/NAME-HASH      a file, and NAME-HASH.key: what it was made from, and when; its time is that of the last use;
//!                      NAME-HASH.new: its bytes may not be on the disk yet, and are trusted only until the machine is switched off
//! trees/NAME-HASH      a directory, with its .key, and .size: what it takes on the disk
//! locks/NAME-HASH      held (flock) while it is made
//! lock                 held shared while a use is noted, exclusively while things are removed
//! tmp/run-X            work in progress of a live run, and uses/NAME-HASH: what it uses
//! times.json           how long things took
//! ```

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use crate::lock::Lock;
use crate::prune::{self, Entry};
use crate::rundir::{self, RunDir};
use crate::spent::{self, Account};
use crate::times::Times;
use crate::{loops, progress, remove};

/// Where directories of files and of trees lie.
const FILES: &str = "cache";
const TREES: &str = "trees";
/// What is beside an artefact until its bytes are on the disk.
const NEW: &str = "new";
const NEW_SUFFIX: &str = ".new";
/// In front of a run's own directory in `tmp`.
const RUN: &str = "run-";
/// Where a run's media are when there is room for them.
const MEMORY: &str = "/dev/shm";
/// In front of a run's own directory there.
const IN_MEMORY: &str = "rdlive-lab.";
/// The same in the directory for temporary files. An ext4 keeps only 64 bytes of the path at which it was mounted, and tests look at the
/// end of that: it is short.
const TEMPORARY: &str = "rdlive.";
/// Room that memory must have for that.
const ROOM: u64 = 4 << 30;
/// What `.ci/run` keeps of compiled dependencies. It counts, and is not the lab's to remove.
const COMPILED: &str = "target";
/// How much there is, is looked at when so many parts of the limit were made.
const STEPS: u64 = 40;
/// All artefacts together, trees too.
const LIMIT: u64 = 10 << 30;

/// The lab's own directory; each artefact is made once per key, by whoever asks first.
pub struct Cache {
    root: PathBuf,
    run: Option<RunDir>,
    memory: Option<RunDir>,
    temporary: RunDir,
    used: Mutex<HashSet<PathBuf>>,
    times: Arc<Times>,
    made: Account,
    limit: u64,
    /// Bytes made since the last look at how much there is.
    added: AtomicU64,
}

/// `$XDG_CACHE_HOME/rdlive-lab`, or below the home directory.
pub fn place() -> PathBuf {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || absolute("HOME").unwrap_or_else(|| "/root".into());
    absolute("XDG_CACHE_HOME").unwrap_or_else(|| home().join(".cache")).join("rdlive-lab")
}

impl Cache {
    /// Opens (and makes) the directory; removes what dead runs left, and says what that was.
    pub fn open(root: &Path) -> Result<Self> {
        Self::with_limit(root, LIMIT)
    }

    fn with_limit(root: &Path, limit: u64) -> Result<Self> {
        usable(root)?;
        for dir in [FILES, TREES, "locks", "tmp"] {
            let path = root.join(dir);
            fs::create_dir_all(&path).with_context(|| format!("making {}", path.display()))?;
        }
        let root = root.canonicalize()?;
        usable(&root)?;
        let (own, memory) = (root.join("tmp"), Path::new(MEMORY));
        let temporary = std::env::temp_dir().canonicalize().context("the directory for temporary files")?;
        usable(&temporary)?;
        let outside = [(memory, IN_MEMORY), (&*temporary, TEMPORARY)];
        clean(&own, &outside)?;
        let run = RunDir::make(&own, RUN)?;
        fs::create_dir(run.path().join("uses"))?;
        let times = Arc::new(Times::open(&root.join("times.json")));
        let memory = is_memory(memory).then(|| RunDir::make(memory, IN_MEMORY).ok()).flatten();
        let temporary = RunDir::make(&temporary, TEMPORARY)?;
        let (used, made) = (Mutex::default(), Account::default());
        let added = AtomicU64::new(0);
        let cache = Self { root, run: Some(run), memory, temporary, used, times, made, limit, added };
        cache.distrust(&boot_id())?;
        cache.prune()?;
        Ok(cache)
    }

    /// How long things took.
    pub fn times(&self) -> &Arc<Times> {
        &self.times
    }

    /// What this run has made, with its cost.
    pub fn made(&self) -> &Account {
        &self.made
    }

    fn run(&self) -> Result<&Path> {
        self.run.as_ref().map(RunDir::path).context("the cache is closed")
    }

    /// A fresh directory for work in progress, on the cache's own file system: what is in the cache can be linked into it.
    /// The caller removes it; the end of the run does so at the latest.
    pub fn scratch(&self, name: &str) -> Result<PathBuf> {
        numbered(self.run()?, name)
    }

    /// As [`scratch`](Self::scratch), for what a guest writes to: in memory, where a sync costs nothing, while that has room.
    pub fn fast_scratch(&self, name: &str) -> Result<PathBuf> {
        match &self.memory {
            Some(memory) if has_room(memory.path()) => numbered(memory.path(), name),
            _ => self.scratch(name),
        }
    }

    /// A directory with a short path, for programs that make temporary files of their own.
    pub fn temporary(&self) -> &Path {
        self.temporary.path()
    }

    /// Returns the file made under `key`, calling `make` with the path to write when it is not there yet. `what` is for people,
    /// should it take long.
    pub fn file(&self, name: &str, what: &str, key: &str, make: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
        self.artefact(FILES, name, what, key, make)
    }

    /// As [`file`](Self::file), for a directory.
    pub fn tree(&self, name: &str, what: &str, key: &str, make: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
        self.artefact(TREES, name, what, key, |dir| {
            fs::create_dir(dir)?;
            make(dir)
        })
    }

    fn artefact(
        &self,
        place: &str,
        name: &str,
        what: &str,
        key: &str,
        make: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<PathBuf> {
        let file = format!("{name}-{:016x}", hash(key));
        let path = self.root.join(place).join(&file);
        if self.uses(&path)? {
            return Ok(path);
        }
        let lock = self.root.join("locks").join(&file);
        let _making = match Lock::now(&lock)? {
            Some(lock) => lock,
            None => progress::waiting(what, || Lock::exclusive(&lock))?,
        };
        // Another has made it meanwhile.
        if self.uses(&path)? {
            return Ok(path);
        }
        let partial = self.run()?.join(format!("partial-{file}"));
        remove::tree(&partial)?;
        let made = self
            .made
            .enter(what, || progress::making(&self.times, what, || make(&partial)))
            .with_context(|| format!("making {what}"));
        if made.is_err() {
            let _ = remove::tree(&partial);
        }
        made?;
        // A fifth of all media, and most of what guests write while it is recorded, is zeros.
        if place == FILES {
            let _ = spent::output(Command::new("fallocate").arg("--dig-holes").arg(&partial), false);
        }
        if place == TREES {
            fs::write(beside(&path, "size"), prune::allocated(&partial).to_string())?;
        }
        fs::write(beside(&path, "key"), format!("{key}\nmade {:x}\n", rundir::nanoseconds()))?;
        fs::write(beside(&path, NEW), boot_id())?;
        let size = prune::allocated(&partial);
        {
            // As soon as others see it, it is in use.
            let _removing = Lock::shared(&self.root.join("lock"))?;
            self.mark(&path)?;
            fs::rename(&partial, &path).with_context(|| format!("naming {}", path.display()))?;
        }
        // A run that makes all anew would have twice the limit at its end.
        if self.added.fetch_add(size, Ordering::Relaxed) + size >= self.limit / STEPS {
            self.added.store(0, Ordering::Relaxed);
            if let Err(error) = self.prune() {
                progress::say(&format!("making room in the cache: {error:#}"));
            }
        }
        Ok(path)
    }

    /// Removes what was made shortly before a power loss: its name may be on the disk, and its bytes not.
    fn distrust(&self, boot: &str) -> Result<()> {
        let _removing = Lock::exclusive(&self.root.join("lock"))?;
        for dir in [FILES, TREES].map(|place| self.root.join(place)) {
            for name in names(&dir).iter().filter(|name| name.ends_with(NEW_SUFFIX)) {
                let mark = dir.join(name);
                if fs::read_to_string(&mark).is_ok_and(|of| of == boot) {
                    continue;
                }
                let path = mark.with_extension("");
                println!(
                    "lab: {} may not have reached the disk before the power was lost; it is made anew",
                    path.display()
                );
                remove::tree(&path)?;
                for kind in ["key", "size", NEW] {
                    let _ = fs::remove_file(beside(&path, kind));
                }
            }
        }
        Ok(())
    }

    /// What has been made is on the disk now, in one go: a sync for each artefact would cost more than all that makes them.
    fn settle(&self) -> Result<()> {
        let marks = [FILES, TREES].map(|place| self.root.join(place)).into_iter().flat_map(|dir| {
            names(&dir).into_iter().filter(|name| name.ends_with(NEW_SUFFIX)).map(move |name| dir.join(name))
        });
        let marks: Vec<PathBuf> = marks.collect();
        if !marks.is_empty() {
            rustix::fs::syncfs(File::open(&self.root)?).context("writing the cache to the disk")?;
            marks.iter().for_each(|mark| drop(fs::remove_file(mark)));
        }
        Ok(())
    }

    /// Is it there? Then no run removes it while this one lives.
    fn uses(&self, path: &Path) -> Result<bool> {
        let there = || path.symlink_metadata().is_ok();
        if self.used.lock().unwrap_or_else(PoisonError::into_inner).contains(path) {
            return Ok(there());
        }
        let _removing = Lock::shared(&self.root.join("lock"))?;
        if !there() {
            return Ok(false);
        }
        // Its time tells what was used last.
        let _ = File::options().append(true).open(beside(path, "key")).and_then(|f| f.set_modified(SystemTime::now()));
        self.mark(path)?;
        Ok(true)
    }

    fn mark(&self, path: &Path) -> Result<()> {
        File::create(self.run()?.join("uses").join(path.file_name().unwrap_or_default()))?;
        self.used.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned());
        Ok(())
    }

    /// Removes what is too much or was not used for long, and never what a live run uses.
    fn prune(&self) -> Result<()> {
        let mut aside = Vec::new();
        {
            let _removing = Lock::exclusive(&self.root.join("lock"))?;
            let live = rundir::sweep(&self.root.join("tmp"), RUN)?.live;
            let used: HashSet<_> = live.iter().flat_map(|run| names(&run.join("uses"))).collect();
            let mut entries: Vec<(String, Entry)> = self.entries(FILES);
            entries.extend(self.entries(TREES));
            let all = entries.iter().map(|(_, entry)| entry.size).sum::<u64>();
            let all = all + prune::with_links(&self.root.join(COMPILED));
            // One that is used says which others it has replaced.
            entries.iter_mut().for_each(|(name, entry)| entry.used = used.contains(name));
            for path in prune::choose(entries.into_iter().map(|(_, entry)| entry).collect(), all, self.limit) {
                // Out of the way in an instant; deleting a tree takes longer than others should wait.
                let to = self.root.join("tmp").join(format!("{RUN}old-{:x}", rundir::nanoseconds()));
                fs::rename(&path, &to).with_context(|| format!("moving {}", path.display()))?;
                for kind in ["key", "size", NEW] {
                    let _ = fs::remove_file(beside(&path, kind));
                }
                aside.push(to);
            }
            self.forget_locks();
        }
        aside.iter().try_for_each(|path| remove::tree(path))
    }

    fn entries(&self, place: &str) -> Vec<(String, Entry)> {
        let dir = self.root.join(place);
        let artefacts = names(&dir).into_iter().filter(|name| !name.contains('.'));
        let entry = |name: &String| -> Option<Entry> {
            let path = dir.join(name);
            let metadata = path.symlink_metadata().ok()?;
            let used = fs::metadata(beside(&path, "key")).unwrap_or(metadata).modified().ok()?;
            let size = match place {
                TREES => fs::read_to_string(beside(&path, "size")).ok().and_then(|text| text.parse().ok()).unwrap_or(0),
                _ => prune::allocated(&path),
            };
            let unused = used.elapsed().unwrap_or_default();
            Some(Entry { path, size, unused, tree: place == TREES, used: false })
        };
        artefacts.filter_map(|name| entry(&name).map(|entry| (name, entry))).collect()
    }

    /// Lock files of what is gone; whoever waits for one finds that out and takes a new one.
    fn forget_locks(&self) {
        for name in names(&self.root.join("locks")) {
            let gone = [FILES, TREES].iter().all(|place| !self.root.join(place).join(&name).exists());
            let path = self.root.join("locks").join(&name);
            if let (true, Ok(Some(_lock))) = (gone, Lock::now(&path)) {
                let _ = fs::remove_file(&path);
            }
        }
    }
}

impl Drop for Cache {
    fn drop(&mut self) {
        // First this run's own: then what it used may go too.
        self.run = None;
        self.memory = None;
        if let Err(error) = self.times.save().and_then(|()| self.prune()).and_then(|()| self.settle()) {
            eprintln!("lab: {error:#}");
        }
    }
}

/// Removes what dead runs left: their directories here and in the directories `outside`, and loop devices over files in them.
fn clean(own: &Path, outside: &[(&Path, &str)]) -> Result<()> {
    let _removing = Lock::exclusive(&own.with_file_name("lock"))?;
    let mut found = vec![rundir::sweep(own, RUN)?];
    found.extend(outside.iter().map(|(dir, prefix)| rundir::sweep(dir, prefix).unwrap_or_default()));
    let live: Vec<PathBuf> = found.iter().flat_map(|found| found.live.clone()).collect();
    let mut places = vec![own.join("")];
    places.extend(outside.iter().map(|(dir, prefix)| dir.join(prefix)));
    let loops = loops::free(&places, &live);
    loops::renew();
    let removed = found.iter().map(|found| found.removed).sum::<usize>();
    if removed + loops > 0 {
        println!("lab: cleaned up after runs that were ended: {removed} directories, {loops} loop devices");
    }
    Ok(())
}

/// Paths of media stand in options of overlayfs and user-mode Linux, and on command lines, where these have a meaning.
fn usable(path: &Path) -> Result<()> {
    let strange = |c: char| c.is_whitespace() || c.is_control() || ",:;'\"\\".contains(c);
    match path.to_str() {
        Some(text) if !text.contains(strange) => Ok(()),
        _ => bail!(
            "{} has a space or another letter in its path that mount options and kernels read as something else.\n\
             Try: XDG_CACHE_HOME=/var/cache TMPDIR=/tmp {}",
            path.display(),
            crate::install::typed()
        ),
    }
}

/// The machine's uptime has this name: it changes with each start.
fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default()
}

fn numbered(parent: &Path, name: &str) -> Result<PathBuf> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let path = parent.join(format!("{name}.{}", NUMBER.fetch_add(1, Ordering::Relaxed)));
    fs::create_dir(&path).with_context(|| format!("making {}", path.display()))?;
    Ok(path)
}

/// In a chroot it may be a directory like any other.
fn is_memory(dir: &Path) -> bool {
    const TMPFS: i64 = 0x0102_1994;
    rustix::fs::statfs(dir).is_ok_and(|stat| stat.f_type == TMPFS)
}

/// Room on the file system, and memory behind it.
fn has_room(memory: &Path) -> bool {
    let free = rustix::fs::statvfs(memory).is_ok_and(|stat| stat.f_bavail * stat.f_frsize >= ROOM);
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kibibytes = line.and_then(|text| text.trim().trim_end_matches(" kB").parse::<u64>().ok());
    free && kibibytes.is_some_and(|kibibytes| kibibytes << 10 >= ROOM)
}

fn beside(path: &Path, kind: &str) -> PathBuf {
    path.with_extension(kind)
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

/// Tells an artefact from others that were made under the same key, before or after it: file systems get random UUIDs, and Debian gets
/// newer packages. The key of what is made from it has this in it, so that parts of a medium always fit together.
///
/// # Errors
/// It is none of this cache.
pub fn identity(artefact: &Path) -> Result<String> {
    let key = beside(artefact, "key");
    let text = fs::read_to_string(&key).with_context(|| format!("reading {}", key.display()))?;
    Ok(format!("{:016x}", hash(&text)))
}

/// Hash of a text; the same from every compiler.
pub fn hash(text: &str) -> u64 {
    first(Sha256::digest(text))
}

/// Hash of a file's bytes, or of all files below a directory with their names.
pub fn content_hash(path: &Path) -> Result<u64> {
    let mut hasher = Sha256::new();
    add(path, &mut hasher).with_context(|| format!("reading {}", path.display()))?;
    Ok(first(hasher.finalize()))
}

fn first(digest: impl AsRef<[u8]>) -> u64 {
    digest.as_ref().iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

fn add(path: &Path, hasher: &mut Sha256) -> std::io::Result<()> {
    if path.is_dir() {
        let mut entries: Vec<PathBuf> =
            fs::read_dir(path)?.map(|entry| entry.map(|e| e.path())).collect::<Result<_, _>>()?;
        entries.sort();
        for entry in entries {
            hasher.update(entry.file_name().unwrap_or_default().as_encoded_bytes());
            hasher.update([0]);
            add(&entry, hasher)?;
        }
        return Ok(());
    }
    let mut file = File::open(path)?;
    hasher.update(file.metadata()?.len().to_le_bytes());
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(()),
            count => hasher.update(&buffer[..count]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn make(cache: &Cache, key: &str, bytes: usize) -> PathBuf {
        cache.file("x", key, key, |path| Ok(fs::write(path, vec![1; bytes])?)).unwrap()
    }

    #[test]
    fn a_hash_stays_what_it_is() {
        // The first eight bytes of the SHA-256 of "abc".
        assert_eq!(hash("abc"), 0xba78_16bf_8f01_cfea);
    }

    #[test]
    fn what_is_there_is_not_made_again_and_a_failure_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(dir.path()).unwrap();
        assert!(cache.file("x", "x", "a", |_| anyhow::bail!("broken")).is_err());
        let path = make(&cache, "a", 1);
        let again = cache.file("x", "x", "a", |_| anyhow::bail!("made again")).unwrap();
        assert_eq!((&again, fs::read(&path).unwrap()), (&path, vec![1]));
        let tree = cache.tree("t", "t", "a", |dir| Ok(fs::write(dir.join("file"), "")?)).unwrap();
        assert!(tree.join("file").exists() && beside(&tree, "size").exists());
    }

    #[test]
    fn zeros_take_no_room() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(dir.path()).unwrap();
        let bytes = [vec![1; 4096], vec![0; 4 << 20], vec![2; 4096]].concat();
        let path = cache.file("x", "x", "a", |path| Ok(fs::write(path, &bytes)?)).unwrap();
        assert!(fs::read(&path).unwrap() == bytes);
        assert!(prune::allocated(&path) < 1 << 20, "{}", prune::allocated(&path));
    }

    #[test]
    fn a_run_keeps_the_limit_while_it_lasts() {
        let dir = tempfile::tempdir().unwrap();
        let old = make(&Cache::open(dir.path()).unwrap(), "old", 900 << 10);
        let run = Cache::with_limit(dir.path(), 1 << 20).unwrap();
        let first = make(&run, "first", 4096);
        assert!(old.exists(), "there is room for both");
        let second = make(&run, "second", 300 << 10);
        assert!(!old.exists() && first.exists() && second.exists());
    }

    #[test]
    fn what_is_made_again_is_another() {
        let dir = tempfile::tempdir().unwrap();
        let path = make(&Cache::open(dir.path()).unwrap(), "a", 1);
        let first = identity(&path).unwrap();
        assert_eq!(identity(&make(&Cache::open(dir.path()).unwrap(), "a", 1)).unwrap(), first, "it was there");
        drop(Cache::with_limit(dir.path(), 0).unwrap());
        assert!(identity(&path).is_err(), "it is gone");
        assert_ne!(identity(&make(&Cache::open(dir.path()).unwrap(), "a", 1)).unwrap(), first);
    }

    #[test]
    fn a_live_run_loses_nothing_that_it_uses_and_a_run_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let one = Cache::with_limit(dir.path(), 1 << 20).unwrap();
        let (scratch, fast) = (one.scratch("s").unwrap(), one.fast_scratch("s").unwrap());
        let path = make(&one, "a", 2 << 20);
        let other = Cache::with_limit(dir.path(), 1 << 20).unwrap();
        let theirs = make(&other, "b", 4096);
        drop(other);
        assert!(scratch.exists() && fast.exists() && path.exists(), "another run has come and gone");
        assert!(!theirs.exists(), "it was too much, and its run has ended");
        drop(one);
        assert!(!scratch.exists() && !fast.exists() && !path.exists());
        assert_eq!(names(&dir.path().join("tmp")), Vec::<String>::new());
        assert_eq!(names(&dir.path().join(FILES)), Vec::<String>::new());
    }

    #[test]
    fn what_was_made_shortly_before_a_power_loss_is_made_anew() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(dir.path()).unwrap();
        let [lost, here, kept] = ["lost", "here", "kept"].map(|key| make(&cache, key, 1));
        assert!(beside(&lost, NEW).exists());
        // Of another start of the machine, cut off in the middle, of this one, and settled.
        fs::write(beside(&lost, NEW), "another").unwrap();
        let tree = cache.tree("t", "t", "a", |dir| Ok(fs::write(dir.join("file"), "")?)).unwrap();
        fs::write(beside(&tree, NEW), "").unwrap();
        fs::remove_file(beside(&kept, NEW)).unwrap();
        let other = Cache::open(dir.path()).unwrap();
        assert_eq!([&lost, &tree, &here, &kept].map(|path| path.exists()), [false, false, true, true]);
        assert!(!beside(&lost, "key").exists() && !beside(&tree, NEW).exists());
        drop(other);
        assert!(here.exists() && !beside(&here, NEW).exists(), "a run has ended, and all is on the disk");
    }

    #[test]
    fn compiled_dependencies_take_room_from_the_rest() {
        let dir = tempfile::tempdir().unwrap();
        let limit = 1 << 20;
        let path = make(&Cache::with_limit(dir.path(), limit).unwrap(), "a", 4096);
        assert!(path.exists());
        fs::create_dir(dir.path().join(COMPILED)).unwrap();
        fs::write(dir.path().join(COMPILED).join("lib"), vec![1; 2 << 20]).unwrap();
        drop(Cache::with_limit(dir.path(), limit).unwrap());
        assert!(!path.exists() && dir.path().join(COMPILED).join("lib").exists());
    }

    #[test]
    fn paths_that_mount_options_cannot_have_are_refused_with_the_way_on() {
        let dir = tempfile::tempdir().unwrap();
        for (name, good) in [("a-b_c.d", true), ("müll", true), ("a b", false), ("a,b", false), ("a:b", false)] {
            let opened = Cache::open(&dir.path().join(name));
            assert_eq!(opened.is_ok(), good, "{name}");
            let said = opened.err().map(|error| error.to_string()).unwrap_or_default();
            assert_eq!(said.contains("XDG_CACHE_HOME=/var/cache"), !good, "{said}");
            assert_eq!(dir.path().join(name).exists(), good, "{name}");
        }
    }

    #[test]
    fn two_runs_that_want_the_same_make_it_once() {
        let dir = tempfile::tempdir().unwrap();
        let caches = [Cache::open(dir.path()).unwrap(), Cache::open(dir.path()).unwrap()];
        let made = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for cache in caches.iter().chain(&caches) {
                scope.spawn(|| {
                    let make = |path: &Path| {
                        std::thread::sleep(std::time::Duration::from_millis(50));
                        made.fetch_add(1, Ordering::Relaxed);
                        Ok(fs::write(path, "")?)
                    };
                    cache.file("x", "x", "a", make).unwrap()
                });
            }
        });
        assert_eq!(made.into_inner(), 1);
    }
}
