#!/bin/bash
# dracut module of rdlive: the agent, one unit or one hook that starts it, and the drivers a live medium needs.
#
# RDLIVE_AGENT names another agent than /usr/bin/rdlive of the tree the initrd is made from (for a build from source).

# The modules that answer to the same kargs, each with a file of its own: "NAME:FILE". This module may be asked for by these names too,
# through a link to its directory, or a module of that name that depends on it. Such a one has none of these files.
RDLIVE_ORIGINALS=(
    dmsquash-live:dmsquash-live-root.sh
    dmsquash-live-autooverlay:create-overlay.sh
    kiwi-live:parse-kiwi-live.sh
    livenet:livenetroot.sh
    overlayfs:mount-overlayfs.sh
    overlayfs-crypt:prepare-overlayfs-crypt.sh
)

# 255: only when asked for (--add rdlive, or another module depends on it), also in a host-only initrd.
check() {
    local agent
    agent=$(rdlive_agent)
    if [[ ! -f $agent ]]; then
        dwarn "rdlive: no agent at $agent (set RDLIVE_AGENT to use another file)"
        return 1
    fi
    return 255
}

# dracut's dm brings the rules by which udev names device-mapper devices, and dmsetup, which they call. Without dmsetup
# the agent names its devices itself.
depends() {
    echo base
    if find_binary dmsetup > /dev/null; then
        echo dm
    fi
    # Encrypted areas: a prompt that reaches plymouth and every console.
    if find_binary cryptsetup > /dev/null && ! rdlive_omits systemd \
        && rdlive_has systemd-ask-password systemd-ask-password systemd-tty-ask-password-agent; then
        echo systemd-ask-password
    fi
}

# File systems and layers are forced in, for they depend on the medium and not on the machine that builds the initrd.
installkernel() {
    # What the root is built from.
    hostonly='' instmods loop squashfs erofs overlay iso9660 udf isofs
    hostonly='' instmods dm_mod dm_snapshot dm_thin_pool
    # Where an ISO file or an image may lie, and the character sets their file names need.
    hostonly='' instmods vfat exfat ntfs3 ext4 xfs btrfs =fs/nls
    # Where a medium may be plugged in. dracut's kernel-modules adds the rest; these keep a host-only initrd bootable.
    hostonly='' instmods \
        sr_mod sd_mod cdrom \
        usb_storage uas xhci_pci xhci_hcd ehci_pci ohci_pci uhci_hcd \
        ahci ata_piix ata_generic nvme sdhci_pci mmc_block \
        virtio_pci virtio_blk virtio_scsi hv_storvsc vmw_pvscsi xen_blkfront
    # Memory that firmware or a hypervisor has put a medium in, and FireWire: buses without a directory of disk drivers.
    hostonly='' instmods nfit nd_pmem nd_e820 of_pmem virtio_pmem firewire_ohci firewire_sbp2
    # What firmware knows of the drive that it has booted from, for a boot that finds none.
    hostonly='' instmods edd efivarfs
    # Cards that an image may be fetched through, each PHY that one may ask the kernel for, and protocols. dracut finds their firmware.
    hostonly='' instmods \
        virtio_net vmxnet3 hv_netvsc ena xen_netfront pcnet32 \
        e1000 e1000e igb igc r8169 tg3 atlantic 8139cp 8139too \
        ixgbe i40e bnxt_en \
        r8152 ax88179_178a aqc111 asix cdc_ether cdc_eem cdc_ncm ch9200 dm9601 lan78xx mcs7830 pegasus r8153_ecm rndis_host rtl8150 \
        smsc75xx smsc95xx sr9700 sr9800 \
        =drivers/net/phy =drivers/net/mdio =drivers/net/pcs \
        af_packet ipv6 8021q aoe brd nfsv3 nfsv4
    # Encrypted areas: the target, and the ciphers and digests of LUKS as cryptsetup makes it.
    if find_binary cryptsetup > /dev/null; then
        hostonly='' instmods dm_crypt \
            xts cbc ecb essiv aes_generic sha1_generic sha256_generic sha512_generic af_alg algif_hash algif_skcipher \
            aesni_intel sha256_ssse3 sha512_ssse3 aes_ce_blk aes_neon_blk sha2_ce
    fi
    # dracut's own words for what is left out: names as regular expressions.
    if [ -n "${omit_drivers-}" ]; then
        local driver
        for driver in loop squashfs overlay isofs; do
            if [[ $driver =~ $omit_drivers ]]; then
                dwarn "rdlive: omit_drivers of dracut.conf leaves $driver out, without which no medium boots;" \
                    "take it out there, or name it in add_drivers"
            fi
        done
    fi
    return 0
}

