//! Roots from other servers than HTTP's, and packed ones (kiwi-live spec 1.5, network.md 1, network-field.md kinds 14, 15, 17).

use super::{Scenario, scenario};
use crate::boot::Boot;
use crate::check::*;
use crate::machine::{Clock, Nic};
use crate::medium::*;
use crate::mode::Mode;
use crate::net::{CA, Certificate, DOLLY_CLIENT, Dolly, Link, NAMED, Net, Serve};
use crate::outcome::End;

fn boot(root: &str, server: Serve) -> Boot {
    over(Link::default(), root, server)
}

fn over(link: Link, root: &str, server: Serve) -> Boot {
    let net = Net::new().link(link).serve(Serve::Dhcp(vec![DOLLY_CLIENT])).serve(server);
    Boot::nothing().mode(Mode::Native).net(net).root(root).kargs("rd.minmem=64 rd.retry=30")
}

/// A boot that ends, within the seconds of `rd.retry` and a few more.
fn fails(root: &str, server: Serve, code: &'static str) -> Boot {
    boot(root, server).kargs("rd.retry=6").keep_after_failure().expect(stops_with(code))
}

/// What puts the lab's CA into an initrd.
fn trusted() -> String {
    format!("cat > lab-ca.pem <<'PEM'\n{CA}PEM")
}

/// With the lab's CA in the initrd.
fn trusting(boot: Boot) -> Boot {
    boot.over_initrd(&trusted()).kargs("rd.live.ca=/lab-ca.pem")
}

/// All of them.
pub fn all() -> Vec<Scenario> {
    let mut list = ftp();
    list.extend(tls());
    list.extend(tftp());
    list.extend(dolly());
    list.extend(aoe());
    list.extend(nfs());
    list.extend(packed());
    list.extend(updates());
    list
}

fn ftp() -> Vec<Scenario> {
    const URL: &str = "root=live:ftp://10.9.0.1/live.iso";
    let serve = || Serve::Ftp(vec![("/live.iso", iso())], None);
    vec![
        scenario(
            "net/N-P5 FTP an ISO into RAM",
            boot(URL, serve())
                .expect(overlay_root())
                .expect(console_says("network: addresses and routes taken away"))
                .expect(report_says("fetch ftp://10.9.0.1/live.iso to RAM at /run/initramfs/fetched/image")),
        ),
        scenario(
            "net/FTP an ISO into RAM, dracut 106",
            boot(URL, serve()).mode(Mode::Dracut106).kargs("rd.retry=60").expect(overlay_root()),
        ),
        scenario(
            "net/T-53 FTP a plain URL whose file has blanks and signs in its name",
            boot(
                "\"root=ftp://10.9.0.1/all%20images/a b&c;$d.iso\"",
                Serve::Ftp(vec![("/all images/a b&c;$d.iso", iso())], None),
            )
            .expect(overlay_root()),
        ),
        scenario(
            "net/FTP a line that loses a frame in ten",
            over(Link { loss: 10, ..Link::default() }, URL, serve()).kargs("rd.retry=60").expect(overlay_root()),
        ),
        scenario(
            "net/K14 FTP the file is not there",
            fails("root=live:ftp://10.9.0.1/nothing.iso", serve(), "RDL-071")
                .expect(report_says("550"))
                .expect(report_says("check the path in the URL")),
        ),
        scenario(
            "net/T-54 options for curl, of which a user is one",
            fails("root=live:ftp://10.9.0.1/live.iso", serve(), "RDL-071")
                .kargs("rd.kiwi.live.curl_options=--retry,3,-u,who:secret")
                .expect(report_says("530"))
                .expect(report_lacks("secret")),
        ),
        scenario(
            "net/T-50 ramdisk_size= that is too small",
            fails(URL, serve(), "RDL-028")
                .kargs("ramdisk_size=1000")
                .expect(report_says("ramdisk_size=1000 allows less"))
                .expect(report_says("or leave it out")),
        ),
        scenario(
            "net/K21 ramdisk_size= beyond the memory takes no more than is needed, and that is said",
            boot(URL, serve())
                .kargs("ramdisk_size=99999999")
                .expect(overlay_root())
                .expect(console_says("ramdisk_size=99999999 is more RAM than there is")),
        ),
        scenario(
            "net/FTP a user whom the server does not know",
            fails("root=live:ftp://who:secret@10.9.0.1/live.iso", serve(), "RDL-071")
                .expect(report_says("530"))
                .expect(report_says("check user and password"))
                .expect(report_lacks("secret")),
        ),
    ]
}

