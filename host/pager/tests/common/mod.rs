//! Nodes for the tests: real pagers over loopback TCP, threads of this process as their vCPUs.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)] // Each test binary uses a part of it.

use pangea_pager::{GuestRam, Pager, PagerEvent, SharedInstall, Stats};
use pangea_topology::{
    Cluster, Failure, Gpa, Guest, Links, Node, NodeId, PAGE_SIZE, Pfn, Topology,
};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::AtomicU64;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use vm_memory::{GuestAddress, GuestMemoryBackend, GuestMemoryRegion, VolatileMemory};

pub const MIB: u64 = 1 << 20;

/// Longer than anything here takes on a busy machine; only what hangs reaches it.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// A cluster with so many MiB per node, from node 0.
pub fn topology(memory: &[u64]) -> Topology {
    let node = |(i, mib): (usize, &u64)| Node {
        name: format!("n{i}"),
        address: "127.0.0.1".into(),
        vcpus: 1,
        memory: mib * MIB,
    };
    let cluster = Cluster {
        name: "test".into(),
        guest: Guest::default(),
        nodes: memory.iter().enumerate().map(node).collect(),
        links: Links::default(),
        failure: Failure::default(),
    };
    cluster.check().unwrap();
    Topology::of(&cluster)
}

/// The `index`th page whose home is `node`.
pub fn page(topology: &Topology, node: u8, index: u64) -> Pfn {
    let range = topology.ram().iter().find(|r| r.node == NodeId(node)).unwrap();
    assert!(index < range.len / PAGE_SIZE);
    Pfn(range.base.pfn().0 + index)
}

/// A connected pair of sockets.
pub fn sockets() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (near, listener.accept().unwrap().0)
}

/// One node of a machine under test.
pub struct TestNode {
    pub cpu: Cpu,
    pub pager: Pager,
    pub events: Receiver<PagerEvent>,
}

impl TestNode {
    pub fn start(
        shared: SharedInstall,
        topology: &Topology,
        me: u8,
        peers: Vec<(NodeId, TcpStream)>,
    ) -> TestNode {
        let ram = GuestRam::new(topology.ram()).unwrap();
        let (tell, events) = mpsc::channel();
        let tell = Box::new(move |event| {
            eprintln!("event: {event}");
            let _ = tell.send(event);
        });
        let pager = Pager::start_with(shared, &ram, topology, NodeId(me), peers, tell)
            .unwrap_or_else(|e| panic!("this test needs a userfaultfd: {e}"));
        TestNode { cpu: Cpu { ram }, pager, events }
    }

    /// Waits until the counters say so.
    pub fn eventually(&self, what: &str, holds: impl Fn(&Stats) -> bool) -> Stats {
        let give_up = Instant::now() + PATIENCE;
        loop {
            let stats = self.pager.stats();
            if holds(&stats) {
                return stats;
            }
            assert!(Instant::now() < give_up, "never came: {what}\n{stats}");
            thread::sleep(Duration::from_millis(1));
        }
    }
}

/// All nodes in this process, each with its own memory and pager.
pub fn machine(shared: SharedInstall, topology: &Topology) -> Vec<TestNode> {
    let count = topology.nodes().len();
    let mut peers: Vec<Vec<(NodeId, TcpStream)>> = (0..count).map(|_| Vec::new()).collect();
    for a in 0..count {
        for b in a + 1..count {
            let (near, far) = sockets();
            peers[a].push((NodeId(b as u8), near));
            peers[b].push((NodeId(a as u8), far));
        }
    }
    let nodes = peers.into_iter().enumerate();
    nodes.map(|(me, peers)| TestNode::start(shared, topology, me as u8, peers)).collect()
}

/// Guest memory as a vCPU of one node sees it.
#[derive(Clone)]
pub struct Cpu {
    pub ram: GuestRam,
}

impl Cpu {
    /// The `index`th 8-byte word of a page.
    pub fn word(&self, pfn: Pfn, index: u64) -> &AtomicU64 {
        let Gpa(at) = pfn.gpa();
        let region = self.ram.guest().find_region(GuestAddress(at)).unwrap();
        let offset = at - region.start_addr().0 + index * 8;
        region.get_atomic_ref(offset as usize).unwrap()
    }

    /// Runs guest code on a thread of its own.
    pub fn run<T: Send + 'static>(
        &self,
        code: impl FnOnce(&Cpu) -> T + Send + 'static,
    ) -> JoinHandle<T> {
        let cpu = self.clone();
        thread::spawn(move || code(&cpu))
    }
}

/// Runs a test for every way to install a Shared page that this kernel has, each bounded in time: a
/// page that never comes must fail the test, not hang it.
pub fn each_way(test: impl Fn(SharedInstall) + Clone + Send + 'static) {
    let best =
        SharedInstall::probe().unwrap_or_else(|e| panic!("this test needs a userfaultfd: {e}"));
    let mut ways = vec![SharedInstall::Copy];
    if best == SharedInstall::Continue {
        ways.push(best);
    }
    for way in ways {
        let test = test.clone();
        bounded(move || {
            println!("way: {way:?}");
            test(way);
        });
    }
}

pub fn bounded(test: impl FnOnce() + Send + 'static) {
    let (done, finished) = mpsc::channel();
    let body = thread::spawn(move || {
        test();
        let _ = done.send(());
    });
    match finished.recv_timeout(PATIENCE) {
        Ok(()) => body.join().unwrap(),
        Err(RecvTimeoutError::Disconnected) => match body.join() {
            Err(panic) => std::panic::resume_unwind(panic),
            Ok(()) => unreachable!("a test that ended without saying so"),
        },
        Err(RecvTimeoutError::Timeout) => panic!("still waiting after {PATIENCE:?}"),
    }
}

/// Waits for threads, and passes on what they panicked with.
pub fn join<T>(threads: impl IntoIterator<Item = JoinHandle<T>>) -> Vec<T> {
    let results = threads.into_iter().map(|thread| match thread.join() {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic),
    });
    results.collect()
}
