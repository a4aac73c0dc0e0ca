#!/bin/sh
# Sourced in dracut's cmdline stage. Tells dracut that somebody knows how to mount this root=; decides nothing itself.

if rdlive_asks=$(rdlive boot --claims); then
    # NetworkManager, connman and dracut's scripts bring the network up where this file is, or a netroot=, which is no word of ours. An empty
    # one means each interface; unlike rd.neednet=1 it makes dracut's main loop wait for nothing.
    if [ "$rdlive_asks" = network ] && ! [ -e /tmp/net.ifaces ]; then
        : > /tmp/net.ifaces
    fi

    # With rd.live.image, dracut takes root=LABEL=x for a plain disk and makes its main loop wait for it. The agent
    # waits itself, and may find the label where udev does not look.
    rdlive_rest=${root#block:} rdlive_name=
    while [ "$rdlive_rest" != "${rdlive_rest#*/}" ]; do
        rdlive_name="$rdlive_name${rdlive_rest%%/*}\\x2f"
        rdlive_rest=${rdlive_rest#*/}
    done
    rm -f -- "$hookdir/initqueue/finished/devexists-$rdlive_name$rdlive_rest.sh"
    unset rdlive_rest rdlive_name

    # rd.auto asks dracut to open all of LVM, RAID and LUKS, and the medium may be in there. It does so in its main loop
    # when udev is idle, and the karg itself does not keep the loop going, as rd.lvm.lv= does. One round opens what is
    # there. With systemd the loop goes on beside the agent, for what comes later, but ends before dracut gives up.
    # The same holds for the scripts that bring the network up: udev puts them into the queue of that loop, which else may have ended by then.
    if [ "$rdlive_asks" = network ] || getargbool 0 rd.auto; then
        # shellcheck disable=SC2016
        printf '%s\n' '[ "$main_loop" -gt 0 ] || return 1' \
            '[ -n "$DRACUT_SYSTEMD" ] && [ "$main_loop" -le $((RDRETRY * 3 / 4)) ] || return 0' \
            '[ "$(systemctl is-active rdlive.service)" != activating ]' > "$hookdir/initqueue/finished/rdlive.sh"
    fi

    unset rdlive_asks

    # With systemd the agent runs already and loads these itself; without, it runs after udev has settled, and they may
    # as well load beside udev's work.
    [ -n "$DRACUT_SYSTEMD" ] || modprobe -qab loop overlay isofs squashfs &

    # Any word that no other module takes for its own.
    root=rdlive
    rootok=1
fi
