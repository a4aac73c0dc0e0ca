//! Who else reads the words of a command line (network-field.md kind 24). They do so beside rdlive, before it or in the live system, and what
//! was written for one of them has surprised people in another.

use std::path::Path;

use serde_json::{Value, json};

use crate::cmdline::{Cmdline, Token};
use crate::config::explain::without_secret;

/// A program that reads kargs which are not its alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reader {
    /// cloud-init in the live system (its page on the kernel command line).
    CloudInit,
    /// systemd-network-generator(8), in an initrd and in the live system.
    NetworkGenerator,
    /// The kernel itself, before the initrd, where it was built with `CONFIG_IP_PNP` (Documentation/admin-guide/nfs/nfsroot.rst).
    Kernel,
}

/// What the kernel was built with, as far as it can be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IpPnp {
    /// Its configuration says so.
    Yes,
    /// Its configuration says that it is not.
    No,
    /// There is no configuration, or the line is for another machine.
    Unknown,
}

/// One word and one who reads it too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct AlsoRead {
    karg: String,
    reader: Reader,
    what: &'static str,
}

/// All words that others read, in the order of the line.
pub(super) fn also_read(cmdline: &Cmdline, kernel: IpPnp) -> Vec<AlsoRead> {
    let mut list = Vec::new();
    for token in cmdline.tokens() {
        for reader in [Reader::CloudInit, Reader::NetworkGenerator, Reader::Kernel] {
            if let Some(what) = reader.does(token, kernel) {
                list.push(AlsoRead { karg: without_secret(&token.raw), reader, what });
            }
        }
    }
    list
}

impl Reader {
    fn name(self) -> &'static str {
        match self {
            Self::CloudInit => "cloud-init",
            Self::NetworkGenerator => "systemd-network-generator",
            Self::Kernel => "kernel",
        }
    }

    /// What it does with this word, if it reads it at all.
    fn does(self, token: &Token, kernel: IpPnp) -> Option<&'static str> {
        let value = token.value.as_deref().filter(|value| !value.is_empty())?;
        match (self, token.key.as_str()) {
            (Self::CloudInit, "url") => {
                Some("fetches it as its configuration; cloud-config-url=/dev/null beside it prevents that")
            }
            (Self::CloudInit, "ip") => {
                Some("puts it above the network of the image; network-config=disabled prevents that")
            }
            (Self::NetworkGenerator, "ip" | "nameserver" | "rd.route" | "rd.peerdns") => {
                Some("makes a .network file for networkd of it, in the live system too")
            }
            (Self::NetworkGenerator, "ifname" | "net.ifname-policy") => Some("makes a .link file for udev of it"),
            (Self::NetworkGenerator, "vlan" | "bond" | "bridge" | "bootdev") => Some("makes a .netdev file of it"),
            (Self::Kernel, "ip") if !matches!(value, "off" | "none") => match kernel {
                IpPnp::Yes => {
                    Some("configures the network itself and waits for a link up to 120 s before the initrd starts")
                }
                IpPnp::Unknown => {
                    Some("configures the network itself, before the initrd starts, if it has CONFIG_IP_PNP")
                }
                IpPnp::No => None,
            },
            _ => None,
        }
    }
}

/// Whether the running kernel was built with `CONFIG_IP_PNP`, by the files that distributions leave below `root`.
pub(super) fn ip_pnp(root: &Path) -> IpPnp {
    let Ok(release) = std::fs::read_to_string(root.join("proc/sys/kernel/osrelease")) else {
        return IpPnp::Unknown;
    };
    let release = release.trim_end();
    let places = [format!("boot/config-{release}"), format!("usr/lib/modules/{release}/config")];
    match places.iter().find_map(|place| std::fs::read_to_string(root.join(place)).ok()) {
        Some(config) if config.lines().any(|line| line == "CONFIG_IP_PNP=y") => IpPnp::Yes,
        Some(_) => IpPnp::No,
        None => IpPnp::Unknown,
    }
}

