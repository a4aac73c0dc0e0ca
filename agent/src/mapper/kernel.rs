//! The requests themselves.

use std::path::Path;
use std::time::Duration;

use devicemapper::{DM, DevId, DmError, DmFlags, DmName, DmNameBuf, DmOptions, errors};

use super::{Created, MapperError, Status, Target};
use crate::patient::Apart;

/// How long udev may take to confirm a device; the crate itself would wait for ever.
const UDEV_LIMIT: Duration = Duration::from_secs(5);
/// How long it may take where nobody will answer: enough for the kernel.
const ALONE_LIMIT: Duration = Duration::from_millis(100);
/// The rules by which udev answers.
const RULES: [&str; 3] = ["/usr/lib/udev/rules.d", "/lib/udev/rules.d", "/etc/udev/rules.d"];
const ANSWER: &str = "95-dm-notify.rules";

/// Makes a device from one target that covers it wholly, and waits until udev has named it, where there is udev.
///
/// # Errors
/// The request that failed; nothing is left of the device then.
pub fn create(name: &str, sectors: u64, target: &Target, read_only: bool) -> Result<Created, MapperError> {
    let dm = control(name)?;
    let id = dm_name(name)?;
    let flags = if read_only { DmFlags::DM_READONLY } else { DmFlags::empty() };
    let options = DmOptions::default().set_flags(flags);
    let info = dm.device_create(&id, None, options).map_err(failed(name, "making it"))?;
    let table = [(0, sectors, target.kind().to_owned(), target.parameters())];
    let loaded = dm
        .table_load(&DevId::Name(&id), &table, options)
        .map_err(failed(name, "loading its table"))
        .and_then(|_| resume(name, &id));
    match loaded {
        Ok(confirmed) => Ok(Created { minor: info.device().minor, unconfirmed: !confirmed }),
        Err(error) => {
            let _ = remove(name);
            Err(error)
        }
    }
}

/// Makes the loaded table the active one. `false` if udev did not answer.
fn resume(name: &str, id: &DmNameBuf) -> Result<bool, MapperError> {
    let owned = id.clone();
    let asked = bounded(move || {
        // Resuming is suspending without the flag.
        DM::new()?.device_suspend(&DevId::Name(&owned), DmOptions::default()).map(drop)
    });
    match asked {
        Some(result) => result.map(|()| true).map_err(failed(name, "making it active")),
        None => {
            let info = control(name)?.device_info(&DevId::Name(id)).map_err(failed(name, "looking at it"))?;
            let active = info.flags().contains(DmFlags::DM_ACTIVE_PRESENT);
            if active { Ok(false) } else { Err(error(name, "making it active", "the kernel does not answer")) }
        }
    }
}

/// Sends a message to a device's target.
///
/// # Errors
/// The request that failed.
pub fn message(name: &str, text: &str) -> Result<(), MapperError> {
    let id = dm_name(name)?;
    control(name)?.target_msg(&DevId::Name(&id), None, text).map(drop).map_err(failed(name, "sending a message"))
}

/// Removes a device that nobody uses; data it still holds is written first.
///
/// # Errors
/// "in use", or the request that failed.
pub fn remove(name: &str) -> Result<(), MapperError> {
    let id = dm_name(name)?;
    let dm = control(name)?;
    let info = dm.device_info(&DevId::Name(&id)).map_err(failed(name, "looking at it"))?;
    // The crate would try again for a second.
    if info.open_count() > 0 {
        return Err(error(name, "removing it", "in use"));
    }
    let asked = bounded(move || DM::new()?.device_remove(&DevId::Name(&id), DmOptions::default()).map(drop));
    // Without an answer of udev the device has gone all the same.
    asked.unwrap_or(Ok(())).map_err(failed(name, "removing it"))
}

/// How a device is doing.
///
/// # Errors
/// The request that failed: without such a device "No such device or address".
pub fn status(name: &str) -> Result<Status, MapperError> {
    let id = dm_name(name)?;
    let asked = control(name)?.table_status(&DevId::Name(&id), DmOptions::default().set_flags(DmFlags::DM_NOFLUSH));
    let (_, targets) = asked.map_err(failed(name, "asking for its status"))?;
    let first = targets.into_iter().next();
    let (_, sectors, kind, text) = first.ok_or_else(|| error(name, "asking for its status", "it has no table"))?;
    Ok(Status::parse(&kind, sectors, &text))
}

/// A device's table as the kernel has it: `<first sector> <sectors> <target> <parameters>`.
///
/// # Errors
/// The request that failed.
pub fn table(name: &str) -> Result<String, MapperError> {
    let id = dm_name(name)?;
    let options = DmOptions::default().set_flags(DmFlags::DM_STATUS_TABLE | DmFlags::DM_NOFLUSH);
    let asked = control(name)?.table_status(&DevId::Name(&id), options);
    let (_, targets) = asked.map_err(failed(name, "asking for its table"))?;
    let lines = targets.iter().map(|(start, length, kind, text)| format!("{start} {length} {kind} {text}"));
    Ok(lines.collect::<Vec<_>>().join("; "))
}

/// Does a request that waits for udev on a thread of its own; `None` when that took too long.
fn bounded<T: Send + 'static>(
    request: impl FnOnce() -> Result<T, DmError> + Send + 'static,
) -> Option<Result<T, DmError>> {
    let asked = match Apart::begin(request) {
        Ok(asked) => asked,
        // Nothing was asked; what follows asks the kernel, or says what it is told.
        Err(error) => {
            return Some(Err(DmError::Core(errors::Error::ContextInit(format!("no thread for it: {error}")))));
        }
    };
    let answers = RULES.iter().any(|dir| Path::new(dir).join(ANSWER).exists());
    asked
        .within(match Path::new("/run/udev/control").exists() {
            true if answers => UDEV_LIMIT,
            true => ALONE_LIMIT,
            // Without udev the crate does not wait, so there is only the kernel's own time, which ends by itself.
            false => Duration::MAX,
        })
        .ok()
}

fn control(name: &str) -> Result<DM, MapperError> {
    DM::new().map_err(failed(name, "opening /dev/mapper/control"))
}

fn dm_name(name: &str) -> Result<DmNameBuf, MapperError> {
    DmName::new(name).map(ToOwned::to_owned).map_err(failed(name, "naming it"))
}

fn error(name: &str, operation: &'static str, cause: &str) -> MapperError {
    MapperError { name: name.to_owned(), operation, cause: cause.to_owned() }
}

/// The crate's own text of a failed request is a dump of its header.
fn failed(name: &str, operation: &'static str) -> impl Fn(DmError) -> MapperError {
    move |refused| {
        let cause = match &refused {
            DmError::Core(errors::Error::Ioctl(_, _, _, errno)) => errno.desc().to_owned(),
            DmError::Core(errors::Error::ContextInit(words)) => words.clone(),
            other => other.to_string(),
        };
        error(name, operation, &cause)
    }
}
