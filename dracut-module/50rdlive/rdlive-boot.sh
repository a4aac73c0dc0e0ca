#!/bin/sh
# Sourced in dracut's mount stage, only in an initrd without systemd. dracut comes back here until /sysroot is mounted.

if [ "$root" = rdlive ] && ! ismounted "$NEWROOT"; then
    rdlive boot --sysroot "$NEWROOT" || emergency_shell "The live root could not be mounted. Leave this shell to try again."
fi
