#!/bin/sh
# Sourced in dracut's cmdline stage. Tells dracut that somebody knows how to mount this root=; decides nothing itself.

if rdlive boot --claims; then
    # With rd.live.image, dracut takes root=LABEL=x for a plain disk and makes its main loop wait for it. The agent
    # waits itself, and may find the label where udev does not look.
    rdlive_rest=${root#block:} rdlive_name=
    while [ "$rdlive_rest" != "${rdlive_rest#*/}" ]; do
        rdlive_name="$rdlive_name${rdlive_rest%%/*}\\x2f"
        rdlive_rest=${rdlive_rest#*/}
    done
    rm -f -- "$hookdir/initqueue/finished/devexists-$rdlive_name$rdlive_rest.sh"
    unset rdlive_rest rdlive_name

    # With systemd the agent runs already and loads these itself; without, it runs after udev has settled, and they may
    # as well load beside udev's work.
    [ -n "$DRACUT_SYSTEMD" ] || modprobe -qab loop overlay isofs squashfs &

    # Any word that no other module takes for its own.
    root=rdlive
    rootok=1
fi
