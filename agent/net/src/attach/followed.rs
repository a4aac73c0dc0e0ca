//! Servers for names, where other programs of an initrd write them down (network.md 4.7, 4.9).

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use crate::hardware::HardwareAddress;
use crate::hostname::Hostname;

/// Files in the form of resolv.conf(5): everybody's, systemd-resolved's, NetworkManager's.
const RESOLV: [&str; 4] = [
    "etc/resolv.conf",
    "run/systemd/resolve/resolv.conf",
    "run/NetworkManager/resolv.conf",
    "run/NetworkManager/no-stub-resolv.conf",
];
/// Directories of files with `DNS=` and `DOMAINS=` or `DOMAINNAME=`, in which networkd has the state of each link and lease.
const STATES: [&str; 2] = ["run/systemd/netif/links", LEASES];
const LEASES: &str = "run/systemd/netif/leases";
/// Where network-legacy has a resolv.conf for each interface: `net.NAME.resolv.conf`.
const LEGACY: &str = "tmp";
/// Bytes of such a file that are read, and servers and domains that are kept.
const MAX_FILE: usize = 64 << 10;
const MAX: usize = 16;

/// Whom to ask for names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Names {
    /// Servers.
    pub dns: Vec<IpAddr>,
    /// Domains in which names are looked up.
    pub search: Vec<Hostname>,
}

impl Names {
    /// What is written down below `root` now.
    pub fn read(root: &Path) -> Self {
        let mut names = Self::default();
        for path in RESOLV {
            names.resolv(&text(&root.join(path)));
        }
        for directory in STATES {
            for path in files(&root.join(directory), |_| true) {
                names.state(&text(&path));
            }
        }
        for path in files(&root.join(LEGACY), |name| name.starts_with("net.") && name.ends_with(".resolv.conf")) {
            names.resolv(&text(&path));
        }
        names
    }

    fn resolv(&mut self, text: &str) {
        for line in text.lines() {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nameserver") => self.servers(words),
                Some("search" | "domain") => self.domains(words),
                _ => {}
            }
        }
    }

    fn state(&mut self, text: &str) {
        for (key, value) in text.lines().filter_map(|line| line.split_once('=')) {
            match key {
                "DNS" => self.servers(value.split_whitespace()),
                "DOMAINS" | "DOMAINNAME" => self.domains(value.split_whitespace()),
                _ => {}
            }
        }
    }

    fn servers<'a>(&mut self, words: impl Iterator<Item = &'a str>) {
        for ip in words.filter_map(|word| word.split(['%', '#']).next()?.parse().ok()) {
            if self.dns.len() < MAX && !self.dns.contains(&ip) {
                self.dns.push(ip);
            }
        }
    }

    fn domains<'a>(&mut self, words: impl Iterator<Item = &'a str>) {
        for name in words.filter_map(|word| Hostname::new(word.trim_end_matches('.'))) {
            if self.search.len() < MAX && !self.search.contains(&name) {
                self.search.push(name);
            }
        }
    }
}

/// Whether the server of an interface's lease knows it by its hardware address (RFC 2132 9.14: type 1 and the address), as far as
/// networkd has written that down. dracut tells all programs to ask so.
pub(super) fn is_known_by(root: &Path, index: u32, mac: HardwareAddress) -> bool {
    let lease = text(&root.join(LEASES).join(index.to_string()));
    let id = lease.lines().find_map(|line| line.strip_prefix("CLIENTID="));
    let hex: String = mac.bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    id.is_none_or(|id| id.eq_ignore_ascii_case(&format!("01{hex}")))
}

fn text(path: &Path) -> String {
    let bytes = fs::read(path).unwrap_or_default();
    String::from_utf8_lossy(bytes.get(..MAX_FILE).unwrap_or(&bytes)).into_owned()
}

/// The files of a directory with such a name.
fn files(directory: &Path, wanted: fn(&str) -> bool) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.filter(move |entry| entry.file_name().to_str().is_some_and(wanted)).map(|entry| entry.path())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_for_names_are_where_other_programs_write_them() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        assert_eq!(Names::read(root.path()), Names::default());
        write("etc/resolv.conf", "# made by hand\nnameserver 192.0.2.1\nsearch a.example b.example.\noptions edns0\n");
        write("run/NetworkManager/resolv.conf", "nameserver 192.0.2.1\nnameserver fe80::1%eth0\n");
        write("run/systemd/netif/links/2", "ADMIN_STATE=configured\nDNS=192.0.2.2 2001:db8::53#dns.example\n");
        write("run/systemd/netif/leases/2", "DOMAINNAME=c.example\nDNS=192.0.2.2\n");
        write("tmp/net.eth0.resolv.conf", "nameserver 192.0.2.3\nnameserver nonsense\n");
        write("tmp/other.conf", "nameserver 192.0.2.99\n");
        let names = Names::read(root.path());
        let dns: Vec<String> = names.dns.iter().map(ToString::to_string).collect();
        assert_eq!(dns, ["192.0.2.1", "fe80::1", "192.0.2.2", "2001:db8::53", "192.0.2.3"]);
        let search: Vec<String> = names.search.iter().map(ToString::to_string).collect();
        assert_eq!(search, ["a.example", "b.example", "c.example"]);
    }

    #[test]
    fn a_lease_by_another_name_is_known() {
        let root = tempfile::tempdir().unwrap();
        let mac = HardwareAddress::parse("52:54:00:12:34:5A").unwrap();
        let known = |text: &str| {
            fs::create_dir_all(root.path().join(LEASES)).unwrap();
            fs::write(root.path().join(LEASES).join("2"), text).unwrap();
            is_known_by(root.path(), 2, mac)
        };
        assert!(is_known_by(root.path(), 2, mac));
        assert!(known("ADDRESS=192.0.2.9\nCLIENTID=015254001234 5a\n".replace(' ', "").as_str()));
        assert!(known("ADDRESS=192.0.2.9\n"));
        assert!(!known("CLIENTID=ff00001234000200ab11\n"));
        assert!(!known("CLIENTID=01525400123456\n"));
    }
}
