//! From where a loader or the firmware has loaded what runs, where it has left word of that (network-field.md kind 26): what they show as
//! a drive, Linux often cannot see.

use serde::{Deserialize, Serialize};

use super::{Device, human, is_optical};
use crate::error::Stop;

/// What they have left.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Loaded {
    /// memdisk holds an image in RAM (table mBFT).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub memdisk: bool,
    /// The AoE device that was booted from, as in `e0.1` (table aBFT).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aoe: Option<String>,
    /// The iSCSI target (table iBFT).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iscsi: Option<String>,
    /// The firmware has booted by HTTP; from where, if its boot entry says that (it is empty where DHCP has said it).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<String>,
    /// The firmware has a disk in its memory (table NFIT).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub ram_disk: bool,
    /// Bytes of the drives that a BIOS shows.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub drives: Vec<u64>,
    /// So many hard disks a BIOS counts.
    #[serde(skip_serializing_if = "is_none")]
    pub disks: u8,
    /// A program in the RAM does what a BIOS does for drives.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub hooked: bool,
}

fn is_none(disks: &u8) -> bool {
    *disks == 0
}

impl Loaded {
    /// Adds to an error that says that there is no medium what was found, and what to type then.
    #[must_use]
    pub fn explain(&self, stop: Stop, devices: &[Device]) -> Stop {
        let told = self.told(devices);
        let Some((_, advice)) = told.first() else { return stop };
        let advice = format!("{advice}; or {}", stop.advice);
        let found: Vec<String> = stop.found.iter().cloned().chain(told.into_iter().map(|(line, _)| line)).collect();
        stop.found(found).advice(advice)
    }

    /// What was found, and what to do about it, the surest first.
    fn told(&self, devices: &[Device]) -> Vec<(String, String)> {
        let fetch = |url: &str| format!("root=live:{url} fetches the ISO itself");
        let mut told = Vec::new();
        if let Some(node) = &self.aoe {
            let line =
                format!("the loader has booted from the AoE device {node}, which the kernel does not see by itself");
            told.push((line, format!("root=live:AOEINTERFACE={node}")));
        }
        if self.memdisk {
            let line = "loaded by memdisk: the kernel cannot see that drive".to_owned();
            told.push((line, fetch("URL")));
        }
        if let Some(url) = &self.http {
            // What firmware has loaded may be a loader.
            let is_image = [".iso", ".img"].iter().any(|end| url.to_ascii_lowercase().ends_with(end));
            let from = if url.is_empty() { String::new() } else { format!(" from {url}") };
            let line = format!("loaded by HTTP{from}: the kernel cannot see that drive");
            told.push((line, fetch(if is_image { url } else { "URL" })));
        }
        if self.ram_disk && !devices.iter().any(|device| device.name.starts_with("pmem")) {
            let line = "the firmware has a disk in its memory (NFIT), and no driver shows it".to_owned();
            let advice = "an initrd with nfit and nd_pmem (--add-module nfit --add-module nd_pmem) shows it".to_owned();
            told.push((line, advice));
        }
        if let Some(target) = &self.iscsi {
            let line = format!("the loader has booted from the iSCSI target {target}, which rdlive does not reach");
            told.push((line, format!("rd.iscsi.firmware=1 in an initrd of dracut with iscsi, or {}", fetch("URL"))));
        }
        // Whoever has left a table has left a drive too.
        if told.is_empty() && self.hooked {
            let line =
                "loaded by memdisk, sanboot or the like: the kernel cannot see the drive that they show".to_owned();
            told.push((line, fetch("URL")));
        }
        if told.is_empty()
            && let Some(drive) = self.drive(devices)
        {
            let line =
                format!("the BIOS shows {drive} that the kernel cannot see (sanboot, memdisk, or no driver for it)");
            told.push((line, fetch("URL")));
        }
        told
    }

    /// A drive of the BIOS that is none of the kernel's: one of a size that none of those has, or one more than those.
    fn drive(&self, devices: &[Device]) -> Option<String> {
        let unseen = self.drives.iter().find(|bytes| !devices.iter().any(|device| device.size == **bytes));
        let is_disk = |device: &&Device| device.parent.is_none() && device.size > 0 && !is_optical(&device.name);
        let more = usize::from(self.disks) > devices.iter().filter(is_disk).count();
        unseen.map(|bytes| format!("a drive of {}", human(*bytes))).or_else(|| more.then(|| "a drive".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;

    #[test]
    fn k26_who_has_loaded_it_is_said_with_what_to_type() {
        let text = |text: &str| Some(text.to_owned());
        let none = Loaded::default;
        let iso = "http://u@10.9.0.1/live.iso";
        for (loaded, line, advice) in [
            (Loaded { memdisk: true, ..none() }, "loaded by memdisk: the kernel cannot see", "root=live:URL fetches"),
            (Loaded { aoe: text("e0.1"), ..none() }, "AoE device e0.1", "root=live:AOEINTERFACE=e0.1; or "),
            (
                Loaded { http: text(iso), ..none() },
                "loaded by HTTP from http://u@10.9.0.1/live.iso: the",
                "root=live:http://u@",
            ),
            (Loaded { http: text("http://h/x.efi"), ..none() }, "loaded by HTTP from http://h/x.efi", "root=live:URL "),
            (Loaded { http: text(""), ..none() }, "loaded by HTTP: the kernel cannot see", "root=live:URL "),
            (Loaded { ram_disk: true, ..none() }, "in its memory (NFIT)", "--add-module nfit"),
            (Loaded { iscsi: text("iqn.x:y"), ..none() }, "iSCSI target iqn.x:y", "rd.iscsi.firmware=1"),
            (Loaded { drives: vec![64 << 20], ..none() }, "a drive of 64 MiB that the kernel", "root=live:URL "),
            (Loaded { disks: 1, ..none() }, "the BIOS shows a drive that the kernel cannot see", "root=live:URL "),
            (Loaded { hooked: true, disks: 1, ..none() }, "loaded by memdisk, sanboot or the like", "root=live:URL "),
            // A drive that memdisk shows is said once.
            (Loaded { memdisk: true, drives: vec![5 << 20], ..none() }, "loaded by memdisk", "root=live:URL "),
        ] {
            let stop = loaded.explain(Stop::new(Code::MediumNotFound, "no medium"), &[]);
            assert_eq!(stop.found.len(), 1, "{loaded:?}: {stop:?}");
            assert!(stop.found[0].contains(line), "{loaded:?}: {stop:?}");
            assert!(stop.advice.contains(advice) && stop.advice.contains("; or plug"), "{loaded:?}: {stop:?}");
            assert_eq!(serde_json::from_str::<Loaded>(&serde_json::to_string(&loaded).unwrap()).unwrap(), loaded);
        }
    }

    #[test]
    fn k26_what_the_kernel_sees_is_no_riddle() {
        let device = |name: &str, size| Device { name: name.to_owned(), size, ..Device::default() };
        let devices = [device("pmem0", 64 << 20), device("sda", 3 << 30)];
        let loaded = Loaded { ram_disk: true, drives: vec![3 << 30], disks: 2, ..Loaded::default() };
        let stop = Stop::new(Code::MediumNotFound, "no medium").found(["sda"]);
        assert_eq!(loaded.explain(stop.clone(), &devices), stop);
        assert_eq!(Loaded::default().explain(stop.clone(), &[]), stop);
    }
}
