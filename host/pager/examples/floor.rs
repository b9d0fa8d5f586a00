//! A remote fault's latency beside what TCP alone costs on this machine: one process, loopback.
//!
//! ```text
//! cargo run --release -p pangea-pager --example floor
//! ```
//!
//! The floor is a blocking round trip of 32 bytes there and 4,128 back, which is what a fetch sends.
//! The ratio is what to compare between machines; both figures move with how busy the machine is.

use pangea_pager::{GuestRam, Pager, SharedInstall};
use pangea_topology::{Cluster, Failure, Guest, Links, Node, NodeId, PAGE_SIZE, Topology};
use std::error::Error;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::Instant;
use vm_memory::{GuestMemoryBackend, GuestMemoryRegion, VolatileMemory};

const FETCHES: u64 = 4_000;

fn main() -> Result<(), Box<dyn Error>> {
    let floor = round_trip()?;
    let (near, far) = sockets()?;
    let node = |i: u8| Node {
        name: format!("n{i}"),
        address: "127.0.0.1".into(),
        vcpus: 1,
        memory: 256 << 20,
    };
    let map = Topology::of(&Cluster {
        name: "floor".into(),
        guest: Guest::default(),
        nodes: vec![node(0), node(1)],
        links: Links::default(),
        failure: Failure::default(),
    });
    let tell = || Box::new(|event| eprintln!("{event}"));
    let way = SharedInstall::probe()?;
    println!("a Shared page is installed by {way:?}");
    let (home, away) = (GuestRam::new(map.ram())?, GuestRam::new(map.ram())?);
    for index in 0..FETCHES {
        word(&home, index)?.store(!index, Relaxed);
    }
    let first = Pager::start(&home, &map, NodeId(0), vec![(NodeId(1), near)], tell())?;
    let second = Pager::start(&away, &map, NodeId(1), vec![(NodeId(0), far)], tell())?;
    for index in 0..FETCHES {
        let found = word(&away, index)?.load(Relaxed);
        assert_eq!(found, !index, "page {index}");
    }
    for index in 0..FETCHES {
        word(&away, index)?.store(index, Relaxed);
    }
    let (stats, _) = (second.stop(), first.stop());
    println!("{stats}");
    let us = |ns: u64| ns as f64 / 1000.0;
    println!("TCP round trip p50 {:.1} us", us(floor));
    println!(
        "read fault p50 {:.1} us = {:.2} round trips",
        us(stats.read.p50_ns),
        ratio(stats.read.p50_ns, floor)
    );
    println!(
        "upgrade p50 {:.1} us = {:.2} round trips",
        us(stats.upgrade.p50_ns),
        ratio(stats.upgrade.p50_ns, floor)
    );
    Ok(())
}

fn ratio(ns: u64, floor: u64) -> f64 {
    ns as f64 / floor.max(1) as f64
}

/// The first word of the `index`th page of node 0.
fn word(ram: &GuestRam, index: u64) -> Result<&std::sync::atomic::AtomicU64, Box<dyn Error>> {
    let region = ram.guest().iter().next().ok_or("no RAM")?;
    assert!(index * PAGE_SIZE < region.len());
    Ok(region.get_atomic_ref((index * PAGE_SIZE) as usize)?)
}

fn sockets() -> Result<(TcpStream, TcpStream), Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let near = TcpStream::connect(listener.local_addr()?)?;
    Ok((near, listener.accept()?.0))
}

/// Median nanoseconds of a request and a page in answer, both sides blocking.
fn round_trip() -> Result<u64, Box<dyn Error>> {
    let (mut near, mut far) = sockets()?;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    let server = thread::spawn(move || {
        let (mut request, answer) = ([0u8; 32], [1u8; 32 + PAGE_SIZE as usize]);
        while far.read_exact(&mut request).is_ok() && far.write_all(&answer).is_ok() {}
    });
    let (request, mut answer) = ([0u8; 32], [0u8; 32 + PAGE_SIZE as usize]);
    let mut times = Vec::new();
    for _ in 0..FETCHES {
        let start = Instant::now();
        near.write_all(&request)?;
        near.read_exact(&mut answer)?;
        times.push(start.elapsed().as_nanos() as u64);
    }
    drop(near);
    let _ = server.join();
    times.sort_unstable();
    Ok(times[times.len() / 2])
}
