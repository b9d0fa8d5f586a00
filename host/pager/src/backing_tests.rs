//! One node's page through every state, with a thread that really faults, for both ways of
//! installing a Shared page.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::traps::CHUNK_PAGES;
use pangea_topology::{Gpa, PAGE_SIZE};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};
use userfaultfd::EventBuffer;
use vm_memory::{GuestAddress, GuestMemoryBackend, GuestMemoryRegion, VolatileMemory};

const CHUNK: u64 = CHUNK_PAGES * PAGE_SIZE;
/// A page of node 0, this node, and one of node 1.
const OWN: Pfn = Pfn(3);
const OTHERS: Pfn = Pfn(CHUNK_PAGES + 3);

struct Node {
    uffd: Arc<Uffd>,
    backing: Backing,
    events: EventBuffer,
}

fn ram() -> GuestRam {
    GuestRam::new(&ranges()).unwrap()
}

fn ranges() -> [RamRange; 2] {
    let range = |node, base| RamRange { base: Gpa(base), len: CHUNK, node, file_offset: base };
    [range(NodeId(0), 0), range(NodeId(1), CHUNK)]
}

impl Node {
    fn new(ram: &GuestRam, shared: SharedInstall) -> Node {
        let uffd = Arc::new(Uffd::open(ram).expect("this test needs a userfaultfd"));
        let backing =
            Backing::new(ram, uffd.clone(), &ranges(), NodeId(0), shared, crate::traps::MAX_RUNS);
        let backing = backing.unwrap();
        Node { uffd, backing, events: EventBuffer::new(16) }
    }

    /// The next fault; fails the test if none comes.
    fn fault(&mut self) -> Fault {
        let mut found = None;
        let mut read = || {
            self.uffd.read(&mut self.events, |fault| found = Some(fault)).unwrap();
            found.is_some()
        };
        wait_until(&mut read, "a fault");
        found.unwrap()
    }

    fn bytes(&self, pfn: Pfn) -> PageBytes {
        let mut bytes = [0; PAGE_BYTES];
        self.backing.snapshot(pfn, &mut bytes).unwrap();
        bytes
    }
}

/// Lets a loop end when a failed assertion ends its test.
struct SetOnDrop(Arc<AtomicBool>);

impl Drop for SetOnDrop {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}

fn wait_until(mut holds: impl FnMut() -> bool, what: &str) {
    let give_up = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < give_up, "waited in vain for {what}");
        thread::yield_now();
    }
}

fn word(ram: &GuestRam, pfn: Pfn) -> &AtomicU64 {
    let region = ram.guest().find_region(GuestAddress(pfn.gpa().0)).unwrap();
    let offset = pfn.gpa().0 - region.start_addr().0;
    region.get_atomic_ref(offset as usize).unwrap()
}

fn both(test: impl Fn(SharedInstall)) {
    let best = SharedInstall::probe().expect("this test needs a userfaultfd");
    println!("this kernel's own way is {best:?}");
    if best == SharedInstall::Continue {
        test(SharedInstall::Continue);
    }
    test(SharedInstall::Copy);
}

fn fault(pfn: Pfn, access: Access, protected: bool) -> Fault {
    Fault { pfn, access, protected }
}

#[test]
fn a_page_goes_through_every_state_and_keeps_its_bytes() {
    both(|shared| {
        let ram = ram();
        thread::scope(|scope| {
            // Made in here so that a failed assertion closes it and lets the threads go.
            let mut node = Node::new(&ram, shared);
            let at = word(&ram, OTHERS);

            let reader = scope.spawn(|| at.load(SeqCst));
            assert_eq!(node.fault(), fault(OTHERS, Access::Read, false));
            node.backing.receive(OTHERS, &[0xAB; PAGE_BYTES]).unwrap();
            node.backing.install(OTHERS, Access::Read).unwrap();
            assert_eq!(reader.join().unwrap(), 0xABAB_ABAB_ABAB_ABAB, "Invalid to Shared");

            let writer = scope.spawn(|| at.store(1, SeqCst));
            assert_eq!(node.fault(), fault(OTHERS, Access::Write, true));
            assert_eq!(node.bytes(OTHERS), [0xAB; PAGE_BYTES], "the write waits");
            node.backing.upgrade(OTHERS).unwrap();
            writer.join().unwrap();
            assert_eq!(node.bytes(OTHERS)[0], 1, "Shared to Exclusive");

            node.backing.downgrade(OTHERS).unwrap();
            let writer = scope.spawn(|| at.store(2, SeqCst));
            assert_eq!(node.fault(), fault(OTHERS, Access::Write, true), "Exclusive to Shared");
            node.backing.revoke(OTHERS).unwrap();
            assert_eq!(node.bytes(OTHERS)[0], 1, "what is revoked stays in the alias");
            node.backing.receive(OTHERS, &[9; PAGE_BYTES]).unwrap();
            node.backing.install(OTHERS, Access::Write).unwrap();
            writer.join().unwrap();
            assert_eq!(node.bytes(OTHERS)[..9], [2, 0, 0, 0, 0, 0, 0, 0, 9], "to Exclusive");

            node.backing.revoke(OTHERS).unwrap();
            let reader = scope.spawn(|| at.load(SeqCst));
            assert_eq!(node.fault(), fault(OTHERS, Access::Read, false), "Exclusive to Invalid");
            node.backing.install(OTHERS, Access::Read).unwrap();
            assert_eq!(reader.join().unwrap(), 2);
        });
    });
}