install() {
    local agent
    agent=$(rdlive_agent)
    for other in "${RDLIVE_ORIGINALS[@]}"; do
        if rdlive_original "${other%%:*}" "${other#*:}"; then
            dfatal "rdlive: the dracut module ${other%%:*} answers to the same kargs (use --omit ${other%%:*})"
            exit 1
        fi
    done

    # A static program: no libraries to resolve, so a plain copy (of coreutils, not this function) also serves an
    # agent outside of the sysroot.
    command install -D -m 0755 "$agent" "$initdir/usr/bin/rdlive"
    if [[ -f ${dracutsysrootdir-}/etc/rdlive.conf ]]; then
        command install -D -m 0644 "${dracutsysrootdir-}/etc/rdlive.conf" "$initdir/etc/rdlive.conf"
    fi
    inst_multiple modprobe
    area_program dwarn mkfs.ext4 e2fsprogs
    area_program dwarn e2fsck e2fsprogs
    area_program dinfo mkfs.xfs xfsprogs
    area_program dinfo mkfs.btrfs btrfs-progs
    inst_multiple -o /etc/mke2fs.conf
    area_program dinfo cryptsetup cryptsetup rd.live.encrypt
    # libargon2 ends its threads with this library, and loads it only then.
    inst_libdir_file "libgcc_s.so*"

    rdlive_certificates

    inst_hook cmdline 28 "$moddir/rdlive-claim.sh"
    inst_hook emergency 50 "$moddir/rdlive-error.sh"
    inst_hook shutdown-emergency 50 "$moddir/rdlive-error.sh"
    # Before those of other modules, whose devices our layers may lie on.
    inst_hook shutdown 10 "$moddir/rdlive-shutdown.sh"

    if dracut_module_included systemd || dracut_module_included systemd-initrd; then
        inst_simple "$moddir/rdlive.service" "$systemdsystemunitdir/rdlive.service"
        inst_simple "$moddir/rdlive-overlay.service" "$systemdsystemunitdir/rdlive-overlay.service"
        inst_simple "$moddir/rdlive-label.service" "$systemdsystemunitdir/rdlive-label.service"
        mkdir -p "$initdir$systemdsystemunitdir/initrd-switch-root.target.wants"
        ln -sfn ../rdlive-label.service "$initdir$systemdsystemunitdir/initrd-switch-root.target.wants/rdlive-label.service"
        mkdir -p "$initdir$systemdutildir/system-generators"
        ln -sfn /usr/bin/rdlive "$initdir$systemdutildir/system-generators/rdlive-generator"
    else
        inst_hook mount 01 "$moddir/rdlive-boot.sh"
        inst_hook pre-pivot 10 "$moddir/rdlive-overlay.sh"
        inst_hook cleanup 99 "$moddir/rdlive-label.sh"
    fi
}

# What makes and checks persistent areas, as far as it is installed: "area_program LEVEL PROGRAM PACKAGE [KARG]".
# The default is ext4; who wants another file system reads dracut's other messages too. The agent says at boot what it misses.
area_program() {
    if find_binary "$2" > /dev/null; then
        inst_multiple "$2"
    else
        "$1" "rdlive: no $2 here, so it will be missed by ${4:-rd.live.overlay.persistent} (install $3 and run dracut again)"
    fi
}

# The CA certificates that https is checked with, where this distribution has them; the agent knows all these places, too.
rdlive_certificates() {
    local file size
    for file in \
        /etc/ssl/certs/ca-certificates.crt \
        /etc/pki/tls/certs/ca-bundle.crt \
        /etc/ssl/ca-bundle.pem \
        /var/lib/ca-certificates/ca-bundle.pem \
        /etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem; do
        if grep -qs -e '-----BEGIN CERTIFICATE-----' "${dracutsysrootdir-}$file"; then
            inst_simple "$file"
            size=$(stat -L -c %s "${dracutsysrootdir-}$file")
            dinfo "rdlive: $file for https, $size bytes"
            return
        fi
    done
    dinfo "rdlive: no CA certificates here, so https will need rd.live.ca= (install ca-certificates and run dracut again)"
}

# Whether a module of dracut (the first argument) can be used: it is there, not omitted, and so are its programs.
rdlive_has() {
    local module=$1 program
    shift
    compgen -G "$dracutbasedir/modules.d/[0-9][0-9]$module" > /dev/null || return 1
    rdlive_omits "$module" && return 1
    for program in "$@"; do
        find_binary "$program" > /dev/null || return 1
    done
}

# Whether the initrd gets a module (the first argument) that has this file: of several directories of one name dracut takes the first.
rdlive_original() {
    local directories
    dracut_module_included "$1" || return 1
    directories=("$dracutbasedir"/modules.d/[0-9][0-9]"$1")
    [[ -e ${directories[0]}/$2 ]]
}

rdlive_omits() {
    [[ " ${omit_dracutmodules-} " == *" $1 "* ]]
}

rdlive_agent() {
    echo "${RDLIVE_AGENT:-${dracutsysrootdir-}/usr/bin/rdlive}"
}
