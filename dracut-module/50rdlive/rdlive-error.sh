#!/bin/sh
# Sourced before dracut's emergency prompt: repeats the agent's last words, which may have scrolled away.

if [ -s /run/rdlive/error ]; then
    while IFS= read -r rdlive_line; do
        printf "%s\n" "$rdlive_line"
    done < /run/rdlive/error
    unset rdlive_line
fi
