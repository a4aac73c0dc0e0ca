//! Questions to a medium after power-off, as shell scripts. `$1` is the medium, `$2` what it was before the boot.

use crate::check::{Check, disk};

/// sfdisk's name for a partition of Linux, in a GPT.
pub(in crate::scenarios) const GPT: &str = "Linux filesystem";
/// The same in an MBR.
pub(in crate::scenarios) const MBR: &str = "Linux";

/// Shell functions that the scripts below use.
const FUNCTIONS: &str = r#"
    # Entries of the table, one a line: number, start, size, type, name.
    rows() { sfdisk -d "$1" 2>/dev/null | sed -n 's/^.*[^0-9]\([0-9][0-9]*\) : */\1 /p' | tr -s ' '; }
    # One field of one entry, sizes in bytes.
    field() { rows "$1" | sed -n "s/^$2 .*\b$3= *\([^,]*\).*/\1/p"; }
    # The type of an entry as sfdisk names it; its number would only agree with the one that the agent writes.
    type_of() { LC_ALL=C sfdisk -l -o device,type "$1" 2>/dev/null | sed -n "s/^[^ ]*[^0-9]$2  *//p"; }
    first() { echo $(( $(field "$1" "$2" start) * 512 )); }
    behind() { echo $(( ($(field "$1" "$2" start) + $(field "$1" "$2" size)) * 512 )); }
    fail() { echo "$*"; exit 1; }
    # Bytes from $3 up to $4 are the same in both files.
    same() { [ "$3" -ge "$4" ] || cmp -i "$3" -n $(( $4 - $3 )) "$1" "$2"; }
    # The bytes outside of a partition and of the table's own sectors are the same.
    same_outside() {
        local start end size; start=$(first "$1" "$3"); end=$(behind "$1" "$3"); size=$(stat -c %s "$1")
        if sfdisk -d "$1" 2>/dev/null | grep '^label: gpt' >/dev/null; then
            same "$1" "$2" 0 512; same "$1" "$2" 32768 "$start"; same "$1" "$2" "$end" $(( size - 32768 ))
        else
            same "$1" "$2" 0 446; same "$1" "$2" 510 "$start"; same "$1" "$2" "$end" "$size"
        fi
    }
    # Partition $3 has all the room between the image and the disk's end, in whole MiB.
    whole_room() {
        local m image iso at end start number=$3 mib=1048576; image=0; end=$(stat -c %s "$1")
        [ "$(dd if="$2" bs=1 skip=32769 count=5 status=none)" != CD001 ] ||
            image=$(( $(od -An -tu4 -j 32848 -N4 "$2") * 2048 ))
        iso=$image
        for m in $(rows "$2" | cut -d' ' -f1); do at=$(behind "$2" "$m"); [ "$at" -le "$image" ] || image=$at; done
        start=$(first "$1" "$number"); at=0
        if sfdisk -d "$1" 2>/dev/null | grep '^label: gpt' >/dev/null; then
            # The copy of the table that the image brought along stays, be it named by the table or not.
            at=$(( ($(od -An -tu8 -j 544 -N8 "$2") + 1) * 512 )); [ "$at" -lt "$end" ] || at=$(( iso + 512 ))
            # Header and entries of the copy at the disk's end.
            set -- "$@" $(od -An -tu4 -j 592 -N8 "$2")
            end=$(( end - 512 - ($4 * $5 + 511) / 512 * 512 ))
        fi
        [ "$at" -le "$image" ] || image=$at
        image=$(( (image + mib - 1) / mib * mib )); end=$(( end / mib * mib ))
        [ "$start $(behind "$1" "$number")" = "$image $end" ] ||
            fail "partition $number is at $start to $(behind "$1" "$number"), room is from $image to $end"
    }
    # A partition as a file.
    cut_out() { dd if="$1" of="$1.part" bs=1M iflag=skip_bytes,count_bytes skip=$(first "$1" "$2") \
        count=$(( $(behind "$1" "$2") - $(first "$1" "$2") )) conv=sparse status=none; }
    # A file system that is consistent as it is, with nothing to be replayed.
    sound() {
        case $(blkid -p -o value -s TYPE "$1") in
            ext4) e2fsck -fn "$1" && dumpe2fs -h "$1" 2>/dev/null > "$1.super" &&
                  grep -q '^Filesystem state: *clean$' "$1.super" && ! grep needs_recovery "$1.super" ;;
            xfs) xfs_repair -n "$1" 2>&1 | tee "$1.said" && ! grep -q ALERT "$1.said" ;;
            btrfs) btrfs check "$1" ;;
            vfat) fsck.vfat -n "$1" ;;
            exfat) fsck.exfat -n "$1" ;;
            ntfs) ntfsfix -n "$1" ;;
            *) fail "$1 holds no file system" ;;
        esac > "$1.check" 2>&1 || { cat "$1.check"; fail "$1 is not sound"; }
    }
