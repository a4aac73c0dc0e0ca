//! An example of a server for addresses and TFTP in one program (network.md 3.3).

use std::net::Ipv4Addr;
use std::path::Path;

use super::{BaseUrl, Loader, MARK};

/// For examples (RFC 5737): stands where the URL names no address.
const EXAMPLE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

/// A configuration of dnsmasq that serves `dir`, an absolute path, in the network of the URL's server.
///
/// The second value says whether that network is known: otherwise the addresses are to be replaced.
#[must_use]
pub fn text(dir: &Path, url: &BaseUrl, loaders: &[Loader]) -> (String, bool) {
    let server = url.ipv4();
    let [a, b, c, own] = server.unwrap_or(EXAMPLE).octets();
    let net = format!("{a}.{b}.{c}");
    // The server's own address is not given away.
    let range = if (100..200).contains(&own) { "200,{}.249" } else { "100,{}.199" }.replace("{}", &net);
    let mut text = format!(
        "# {MARK}: an example for dnsmasq --conf-file=dnsmasq.conf, run on the server {net}.{own}\n\
         # It gives addresses, so it is for a network without another DHCP server. Where there is one, tell that the files below.\n"
    );
    if server.is_none() {
        text.push_str(&format!("# The URL names no address: put the server's network in place of {net}.\n"));
    }
    text.push_str(&format!(
        "port=0\nlisten-address={net}.{own}\nbind-interfaces\nlog-dhcp\nno-ping\ndhcp-authoritative\n\
         dhcp-range={net}.{range},255.255.255.0,1h\nenable-tftp\ntftp-root={}\n",
        dir.display()
    ));
    text.push_str(
        "# iPXE sends option 175; numbers of machines are those of RFC 4578: 0 BIOS, 7 and 9 UEFI, 16 UEFI by HTTP.\n\
         dhcp-match=set:ipxe,175\ndhcp-match=set:bios,option:client-arch,0\ndhcp-match=set:efi,option:client-arch,7\n\
         dhcp-match=set:efi,option:client-arch,9\ndhcp-match=set:http,option:client-arch,16\n",
    );
    let has = |loader| loaders.contains(&loader);
    if has(Loader::Ipxe) {
        text.push_str("dhcp-boot=tag:ipxe,boot.ipxe\n");
    }
    if has(Loader::Pxelinux) {
        let others = if has(Loader::Ipxe) { "tag:!ipxe," } else { "" };
        text.push_str(&format!("dhcp-boot={others}tag:bios,pxelinux.0\n"));
    }
    if has(Loader::Grub) {
        let others = if has(Loader::Ipxe) { "tag:!ipxe," } else { "" };
        text.push_str(&format!("dhcp-boot={others}tag:efi,grubnetx64.efi\n"));
    }
    // A GRUB 2.06 that has come by HTTP looks for no configuration, and waits at its prompt (seen with Debian 12's).
    let by_http = match (has(Loader::Ipxe), has(Loader::Grub)) {
        (true, _) => Some("tag:!ipxe,tag:http,snponly.efi"),
        (false, true) => Some("tag:http,grubnetx64.efi"),
        (false, false) => None,
    };
    if let Some((tags, file)) = by_http.filter(|_| url.is_plain_server()).and_then(|words| words.rsplit_once(',')) {
        text.push_str(&format!("dhcp-boot={tags},{}\ndhcp-option-force=tag:http,60,HTTPClient\n", url.of(file)));
    }
    (text, server.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example() {
        let (text, known) = text(Path::new("/srv/tftp"), &"http://192.168.50.1/".parse().unwrap(), &Loader::ALL);
        assert!(known);
        let expected = "\
# Written by rdlive-image pxe: an example for dnsmasq --conf-file=dnsmasq.conf, run on the server 192.168.50.1
# It gives addresses, so it is for a network without another DHCP server. Where there is one, tell that the files below.
port=0
listen-address=192.168.50.1
bind-interfaces
log-dhcp
no-ping
dhcp-authoritative
dhcp-range=192.168.50.100,192.168.50.199,255.255.255.0,1h
enable-tftp
tftp-root=/srv/tftp
# iPXE sends option 175; numbers of machines are those of RFC 4578: 0 BIOS, 7 and 9 UEFI, 16 UEFI by HTTP.
dhcp-match=set:ipxe,175
dhcp-match=set:bios,option:client-arch,0
dhcp-match=set:efi,option:client-arch,7
dhcp-match=set:efi,option:client-arch,9
dhcp-match=set:http,option:client-arch,16
dhcp-boot=tag:ipxe,boot.ipxe
dhcp-boot=tag:!ipxe,tag:bios,pxelinux.0
dhcp-boot=tag:!ipxe,tag:efi,grubnetx64.efi
dhcp-boot=tag:!ipxe,tag:http,http://192.168.50.1/snponly.efi
dhcp-option-force=tag:http,60,HTTPClient
";
        assert_eq!(text, expected);
    }

    #[test]
    fn the_servers_own_address_is_kept_and_a_name_is_said() {
        let of = |url: &str, loaders: &[Loader]| text(Path::new("/d"), &url.parse().unwrap(), loaders);
        let (text, _) = of("http://10.1.2.150:8080/live", &[Loader::Pxelinux]);
        assert!(text.contains("dhcp-range=10.1.2.200,10.1.2.249,"), "{text}");
        assert!(text.contains("\ndhcp-boot=tag:bios,pxelinux.0\n") && !text.contains("boot.ipxe"), "{text}");
        assert!(!text.contains("HTTPClient"), "{text}");
        let (text, _) = of("http://10.1.2.150", &[Loader::Grub]);
        assert!(text.contains("\ndhcp-boot=tag:http,http://10.1.2.150/grubnetx64.efi\n"), "{text}");
        let (text, known) = of("https://boot.example.org", &Loader::ALL);
        assert!(!known && text.contains("in place of 192.0.2.\n"), "{text}");
    }
}
