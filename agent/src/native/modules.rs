//! Kernel modules by modalias, from the index the builder wrote; a few threads, because a driver's start is mostly waiting for hardware.

mod file;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ffi::CString;
use std::fs;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::clock;
use crate::config::Modules;
use crate::env::Env;
use crate::exec::ModuleError;
use crate::facts::{Drivers, PATIENCE};
use crate::layout;
use crate::modindex::{self, Index, Loadable};
use crate::patient::Apart;
use file::{Fault, Shared, hand_over};

/// Threads that load. More than processors: most of a probe is waiting.
const WORKERS: usize = 4;
/// How long all else waits for `rd.driver.pre=`.
const FIRST: Duration = Duration::from_secs(3);

/// What is wanted of a worker.
enum Job {
    Alias(String),
    Name(String),
}

/// Which devices must have answered before a module counts as loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Probes {
    /// All that any driver looks at.
    All,
    /// None.
    None,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Job>,
    seen: BTreeSet<String>,
    loaded: BTreeSet<String>,
    /// What workers load.
    busy: Vec<Busy>,
    /// Workers so far. One that waits for a device for long gets a successor.
    workers: usize,
    /// Drivers that have been waited for long enough.
    silent: Vec<String>,
    on_idle: Option<Box<dyn Fn() + Send>>,
}

/// What a worker loads, and since when.
struct Busy {
    worker: usize,
    name: String,
    since: Instant,
}

impl State {
    fn begin(&mut self, worker: usize, name: &str) {
        self.busy.retain(|busy| busy.worker != worker);
        self.busy.push(Busy { worker, name: name.to_owned(), since: Instant::now() });
    }
}

/// Loads modules on demand.
pub struct Loader {
    env: Env,
    index: Index<'static>,
    blacklist: BTreeSet<String>,
    parameters: BTreeMap<String, String>,
    shared: Shared,
    state: Mutex<State>,
    work: Condvar,
}

impl Loader {
    /// Reads the index, loads `rd.driver.pre=` and starts the workers. Without an index, everything is built in.
    pub fn start(env: &Env, wanted: &Modules) -> Arc<Self> {
        let loader = Arc::new(Self::new(env, wanted));
        link_modprobe(env);
        loader.load_all(&wanted.pre, FIRST);
        (0..WORKERS).for_each(|_| loader.hire());
        loader
    }

    fn hire(self: &Arc<Self>) {
        let mut state = self.lock();
        let (worker, number) = (Arc::clone(self), state.workers);
        state.workers += 1;
        drop(state);
        if let Err(error) = thread::Builder::new().spawn(move || worker.work(number)) {
            log::error!("a thread that loads drivers: {error}");
        }
    }

    /// How far the drivers are. One that does not come back had its time, and others are loaded in its place.
    pub fn progress(self: &Arc<Self>) -> Drivers {
        let mut state = self.lock();
        let late = |busy: &&Busy| busy.since.elapsed() >= PATIENCE;
        let silent: Vec<String> = state.busy.iter().filter(late).map(|busy| busy.name.clone()).collect();
        let new: Vec<String> = silent.iter().filter(|name| !state.silent.contains(name)).cloned().collect();
        state.silent.extend(new.iter().cloned());
        let busy = !state.queue.is_empty() || state.busy.len() > silent.len();
        drop(state);
        for name in new {
            log::warn!("driver {name} does not come back from its hardware, going on without it");
            self.hire();
        }
        Drivers { busy, silent }
    }

    fn new(env: &Env, wanted: &Modules) -> Self {
        let text = fs::read_to_string(env.path(layout::MODULE_INDEX)).unwrap_or_default();
        // The index is used until the very end of this program.
        let text: &'static str = Box::leak(text.into_boxed_str());
        let index = if text.is_empty() {
            log::info!("no module index: all drivers must be built in");
            Index::default()
        } else {
            Index::parse(text).unwrap_or_else(|error| {
                log::error!("{}: {error}, going on without modules", layout::MODULE_INDEX);
                Index::default()
            })
        };
        if let Some(running) = env.text("proc/sys/kernel/osrelease")
            && !index.kernel().is_empty()
            && index.kernel() != running
        {
            log::error!("modules in the initrd are for kernel {}, running is {running}", index.kernel());
        }
        Self {
            env: env.clone(),
            index,
            blacklist: wanted.blacklist.iter().map(|name| modindex::normalise(name)).collect(),
            parameters: wanted.parameters.iter().cloned().collect(),
            shared: Shared::default(),
            state: Mutex::new(State::default()),
            work: Condvar::new(),
        }
    }

