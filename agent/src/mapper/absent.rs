//! A build without device-mapper: each request says so.

use super::{Made, MapperError, Status, Target};

fn absent<T>(name: &str, operation: &'static str) -> Result<T, MapperError> {
    let cause = "rdlive was built without device-mapper".to_owned();
    Err(MapperError { name: name.to_owned(), operation, cause })
}

/// Makes a device from one target that covers it wholly.
///
/// # Errors
/// Always.
pub fn create(name: &str, _sectors: u64, _target: &Target, _read_only: bool) -> Result<Made, MapperError> {
    absent(name, "making it")
}

/// Sends a message to a device's target.
///
/// # Errors
/// Always.
pub fn message(name: &str, _text: &str) -> Result<(), MapperError> {
    absent(name, "sending a message")
}

/// Removes a device.
///
/// # Errors
/// Always.
pub fn remove(name: &str) -> Result<(), MapperError> {
    absent(name, "removing it")
}

/// How a device is doing.
///
/// # Errors
/// Always.
pub fn status(name: &str) -> Result<Status, MapperError> {
    absent(name, "asking for its status")
}

/// A device's table as the kernel has it.
///
/// # Errors
/// Always.
pub fn table(name: &str) -> Result<String, MapperError> {
    absent(name, "asking for its table")
}
