//! `seed TARGET DIRECTORY IMAGE…`: what a target reads of each image, as an input for it to begin with. The image itself would be
//! megabytes of what nobody looks at.

use std::error::Error;
use std::fs::{self, File};
use std::path::Path;

// The compiler's hooks for coverage are in it.
use libfuzzer_sys as _;
use rdlive::fuzzing;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, target, directory, images @ ..] = arguments.as_slice() else {
        return Err("seed TARGET DIRECTORY IMAGE...".into());
    };
    let read: fn(&mut dyn fuzzing::Medium) = match target.as_str() {
        "identify" => fuzzing::superblocks,
        "table" => fuzzing::tables,
        "iso" => fuzzing::volume,
        "left" => fuzzing::left,
        other => return Err(format!("{other} does not read disks").into()),
    };
    for image in images {
        let file = File::open(image)?;
        let size = file.metadata()?.len();
        let name = Path::new(image).file_name().unwrap_or_default();
        fs::write(Path::new(directory).join(name), fuzzing::seed(file, size, read)?)?;
    }
    Ok(())
}