    /// A poisoned lock means a thread of ours panicked; its data is still the best there is.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for the drivers of a device; each modalias is looked up once.
    pub fn announce(&self, modalias: &str) {
        let mut state = self.lock();
        if state.seen.insert(modalias.to_owned()) {
            state.queue.push_back(Job::Alias(modalias.to_owned()));
            self.work.notify_one();
        }
    }

    /// Asks for a module by name, without waiting for it.
    pub fn request(&self, name: &str) {
        self.lock().queue.push_front(Job::Name(name.to_owned()));
        self.work.notify_one();
    }

    /// Asks for the drivers of all devices the kernel has found so far.
    pub fn coldplug(&self, env: &Env) {
        let Ok(buses) = fs::read_dir(env.path("sys/bus")) else { return };
        for bus in buses.flatten() {
            let Ok(devices) = fs::read_dir(bus.path().join("devices")) else { continue };
            for device in devices.flatten() {
                if let Ok(modalias) = fs::read_to_string(device.path().join("modalias")) {
                    self.announce(modalias.trim_end());
                }
            }
        }
        // An empty machine is idle from the start; whoever waits for that must hear of it.
        self.notify_if_idle(self.lock());
    }

    /// Sets what is called each time the loader becomes idle.
    pub fn on_idle(&self, call: Box<dyn Fn() + Send>) {
        self.lock().on_idle = Some(call);
    }

    fn notify_if_idle(&self, state: MutexGuard<'_, State>) {
        if state.queue.is_empty()
            && state.busy.is_empty()
            && let Some(call) = &state.on_idle
        {
            call();
        }
    }