fn tls() -> Vec<Scenario> {
    const URL: &str = "root=live:https://10.9.0.1/live.iso";
    let https = |certificate| Serve::Https(vec![("/live.iso", iso())], certificate);
    let ftps = || Serve::Ftp(vec![("/live.iso", iso())], Some(Certificate::Right));
    let distrusts = |certificate| trusting(fails(URL, https(certificate), "RDL-071"));
    vec![
        scenario(
            "net/N-P5 HTTPS with a CA of one's own",
            trusting(boot(URL, https(Certificate::Right))).expect(overlay_root()),
        ),
        scenario(
            "net/N-P6 E8 HTTPS an unknown CA",
            fails(URL, https(Certificate::Right), "RDL-071").expect(report_says("rd.live.ca=")),
        ),
        scenario(
            "net/E8 HTTPS an unknown CA, and rd.noverifyssl",
            boot(URL, https(Certificate::Right)).kargs("rd.noverifyssl").expect(overlay_root()),
        ),
        scenario(
            "net/N-P6 K17 a certificate that has expired",
            distrusts(Certificate::Expired).expect(report_says("expired")),
        ),
        scenario(
            "net/K17 a clock of 2001 is set to the build of the initrd",
            trusting(boot(URL, https(Certificate::Right)))
                .over_initrd(&format!(
                    "{}\nmkdir etc; echo 'medium = UUID=2026-11-30-20-00-00-00' > etc/rdlive.conf",
                    trusted()
                ))
                .clock(Clock::Lost)
                .kargs("rd.live.medium=any")
                .expect(overlay_root())
                .expect(console_says("the clock said 2001-01-01 00:0"))
                .expect(console_says("it is set to 2026-11-30 20:00 UTC, when this initrd was built")),
        ),
        scenario("net/K17 a certificate of the future", distrusts(Certificate::Future).expect(report_says("clock"))),
        scenario(
            "net/N-P6 K17 a certificate of another host",
            distrusts(Certificate::Other).expect(report_says("other.lan")),
        ),
        scenario(
            "net/FTPS an ISO into RAM",
            trusting(boot("root=live:ftps://10.9.0.1/live.iso", ftps())).expect(overlay_root()),
        ),
        scenario(
            "net/FTPS an unknown CA",
            fails("root=live:ftps://10.9.0.1/live.iso", ftps(), "RDL-071").expect(report_says("rd.live.ca=")),
        ),
    ]
}

fn tftp() -> Vec<Scenario> {
    let serve = || Serve::Tftp(vec![("/images/live.iso", iso())]);
    vec![
        scenario(
            "net/N-P5 TFTP an ISO into RAM",
            boot("root=live:tftp://10.9.0.1/images/live.iso", serve()).expect(overlay_root()),
        ),
        scenario(
            "net/K14 TFTP the file is not there",
            fails("root=live:tftp://10.9.0.1/nothing.iso", serve(), "RDL-071")
                .expect(report_says("check the path in the URL")),
        ),
        scenario(
            "net/TFTP nobody answers",
            fails("root=live:tftp://10.9.0.1/live.iso", Serve::Http(vec![]), "RDL-071").kargs("rd.retry=12"),
        ),
    ]
}

fn dolly() -> Vec<Scenario> {
    const URL: &str = "root=live:dolly://10.9.0.1/live.iso";
    const PASSWORD: &str = "rd.kiwi.live.dolly_options=-P,secret";
    let serve = |what| Serve::Dolly(iso(), what);
    let second = Dolly { second: true, ..Dolly::default() };
    vec![
        scenario(
            "net/N-D7 dolly a leaf of generation 1",
            boot(URL, serve(Dolly::default()))
                .expect(overlay_root())
                .expect(console_says("type on the server: dolly -s -I live.iso -O /dev/stdout -H 10.9.0.77"))
                .expect(dolly_says("the client echoed")),
        ),
        scenario(
            "net/N-D7 dolly a leaf of generation 2, any server, with a password",
            boot("root=live:dolly:", serve(Dolly { password: Some("secret"), ..second }))
                .kargs(PASSWORD)
                .expect(overlay_root())
                .expect(dolly_says("the client echoed")),
        ),
        scenario(
            "net/N-D5 dolly a relay",
            boot(URL, serve(Dolly { relay: true, ..second }))
                .expect(overlay_root())
                .expect(dolly_says("the one behind it has the same bytes")),
        ),
        scenario(
            "net/N-D8 dolly the server dies half way",
            fails(URL, serve(Dolly { dies: true, ..second }), "RDL-071")
                .expect(report_says("the connection was closed")),
        ),
        scenario(
            "net/N-D4 dolly another password",
            fails(URL, serve(Dolly { password: Some("other"), ..second }), "RDL-071")
                .kargs(PASSWORD)
                .kargs("rd.kiwi.live.dolly_options=-a,5")
                .expect(report_says("the server has another password"))
                .expect(report_says("use the same -P PASSWORD"))
                .expect(report_lacks("secret")),
        ),
        scenario(
            "net/dolly nobody comes",
            fails(URL, Serve::Http(vec![]), "RDL-071")
                .kargs("rd.kiwi.live.dolly_options=-a,6")
                .expect(report_says("no dolly server connected within 6 s"))
                .expect(report_says("start the server after this machine says that it waits")),
        ),
        scenario(
            "net/dolly an option for servers",
            fails(URL, Serve::Http(vec![]), "RDL-071")
                .kargs("rd.kiwi.live.dolly_options=-s")
                .expect(report_says("-s is an option for a dolly server")),
        ),
    ]
}

