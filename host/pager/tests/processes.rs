//! Two nodes as two processes over loopback TCP: this program, and itself started once more.
//!
//! ```text
//!   processes                       runs every scenario, as node 0
//!   processes node SCENARIO PORT    is node 1 of one
//! ```
//!
//! The two meet in the guest's memory: barriers and totals are words of shared pages. Only that it is
//! through with its part does node 1 say on its standard output.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Cpu, PATIENCE, TestNode, bounded, join, page, topology};
use pangea_pager::{LaneError, PagerEvent, SharedInstall};
use pangea_topology::{NodeId, PAGE_SIZE, Topology};
use std::io::{BufRead, BufReader, Read};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::thread;

/// What node 1 says at the end of its part.
const THROUGH: &str = "through";
/// What `Child::kill` sends.
const SIGKILL: i32 = 9;
const MEMORY: [u64; 2] = [256, 64];
const WORDS: u64 = PAGE_SIZE / 8;

/// A name, and what each node does in it.
type Scenario = (&'static str, fn(&TestNode, &Topology, &mut Other), fn(&TestNode, &Topology));

const SCENARIOS: [Scenario; 3] = [
    ("totals", |node, map, _| totals(node, map, 0), |node, map| totals(node, map, 1)),
    ("pattern", |node, map, _| pattern(node, map, 0), |node, map| pattern(node, map, 1)),
    ("killed", killed_seen_by_the_other, killed),
];

/// The other node's process; it doesn't outlive the test.
struct Other(Child);

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    if let [_, role, scenario, port] = &args[..]
        && role == "node"
    {
        as_node_1(scenario, port.parse().unwrap());
        return ExitCode::SUCCESS;
    }
    let listed = args.iter().any(|a| a == "--list");
    let filter = args.iter().skip(1).find(|a| !a.starts_with('-'));
    for (name, ours, _) in SCENARIOS {
        if listed {
            println!("{name}: test");
        } else if filter.is_none_or(|f| name.contains(f.as_str())) {
            bounded(move || as_node_0(name, ours));
            println!("test {name} ... ok");
        }
    }
    ExitCode::SUCCESS
}

fn as_node_0(name: &'static str, ours: fn(&TestNode, &Topology, &mut Other)) {
    let map = topology(&MEMORY);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let mut other = Command::new(std::env::current_exe().unwrap());
    let mut other = Other(
        other
            .args(["node", name, &port])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap(),
    );
    let lane = listener.accept().unwrap().0;
    let node = TestNode::start(way(), &map, 0, vec![(NodeId(1), lane)]);
    ours(&node, &map, &mut other);
    // Either may still need a page from the other: nobody goes before both are through.
    let theirs = other.0.stdout.take().unwrap();
    BufReader::new(theirs)
        .lines()
        .map_while(Result::ok)
        .take_while(|l| l != THROUGH)
        .for_each(drop);
    println!("{}", node.pager.stop());
    drop(other.0.stdin.take());
    let status = other.0.wait().unwrap();
    assert!(status.success() || status.signal() == Some(SIGKILL), "node 1: {status}");
}

fn as_node_1(scenario: &str, port: u16) {
    // Nobody may be left to end this process if it hangs.
    thread::spawn(|| {
        thread::sleep(2 * PATIENCE);
        std::process::exit(1);
    });
    let map = topology(&MEMORY);
    let lane = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let node = TestNode::start(way(), &map, 1, vec![(NodeId(0), lane)]);
    let (_, _, theirs) = SCENARIOS.iter().find(|(name, ..)| *name == scenario).unwrap();
    theirs(&node, &map);
    println!("{THROUGH}");
    // Until node 0 is through as well, or gone.
    let _ = std::io::stdin().read(&mut [0]);
    eprintln!("{}", node.pager.stop());
}

fn way() -> SharedInstall {
    SharedInstall::probe().unwrap_or_else(|e| panic!("`processes` needs a userfaultfd: {e}"))
}

/// Waits until both nodes have come here for the `nth` time.
fn meet(cpu: &Cpu, map: &Topology, nth: u64) {
    let word = cpu.word(page(map, 0, 100), 0);
    word.fetch_add(1, SeqCst);
    while word.load(SeqCst) < 2 * nth {
        thread::yield_now();
    }
}

/// Each adds to words whose homes are both nodes; no increment is lost.
fn totals(node: &TestNode, map: &Topology, me: usize) {
    const ROUNDS: usize = 4_000;
    meet(&node.cpu, map, 1);
    let words = [(page(map, 0, 1), 0), (page(map, 1, 1), 1), (page(map, 0, 1), 2)];
    let adders = [0, 1].map(|start| {
        node.cpu.run(move |cpu| {
            for round in 0..ROUNDS {
                let (pfn, index) = words[(start + me + round) % words.len()];
                cpu.word(pfn, index).fetch_add(1, SeqCst);
            }
        })
    });
    join(adders);
    meet(&node.cpu, map, 2);
    let total: u64 =
        words.iter().map(|(pfn, index)| node.cpu.word(*pfn, *index).load(SeqCst)).sum();
    assert_eq!(total, 4 * ROUNDS as u64);
    meet(&node.cpu, map, 3);
}

/// Node 1 writes pages of both homes; node 0 checks them, writes them anew; node 1 checks those.
fn pattern(node: &TestNode, map: &Topology, me: u64) {
    const PAGES: u64 = 128;
    let write = |salt: u64| {
        for home in [0, 1] {
            for p in 0..PAGES {
                for w in 0..WORDS {
                    let value = salt ^ u64::from(home) << 60 ^ p << 20 ^ w;
                    node.cpu.word(page(map, home, 512 + p), w).store(value, Relaxed);
                }
            }
        }
    };
    let verify = |salt: u64| {
        for home in [0, 1] {
            for p in 0..PAGES {
                for w in 0..WORDS {
                    let found = node.cpu.word(page(map, home, 512 + p), w).load(Relaxed);
                    let value = salt ^ u64::from(home) << 60 ^ p << 20 ^ w;
                    assert_eq!(found, value, "node {me}: page {p} of {home}, word {w}");
                }
            }
        }
    };
    const FIRST: u64 = 0xA5A5 << 40;
    const SECOND: u64 = 0x5A5A << 40;
    if me == 1 {
        write(FIRST);
    }
    meet(&node.cpu, map, 1);
    if me == 0 {
        verify(FIRST);
        write(SECOND);
    }
    meet(&node.cpu, map, 2);
    if me == 1 {
        verify(SECOND);
    }
    meet(&node.cpu, map, 3);
}

/// Node 1 takes a page of node 0 for itself and is then killed.
fn killed(node: &TestNode, map: &Topology) {
    node.cpu.word(page(map, 0, 200), 0).store(1, SeqCst);
    meet(&node.cpu, map, 1);
    loop {
        thread::park();
    }
}

fn killed_seen_by_the_other(node: &TestNode, map: &Topology, other: &mut Other) {
    meet(&node.cpu, map, 1);
    other.0.kill().unwrap();
    let event = node.events.recv_timeout(PATIENCE).unwrap();
    let closed =
        matches!(event, PagerEvent::LaneClosed { node: NodeId(1), cause: LaneError::Closed });
    assert!(closed, "{event}");
    // The page's only copy is gone with it: nobody gets to read anything in its place.
    let lost = page(map, 0, 200);
    let waiting = node.cpu.run(move |cpu| cpu.word(lost, 0).load(SeqCst));
    node.eventually("a fault on the lost page", |s| s.peers[0].reads > 0);
    assert!(!waiting.is_finished());
    // It goes free when the pager is stopped at this scenario's end.
}
