#!/bin/sh
# Sourced by dracut's own program for power-off, if that runs in place of ours. It has unmounted the old root by then, and
# nothing of what was mounted in /run. Says what stayed itself; a second try would find the same.

rdlive teardown "${ACTION-}" || :
