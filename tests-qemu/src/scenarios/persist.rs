//! Changes that outlive a reboot: kiwi-live spec 3 and 7 (T-18 … T-42, T-72).

use super::{Scenario, scenario};
use crate::boot::Boot;
use crate::check::*;
use crate::guest::Tree;
use crate::machine::Bus;
use crate::medium::*;
use crate::mode::Mode;

/// An ISO of our builder on a disk with this much room behind it.
fn stick(mib: u64) -> Boot {
    let built = Recipe::Built { tree: Tree::Tiny, args: vec!["--volume-id=CDROM".into()] };
    Boot::from(Recipe::Grown(Box::new(built), mib))
        .on(Bus::UsbStick)
        .mode(Mode::NativeWrite)
        .root("root=live:CDLABEL=CDROM rd.live.image rd.live.overlay.persistent")
}

/// A shell on the console types `commands` and then reports.
fn shell(boot: Boot, commands: &str) -> Boot {
    boot.kargs("init=/bin/sh").on_text("# ", &format!("{commands}; exec lab-guest report\n"))
}

/// Looks for the area from outside: partition 3, ext4, labelled, sound.
const AREA: &str = r#"
    line=$(sfdisk -d "$1" | grep '^[^ ]*3 :'); start=$(sed 's/.*start= *\([0-9]*\).*/\1/' <<<"$line")
    [ $((start % 2048)) = 0 ] || { echo "not aligned: $line"; exit 1; }
    [ "$(blkid -p -O $((start * 512)) -o value -s LABEL "$1")" = cow ]
    dd if="$1" bs=1M skip=$((start / 2048)) of="$1.area" status=none
    e2fsck -fy "$1.area" >/dev/null || [ $? = 1 ]
    debugfs -R "cat /rw/kept" "$1.area" | grep -x kept; rm "$1.area""#;

/// All of them.
pub fn all() -> Vec<Scenario> {
    let first = stick(128);
    let second = first.again();
    vec![scenario(
        "persist/T-18 T-21 a partition behind a GPT hybrid ISO, and its second boot",
        shell(first, "echo kept > /kept; sync")
            .expect(overlay_root())
            .expect(report_says("\"persistence\":\"partition\""))
            .expect(disk(0, "has the area with the file", AREA))
            .then(shell(second, "grep kept /kept && echo STILL''-THERE").expect(console_says("STILL-THERE")).expect(
                disk(
                    0,
                    "has the same table",
                    r#"cmp <(sfdisk -d "$1" | sed 1,6d | cut -d: -f2) <(sfdisk -d "$2" | sed 1,6d | cut -d: -f2)"#,
                ),
            )),
    )]
}
