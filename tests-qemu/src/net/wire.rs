//! The namespace of one network while it exists.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::args::{self, Port};
use super::link::Cable;
use super::{Certificate, Net, SERVER6, Serve, Traffic, dolly, layer};
use crate::fixture::CannotMake;
use crate::lab::Lab;
use crate::machine::{Card, Machine, Plug};
use crate::medium::Recipe;
use crate::{cache, tool};

/// A thousand times what a server needs to start.
const PATIENCE: Duration = Duration::from_secs(20);

/// Cables and servers that are there until this is dropped.
#[derive(Debug)]
pub struct Wire {
    holder: Child,
    dir: PathBuf,
    root: PathBuf,
    servers: Vec<Child>,
    cables: Vec<Cable>,
    plug: Plug,
    served: Vec<(String, PathBuf)>,
    dolly: Option<dolly::Server>,
}

impl Wire {
    /// Makes the namespace, lays the cables and starts the servers; all logs stay in `dir`.
    ///
    /// # Errors
    /// A server does not start; or the host's kernel lacks what the network is made of.
    pub fn lay(net: &Net, lab: &Lab, machine: Machine, dir: &Path) -> Result<Self> {
        if machine == Machine::Qemu && !Path::new(TUN).exists() {
            return Err(CannotMake(format!("QEMU's network needs {TUN}")).into());
        }
        let layers = layer::layers(lab)?;
        let (dir, root) = (dir.join("net"), dir.join("net/root"));
        fs::create_dir_all(&root)?;
        // Links to served files have the cache's own name, which the environment may lead to by another one.
        let cache = fs::canonicalize(cache::place())?;
        let holder = hold(&[&layers.upper, &layers.lower, &cache, &dir, &root])?;
        let straight = net.link.is_perfect();
        let cards = net.cards.iter().enumerate().map(|(cable, mac)| Card {
            mac: mac.clone(),
            nic: net.nic,
            interface: args::far(machine, cable, straight),
            offload: straight,
            starter: net.starter.filter(|_| cable == 0),
        });
        let plug = Plug { namespace: namespace(&holder, "net"), cards: cards.collect() };
        let mut wire =
            Self { holder, dir, root, servers: Vec::new(), cables: Vec::new(), plug, served: Vec::new(), dolly: None };
        wire.ask(&["ip", "-batch", "-"], &args::cables(machine, net.cards.len(), straight))?;
        for cable in (0..net.cards.len()).filter(|_| !straight) {
            wire.ask(&args::plain(&args::near(cable)), "")?;
            wire.ask(&args::plain(&args::far(machine, cable, straight)), "")?;
            let ends = args::ends(machine, cable);
            wire.cables.push(Cable::lay(net.link, &wire.plug.namespace, ends)?);
        }
        if net.six {
            wire.ask(&["ip", "addr", "add", &format!("{SERVER6}/64"), "dev", &args::near(0), "nodad"], "")?;
        }
        net.servers.iter().try_for_each(|server| wire.serve(server, net.cards.len(), lab))?;
        Ok(wire)
    }

    /// What a machine is connected to.
    pub fn plug(&self) -> Plug {
        self.plug.clone()
    }

    /// Files that can be fetched, and where they are on the host.
    pub fn served(&self) -> &[(String, PathBuf)] {
        &self.served
    }

    /// What has gone over the first cable so far, as the kernel counts it at the servers' end.
    pub fn traffic(&self) -> Option<Traffic> {
        let table = fs::read_to_string(format!("/proc/{}/net/dev", self.holder.id())).ok()?;
        args::traffic(&table, &args::near(0))
    }

    /// What dnsmasq has logged so far.
    pub fn dhcp(&self) -> String {
        fs::read_to_string(self.dir.join("dnsmasq.log")).unwrap_or_default()
    }

    /// Ends a dolly server; what became of it.
    pub fn dolly(&mut self) -> String {
        self.dolly.take().map_or_else(String::new, dolly::Server::end)
    }

