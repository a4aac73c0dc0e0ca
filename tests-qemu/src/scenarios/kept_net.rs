//! A root that is read over the network, while the live system's own program takes the network over (network.md 4.6 to 4.8, cases N-N5, N-A7).

use super::{Scenario, scenario};
use crate::boot::Boot;
use crate::check::*;
use crate::guest::Tree;
use crate::machine::Need;
use crate::medium::*;
use crate::mode::Mode;
use crate::net::{NAMED, Net, Serve};

/// Debian with both programs, of which each boot masks one or both. From its first second on it reads pieces of its own medium past
/// the page cache, and notes what becomes of addresses and links; `/run/lab-network` says what came of that.
const SYSTEM: &str = r#"
    mkdir -p "$1"/etc/{systemd/network,systemd/system/{sysinit.target.wants,multi-user.target.wants,lab-report.service.d}} "$1/usr/local/sbin"
    units=/usr/lib/systemd/system
    ln -s "$units/systemd-networkd.service" "$1/etc/systemd/system/multi-user.target.wants/"
    ln -s ../lab-watch.service "$1/etc/systemd/system/sysinit.target.wants/"
    # As an administrator has it: without a word about what was there before.
    printf '[Match]\nType=ether\n[Network]\nDHCP=yes\n' > "$1/etc/systemd/network/20-wired.network"
    cat > "$1/etc/systemd/system/lab-watch.service" << 'END'
[Unit]
DefaultDependencies=no
Before=sysinit.target network-pre.target
[Service]
ExecStartPre=/bin/sh -c "ip -o -4 address show scope global > /run/lab-before"
ExecStart=/usr/local/sbin/lab-watch
END
    cat > "$1/usr/local/sbin/lab-watch" << 'END'
#!/bin/bash
ip monitor address link > /run/lab-events &
from=/run/initramfs/isoscan/live.iso
[ -e "$from" ] || from=/dev/etherd/e0.1
worst=0 count=0
while :; do
    begin=${EPOCHREALTIME/./}
    dd if="$from" of=/dev/null bs=32k count=1 skip=$(( RANDOM % 1000 )) iflag=direct 2> /dev/null || echo failed >> /run/lab-failed
    took=$(( ${EPOCHREALTIME/./} - begin ))
    [ "$took" -le "$worst" ] || worst=$took
    count=$(( count + 1 ))
    echo "$count $worst" > /run/lab-reads.new; mv /run/lab-reads.new /run/lab-reads
    sleep 0.1
done
END
    cat > "$1/usr/local/sbin/lab-network" << 'END'