fn aoe() -> Vec<Scenario> {
    const ROOT: &str = "root=live:AOEINTERFACE=e0.1";
    // Nobody gives addresses: none is needed.
    let served = |after| Net::new().serve(Serve::Aoe(iso(), after));
    let boot = |net: Net| Boot::nothing().mode(Mode::Native).net(net).root(ROOT).kargs("rd.retry=30 lab.shutdown");
    vec![
        scenario(
            "net/N-A1 T-47 AoE without any ip=",
            boot(served(0))
                .expect(overlay_root())
                .expect(mounted("/run/overlay/live", "iso9660"))
                .expect(ends(End::Off)),
        ),
        scenario("net/N-A1 T-46 AoE by e1000", boot(served(0).nic(Nic::E1000)).kargs("ip=dhcp").expect(overlay_root())),
        scenario(
            "net/T-46 AoE, dracut 106",
            boot(served(0)).mode(Mode::Dracut106).kargs("rd.retry=60").expect(overlay_root()),
        ),
        scenario(
            "net/N-A3 the AoE server comes later",
            // In QEMU on a busy host the boot takes as long before it asks for the first time.
            boot(served(20))
                .kargs("rd.retry=60")
                .expect(overlay_root())
                .expect(console_says("waiting for the AoE device e0.1, 3 s of 60"))
                .expect(console_says("link up")),
        ),
        scenario(
            "net/SD-14 AoE: changes go to RAM, and that is said",
            boot(served(0))
                .kargs("rd.live.overlay.persistent")
                .expect(overlay_root())
                .expect(persistence("temporary"))
                .expect(console_says("changes are not kept over a reboot")),
        ),
        scenario(
            "net/N-A5 no AoE server has such a device",
            boot(served(0))
                .root("root=live:AOEINTERFACE=e7.7")
                .kargs("rd.retry=8")
                .keep_after_failure()
                .expect(stops_with("RDL-075"))
                .expect(report_says("no AoE server has answered for e7.7")),
        ),
    ]
}

fn nfs() -> Vec<Scenario> {
    let serve = || Serve::Nfs(vec![("/live.iso", iso())]);
    let tree = || Serve::Nfs(vec![("/client/", image(Fs::Squashfs("zstd")))]);
    let covered = || report_says("10.9.0.1:/images/client");
    vec![
        scenario(
            "net/E11 an ISO on an NFS server",
            boot("root=live:nfs://10.9.0.1/images/live.iso", serve())
                .kargs(NAMED)
                .expect(overlay_root())
                .expect(persistence("temporary"))
                .expect(mounted("/run/initramfs/isoscan", "nfs4"))
                .expect(file_is("/run/net-live0.conf", HANDED))
                .expect(console_says("files below /run say so"))
                .expect(console_lacks("addresses and routes taken away")),
        ),
        scenario(
            "net/E11 by version 3, as Anaconda writes it",
            boot("root=live:nfs:vers=3,nolock:10.9.0.1:/images/live.iso", serve())
                .expect(overlay_root())
                .expect(mounted("/run/initramfs/isoscan", "nfs")),
        ),
        scenario(
            "net/E11 a file that is not there",
            fails("root=live:nfs4:10.9.0.1:/images/nothing.iso", serve(), "RDL-071")
                .expect(report_says("there is no such file")),
        ),
        scenario(
            "net/E12 a root on an NFS server",
            boot("root=nfs4:10.9.0.1:/images/client rd.overlay", tree()).expect(overlay_root()).expect(covered()),
        ),
        scenario(
            "net/E12 a root on an NFS server, with rd.live.image",
            boot("root=nfs4:10.9.0.1:/images/client rd.overlay rd.live.image", tree())
                .expect(overlay_root())
                .expect(covered())
                .expect(file_is("/run/net-live0.conf", HANDED))
                .kargs(NAMED),
        ),
        scenario(
            "net/E12 by version 3, dracut 106",
            boot("root=live:nfs:vers=3:10.9.0.1:/images/client rd.overlay", tree())
                .mode(Mode::Dracut106)
                .kargs("rd.retry=60")
                .expect(overlay_root())
                .expect(covered()),
        ),
        scenario(
            "net/E12 a directory that holds an image, and not a root",
            fails(
                "root=live:nfs4:10.9.0.1:/images/stick",
                Serve::Nfs(vec![("/stick/LiveOS/squashfs.img", image(Fs::Squashfs("zstd")))]),
                "RDL-071",
            )
            .expect(report_says("add /LiveOS/squashfs.img to the path")),
        ),
        scenario(
            "net/E11 a directory that is not shown",
            fails("root=live:nfs4:10.9.0.1:/other/live.iso", serve(), "RDL-071").expect(report_says("10.9.0.1:/other")),
        ),
        scenario(
            "net/E11 nobody listens",
            fails("root=live:nfs://10.9.0.1/images/live.iso", Serve::Http(vec![]), "RDL-071")
                .expect(report_says("10.9.0.1:2049: connection refused"))
                .expect(console_says("3 s of 6")),
        ),
    ]
}