    fn work(&self, worker: usize) {
        loop {
            let mut state = self.lock();
            let job = loop {
                match state.queue.pop_front() {
                    Some(job) => break job,
                    None => state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner),
                }
            };
            let (Job::Alias(name) | Job::Name(name)) = &job;
            state.begin(worker, name);
            drop(state);
            self.do_job(&job, worker);
            self.ended(worker);
        }
    }

    fn do_job(&self, job: &Job, worker: usize) {
        let names = match job {
            Job::Name(name) => vec![name.as_str()],
            Job::Alias(alias) => {
                self.index.matches(alias).into_iter().filter(|name| !self.blacklist.contains(*name)).collect()
            }
        };
        for name in names {
            let mut state = self.lock();
            // Somebody loads it: the kernel would let this worker wait for that.
            if state.busy.iter().any(|busy| busy.worker != worker && busy.name == name) {
                continue;
            }
            // Each has patience of its own.
            state.begin(worker, name);
            drop(state);
            // A driver that finds no hardware refuses with ENODEV; that is an answer, not a fault.
            let probes = if matches!(job, Job::Name(_)) { Probes::None } else { Probes::All };
            if let Err(why) = self.load_with(name, probes) {
                log::debug!("{why}");
            }
        }
    }

    /// Loads several modules by name, in order, and waits for that, at most for `wait`. What fails is logged; what does not come back
    /// from its hardware goes on alone, and has as much patience as a driver that a device asks for.
    pub fn load_all(self: &Arc<Self>, names: &[String], wait: Duration) {
        if names.is_empty() {
            return;
        }
        let mut state = self.lock();
        let (worker, loader, names) = (state.workers, Arc::clone(self), names.to_vec());
        state.workers += 1;
        drop(state);
        let thread = Apart::begin(move || {
            for name in &names {
                loader.lock().begin(worker, &modindex::normalise(name));
                if let Err(why) = loader.load(name) {
                    log::warn!("{why}, ignoring");
                }
            }
            loader.ended(worker);
        });
        match thread {
            Ok(all) => drop(all.within(wait)),
            Err(error) => log::error!("a thread that loads drivers: {error}"),
        }
        self.progress();
    }

    /// A worker has nothing to load any more.
    fn ended(&self, worker: usize) {
        let mut state = self.lock();
        state.busy.retain(|busy| busy.worker != worker);
        self.notify_if_idle(state);
    }

    /// Loads a module by name or alias, with all it needs, and waits for it and its devices.
    ///
    /// # Errors
    /// The module that failed, and why.
    pub fn load(&self, name: &str) -> Result<(), ModuleError> {
        self.load_with(name, Probes::All)
    }

    /// As [`Loader::load`], without a wait for any device: a file system has none, and those that drivers look at meanwhile may never
    /// answer.
    ///
    /// # Errors
    /// As [`Loader::load`].
    pub fn load_apart(&self, name: &str) -> Result<(), ModuleError> {
        self.load_with(name, Probes::None)
    }

    /// As [`Loader::load_apart`]. When `limit` is over ([`ModuleError::Silent`]) it goes on alone.
    ///
    /// # Errors
    /// As [`Loader::load`].
    pub fn load_within(self: &Arc<Self>, name: &str, limit: Duration) -> Result<(), ModuleError> {
        let (loader, module) = (Arc::clone(self), name.to_owned());
        let silent = |_| Err(ModuleError::Silent(name.to_owned(), limit.as_secs()));
        let work = Apart::begin(move || loader.load_apart(&module));
        work.map_or_else(|_| self.load_apart(name), |work| work.within(limit).unwrap_or_else(silent))
    }

    fn load_with(&self, name: &str, probes: Probes) -> Result<(), ModuleError> {
        if self.index.is_builtin(name) {
            return Ok(());
        }
        let mut names = vec![name.to_owned()];
        if !self.index.contains(name) {
            names = self.index.matches(name).into_iter().map(str::to_owned).collect();
        }
        if names.is_empty() {
            return Err(ModuleError::Absent(name.to_owned()));
        }
        for name in &names {
            let order = self.index.load_order(name);
            for module in &order {
                let result = self.insert(*module, probes);
                // Soft dependencies and what they pull in may fail; the module itself must not.
                if modindex::normalise(name) == module.name {
                    result?;
                } else if let Err(why) = result {
                    log::debug!("{why}");
                }
            }
        }
        Ok(())
    }

    /// What the kernel is told with a module. `async_probe` is one of all modules (Linux 4.2, `kernel/module/main.c`): without it, the
    /// kernel waits until every device that is just being looked at has answered, this module's or not (attacks.md F1).
    fn arguments(&self, module: Loadable<'_>, probes: Probes) -> String {
        let given = self.parameters.get(module.name).map_or("", String::as_str);
        let apart = if probes == Probes::None { "async_probe" } else { "" };
        [module.parameters, given, apart].into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join(" ")
    }

    fn insert(&self, module: Loadable<'_>, probes: Probes) -> Result<(), ModuleError> {
        if self.lock().loaded.contains(module.name) {
            return Ok(());
        }
        let parameters = CString::new(self.arguments(module, probes))
            .map_err(|_| ModuleError::Parameters(module.name.to_owned()))?;
        let begin = Instant::now();
        let result = hand_over(&self.env, &self.env.path(module.file), &parameters, &self.shared).map_err(|fault| {
            let name = module.name.to_owned();
            match fault {
                Fault::Io(error) => ModuleError::Refused(name, module.file.to_owned(), error),
                Fault::Dictionary(why) => ModuleError::Dictionary(name, why),
            }
        });
        log::debug!("module {} [{:.1} ms]", module.name, clock::milliseconds(begin.elapsed()));
        match &result {
            Ok(()) => drop(self.lock().loaded.insert(module.name.to_owned())),
            // Said once, and aloud: of the drivers that devices ask for nobody waits for one by name.
            Err(why @ ModuleError::Dictionary(..)) if !self.shared.told.swap(true, Ordering::Relaxed) => {
                log::error!("{why}; {}", why.remedy(module.name));
            }
            Err(_) => {}
        }
        result
    }
}

/// The kernel asks `/sbin/modprobe` for what only it knows it needs: character sets, crypto. A link to ourselves answers ([`modprobe`]).
fn link_modprobe(env: &Env) {
    let path = env.text("proc/sys/kernel/modprobe").filter(|path| path.starts_with('/'));
    let Some(path) = path.map(|path| env.path(path)) else { return };
    if path.exists() {
        return;
    }
    let made = path.parent().map_or(Ok(()), fs::create_dir_all);
    if let Err(error) = made.and_then(|()| std::os::unix::fs::symlink("/init", &path)) {
        log::debug!("{}: {error}", path.display());
    }
}

/// What the kernel runs as `modprobe -q -- NAME`.
///
/// # Errors
/// The module that failed, and why.
pub fn modprobe(env: &Env, arguments: &[String]) -> Result<(), ModuleError> {
    let names = arguments.iter().filter(|argument| !argument.starts_with('-'));
    let loader = Loader::new(env, &Modules::default());
    for name in names {
        loader.load_apart(name)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
