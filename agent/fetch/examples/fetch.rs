//! Fetches an image as the agent does it and says how long that took: what `cargo lab bench net` lays beside curl.
//!
//! `fetch URL FILE [CONNECTIONS]`. The host of the URL must be an address. It says `SECONDS s, BYTES bytes, CONNECTIONS connections`.

use std::error::Error;
use std::fs::{File, OpenOptions};
use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Instant;

use rdlive_fetch::Output;
use rdlive_fetch::http::{Dial, Network, ResolveError, Setup};
use rdlive_fetch::transfer::{self, Job, Offered, Place, Refusal};
use rdlive_fetch::url::Url;

/// The machine's own network.
struct Own;

impl Network for Own {
    fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, ResolveError> {
        host.parse().map(|address| vec![address]).map_err(|_| ResolveError(format!("{host} is no address")))
    }

    fn connect(&self, address: SocketAddr, how: Dial) -> io::Result<TcpStream> {
        TcpStream::connect_timeout(&address, how.timeout)
    }
}

/// The file, as the agent makes it.
struct Room(String);

impl Place for Room {
    fn open(&mut self, _: &Offered) -> Result<Box<dyn Output>, Refusal> {
        Ok(Box::new(Kept(OpenOptions::new().write(true).create(true).truncate(true).open(&self.0)?)))
    }
}

struct Kept(File);

impl Output for Kept {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().collect();
    let [_, url, file, rest @ ..] = args.as_slice() else { return Err("fetch URL FILE [CONNECTIONS]".into()) };
    let mut job = Job::new(vec![url.parse::<Url>()?], None)?;
    if let Some(connections) = rest.first() {
        job.connections = connections.parse()?;
    }
    let begin = Instant::now();
    let fetched = transfer::fetch(&Arc::new(Setup::new(Arc::new(Own))), &job, &mut Room(file.clone()), |_| ())?;
    let seconds = begin.elapsed().as_secs_f64();
    println!("{seconds:.6} s, {} bytes, {} connections", fetched.length, fetched.connections);
    Ok(())
}