/// What a live system over the network finds in `/run/net-live0.conf`.
const HANDED: &str = "DEVICE='live0'\nPROTO='dhcp'\nIPV4ADDR='10.9.0.77'\nIPV4NETMASK='255.255.255.0'\n\
                      IPV4GATEWAY='10.9.0.1'\nIPV4DNS0='0.0.0.0'\nIPV4DNS1='0.0.0.0'\nHOSTNAME=''\nDOMAINSEARCH=''";

fn packed() -> Vec<Scenario> {
    let by = |script: &str| changed(iso(), &format!("{script} < \"$1\" > \"$1.packed\"; mv \"$1.packed\" \"$1\""));
    let url = "root=live:http://10.9.0.1/live.iso";
    let serve = |recipe| Serve::Http(vec![("/live.iso", recipe)]);
    let mut list: Vec<_> = [("xz", "xz -1"), ("zst", "zstd -q --check"), ("gz", "gzip -1")]
        .map(|(kind, script)| {
            scenario(
                format!("net/an ISO packed as {kind} is unpacked on its way"),
                boot(url, serve(by(script))).expect(overlay_root()).expect(console_says("compressed) into RAM")),
            )
        })
        .into();
    let hole = "gzip -1 < \"$1\" | { head -c 900000; head -c 4096 > /dev/null; cat; } > \"$1.packed\"; mv \"$1.packed\" \"$1\"";
    let cut = changed(iso(), hole);
    list.push(scenario(
        "net/a packed ISO that is damaged",
        fails(url, serve(cut), "RDL-071").expect(report_says("the compressed image is damaged")),
    ));
    list
}

/// Files from a server, over the root of a local medium.
fn updates() -> Vec<Scenario> {
    // The image of an update is a recipe like any other: `$1` is where it is to be.
    let made = |by: &str| {
        let tree = "t=$(mktemp -d); mkdir $t/etc; echo new > $t/etc/lab-marker; echo more > $t/etc/lab-more";
        changed(Recipe::Text(""), &format!("{tree}; {by}; rm -r --one-file-system $t"))
    };
    let local = |path: &'static str, by: &str| {
        let net = Net::new().serve(Serve::Dhcp(vec![])).serve(Serve::Http(vec![(path, made(by))]));
        Boot::from(iso()).net(net).kargs(&format!("rd.retry=20 live.updates=http://10.9.0.1{path}"))
    };
    let updated = |boot: Boot| {
        let boot = boot.expect(overlay_root()).expect(marker("new")).expect(file_is("/etc/lab-more", "more"));
        boot.expect(console_says("what live.updates= names is over the root: 2 files"))
    };
    let tar = "tar -C $t -czf \"$1\" .";
    let cpio = "(cd $t; find . | cpio --quiet -o -H newc | xz -1 --check=crc32) > \"$1\"";
    let image = "rm \"$1\"; mksquashfs $t \"$1\" -quiet -no-progress > /dev/null";
    vec![
        scenario("net/E10 files of a tar over the root of a local medium", updated(local("/u.tar.gz", tar))),
        scenario("net/E10 files of a cpio", updated(local("/u.cpio.xz", cpio))).with_all(),
        scenario("net/E10 files of a squashfs, dracut 106", updated(local("/u.img", image).mode(Mode::Dracut106))),
        scenario(
            "net/E10 the updates are not there, and the boot goes on",
            local("/u.tar.gz", tar)
                .kargs("live.updates=http://10.9.0.1/nothing rd.retry=6")
                .expect(overlay_root())
                .expect(console_says("live.updates, falling back: RDL-071"))
                .expect(report_left_says("correct the URL in live.updates="))
                .expect(file_absent("/etc/lab-more")),
        ),
    ]
}
