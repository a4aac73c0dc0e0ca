//! What the programs of a network are told, and how they are asked whether they listen: all without doing anything.

use std::path::Path;

use super::Traffic;
use crate::machine::Machine;

/// The network of one cable: the first three numbers of its addresses.
pub fn prefix(cable: usize) -> String {
    format!("10.9.{cable}")
}

/// The servers' end of a cable.
pub fn near(cable: usize) -> String {
    format!("srv{cable}")
}

/// The machine's end. Where the cable is straight, QEMU opens the tap that is the servers' end, too.
pub fn far(machine: Machine, cable: usize, straight: bool) -> String {
    match machine {
        Machine::Qemu if straight => near(cable),
        Machine::Qemu | Machine::Uml => format!("cli{cable}"),
    }
}

/// Where a cable that is not straight is cut, seen from the servers and from the machine.
pub fn ends(machine: Machine, cable: usize) -> [String; 2] {
    let behind = match machine {
        Machine::Qemu => far(machine, cable, false),
        Machine::Uml => format!("cut{cable}"),
    };
    [format!("mid{cable}"), behind]
}

/// `ip -batch` lines that lay the cables: from end to end if they are straight, else up to where they are cut.
pub fn cables(machine: Machine, count: usize, straight: bool) -> String {
    let mut lines = vec!["link set lo up".to_owned()];
    let pair = |one: &str, other: &str| format!("link add name {one} type veth peer name {other}");
    let tap = |name: &str| format!("tuntap add dev {name} mode tap");
    for cable in 0..count {
        let (near, far, [mid, cut]) = (near(cable), far(machine, cable, straight), ends(machine, cable));
        match (machine, straight) {
            (Machine::Qemu, true) => lines.push(tap(&near)),
            (Machine::Uml, true) => lines.extend([pair(&near, &far), up(&far)]),
            (Machine::Qemu, false) => lines.extend([pair(&near, &mid), up(&mid), tap(&far), up(&far)]),
            (Machine::Uml, false) => {
                lines.extend([pair(&near, &mid), up(&mid), pair(&far, &cut), up(&far), up(&cut)]);
            }
        }
        lines.push(format!("addr add {}.1/24 dev {near}", prefix(cable)));
        lines.push(up(&near));
    }
    lines.join("\n") + "\n"
}

fn up(name: &str) -> String {
    format!("link set {name} up")
}

/// Makes an interface send frames as a real cable carries them: none larger, each with its checksum.
pub fn plain(interface: &str) -> [&str; 11] {
    ["ethtool", "-K", interface, "tx", "off", "tso", "off", "gso", "off", "gro", "off"]
}

/// dnsmasq that gives addresses and nothing else. It does not first look whether an address is free, which takes 3 s.
pub fn dnsmasq(cables: usize, words: &[&str]) -> Vec<String> {
    let fixed = "dnsmasq --keep-in-foreground --conf-file=/dev/null --user=root --group=root --pid-file= --no-ping \
                 --leasefile-ro --log-dhcp --log-facility=- --bind-interfaces --except-interface=lo";
    let mut args: Vec<String> = fixed.split_whitespace().map(str::to_owned).collect();
    for cable in 0..cables {
        let prefix = prefix(cable);
        args.push(format!("--interface={}", near(cable)));
        args.push(format!("--dhcp-range={prefix}.50,{prefix}.60,255.255.255.0,1h"));
    }
    // Names are looked up elsewhere, unless they are asked for.
    if !words.iter().any(|word| word.starts_with("--port=")) {
        args.push("--port=0".to_owned());
    }
    args.extend(words.iter().map(|word| (*word).to_owned()));
    args
}

/// dnsmasq that does what a file says, and only that; it writes nothing.
pub fn dnsmasq_of(configuration: &Path) -> Vec<String> {
    let fixed = "dnsmasq --keep-in-foreground --user=root --group=root --pid-file= --leasefile-ro --log-facility=-";
    let mut args: Vec<String> = fixed.split_whitespace().map(str::to_owned).collect();
    args.push(format!("--conf-file={}", configuration.display()));
    args
}

/// nginx with one process, and all that it writes in `dir`.
pub fn nginx(dir: &Path) -> Vec<String> {
    let dir = dir.display().to_string();
    ["nginx", "-p", &dir, "-c", "nginx.conf", "-e", "stderr"].map(str::to_owned).to_vec()
}

