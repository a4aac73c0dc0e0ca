# Drivers for a medium in the usual virtual machine or PC: optical drives, disks, USB sticks, NVMe.
# A line is a module name, "dir PATH" for all modules below kernel/PATH and what replaces them, "beside" for the drivers of disks
# beside the kernel's own, "not NAME" to leave one of those out, "keyboard NAME" for a module that no medium needs (modprobe.d may
# forbid it), or "include PROFILE". A module that this kernel does not have, or has built in, is passed over.

# The stack of a live root.
loop
squashfs
erofs
overlay
isofs
# Loaded only for a root that is a block device.
dm_mod
dm_snapshot
dm_thin_pool
# File systems that an ISO file or an image may lie on.
vfat
exfat
ntfs3
ext4
nls_ascii
nls_cp437
nls_iso8859_1
nls_utf8

# Buses and disks.
virtio_pci
virtio_mmio
virtio_blk
virtio_scsi
ahci
ata_piix
ata_generic
nvme
sd_mod
sr_mod
cdrom
usb_storage
uas
xhci_pci
xhci_hcd
ehci_pci
ehci_hcd
uhci_hcd
ohci_pci
ohci_hcd

# Keyboards, for the rescue prompt; the report channel of the lab.
keyboard usbhid
keyboard hid_generic
keyboard i8042
keyboard atkbd
keyboard virtio_console
