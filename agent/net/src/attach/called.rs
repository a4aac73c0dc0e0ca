//! What interfaces are called: the name that each gets, and all that a word of the command line may call it (network-field.md kind 5).

use std::fs::{self, DirEntry};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::grammar::Wish;
use crate::link::Link;
use crate::naming::{self, Given, Present};

/// How long udev may take for an interface. It has its name by then; one that is up could not be renamed any more before Linux 6.2.
const UDEV: Duration = Duration::from_secs(3);

/// Where the policies are by which udev names interfaces: files `*.link` (systemd.link(5)).
const POLICIES: [&str; 4] =
    ["usr/lib/systemd/network", "lib/systemd/network", "etc/systemd/network", "run/systemd/network"];

/// Whether udev runs and names interfaces. In an initrd of dracut without a module for networks it has no policy for them.
fn has_udev(root: &Path) -> bool {
    let is_policy = |entry: DirEntry| entry.path().extension().is_some_and(|end| end == "link");
    let mut entries = POLICIES.iter().filter_map(|path| fs::read_dir(root.join(path)).ok()).flatten().flatten();
    root.join("run/udev/control").exists() && entries.any(is_policy)
}

/// One interface.
struct Known {
    index: u32,
    /// The name it has.
    name: String,
    /// The name the kernel gave it, with a number that no other one had.
    counted: String,
    /// All others.
    others: Vec<String>,
    /// udev would leave it this name.
    is_final: bool,
}

/// All that have been seen.
pub(super) struct Called {
    root: PathBuf,
    /// udev runs, and names them.
    by_udev: bool,
    known: Vec<Known>,
}

impl Called {
    pub fn new(root: &Path) -> Self {
        let by_udev = has_udev(root);
        Self { root: root.to_owned(), by_udev, known: Vec::new() }
    }

    /// Whether udev, where it runs, may still be about to name an interface that was first seen so long ago.
    pub fn is_unfinished(&self, index: u32, seen: Duration) -> bool {
        self.by_udev && seen < UDEV && !self.root.join(format!("run/udev/data/n{index}")).exists()
    }

    /// An interface as the kernel tells it, with all that it is called.
    pub fn with_names(&self, link: &Link) -> Link {
        let mut link = link.clone();
        if let Some(known) = self.known.iter().find(|known| known.index == link.index) {
            let more = known.others.iter().filter(|name| **name != link.name && !link.altnames.contains(name));
            let more: Vec<String> = more.cloned().collect();
            link.altnames.extend(more);
        }
        link
    }

    pub fn forget(&mut self, index: u32) {
        self.known.retain(|known| known.index != index);
    }

    /// It has another name now.
    pub fn is_now(&mut self, index: u32, name: &str) {
        if let Some(known) = self.known.iter_mut().find(|known| known.index == index) {
            // udev keeps what was chosen before.
            known.is_final |= known.name != name;
            name.clone_into(&mut known.name);
        }
    }

    /// Whether udev of the live system, too, would leave it the name that it has.
    pub fn is_final(&self, index: u32) -> bool {
        self.known.iter().any(|known| known.index == index && known.is_final)
    }