    /// Lets go of it as a lab does that is killed, and waits for what then happens by itself.
    ///
    /// # Errors
    /// Nothing happens.
    pub fn abandon(mut self) -> Result<()> {
        drop(self.holder.stdin.take());
        let begin = Instant::now();
        while self.holder.try_wait()?.is_none() {
            ensure!(begin.elapsed() < PATIENCE, "the namespace's holder does not end with its input");
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    fn serve(&mut self, server: &Serve, cables: usize, lab: &Lab) -> Result<()> {
        match server {
            Serve::Dhcp(words) => self.start(&args::dnsmasq(cables, words), Port::Udp(67)),
            Serve::LateDhcp(after) => self.later(*after, &args::dnsmasq(cables, &[])),
            Serve::Http(files) => {
                self.lay_out(files, "http", lab)?;
                self.show(args::PLAIN, 80)
            }
            Serve::Https(files, certificate) => {
                self.lay_out(files, "http", lab)?;
                self.certify(*certificate)?;
                self.show(args::TLS, 443)
            }
            Serve::Ftp(files, certificate) => {
                self.lay_out(files, "copied", lab)?;
                fs::create_dir_all(self.dir.join("empty"))?;
                certificate.map_or(Ok(()), |certificate| self.certify(certificate))?;
                let conf = self.dir.join("vsftpd.conf");
                fs::write(&conf, args::vsftpd_conf(&self.dir, certificate.is_some()))?;
                let port = if certificate.is_some() { 990 } else { 21 };
                self.start(&["vsftpd".to_owned(), conf.display().to_string()], Port::Tcp(port))
            }
            Serve::Tftp(files) => {
                self.lay_out(files, "http", lab)?;
                self.start(&args::tftp(&self.dir), Port::Udp(69))
            }
            Serve::Nfs(files) => {
                self.lay_out(files, "copied", lab)?;
                let [conf, log, pid] = ["ganesha.conf", "nfs.log", "ganesha.pid"].map(|name| self.dir.join(name));
                fs::write(&conf, args::ganesha_conf(&self.dir))?;
                self.start(&["rpcbind", "-f", "-w"].map(str::to_owned), Port::Tcp(111))?;
                let [conf, log, pid] = [conf, log, pid].map(|path| path.display().to_string());
                let words = ["ganesha.nfsd", "-F", "-f", &conf, "-L", &log, "-p", &pid];
                self.start(&words.map(str::to_owned), Port::Tcp(2049))
            }
            Serve::Aoe(recipe, after) => {
                let file = recipe.file(lab)?.display().to_string();
                let vblade = ["vblade", "-r", "0", "1", &args::near(0), &file].map(str::to_owned);
                self.later(*after, &vblade)
            }
            Serve::Dolly(recipe, what) => {
                let server = dolly::Server::start(&self.plug.namespace, recipe.file(lab)?, *what)?;
                self.dolly = Some(server);
                Ok(())
            }
            Serve::Shown(iso, script) => {
                let shown = self.dir.join("http");
                fs::create_dir_all(&shown)?;
                let built = &lab.built;
                tool::shell(script, &[&shown, &iso.file(lab)?, &built.builder.path, &built.agent.path])?;
                self.show(args::PLAIN, 80)?;
                self.start(&args::dnsmasq_of(&shown.join("dnsmasq.conf")), Port::Udp(67))
            }
        }
    }

    /// Starts a server after so many seconds, for which nobody waits.
    fn later(&mut self, after: u32, args: &[String]) -> Result<()> {
        let name = args.first().context("no server")?;
        let said = File::create(self.dir.join(format!("{name}.log")))?;
        let script = format!("sleep {after}; exec \"$@\"");
        let mut all = ["sh", "-c", &script, "later"].map(str::to_owned).to_vec();
        all.extend(args.iter().cloned());
        let mut command = self.inside(&all);
        command.stdin(Stdio::null()).stdout(said.try_clone()?).stderr(said);
        self.servers.push(command.spawn().with_context(|| format!("starting {name}"))?);
        Ok(())
    }

    /// Puts files into a directory: links in `http`, and in `copied` themselves, for a server that cannot follow links out of it.
    fn lay_out(&mut self, files: &[(&str, Recipe)], directory: &str, lab: &Lab) -> Result<()> {
        for (path, recipe) in files {
            let file = recipe.file(lab)?;
            let at = self.dir.join(directory).join(path.trim_start_matches('/'));
            fs::create_dir_all(at.parent().unwrap_or(&self.dir))?;
            match directory {
                // What is in an image, for those who show directories.
                _ if path.ends_with('/') => {
                    tool::shell(r#"unsquashfs -q -n -d "$2" "$1" > /dev/null"#, &[&file, &at])?;
                    continue;
                }
                "http" => symlink(&file, at)?,
                _ => drop(fs::copy(&file, at)?),
            }
            self.served.push(((*path).to_owned(), file));
        }
        Ok(())
    }

    fn certify(&self, certificate: Certificate) -> Result<()> {
        fs::write(self.dir.join("cert.pem"), certificate.pem())?;
        Ok(fs::write(self.dir.join("cert.key"), include_str!("pki/server.key"))?)
    }

    /// Shows the directory `http`.
    fn show(&mut self, listens: &str, port: u16) -> Result<()> {
        fs::create_dir_all(self.dir.join("http"))?;
        fs::create_dir_all(self.dir.join("temp"))?;
        fs::write(self.dir.join("nginx.conf"), args::nginx_conf(listens))?;
        self.start(&args::nginx(&self.dir), Port::Tcp(port))
    }

    /// Starts a server and waits until it listens.
    fn start(&mut self, args: &[String], port: Port) -> Result<()> {
        let name = args.first().context("no server")?;
        let log = self.dir.join(format!("{name}.log"));
        let mut command = self.inside(args);
        let said = File::create(&log)?;
        command.stdin(Stdio::null()).stdout(said.try_clone()?).stderr(said);
        let mut server = command.spawn().with_context(|| format!("starting {name}"))?;
        let holder = self.holder.id();
        let tables = port.tables().map(|table| format!("/proc/{holder}/net/{table}"));
        let listens = || tables.iter().any(|table| port.is_in(&fs::read_to_string(table).unwrap_or_default()));
        let begin = Instant::now();
        while !listens() {
            let over = server.try_wait()?;
            if over.is_some() || begin.elapsed() > PATIENCE {
                let what = over.map_or_else(|| "does not listen".to_owned(), |status| format!("ended with {status}"));
                let _ = server.kill();
                let text = fs::read_to_string(&log).unwrap_or_default();
                bail!("{name} {what} ({port:?}): {}", tool::tail(&text, 10));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        self.servers.push(server);
        Ok(())
    }

    /// What a program of the servers' root says to this input.
    pub fn ask(&self, args: &[&str], input: &str) -> Result<String> {
        let mut child = self
            .inside(&args.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("starting {args:?}"))?;
        child.stdin.take().context("no standard input")?.write_all(input.as_bytes())?;
        let output = child.wait_with_output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{} failed ({}): {}", args.join(" "), output.status, said.trim());
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// A command in the namespaces and the root of the servers.
    fn inside(&self, args: &[String]) -> Command {
        let mut command = Command::new("nsenter");
        for (option, name) in [("net", "net"), ("mount", "mnt"), ("pid", "pid_for_children")] {
            command.arg(format!("--{option}={}", namespace(&self.holder, name).display()));
        }
        command.arg("chroot").arg(self.root.join("merged")).args(args);
        command
    }
}

impl Drop for Wire {
    /// With the holder its first process is killed, and with that all that runs in the namespace.
    fn drop(&mut self) {
        // A cable's sockets would keep the namespace.
        self.cables.clear();
        let _ = self.holder.kill();
        let _ = self.holder.wait();
        for server in &mut self.servers {
            let _ = server.wait();
        }
    }
}

/// The host's door to taps.
const TUN: &str = "/dev/net/tun";

fn namespace(holder: &Child, name: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{}/ns/{name}", holder.id()))
}

/// The process whose namespaces these are. Its first child waits for the end of its input, which also comes when the
/// lab is killed; then everything in the namespaces dies.
fn hold(args: &[&Path]) -> Result<Child> {
    let mut holder = Command::new("unshare")
        .args(["--net", "--mount", "--propagation", "unchanged", "--pid", "--fork", "--kill-child=KILL"])
        .args(["sh", "-euc", HOLD, "lab"])
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("making a network namespace")?;
    let mut said = String::new();
    BufReader::new(holder.stdout.take().context("no standard output")?).read_line(&mut said)?;
    if said.trim() != "ready" {
        let output = holder.wait_with_output()?;
        bail!("making a network namespace: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(holder)
}

// Mounts are private in the lab already. The servers see the cache and the boot's directory at the places where the lab
// sees them. The NFS server shows no directory of a tmpfs; its list of mounts calls it something else.
const HOLD: &str = r#"
    upper=$1 lower=$2 cache=$3 dir=$4 root=$5
    mount -t tmpfs tmpfs "$root"; mkdir "$root/upper" "$root/work" "$root/merged"
    mount -t overlay overlay -o "lowerdir=$upper:$lower,upperdir=$root/upper,workdir=$root/work" "$root/merged"
    mount -t proc proc "$root/merged/proc"; mount -t tmpfs -o mode=755 tmpfs "$root/merged/dev"
    mkdir "$root/merged/dev/net"
    rm -f "$root/merged/etc/mtab"; echo "lab $dir lab ro 0 0" > "$root/merged/etc/mtab"
    for node in null zero random urandom net/tun; do
        [ ! -e "/dev/$node" ] || { : > "$root/merged/dev/$node"; mount --bind "/dev/$node" "$root/merged/dev/$node"; }
    done
    mkdir -p "$root/merged$cache"; mount --bind "$cache" "$root/merged$cache"
    mkdir -p "$root/merged$dir"; mount --bind "$dir" "$root/merged$dir"
    echo ready
    read -r _ || true"#;
