//! Kargs about the network and about what is fetched over it.

use super::{Karg, Origin, ValueKind, table};

table! { NETWORK_TABLE:
    IP = Karg::new("ip", ValueKind::Text, Origin::Both, "Address configuration; may be given several times")
        .values("`dhcp`, `dhcp6`, `auto6`, `none` …; `<interface>:<method>`; `<address>:<peer>:<gateway>:<mask>:<host>:<interface>:<method>`");
    BOOTIF = Karg::new("BOOTIF", ValueKind::Text, Origin::Both, "The interface the firmware booted from").values("`[type-]MAC`, dashes or colons");
    RD_BOOTIF = Karg::new("rd.bootif", ValueKind::Bool, Origin::Dracut, "Whether `BOOTIF=` counts").default("1");
    BOOTDEV = Karg::new("bootdev", ValueKind::Text, Origin::Dracut, "The interface that supplies routes and name servers").values("interface or MAC");
    IFNAME = Karg::new("ifname", ValueKind::Text, Origin::Both, "Name an interface").values("`<name>:<MAC>`");
    NAMESERVER = Karg::new("nameserver", ValueKind::Text, Origin::Dracut, "Name server; may be given several times").values("an address");
    VLAN = Karg::new("vlan", ValueKind::Text, Origin::Dracut, "VLAN interface").values("`<name>:<parent>`");
    BOND = Karg::new("bond", ValueKind::Text, Origin::Dracut, "Bonded interface").values("`<name>[:<members>[:<options>[:<mtu>]]]`").elsewhere(LAYERED);
    TEAM = Karg::new("team", ValueKind::Text, Origin::Dracut, "Team interface").values("`<name>:<ports>[:<runner>]`").elsewhere(LAYERED);
    BRIDGE = Karg::new("bridge", ValueKind::Text, Origin::Dracut, "Bridge interface").values("`<name>:<ports>`").elsewhere(LAYERED);
    NEEDNET = Karg::new("rd.neednet", ValueKind::Bool, Origin::Both, "Bring the network up even if the root does not need it").default("0; implied by a network source");
    PEERDNS = Karg::new("rd.peerdns", ValueKind::Bool, Origin::Dracut, "Use name servers from DHCP").default("1");
    ROUTE = Karg::new("rd.route", ValueKind::Text, Origin::Dracut, "Static route; may be given several times").values("`<net>/<prefix>:<gateway>[:<interface>]`");
    NETROOT = Karg::new("netroot", ValueKind::Text, Origin::Dracut, "Network root of dracut's own network modules").elsewhere("dracut's network modules; a live source is named by `root=`");
    NET_TIMEOUT_DHCP = Karg::new("rd.net.timeout.dhcp", ValueKind::Number, Origin::Dracut, "Limit for an address, as often as `rd.net.dhcp.retry` says; no longer than `rd.retry`").values("seconds").default("as `rd.retry`");
    NET_TIMEOUT_IFLINK = seconds("rd.net.timeout.iflink", "Limit for an interface to appear").default("60");
    NET_TIMEOUT_IFUP = seconds("rd.net.timeout.ifup", "Limit for an interface to come up").default("20");
    NET_TIMEOUT_ROUTE = seconds("rd.net.timeout.route", "Limit for a route to appear").default("20");
    NET_TIMEOUT_IPV6DAD = seconds("rd.net.timeout.ipv6dad", "Limit for IPv6 duplicate address detection").default("50");
    NET_TIMEOUT_IPV6AUTO = seconds("rd.net.timeout.ipv6auto", "Limit for IPv6 autoconfiguration").default("40");
    NET_TIMEOUT_CARRIER = seconds("rd.net.timeout.carrier", "Limit for a carrier").default("10");
    NET_DHCP_RETRY = Karg::new("rd.net.dhcp.retry", ValueKind::Number, Origin::Dracut, "How often DHCP is tried").default("1");
    NET_DHCP_VENDOR_CLASS = Karg::new("rd.net.dhcp.vendor-class", ValueKind::Text, Origin::Dracut, "DHCP vendor class to send");
    NET_DHCP_CLIENT_ID = Karg::new("rd.net.dhcp.client-id", ValueKind::Text, Origin::Dracut, "DHCP client identifier to send").values("bytes as `01:aa:bb`, else a text");
    LIVE_NET_CONFLICT = Karg::new("rd.live.net.conflict", ValueKind::Text, Origin::Rdlive, "What becomes of an address of `ip=` that another machine has").values("`use`, `refuse`").default("refuse");
    NET_DHCP_DSCP = Karg::new("rd.net.dhcp.dscp", ValueKind::Text, Origin::Dracut, "DSCP value of DHCP packets").elsewhere(LAYERED);
    NET_DNS = Karg::new("rd.net.dns", ValueKind::Text, Origin::Dracut, "Name server as a URI").elsewhere(LAYERED);
    ETHTOOL = Karg::new("rd.ethtool", ValueKind::Text, Origin::Dracut, "Link settings of an interface").elsewhere(LAYERED);
    IB_PKEY = Karg::new("ib.pkey", ValueKind::Text, Origin::Dracut, "InfiniBand partition key interface").elsewhere(LAYERED);
    GATEWAY = Karg::new("gateway", ValueKind::Text, Origin::Dracut, "Gateway for an `ip=` that holds only an address");
    NETMASK = Karg::new("netmask", ValueKind::Text, Origin::Dracut, "Mask for an `ip=` that holds only an address");
    HOSTNAME = Karg::new("hostname", ValueKind::Text, Origin::Dracut, "Host name for an `ip=` that holds only an address");
    KSDEVICE = Karg::new("ksdevice", ValueKind::Text, Origin::Dracut, "Interface for an `ip=` that holds only an address");
    MTU = Karg::new("mtu", ValueKind::Number, Origin::Dracut, "MTU for an `ip=` that holds only an address");
    NET_IFNAMES = Karg::new("net.ifnames", ValueKind::Bool, Origin::Kernel, "Whether interfaces get the names that udev gives, natively too").default("1");
    NET_NAMING_SCHEME = Karg::new("net.naming_scheme", ValueKind::Text, Origin::Kernel, "By which rules of udev those names are made").values("`v240` to `v257`").default("`v257`");
    BIOSDEVNAME = Karg::new("biosdevname", ValueKind::Bool, Origin::Kernel, "Interface names from the BIOS").elsewhere("biosdevname");
    PROXY = Karg::new("proxy", ValueKind::Text, Origin::Dracut, "Proxy for downloads").values("a URL");
    NOVERIFYSSL = Karg::new("rd.noverifyssl", ValueKind::Bool, Origin::Dracut, "Do not verify the certificates of servers").default("0");
    NO_PROXY = Karg::new("no_proxy", ValueKind::Text, Origin::Rdlive, "What is asked without the proxy").values("names, addresses, networks, with commas; `*` for all");
    LIVE_MIRROR = Karg::new("rd.live.mirror", ValueKind::Text, Origin::Rdlive, "Another place for the same image; may be given several times").values("a URL");
    LIVE_SHA256 = Karg::new("rd.live.sha256", ValueKind::Text, Origin::Rdlive, "SHA-256 of the image, as the server has it; `#sha256=` at the end of a URL is the same").values("64 hexadecimal digits");
    LIVE_CA = Karg::new("rd.live.ca", ValueKind::Text, Origin::Rdlive, "CAs to trust besides the initrd's, or the server's own certificate").values("a PEM file of the initrd");
    LIVE_CERT = Karg::new("rd.live.cert", ValueKind::Text, Origin::Rdlive, "Certificate with which this machine says who it is").values("a PEM file of the initrd");
    LIVE_KEY = Karg::new("rd.live.key", ValueKind::Text, Origin::Rdlive, "Key of `rd.live.cert=`, not encrypted").values("a PEM file of the initrd");
    LIVE_UPDATES = Karg::new("live.updates", ValueKind::Text, Origin::Dracut, "Archive (tar, cpio) or file system with files that are copied over the root, at each boot").values("a URL");
    KIWI_PXE = Karg::new("rd.kiwi.live.pxe", ValueKind::Bool, Origin::Kiwi, "Once turned the network on; today kiwi-live renames all interfaces to lan0")
        .ignored("a network source turns the network on, and no interface is renamed");
    KIWI_CURL_OPTIONS = Karg::new("rd.kiwi.live.curl_options", ValueKind::List, Origin::Kiwi, "Options for downloads, as for curl; those that mean something here are taken, others refused ([netboot](netboot.md))").values("`--connect-timeout,5`, `-u,<user>:<password>`, `-k` …");
    KIWI_DOLLY_OPTIONS = Karg::new("rd.kiwi.live.dolly_options", ValueKind::List, Origin::Kiwi, "Options for a dolly receiver").values("`-P,<password>`, `-a,<seconds>`");
    KIWI_SYSTEM = Karg::new("rd.kiwi.live.system", ValueKind::Text, Origin::Kiwi, "Write the image that is fetched to this disk, once; as long as it is there, it is booted from there without a network").values("a device as after `root=live:`; `/dev/ram0`").default("RAM");
    LIVE_SYSTEM_WIPE = Karg::new("rd.kiwi.live.system.wipe", ValueKind::Text, Origin::Rdlive, "**What is on that disk is given away**, if it is this one").values("`/dev/disk/by-id/…`, `/dev/disk/by-path/…`, `PARTUUID=…`, or `UUID=…` or `PTUUID=…` of what lies there now");
    KIWI_RESET = Karg::new("rd.kiwi.live.reset", ValueKind::Bool, Origin::Kiwi, "Fetch the image again although it is on the disk; **what was kept there is gone then**").default("0");
    RAMDISK_SIZE = Karg::new("ramdisk_size", ValueKind::Number, Origin::Kiwi, "The most KiB of RAM that a downloaded image may take; nothing is taken before it is needed").default("what the download needs (kiwi-live: 2097152)");
    KIWI_INSTALL_IMAGE = Karg::new("rd.kiwi.install.image", ValueKind::Text, Origin::Kiwi, "Image of a network installation").ignored(INSTALLER);
    KIWI_INSTALL_DOLLY = Karg::new("rd.kiwi.install.pxe.dolly_options", ValueKind::List, Origin::Kiwi, "Options for the dolly receiver of a network installation").ignored(INSTALLER);
}

const INSTALLER: &str = "it belongs to KIWI's installer; for a live system over the network write root=live:<URL>";

const fn seconds(name: &'static str, meaning: &'static str) -> Karg {
    Karg::new(name, ValueKind::Number, Origin::Dracut, meaning)
        .values("seconds")
        .ignored("interfaces, links and routes are waited for together, as long as rd.retry= says")
}

/// Who does what rdlive's own client cannot.
pub const LAYERED: &str = "NetworkManager in an initrd of dracut; rdlive's own client says that it cannot";