    /// Takes in an interface that is new; the name that it is to get, if another one: the command line's, else udev's where there is no
    /// udev.
    pub fn learn(&mut self, link: &Link, wish: &Wish) -> Option<String> {
        self.forget(link.index);
        let facts = naming::read(&self.root, &link.name);
        let present = facts.as_ref().map_or(Present::Chosen, |facts| facts.present);
        let given = facts.map(|facts| Given::of(&facts, wish.naming)).unwrap_or_default();
        let own = link.permanent.or(link.mac);
        let named = wish.names.iter().find(|naming| own.is_some_and(|own| naming.mac.means(&own)));
        let is_free = |name: &&str| self.known.iter().all(|known| known.name != **name);
        // One that is up is somebody's, and an older kernel would refuse.
        let may = wish.predictable_names && !self.by_udev && !link.up;
        let is_final = !wish.predictable_names || given.chosen(present).is_none_or(|name| name == link.name);
        let computed = given.chosen(present).filter(|_| may).filter(is_free);
        let new = named.map(|naming| naming.name.as_str()).or(computed).map(str::to_owned);
        let taken: Vec<&str> = self.known.iter().map(|known| known.counted.as_str()).collect();
        let counted = match present {
            Present::Counted => naming::counted(&link.name, &taken),
            Present::Predictable | Present::Chosen => link.name.clone(),
        };
        let mut others: Vec<String> = given.all().filter(|name| is_free(&name.as_str())).collect();
        others.push(counted.clone());
        let name = link.name.clone();
        self.known.push(Known { index: link.index, name, counted, others, is_final });
        new.filter(|name| *name != link.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attach::tests::{card, plain, wish};

    #[test]
    fn a_card_has_udevs_name_and_answers_to_the_kernels() {
        let root = tempfile::tempdir().unwrap();
        let mut called = Called::new(root.path());
        let wish = wish("");
        card(root.path(), "eth0", "0000:00:03.0");
        assert_eq!(called.learn(&plain(2, "eth0"), &wish).as_deref(), Some("enp0s3"));
        called.is_now(2, "enp0s3");
        assert_eq!(called.with_names(&plain(2, "enp0s3")).altnames, ["eth0"]);
        // The kernel gives the number again that has become free.
        card(root.path(), "eth0", "0000:00:04.0");
        assert_eq!(called.learn(&plain(3, "eth0"), &wish).as_deref(), Some("enp0s4"));
        assert_eq!(called.with_names(&plain(3, "enp0s4")).altnames, ["eth1"]);
        // The same place cannot be there twice: the name is not free.
        card(root.path(), "eth1", "0000:00:03.0");
        assert_eq!(called.learn(&plain(4, "eth1"), &wish), None);
        assert_eq!(called.with_names(&plain(4, "eth1")).altnames, ["eth2"]);
        called.forget(2);
        assert_eq!(called.learn(&plain(4, "eth1"), &wish).as_deref(), Some("enp0s3"));
    }

    /// network-field.md kind 23: before Linux 6.2 udev of the live system could not rename one that is up.
    #[test]
    fn k23_a_name_is_final_where_udev_would_leave_it() {
        let root = tempfile::tempdir().unwrap();
        card(root.path(), "eth0", "0000:00:03.0");
        let of = |line: &str, link: &Link, renamed: Option<&str>| {
            let mut called = Called::new(root.path());
            drop(called.learn(link, &wish(line)));
            renamed.into_iter().for_each(|name| called.is_now(link.index, name));
            called.is_final(link.index)
        };
        let up = Link { up: true, ..plain(2, "eth0") };
        assert!(of("", &plain(2, "eth0"), Some("enp0s3")));
        assert!(!of("", &up, None), "it was not renamed, for it was up");
        assert!(!of("", &up, Some("eth0")));
        assert!(of("", &up, Some("boot0")), "udev keeps what was chosen");
        assert!(of("net.ifnames=0", &up, None));
        assert!(of("", &plain(3, "veth0"), None), "it is no card");
    }

    #[test]
    fn words_of_the_command_line_and_udev_itself_come_first() {
        let root = tempfile::tempdir().unwrap();
        card(root.path(), "eth0", "0000:00:03.0");
        let up = Link { up: true, ..plain(2, "eth0") };
        for (line, link, expected) in [
            ("", plain(2, "eth0"), Some("enp0s3")),
            ("net.ifnames=0", plain(2, "eth0"), None),
            ("ifname=boot:52:54:00:00:00:02", plain(2, "eth0"), Some("boot")),
            ("ifname=boot:52:54:00:00:00:03", plain(2, "eth0"), Some("enp0s3")),
            ("", up, None),
        ] {
            let mut called = Called::new(root.path());
            assert_eq!(called.learn(&link, &wish(line)).as_deref(), expected, "{line}");
            assert!(called.with_names(&link).altnames.contains(&"enp0s3".to_owned()), "{line}");
        }
        // A policy alone is nobody who names, and udev alone neither.
        fs::create_dir_all(root.path().join("run/udev/data")).unwrap();
        let policy = root.path().join(POLICIES[0]);
        fs::create_dir_all(&policy).unwrap();
        fs::write(policy.join("99-default.link"), "").unwrap();
        assert_eq!(Called::new(root.path()).learn(&plain(2, "eth0"), &wish("")).as_deref(), Some("enp0s3"));
        fs::remove_file(policy.join("99-default.link")).unwrap();
        fs::write(root.path().join("run/udev/control"), "").unwrap();
        let mut called = Called::new(root.path());
        assert_eq!(called.learn(&plain(2, "eth0"), &wish("")).as_deref(), Some("enp0s3"));
        assert!(!called.is_unfinished(2, Duration::ZERO), "it names no interfaces");
        fs::write(policy.join("99-default.link"), "").unwrap();
        let mut called = Called::new(root.path());
        assert_eq!(called.learn(&plain(2, "eth0"), &wish("")), None);
        assert!(called.is_unfinished(2, Duration::ZERO) && !called.is_unfinished(2, UDEV));
        fs::write(root.path().join("run/udev/data/n2"), "").unwrap();
        assert!(!called.is_unfinished(2, Duration::ZERO));
    }
}
