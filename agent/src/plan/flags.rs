//! Words of `rootflags=`: for the driver of a file system, for the mount of it, or for mount(8) and systemd alone.

/// What a mount obeys and no driver knows (`MOUNT_ATTR_…` of mount_setattr(2)). The executor finds them among a step's options.
const OF_THE_MOUNT: [&str; 6] = ["noatime", "nodiratime", "relatime", "strictatime", "nodev", "nosuid"];

/// What does nothing here: the kernel's default anyway, for mount(8) and systemd alone, or said by something else. A root with
/// `noexec` could not start its init.
const NO_EFFECT: [&str; 24] = [
    "defaults",
    "ro",
    "rw",
    "atime",
    "norelatime",
    "nostrictatime",
    "diratime",
    "dev",
    "suid",
    "exec",
    "noexec",
    "auto",
    "noauto",
    "nofail",
    "_netdev",
    "user",
    "nouser",
    "users",
    "owner",
    "group",
    "async",
    "loud",
    "silent",
    "nomand",
];

/// Whether a mount obeys this word, whatever file system it shows.
pub fn is_of_the_mount(flag: &str) -> bool {
    OF_THE_MOUNT.contains(&flag)
}

/// Whether a word changes nothing that the kernel does.
fn has_no_effect(flag: &str) -> bool {
    NO_EFFECT.contains(&flag) || ["x-", "X-", "comment="].iter().any(|prefix| flag.starts_with(prefix))
}

/// What is left for a layer that nobody sees: a mount's own words mean nothing there.
pub fn for_the_driver(flags: &[String]) -> Vec<String> {
    flags.iter().filter(|flag| !has_no_effect(flag) && !is_of_the_mount(flag)).cloned().collect()
}

/// What is left for the mount that the system sees.
pub fn for_the_root(flags: &[String]) -> Vec<String> {
    flags.iter().filter(|flag| !has_no_effect(flag)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_mount_reach_no_driver() {
        let given = |text: &str| text.split(',').map(str::to_owned).collect::<Vec<_>>();
        for (flags, driver, root) in [
            ("noatime,errors=remount-ro", "errors=remount-ro", "noatime,errors=remount-ro"),
            ("defaults,relatime,nodev,nosuid", "", "relatime,nodev,nosuid"),
            ("ro,rw,exec,noexec,x-systemd.automount,X-mount.mkdir,comment=a,_netdev,users", "", ""),
            ("metacopy=on,nodiratime,strictatime", "metacopy=on", "metacopy=on,nodiratime,strictatime"),
            ("subvol=@,compress=zstd,lazytime", "subvol=@,compress=zstd,lazytime", "subvol=@,compress=zstd,lazytime"),
        ] {
            assert_eq!(for_the_driver(&given(flags)).join(","), driver, "{flags}");
            assert_eq!(for_the_root(&given(flags)).join(","), root, "{flags}");
        }
    }
}
