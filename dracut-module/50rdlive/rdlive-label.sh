#!/bin/sh
# Sourced in dracut's cleanup stage, only in an initrd without systemd: what is done after a policy is loaded, is done under it. dracut's own
# selinux module may have loaded one before. Only a kernel that runs SELinux has the directory.

if [ -d /sys/fs/selinux ]; then
    rdlive boot --labels --sysroot "$NEWROOT"
fi