#[test]
fn own_memory_is_untrapped_until_a_page_of_its_chunk_is_given_away() {
    both(|shared| {
        let ram = ram();
        thread::scope(|scope| {
            let mut node = Node::new(&ram, shared);
            let (at, beside) = (word(&ram, OWN), word(&ram, Pfn(OWN.0 + 1)));
            at.store(7, SeqCst); // Would wait for ever if it were trapped: nobody reads faults.
            assert_eq!(node.bytes(OWN)[0], 7);

            node.backing.downgrade(OWN).unwrap();
            assert_eq!(at.load(SeqCst), 7, "reading is still allowed");
            let writer = scope.spawn(|| at.store(8, SeqCst));
            assert_eq!(node.fault(), fault(OWN, Access::Write, true));
            node.backing.upgrade(OWN).unwrap();
            writer.join().unwrap();

            // Never touched before its chunk was trapped: a fault on a page that is all ours.
            let writer = scope.spawn(|| beside.store(5, SeqCst));
            let found = node.fault();
            assert_eq!(found, fault(Pfn(OWN.0 + 1), Access::Write, false));
            node.backing.remap(found, Access::Write).unwrap();
            writer.join().unwrap();
        });
    });
}

#[test]
fn installing_what_is_mapped_already_still_gives_the_asked_protection() {
    both(|shared| {
        let ram = ram();
        thread::scope(|scope| {
            let mut node = Node::new(&ram, shared);
            let at = word(&ram, OTHERS);
            node.backing.install(OTHERS, Access::Write).unwrap();
            at.store(3, SeqCst);
            node.backing.install(OTHERS, Access::Read).unwrap();
            assert_eq!(at.load(SeqCst), 3);
            let writer = scope.spawn(|| at.store(4, SeqCst));
            assert_eq!(node.fault(), fault(OTHERS, Access::Write, true));
            node.backing.install(OTHERS, Access::Write).unwrap();
            writer.join().unwrap();
            assert_eq!(at.load(SeqCst), 4);
        });
    });
}

/// The race that everything rests on: after a revoke the alias is stable, and no write is lost,
/// however the page comes back.
#[test]
fn a_hammering_writer_loses_nothing_to_revokes_and_downgrades() {
    const CYCLES: u64 = 3_000;
    both(|shared| {
        let ram = ram();
        thread::scope(|scope| {
            let mut node = Node::new(&ram, shared);
            let at = word(&ram, OTHERS);
            let stop = Arc::new(AtomicBool::new(false));
            node.backing.install(OTHERS, Access::Write).unwrap();
            let (done, total) = mpsc::channel();
            let (flag, _ends) = (stop.clone(), SetOnDrop(stop.clone()));
            scope.spawn(move || {
                let mut count = 0u64;
                while !flag.load(SeqCst) {
                    at.fetch_add(1, SeqCst);
                    count += 1;
                }
                done.send(count).unwrap();
            });
            for cycle in 0..CYCLES {
                match cycle % 3 {
                    0 => node.backing.downgrade(OTHERS).unwrap(),
                    _ => node.backing.revoke(OTHERS).unwrap(),
                }
                let first = node.bytes(OTHERS);
                thread::yield_now();
                assert_eq!(first, node.bytes(OTHERS), "cycle {cycle}: a snapshot that changes");
                match cycle % 3 {
                    0 => node.backing.upgrade(OTHERS).unwrap(),
                    1 => node.backing.install(OTHERS, Access::Write).unwrap(),
                    _ => {
                        node.backing.install(OTHERS, Access::Read).unwrap();
                        node.backing.upgrade(OTHERS).unwrap();
                    }
                }
                if cycle % 100 == 0 {
                    // On a busy machine the writer may otherwise never get to run.
                    let before = at.load(SeqCst);
                    wait_until(|| at.load(SeqCst) != before, "the writer to write");
                }
            }
            stop.store(true, SeqCst);
            let total: u64 = total.recv_timeout(Duration::from_secs(60)).unwrap();
            assert_eq!(at.load(SeqCst), total);
        });
    });
}

#[test]
fn closing_the_userfaultfd_lets_a_waiting_thread_go() {
    let ram = ram();
    thread::scope(|scope| {
        let mut node = Node::new(&ram, SharedInstall::probe().unwrap());
        let reader = scope.spawn(|| word(&ram, OTHERS).load(SeqCst));
        node.fault();
        drop(node);
        reader.join().unwrap();
    });
}

#[test]
fn past_the_limit_of_separate_parts_all_own_memory_is_trapped() {
    let range = |node, first, chunks| RamRange {
        base: Gpa(first * CHUNK),
        len: chunks * CHUNK,
        node: NodeId(node),
        file_offset: first * CHUNK,
    };
    let ranges = [range(0, 0, 6), range(1, 6, 1)];
    let chunk = |n: u64| Pfn(n * CHUNK_PAGES);
    let ram = GuestRam::new(&ranges).unwrap();
    thread::scope(|scope| {
        let uffd = Arc::new(Uffd::open(&ram).expect("this test needs a userfaultfd"));
        let way = SharedInstall::probe().unwrap();
        let backing = Backing::new(&ram, uffd.clone(), &ranges, NodeId(0), way, 1).unwrap();
        let mut node = Node { uffd, backing, events: EventBuffer::new(16) };
        node.backing.revoke(chunk(1)).unwrap();
        word(&ram, chunk(5)).store(1, SeqCst); // Untrapped as yet.
        node.backing.revoke(chunk(3)).unwrap();
        let writer = scope.spawn(|| word(&ram, chunk(4)).store(2, SeqCst));
        assert_eq!(node.fault(), fault(chunk(4), Access::Write, false));
        node.backing.install(chunk(4), Access::Write).unwrap();
        writer.join().unwrap();
        assert_eq!(word(&ram, chunk(5)).load(SeqCst), 1, "what was mapped still is");
    });
}
