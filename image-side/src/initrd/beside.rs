//! Drivers that lie beside the kernel's own: of vendors, of distributions' kmods and driver disks, of dkms. depmod lets them replace
//! those of the same name (depmod.d(5), `search`).

use super::decompress::read_module;
use super::kmod::ModuleTree;

/// Buses whose devices have a modalias (`scripts/mod/file2alias.c` of Linux); other aliases name no hardware.
const BUSES: [&str; 7] = ["pci:", "usb:", "acpi", "of:", "virtio:", "vmbus:", "xen:"];

/// Functions of the kernel without which a driver has no disks: those that make a host of SCSI, ATA, NVMe, UFS, memory cards or
/// persistent memory, or the disk itself. Names of others may end so.
const MAKES_DISKS: [&str; 13] = [
    "scsi_host_alloc",
    "ata_host_alloc",
    "ata_host_alloc_pinfo",
    "ata_pci_bmdma_init_one",
    "ata_pci_bmdma_prepare_host",
    "ata_pci_sff_init_one",
    "nvme_init_ctrl",
    "ufshcd_alloc_host",
    "mmc_alloc_host",
    "sdhci_alloc_host",
    "memstick_alloc_host",
    "nvdimm_bus_register",
    "device_add_disk",
];

/// Whether a module of this path below the module directory lies beside the kernel's own.
pub fn is_beside(path: &str) -> bool {
    !path.starts_with("kernel/")
}

/// Names of the drivers of disks that lie beside the kernel's own, whatever they and their directories are called.
pub fn drivers_of_disks(tree: &ModuleTree) -> impl Iterator<Item = &str> {
    let beside = tree.files().filter(|(_, file)| is_beside(&file.path)).map(|(name, _)| name);
    beside.filter(|name| {
        let aliases: Vec<&str> = tree.aliases().filter(|(_, of)| of == name).map(|(pattern, _)| pattern).collect();
        let hardware = aliases.iter().any(|pattern| BUSES.iter().any(|bus| pattern.starts_with(bus)));
        hardware && (aliases.iter().any(|pattern| is_of_disks(pattern)) || makes_disks(tree, name))
    })
}

/// Whether an alias is for PCI's class of mass storage, 01.
fn is_of_disks(pattern: &str) -> bool {
    pattern.starts_with("pci:") && pattern.contains("bc01")
}

/// Which functions a module calls stands in its table of names. A list of the modules it depends on would not do: the kernel may
/// have them built in.
fn makes_disks(tree: &ModuleTree, name: &str) -> bool {
    let module = tree.file(name).and_then(|file| read_module(&tree.path(&file.path)).ok()).unwrap_or_default();
    let mut names = module.split(|byte| *byte == 0);
    names.any(|name| MAKES_DISKS.iter().any(|symbol| name.ends_with(symbol.as_bytes())))
}