"#;

/// A script with the functions.
pub(in crate::scenarios) fn look(what: &'static str, script: &str) -> Check {
    disk(0, what, with_functions(script))
}

/// The same, for one that changes the medium, or looks at another.
pub(in crate::scenarios) fn with_functions(script: &str) -> String {
    format!("{FUNCTIONS}{script}")
}

/// A new partition with this number, type and file system in the free space, and nothing else has changed.
pub(in crate::scenarios) fn made(number: u32, kind: &str, fs: &str) -> Check {
    made_as(number, kind, fs, "cow")
}

/// As [`made`], with this label.
pub(in crate::scenarios) fn made_as(number: u32, kind: &str, fs: &str, label: &str) -> Check {
    look(
        "has the new partition, sound and clean, and nothing else changed",
        &format!(
            r#"n={number}; start=$(first "$1" $n); size=$(stat -c %s "$1")
            [ "$(rows "$1" | grep -v "^$n ")" = "$(rows "$2")" ] || fail "other entries: $(rows "$1")"
            [ "$(type_of "$1" $n)" = '{kind}' ] || fail "type $(type_of "$1" $n)"
            whole_room "$1" "$2" $n
            sfdisk -V "$1" 2>&1 | grep 'No errors' >/dev/null || fail "$(sfdisk -V "$1" 2>&1)"
            same_outside "$1" "$2" $n
            cut_out "$1" $n; sound "$1.part"
            [ "$(blkid -p -o value -s TYPE "$1.part")" = {fs} ] && [ "$(blkid -p -o value -s LABEL "$1.part")" = {label} ]"#
        ),
    )
}

/// The table is as before, and outside of the area no byte has changed; the area is sound.
pub(in crate::scenarios) fn used(number: u32) -> Check {
    look(
        "has the same table and the same bytes outside of the area, which is sound and clean",
        &format!(
            r#"n={number}; same "$1" "$2" 0 $(first "$1" $n); same "$1" "$2" $(behind "$1" $n) $(stat -c %s "$1")
            cut_out "$1" $n; sound "$1.part""#
        ),
    )
}

/// In the ext4 of a partition, the upper layer's `/kept` holds this text.
pub(in crate::scenarios) fn kept(number: u32, text: &str) -> Check {
    let script = format!(
        r#"cut_out "$1" {number}
        found=$(debugfs -R "cat /rw/kept" "$1.part" 2>/dev/null); [ "$found" = "{text}" ] || fail "it holds '$found'""#
    );
    look("keeps the file", &script)
}

/// Nothing has been written to the medium with this index.
pub(in crate::scenarios) fn untouched(index: usize) -> Check {
    disk(index, "is byte for byte as before", r#"cmp "$1" "$2""#)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tool;

    #[test]
    fn types_have_the_names_that_sfdisk_gives_to_codes_of_sgdisk_and_fdisk() {
        let dir = std::env::temp_dir().join(format!("lab-outside-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let script = with_functions(
            r#"cd "$1"; truncate -s 20M gpt1 dos
            sgdisk -n 1:0:+1M -t 1:ef00 -n 2:0:+1M -t 2:8300 -n 12:0:+1M -t 12:0700 gpt1 >/dev/null
            printf 'label: dos\nsize=1MiB, type=ef\nsize=1MiB, type=L\n' | sfdisk -q dos
            for n in 1 2 12; do echo "$(type_of "$1/gpt1" $n)"; done; for n in 1 2; do echo "$(type_of "$1/dos" $n)"; done"#,
        );
        let said = tool::shell(&script, &[&dir]).unwrap();
        let names: Vec<&str> = said.lines().collect();
        assert_eq!(names, ["EFI System", GPT, "Microsoft basic data", "EFI (FAT-12/16/32)", MBR]);
        std::fs::remove_dir_all(dir).unwrap();
    }
}
