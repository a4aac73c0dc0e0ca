//! Lists of a machine's own storage: pools, volumes, targets, and the names by which it logs in to them.

use std::path::{Path, PathBuf};

use super::{Left, Tree};
use crate::tree::resolve;

/// Files, and directories of files.
const LISTS: [&str; 9] = [
    "etc/zfs/zpool.cache",
    "etc/lvm/devices/system.devices",
    // What systemd's generator of ZFS makes mount units from.
    "etc/zfs/zfs-list.cache",
    // open-iscsi: a directory for each target, with a file, or a directory of files, for each address.
    "etc/iscsi/nodes",
    "var/lib/iscsi/nodes",
    INITIATOR,
    "etc/nvme/hostnqn",
    "etc/nvme/hostid",
    "etc/nvme/discovery.conf",
];

/// The name of the machine for iSCSI targets, or the wish that its first start makes one.
const INITIATOR: &str = "etc/iscsi/initiatorname.iscsi";

/// How many directories deep the files of a list may lie.
const DEPTH: u8 = 4;

impl Tree<'_> {
    /// Lists of a machine's own storage.
    pub(super) fn lists(&self, left: &mut Left) {
        let mut names = Vec::new();
        for list in LISTS {
            let files = self.files(list, DEPTH);
            if files.is_empty() || (list == INITIATOR && !files.iter().any(|file| self.is_named(file))) {
                continue;
            }
            names.push(format!("/{list}"));
            left.removed.extend(files);
        }
        if !names.is_empty() {
            left.note("lists of its disks", &names);
        }
    }

    fn is_named(&self, initiator: &Path) -> bool {
        self.text(initiator).lines().any(|line| line.trim_start().starts_with("InitiatorName="))
    }

    /// This file, or the files below this directory.
    fn files(&self, path: &str, depth: u8) -> Vec<PathBuf> {
        let is_dir = resolve(self.root, Path::new(path)).is_some_and(|found| found.is_dir());
        if !is_dir || depth == 0 {
            return self.file(path).into_iter().collect();
        }
        self.names(path).iter().flat_map(|name| self.files(&format!("{path}/{name}"), depth - 1)).collect()
    }
}
