//! Reading JSON into types. Each type is read from one kind of source, a parsed value: read from text as well, it would be in the
//! program twice.

use serde::de::DeserializeOwned;
use serde_json::Value;

/// Reads a value.
///
/// # Errors
/// The text is no JSON, or none of this type.
pub fn read<T: DeserializeOwned>(text: &[u8]) -> serde_json::Result<T> {
    serde_json::from_value(serde_json::from_slice::<Value>(text)?)
}
