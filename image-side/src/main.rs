//! `rdlive-image`: builds, inspects and changes live media.
fn main() {}
