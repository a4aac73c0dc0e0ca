# Drivers for PCs, servers and the common hypervisors: everything a medium or a persistent area may sit on.
include minimal

# Drivers of disks that vendors, dkms and distributions' kmods have put beside the kernel's own, also under names of their own.
beside

dir drivers/ata
# Hardware of the ISA and PCMCIA days.
not pata_legacy
not pata_pcmcia

dir drivers/nvme/host
not nvme_fc
not nvme_rdma
not nvme_tcp
not nvme_fabrics

dir drivers/scsi
# Test drivers, tapes, changers, enclosures, targets and PCMCIA cards.
not scsi_debug
not st
not ch
not osst
not ses
not sg
not tcm_qla2xxx
not ppa
not imm
not aha152x_cs
not fdomain_cs
not nsp_cs
not qlogic_cs
not sym53c500_cs
not scsi_transport_srp
# Fibre Channel and iSCSI adapters: large, need firmware or a network set-up, and hold no live media.
not lpfc
not qla2xxx
not qla4xxx
not bfa
not csiostor
not qedf
not qedi
not bnx2fc
not bnx2i
not be2iscsi
not fnic
not snic
not fcoe
not libfc
not libfcoe
not libiscsi
not libiscsi_tcp
not iscsi_tcp
not iscsi_boot_sysfs
not scsi_transport_iscsi
not scsi_transport_fc
not cxgb3i
not cxgb4i
not libcxgbi
not efct
# Needs a firmware file from user space.
not aic94xx

mptspi
mptsas

dir drivers/usb/host
not sl811_hcd
not sl811_cs
dir drivers/usb/storage

mmc_block
sdhci_pci
sdhci_acpi
rtsx_pci_sdmmc
rtsx_usb_sdmmc
via_sdmmc
wbsd
alcor
toshsd
# Readers of cards of the first years, on PCI and USB.
tifm_7xx1
tifm_sd
cb710_mmc
vub300
ushc
# Memory Stick and its readers.
ms_block
mspro_block
jmb38x_ms
r592
rtsx_pci_ms
rtsx_usb_ms
tifm_ms

# USB of processors that can be host and device; dwc3_pci only makes the device that dwc3 drives.
dwc3_pci
dwc3

ufshcd_pci
# Solid state disks with a protocol of their own.
mtip32xx
thunderbolt
vmd

# Buses without a directory of disk drivers. Memory with a medium in it: what firmware has fetched over HTTP (nfit on PCs, of_pmem
# with a device tree), what a hypervisor lends (virtio_pmem), what memmap= names (nd_e820). With nd_pmem come libnvdimm and nd_btt.
nfit
nd_pmem
nd_e820
of_pmem
virtio_pmem
# Disks and drives on FireWire.
firewire_ohci
firewire_sbp2

# Hypervisors.
keyboard virtio_input
vmw_pvscsi
hv_vmbus
hv_storvsc
keyboard hyperv_keyboard
keyboard hid_hyperv
pci_hyperv
xen_blkfront
xen_scsifront
xen_pcifront
keyboard xen_kbdfront

# File systems of images and of persistent areas.
xfs
btrfs
udf
efivarfs
# Drives that a BIOS shows, for a boot that finds no medium.
edd

# Device mapper: snapshots, verity, encryption.
dm_mod
dm_snapshot
dm_thin_pool
dm_verity
dm_crypt
aes_generic
aesni_intel
xts
cbc
essiv
sha256_generic
sha256_ssse3
zram

# Keyboards with drivers of their own.
keyboard hid_a4tech
keyboard hid_apple
keyboard hid_belkin
keyboard hid_cherry
keyboard hid_chicony
keyboard hid_corsair
keyboard hid_cypress
keyboard hid_ezkey
keyboard hid_google_hammer
keyboard hid_holtek_kbd
keyboard hid_ite
keyboard hid_kensington
keyboard hid_keytouch
keyboard hid_lenovo
keyboard hid_logitech
keyboard hid_logitech_dj
keyboard hid_logitech_hidpp
keyboard hid_microsoft
keyboard hid_monterey
keyboard hid_ortek
keyboard hid_primax
keyboard hid_redragon
keyboard hid_samsung
keyboard hid_semitek
keyboard hid_sunplus
keyboard hid_topseed
keyboard hid_vivaldi