/// The lines for a person.
pub(super) fn lines(list: &[AlsoRead]) -> impl Iterator<Item = String> {
    list.iter().map(|AlsoRead { karg, reader, what }| format!("read too   {karg}: {} {what}", reader.name()))
}

/// The list for a machine: `karg` as it was written, `reader` and, for a person, `what` it does with it.
pub(super) fn list(list: &[AlsoRead]) -> Value {
    list.iter()
        .map(|AlsoRead { karg, reader, what }| json!({ "karg": karg, "reader": reader.name(), "what": what }))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn readers(cmdline: &str, kernel: IpPnp) -> Vec<String> {
        let list = also_read(&Cmdline::parse(cmdline), kernel);
        list.iter().map(|read| format!("{} {}", read.karg, read.reader.name())).collect()
    }

    #[test]
    fn k24_each_reader_of_a_word_is_named() {
        let generator = "systemd-network-generator";
        for (cmdline, kernel, expected) in [
            ("root=live:http://h/x.iso rd.live.image", IpPnp::Yes, vec![]),
            ("url=http://h/x.iso", IpPnp::No, vec!["url=http://h/x.iso cloud-init".to_owned()]),
            ("url=http://u:secret@h/x.iso", IpPnp::No, vec!["url=http://h/x.iso cloud-init".to_owned()]),
            ("ip=dhcp", IpPnp::No, vec!["ip=dhcp cloud-init".to_owned(), format!("ip=dhcp {generator}")]),
            (
                "ip=dhcp",
                IpPnp::Yes,
                vec!["ip=dhcp cloud-init".to_owned(), format!("ip=dhcp {generator}"), "ip=dhcp kernel".to_owned()],
            ),
            ("ip=off", IpPnp::Yes, vec!["ip=off cloud-init".to_owned(), format!("ip=off {generator}")]),
            (
                "nameserver=10.0.0.1 rd.route=10.1.0.0/16:10.0.0.1 rd.peerdns=0 vlan=a.5:a ifname=a:02:00:00:00:00:01",
                IpPnp::Unknown,
                [
                    "nameserver=10.0.0.1",
                    "rd.route=10.1.0.0/16:10.0.0.1",
                    "rd.peerdns=0",
                    "vlan=a.5:a",
                    "ifname=a:02:00:00:00:00:01",
                ]
                .map(|karg| format!("{karg} {generator}"))
                .to_vec(),
            ),
            ("ip url= ip= -- url=http://h/x", IpPnp::Yes, vec![]),
        ] {
            assert_eq!(readers(cmdline, kernel), expected, "{cmdline} {kernel:?}");
        }
        let unknown = also_read(&Cmdline::parse("ip=dhcp"), IpPnp::Unknown);
        assert!(lines(&unknown).last().unwrap().contains("if it has CONFIG_IP_PNP"));
        let url = also_read(&Cmdline::parse("url=http://h/x"), IpPnp::Unknown);
        assert!(lines(&url).next().unwrap().ends_with("cloud-config-url=/dev/null beside it prevents that"));
        assert_eq!(list(&url)[0]["reader"], "cloud-init");
    }

    #[test]
    fn k24_the_kernels_configuration_decides() {
        let dir = tempfile::tempdir().unwrap();
        let put = |path: &str, text: &str| {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        assert_eq!(ip_pnp(dir.path()), IpPnp::Unknown);
        put("proc/sys/kernel/osrelease", "6.12.1\n");
        assert_eq!(ip_pnp(dir.path()), IpPnp::Unknown);
        put("usr/lib/modules/6.12.1/config", "CONFIG_INET=y\n# CONFIG_IP_PNP is not set\nCONFIG_IP_PNP_DHCP=y\n");
        assert_eq!(ip_pnp(dir.path()), IpPnp::No);
        put("boot/config-6.12.1", "CONFIG_IP_PNP=y\n");
        assert_eq!(ip_pnp(dir.path()), IpPnp::Yes);
    }
}