#!/bin/bash
exec > /run/lab-network 2>&1
now() { ip -o -4 address show scope global | sed -E 's/.* inet ([^ ]*) .*/\1/' | sort | xargs; }
waits() { local until=$(( SECONDS + 90 )); while ! eval "$1" && (( SECONDS < until )); do sleep 0.5; done; }
case " $(cat /proc/cmdline) " in
*" lab.taker=networkd "*) waits 'networkctl --json=short list 2> /dev/null | grep -q "\"AdministrativeState\":\"configured\""' ;;
*" lab.taker=NetworkManager "*) waits 'nmcli -t -f DEVICE,TYPE,STATE device | grep -q ":ethernet:connected"' ;;
esac
wait=$(sed -n 's/.*lab.wait=\([0-9]*\).*/\1/p' /proc/cmdline)
sleep "${wait:-3}"
before=$(sed -E 's/.* inet ([^ ]*) .*/\1/' /run/lab-before | sort | xargs)
[ "$(now)" = "$before" ] && echo "the same address" || echo "before: $before; now: $(now)"
grep -q '^Deleted.* inet ' /run/lab-events && echo "an address was gone" || echo "no address was gone"
read -r count worst < /run/lab-reads
[ -e /run/lab-failed ] && echo "a read failed"
(( count > 20 )) && (( worst < 30000000 )) && echo "reading went on" || echo "$count reads, the longest $worst us"
{ cat /run/lab-before /run/lab-events; ip address; ip route; networkctl status -a --no-pager; nmcli device; nmcli connection; journalctl -b --no-pager -u NetworkManager -u systemd-networkd -u lab-watch; } > /run/lab-details 2>&1
case " $(cat /proc/cmdline) " in
*" lab.taker=networkd "*) networkctl status --no-pager "$(ls /sys/class/net | grep -v lo | head -1)" | sed -n 's/^ *Network File: /by /p' ;;
*" lab.taker=NetworkManager "*) nmcli -t -f NAME connection show --active | grep -v '^lo$' | sed 's/^/by /' ;;
esac
END
    chmod 755 "$1"/usr/local/sbin/*
    printf '[Unit]\nAfter=multi-user.target\n[Service]\nExecStartPre=/usr/local/sbin/lab-network\n' \
        > "$1/etc/systemd/system/lab-report.service.d/network.conf"
"#;

/// Processor time that such a boot can do without.
const WITHOUT: &str =
    "systemd.mask=getty.target systemd.mask=systemd-logind.service lab.read=/run/lab-network,/run/lab-details";

fn system() -> Recipe {
    Recipe::Built {
        tree: Tree::Trixie,
        over: Over { packages: "network-manager", script: SYSTEM, ..Over::default() },
        args: ["--volume-id=ISO", "--profile=minimal", "--compression-level=1"].map(str::to_owned).to_vec(),
    }
}

/// What it says where nothing has changed, and networkd or NetworkManager does what it is told.
const BY_NETWORKD: &str =
    "the same address\nno address was gone\nreading went on\nby /run/systemd/network/05-live0.network";
const BY_MANAGER: &str = "the same address\nno address was gone\nreading went on\nby rdlive live0";

/// With which of them running: `networkd`, `NetworkManager`, or none.
fn taken_by(boot: Boot, taker: &str) -> Boot {
    let masks = [
        ("networkd", "systemd.mask=systemd-networkd.service systemd.mask=systemd-networkd.socket"),
        ("NetworkManager", "systemd.mask=NetworkManager.service"),
    ];
    let others = masks.into_iter().filter(|(name, _)| *name != taker);
    let boot = boot.memory(1536).deadline(560).kargs(WITHOUT).kargs(&format!("lab.taker={taker}"));
    others.fold(boot, |boot, (_, mask)| boot.kargs(mask))
}

fn nfs(words: Vec<&'static str>) -> Boot {
    let net = Net::new().serve(Serve::Dhcp(words)).serve(Serve::Nfs(vec![("/live.iso", system())]));
    let root = "root=live:nfs://10.9.0.1/images/live.iso";
    Boot::nothing().mode(Mode::Native).net(net).root(root).kargs("rd.retry=60").kargs(NAMED).expect(overlay_root())
}

/// User-mode Linux now and then loses the answer to a frame, and its driver asks again after minutes.
fn aoe() -> Boot {
    let net = Net::new().serve(Serve::Dhcp(vec!["--dhcp-option=26,1400"])).serve(Serve::Aoe(system(), 0));
    let root = "root=live:AOEINTERFACE=e0.1";
    let boot = Boot::nothing().mode(Mode::Native).net(net).root(root).kargs("rd.retry=60");
    boot.needs(Need::DistributionKernel).expect(overlay_root())
}

/// All of them.
pub fn all() -> Vec<Scenario> {
    let says = |text| file_is("/run/lab-network", text);
    let fixed = || nfs(vec![]).kargs("ip=10.9.0.9::10.9.0.1:255.255.255.0::live0:none");
    let by = |mode: Mode| nfs(vec![]).mode(mode).kargs("ip=dhcp");
    vec![
        scenario(
            "net/N-N5 rows 1 and 4: networkd takes a lease over that an NFS root needs",
            taken_by(nfs(vec![]), "networkd").expect(says(BY_NETWORKD)),
        ),
        scenario(
            "net/N-N5 networkd, and an address of the command line",
            taken_by(fixed(), "networkd").expect(says(BY_NETWORKD)),
        )
        .with_all(),
        scenario(
            "net/N-N5 networkd, and a lease of two minutes after five",
            taken_by(nfs(vec!["--dhcp-host=02:00:00:00:00:11,10.9.0.77,2m"]), "networkd")
                .deadline(900)
                .kargs("lab.wait=300")
                .expect(says(BY_NETWORKD)),
        )
        .with_all(),
        scenario(
            "net/N-N5 rows 9 and 11: NetworkManager takes a lease over that an NFS root needs",
            taken_by(nfs(vec![]), "NetworkManager").expect(says(BY_MANAGER)),
        ),
        scenario(
            "net/N-N5 NetworkManager, and a lease of two minutes after five",
            taken_by(nfs(vec!["--dhcp-host=02:00:00:00:00:11,10.9.0.77,2m"]), "NetworkManager")
                .deadline(900)
                .kargs("lab.wait=300")
                .expect(says(BY_MANAGER)),
        )
        .with_all(),
        scenario(
            "net/N-N5 row 12: NetworkManager, and an address of the command line",
            taken_by(fixed(), "NetworkManager").expect(says(BY_MANAGER)),
        )
        .with_all(),
        scenario(
            "net/N-N5 neither of them: a lease that nobody renews does not end",
            taken_by(nfs(vec!["--dhcp-host=02:00:00:00:00:11,10.9.0.77,2m"]), "nobody")
                .kargs("lab.wait=130")
                .expect(says("the same address\nno address was gone\nreading went on"))
                .expect(console_says("nothing in the image renews it")),
        )
        .with_all(),
        scenario(
            "net/N-N5 networkd of the initrd, then of the image, dracut 106",
            taken_by(by(Mode::Dracut106Networkd), "networkd").expect(says(BY_NETWORKD)),
        ),
        scenario(
            "net/N-N5 NetworkManager of the initrd, then of the image, dracut 106",
            taken_by(by(Mode::Dracut106Nm), "NetworkManager")
                .expect(says("the same address\nno address was gone\nreading went on\nby live0")),
        )
        .with_all(),
        scenario(
            "net/N-N5 networkd of the initrd, then NetworkManager of the image, dracut 106",
            taken_by(by(Mode::Dracut106Networkd), "NetworkManager").expect(says(BY_MANAGER)),
        )
        .with_all(),
        scenario(
            "net/N-N5 NetworkManager of the initrd, then networkd of the image, dracut 106",
            taken_by(by(Mode::Dracut106Nm), "networkd").expect(says(BY_NETWORKD)),
        )
        .with_all(),
        scenario(
            "net/N-N5 row 15 N-A7: NetworkManager beside an AoE root, with an MTU from DHCP",
            taken_by(aoe(), "NetworkManager").expect(says(
                "before: ; now: 10.9.0.60/24\nno address was gone\nreading went on\nby Wired connection 1",
            )),
        ),
        scenario(
            "net/N-N5 row 16 N-A7: networkd beside an AoE root, with an MTU from DHCP",
            taken_by(aoe(), "networkd").expect(says(
                "before: ; now: 10.9.0.60/24\nno address was gone\nreading went on\n\
                 by /etc/systemd/network/20-wired.network",
            )),
        )
        .with_all(),
    ]
}
