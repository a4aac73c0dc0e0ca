//! Runs inside the lab's guests.
//!
//! As PID 1 of the small tree: write what is asked for, report, power off. As `lab-guest report` (a service of the Debian trees, a line typed on the
//! serial console): the same. As `/init` of an initramfs with `/floor.modules`: the floor of the boot bench.
//! As `cryptsetup`: that, quickly.

mod content;
mod floor;
mod leave;
mod look;
mod net;
mod policy;
mod power;
mod quick;

use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;
use std::path::Path;

use rustix::mount::{MountFlags, mount};
use rustix::system::RebootCommand;

/// The second serial port: driven by 8250, which every distribution kernel has built in (docs/decisions/0003-lab-channel.md).
const CHANNEL: &str = "/dev/ttyS1";

fn main() {
    if quick::is_asked(std::env::args_os().next().as_deref()) {
        quick::run();
    }
    if Path::new("/floor.modules").exists() {
        floor::boot();
    }
    let uptime = look::uptime();
    mount_missing();
    power::use_root();
    policy::loaded();
    leave::written();
    let report = look::at_this_system(uptime);
    if let Err(error) = send(&report) {
        eprintln!("lab-guest: writing {CHANNEL}: {error}");
    }
    look::write_what_was_asked();
    println!("lab-guest: reported, powering off");
    if look::asked("lab.poweroff") {
        leave::asked_for_dracut();
        // The whole way: systemd stops everything and goes back into /run/initramfs.
        let _ = std::process::Command::new("systemctl").args(["--no-block", "poweroff"]).status();
        return;
    }
    if look::asked("lab.shutdown") {
        let error = leave::back_to_initrd();
        println!("lab-guest: going back into the initrd: {error}");
    }
    power_off();
}

/// A real init may be started without any of these; systemd has mounted them all.
fn mount_missing() {
    for (kind, at, probe) in
        [("proc", "/proc", "/proc/self"), ("sysfs", "/sys", "/sys/class"), ("devtmpfs", "/dev", "/dev/null")]
    {
        if !Path::new(probe).exists() {
            let _ = mount(kind, at, kind, MountFlags::empty(), None);
        }
    }
}

/// One line, and only then the end: the drain waits until the port has sent every byte.
fn send(report: &serde_json::Value) -> std::io::Result<()> {
    let mut port = File::options().write(true).open(CHANNEL)?;
    port.write_all(format!("\nLAB-RESULT {report}\n").as_bytes())?;
    rustix::termios::tcdrain(port.as_fd())?;
    Ok(())
}

fn power_off() -> ! {
    rustix::fs::sync();
    let _ = rustix::system::reboot(RebootCommand::PowerOff);
    loop {
        std::thread::sleep(std::time::Duration::from_secs(1));
    }
}
