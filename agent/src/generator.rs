//! placeholder
use std::io;
/// placeholder
pub fn run(_arguments: &[String]) -> io::Result<()> {
    Ok(())
}
