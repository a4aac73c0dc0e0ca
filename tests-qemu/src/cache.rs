//! Everything the lab makes, under `target/lab`, keyed by what it was made from.

use std::collections::HashMap;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};

/// The lab's own directory; each artefact is made once per key, by whoever asks first.
pub struct Cache {
    root: PathBuf,
    locks: Mutex<HashMap<String, Arc<Mutex<()>>>>,
}

impl Cache {
    /// Opens (and makes) the directory.
    pub fn new(root: PathBuf) -> Result<Self> {
        for dir in ["cache", "tmp", "trees", "failed"] {
            let path = root.join(dir);
            fs::create_dir_all(&path).with_context(|| format!("making {}", path.display()))?;
        }
        Ok(Self { root, locks: Mutex::default() })
    }

    /// `target/lab`.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A fresh directory for work in progress; the caller removes it.
    pub fn scratch(&self, name: &str) -> Result<PathBuf> {
        static NUMBER: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let path = self.root.join("tmp").join(format!("{name}.{}.{number}", std::process::id()));
        fs::create_dir_all(&path).with_context(|| format!("making {}", path.display()))?;
        Ok(path)
    }

    /// Returns the file made under `key`, calling `make` with the path to write when it is not there yet.
    pub fn file(&self, name: &str, key: &str, make: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
        let file = format!("{name}-{:016x}", hash(key));
        let path = self.root.join("cache").join(&file);
        let lock = self.lock(&file);
        let _held = lock.lock().unwrap_or_else(PoisonError::into_inner);
        if path.exists() {
            // Fresh times tell `prune` what is in use.
            let _ = fs::File::open(&path).and_then(|f| f.set_modified(std::time::SystemTime::now()));
            return Ok(path);
        }
        let partial = self.root.join("cache").join(format!(".partial-{file}"));
        let _ = fs::remove_file(&partial);
        make(&partial).with_context(|| format!("making {name}"))?;
        fs::write(path.with_extension("key"), key)?;
        fs::rename(&partial, &path).with_context(|| format!("naming {}", path.display()))?;
        Ok(path)
    }

    /// A lock that serialises makers of one named thing (a guest tree).
    pub fn lock(&self, name: &str) -> Arc<Mutex<()>> {
        let mut locks = self.locks.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(locks.entry(name.to_owned()).or_default())
    }

    /// Removes artefacts that no run of the last `days` used.
    pub fn prune(&self, days: u64) -> Result<()> {
        let limit = std::time::Duration::from_secs(days * 86_400);
        for entry in fs::read_dir(self.root.join("cache"))?.flatten() {
            let age = entry.metadata()?.modified()?.elapsed().unwrap_or_default();
            if age > limit {
                let _ = fs::remove_file(entry.path());
            }
        }
        Ok(())
    }
}

/// Hash of a text.
pub fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

/// Hash of a file's bytes, or of all files below a directory with their names.
pub fn content_hash(path: &Path) -> Result<u64> {
    let mut hasher = DefaultHasher::new();
    add(path, &mut hasher).with_context(|| format!("reading {}", path.display()))?;
    Ok(hasher.finish())
}

fn add(path: &Path, hasher: &mut DefaultHasher) -> std::io::Result<()> {
    if path.is_dir() {
        let mut entries: Vec<PathBuf> =
            fs::read_dir(path)?.map(|entry| entry.map(|e| e.path())).collect::<Result<_, _>>()?;
        entries.sort();
        for entry in entries {
            entry.file_name().hash(hasher);
            add(&entry, hasher)?;
        }
        return Ok(());
    }
    let mut file = fs::File::open(path)?;
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(()),
            count => hasher.write(&buffer[..count]),
        }
    }
}