/// Its configuration, with what its server listens to; paths are relative to `-p`.
pub fn nginx_conf(listens: &str) -> String {
    NGINX.replace("LISTEN", listens)
}

/// Without TLS.
pub const PLAIN: &str = "[::]:80 ipv6only=off";
/// With TLS.
pub const TLS: &str = "443 ssl; ssl_certificate cert.pem; ssl_certificate_key cert.key";

/// vsftpd for everybody, and all that it shows in `dir`. It has no symbolic links: nobody gets out of its directory.
pub fn vsftpd_conf(dir: &Path, tls: bool) -> String {
    let dir = dir.display();
    let tls = match tls {
        true => format!(
            "listen_port=990\nssl_enable=YES\nimplicit_ssl=YES\nallow_anon_ssl=YES\nforce_anon_logins_ssl=YES\n\
             force_anon_data_ssl=YES\nrequire_ssl_reuse=YES\nrsa_cert_file={dir}/cert.pem\n\
             rsa_private_key_file={dir}/cert.key\n"
        ),
        false => String::new(),
    };
    format!(
        "listen=YES\nbackground=NO\nanonymous_enable=YES\nlocal_enable=NO\nanon_root={dir}/copied\nseccomp_sandbox=NO\n\
         secure_chroot_dir={dir}/empty\n{tls}"
    )
}

/// An NFS server without privileges of a kernel: nobody waits for clients of before, and there are no locks.
pub fn ganesha_conf(dir: &Path) -> String {
    format!(
        "NFS_CORE_PARAM {{ Protocols = 3, 4; Enable_NLM = false; Enable_RQUOTA = false; Mount_Path_Pseudo = true;\n\
         allow_set_io_flusher_fail = true; }}\n\
         NFSV4 {{ Graceless = true; Delegations = false; }}\n\
         EXPORT {{ Export_Id = 1; Path = {}/copied; Pseudo = /images; Access_Type = RO; Squash = No_Root_Squash;\n\
         SecType = sys; Protocols = 3, 4; FSAL {{ Name = VFS; }} }}\n",
        dir.display()
    )
}

/// dnsmasq that sends files.
pub fn tftp(dir: &Path) -> Vec<String> {
    let fixed = "dnsmasq --keep-in-foreground --conf-file=/dev/null --user=root --group=root --pid-file= --log-facility=- --port=0 \
                 --enable-tftp --bind-interfaces --except-interface=lo --interface=srv0";
    let mut args: Vec<String> = fixed.split_whitespace().map(str::to_owned).collect();
    args.push(format!("--tftp-root={}/http", dir.display()));
    args
}

const NGINX: &str = "\
daemon off;
master_process off;
pid nginx.pid;
user root;
events {}
http {
    access_log nginx.access;
    client_body_temp_path temp/body;
    proxy_temp_path temp/proxy;
    fastcgi_temp_path temp/fastcgi;
    uwsgi_temp_path temp/uwsgi;
    scgi_temp_path temp/scgi;
    default_type application/octet-stream;
    sendfile on;
    server {
        listen LISTEN;
        root http;
    }
}
";

/// Where a server can be asked whether it listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    /// A connection can be made.
    Tcp(u16),
    /// A socket is bound.
    Udp(u16),
}

impl Port {
    /// The kernel's tables, in `/proc/PID/net`: a server of IPv6 listens for IPv4 too.
    pub fn tables(self) -> [&'static str; 2] {
        match self {
            Self::Tcp(_) => ["tcp", "tcp6"],
            Self::Udp(_) => ["udp", "udp6"],
        }
    }

    /// Is it in that table (proc_pid_net(5))? Its columns: number, local address, remote address, state.
    pub fn is_in(self, table: &str) -> bool {
        let (number, state) = match self {
            Self::Tcp(number) => (number, "0A"),
            Self::Udp(number) => (number, "07"),
        };
        let local = format!(":{number:04X}");
        table.lines().skip(1).any(|line| {
            let mut fields = line.split_whitespace().skip(1);
            fields.next().is_some_and(|address| address.ends_with(&local)) && fields.nth(1) == Some(state)
        })
    }
}

