//! Reading and writing JSON. Each type is read from and written to one kind of thing, a value: text as well, compact or not, would be in
//! the program once more for each.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Reads a value.
///
/// # Errors
/// The text is no JSON, or none of this type.
pub fn read<T: DeserializeOwned>(text: &[u8]) -> serde_json::Result<T> {
    serde_json::from_value(serde_json::from_slice::<Value>(text)?)
}

/// Text in one line; keys are in the order of their letters.
///
/// # Errors
/// Not with what is derived.
pub fn line(of: &impl Serialize) -> serde_json::Result<String> {
    serde_json::to_string(&serde_json::to_value(of)?)
}

/// The same for people.
///
/// # Errors
/// As [`line`].
pub fn lines(of: &impl Serialize) -> serde_json::Result<Vec<u8>> {
    serde_json::to_vec_pretty(&serde_json::to_value(of)?)
}
