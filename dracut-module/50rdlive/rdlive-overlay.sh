#!/bin/sh
# Sourced in dracut's pre-pivot stage, only in an initrd without systemd: an ordinary root has been mounted by then, and
# /usr, which other modules mount into it, has not. Does nothing unless the command line asks for an overlay over it.

if [ "$root" != rdlive ] && ismounted "$NEWROOT"; then
    rdlive boot --sysroot "$NEWROOT" || emergency_shell "The overlay over the root could not be made. Leave this shell to boot without it."
fi