/// What an interface has sent and received, in the kernel's table of them (proc_pid_net(5)): after its name eight numbers of what came in
/// and eight of what went out, of which the bytes are the first.
pub fn traffic(table: &str, interface: &str) -> Option<Traffic> {
    let rest = table.lines().find_map(|line| line.trim().strip_prefix(interface)?.strip_prefix(':'))?;
    let numbers: Vec<u64> = rest.split_whitespace().map(str::parse).collect::<Result<_, _>>().ok()?;
    Some(Traffic { there: *numbers.get(8)?, back: *numbers.first()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_counts_bytes() {
        let table = "Inter-|   Receive                                                |  Transmit\n \
                     face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n    \
                     lo:       5       1    0    0    0     0          0         0        5       1    0    0    0     0       0          0\n  \
                     srv0: 1234567    8901    0    0    0     0          0         0 98765432    1098    0    0    0     0       0          0\n";
        assert_eq!(traffic(table, "srv0"), Some(Traffic { there: 98_765_432, back: 1_234_567 }));
        assert_eq!(traffic(table, "srv"), None);
    }

    #[test]
    fn cables_are_taps_or_pairs_and_some_are_cut() {
        let pair = |one: &str, other: &str| format!("link add name {one} type veth peer name {other}\n");
        let up = |name: &str| format!("link set {name} up\n");
        let tap = |name: &str| format!("tuntap add dev {name} mode tap\n");
        let near = |n| format!("addr add 10.9.{n}.1/24 dev srv{n}\nlink set srv{n} up\n");
        for (machine, count, straight, expected) in [
            (Machine::Qemu, 0, true, String::new()),
            (Machine::Qemu, 1, true, tap("srv0") + &near(0)),
            (Machine::Qemu, 1, false, pair("srv0", "mid0") + &up("mid0") + &tap("cli0") + &up("cli0") + &near(0)),
            (
                Machine::Uml,
                2,
                true,
                pair("srv0", "cli0") + &up("cli0") + &near(0) + &pair("srv1", "cli1") + &up("cli1") + &near(1),
            ),
            (
                Machine::Uml,
                1,
                false,
                pair("srv0", "mid0") + &up("mid0") + &pair("cli0", "cut0") + &up("cli0") + &up("cut0") + &near(0),
            ),
        ] {
            let found = cables(machine, count, straight);
            assert_eq!(found, format!("link set lo up\n{expected}"), "{machine:?} {count} {straight}");
        }
    }

    #[test]
    fn each_cable_has_a_range_and_more_words_come_last() {
        let line = dnsmasq(2, &["--dhcp-option=26,1400"]).join(" ");
        let end = "--interface=srv0 --dhcp-range=10.9.0.50,10.9.0.60,255.255.255.0,1h --interface=srv1 \
                   --dhcp-range=10.9.1.50,10.9.1.60,255.255.255.0,1h --port=0 --dhcp-option=26,1400";
        let named = dnsmasq(1, &["--port=53"]).join(" ");
        assert!(named.contains(" --port=53") && !named.contains("--port=0"), "{named}");
        assert!(line.ends_with(end), "{line}");
        assert!(line.starts_with("dnsmasq --keep-in-foreground "), "{line}");
    }

    #[test]
    fn the_kernel_says_who_listens() {
        let head = "  sl  local_address rem_address   st tx_queue rx_queue\n";
        let row = |local: &str, state: &str| format!("{head}   0: {local} 00000000:0000 {state} 00000000:00000000\n");
        for (port, table, expected) in [
            (Port::Tcp(80), row("00000000:0050", "0A"), true),
            (Port::Tcp(80), row("0100090A:0050", "0A"), true),
            // Connected, not listening.
            (Port::Tcp(80), row("0100090A:0050", "01"), false),
            (Port::Tcp(80), row("00000000:0051", "0A"), false),
            (Port::Tcp(80), row("00000000:1050", "0A"), false),
            (Port::Udp(67), row("00000000:0043", "07"), true),
            (Port::Udp(67), row("00000000:0044", "07"), false),
            (Port::Udp(67), head.to_owned(), false),
            (Port::Udp(67), String::new(), false),
        ] {
            assert_eq!(port.is_in(&table), expected, "{port:?} {table}");
        }
    }
}
