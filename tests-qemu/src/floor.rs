//! The floor's initramfs: one program, and exactly the modules that an IDE CD needs, unpacked.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::guest::{self, Tree};
use crate::lab::Lab;
use crate::tool;

/// What stands between the kernel and an ext4 in a squashfs on an IDE CD.
pub const WANTED: &[&str] = &["ata_piix", "sr_mod", "isofs", "loop", "squashfs", "crc32c_generic", "ext4", "overlay"];

/// Writes the initramfs for a kernel of `tree`.
pub fn initrd(lab: &Lab, tree: Tree, version: &str, path: &Path) -> Result<()> {
    let root = tree.ensure(lab)?;
    let modules = root.join("usr/lib/modules").join(version);
    let order = load_order(&fs::read_to_string(modules.join("modules.dep"))?)?;
    let stage = lab.cache.scratch("floor")?;
    for dir in ["modules", "dev", "live", "container", "lower", "write", "sysroot", "proc"] {
        fs::create_dir_all(stage.join(dir))?;
    }
    guest::copy_program(&lab.built.guest.path, &stage.join("init"))?;
    let mut names = String::new();
    for module in &order {
        let name = module.rsplit('/').next().unwrap_or(module).trim_end_matches(".xz").trim_end_matches(".zst");
        unpack(&modules.join(module), &stage.join("modules").join(name))?;
        names.push_str(name);
        names.push('\n');
    }
    fs::write(stage.join("floor.modules"), names)?;
    tool::shell("cd \"$1\"; find . -print0 | cpio -0 -o -H newc --quiet | zstd -q -19 -o \"$2\"", &[&stage, path])?;
    crate::remove::tree(&stage)?;
    Ok(())
}

fn unpack(from: &Path, to: &Path) -> Result<()> {
    let tool_name = match from.extension().and_then(|ext| ext.to_str()) {
        Some("xz") => "xz",
        Some("zst") => "zstd",
        _ => {
            fs::copy(from, to)?;
            return Ok(());
        }
    };
    let output = Command::new(tool_name).arg("-dc").arg(from).output()?;
    fs::write(to, output.stdout).with_context(|| format!("writing {}", to.display()))
}

/// Modules and what they need, needed ones first (modules.dep lists the needs of each in reverse order of loading).
fn load_order(dep: &str) -> Result<Vec<String>> {
    let mut needs: HashMap<String, (&str, Vec<&str>)> = HashMap::new();
    for line in dep.lines() {
        let Some((file, rest)) = line.split_once(':') else {
            continue;
        };
        let base = file.rsplit('/').next().unwrap_or(file);
        let name = base.split('.').next().unwrap_or(base).replace('-', "_");
        needs.insert(name, (file, rest.split_whitespace().collect()));
    }
    let mut order: Vec<String> = Vec::new();
    for wanted in WANTED {
        let (file, before) = needs.get(*wanted).with_context(|| format!("no module {wanted} in modules.dep"))?;
        for module in before.iter().rev().chain([file]) {
            if !order.iter().any(|known| known == module) {
                order.push((*module).to_owned());
            }
        }
    }
    Ok(order)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn needed_modules_come_first_and_once() {
        let dep = "k/ata_piix.ko.xz: k/libata.ko.xz k/scsi_mod.ko.xz k/scsi_common.ko.xz\n\
                   k/sr_mod.ko.xz: k/cdrom.ko.xz k/scsi_mod.ko.xz k/scsi_common.ko.xz\n\
                   k/isofs.ko: \nk/loop.ko:\nk/squashfs.ko:\nk/crc32c_generic.ko:\nk/ext4.ko:\nk/overlay.ko:\nk/libata.ko.xz: k/scsi_mod.ko.xz\n";
        let order = load_order(dep).unwrap();
        let expected = [
            "k/scsi_common.ko.xz",
            "k/scsi_mod.ko.xz",
            "k/libata.ko.xz",
            "k/ata_piix.ko.xz",
            "k/cdrom.ko.xz",
            "k/sr_mod.ko.xz",
            "k/isofs.ko",
            "k/loop.ko",
            "k/squashfs.ko",
            "k/crc32c_generic.ko",
            "k/ext4.ko",
            "k/overlay.ko",
        ];
        assert_eq!(order, expected);
    }
}
