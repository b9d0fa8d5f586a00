//! The races that the protocol is made for, each by name, each put in its worst order by hand.

#![allow(clippy::unwrap_used)]

mod net;

use net::{Did, Net, PAGE, READ, WRITE};
use pangea_dsm::{HOLD_FLOOR, Homes, Input, Outstanding};
use pangea_topology::{NodeId, Pfn};
use pangea_wire::PageVerb::{Done, Fetch, Get, Grant, Invalidate, Invalidated, Page};

const FETCH_READ: pangea_wire::PageVerb = Fetch { access: READ, invalidations: 0 };
const FETCH_WRITE: pangea_wire::PageVerb = Fetch { access: WRITE, invalidations: 0 };
const PAGE_READ: pangea_wire::PageVerb = Page { access: READ, invalidations: 0 };
const PAGE_WRITE: pangea_wire::PageVerb = Page { access: WRITE, invalidations: 0 };

#[test]
fn two_sharers_upgrade_at_once_and_the_second_gets_data() {
    let mut net = Net::new(3);
    net.have(1, READ);
    net.have(2, READ);
    assert_eq!((net.fault(1, WRITE), net.fault(2, WRITE)), (vec![], vec![]));
    assert_eq!(net.deliver(1, 0, Get { access: WRITE }), [Did::Revoke], "the home's own copy");
    net.deliver(2, 0, Get { access: WRITE });
    // The first one's grant, and the second one's copy goes although it waits to write itself.
    net.deliver(0, 1, Grant { invalidations: 2 });
    net.deliver(0, 1, Invalidated);
    assert_eq!(net.deliver(0, 2, Invalidate), [Did::Revoke]);
    assert_eq!(net.deliver(2, 1, Invalidated), [Did::Upgrade]);
    // The second one's turn: it has no copy any more, so it gets the page from the first.
    net.deliver(1, 0, Done);
    net.deliver(0, 1, Fetch { access: WRITE, invalidations: 0 });
    net.now += HOLD_FLOOR.0;
    assert_eq!(net.tick(1), [Did::Revoke]);
    assert_eq!(net.deliver(1, 2, PAGE_WRITE), [Did::Install(WRITE)]);
    net.deliver(2, 0, Done);
    assert_eq!(net.accesses(), [None, None, Some(WRITE)]);
}

#[test]
fn an_owner_that_is_downgraded_may_ask_before_the_reader_is_done() {
    // The owner's new Get crosses with the page that it just sent on the home's order.
    let mut net = Net::new(3);
    net.have(1, WRITE);
    net.fault(2, READ);
    net.deliver(2, 0, Get { access: READ });
    assert_eq!(net.deliver(0, 1, FETCH_READ), [Did::Downgrade]);
    assert_eq!(net.fault(1, WRITE), []);
    net.deliver(1, 0, Get { access: WRITE });
    assert_eq!(net.nodes[0].outstanding().queued, 1);
    assert_eq!(net.deliver(1, 2, PAGE_READ), [Did::Install(READ)]);
    net.deliver(2, 0, Done);
    net.deliver(0, 1, Grant { invalidations: 1 });
    net.now += HOLD_FLOOR.0;
    assert_eq!(net.deliver(0, 2, Invalidate), [Did::Revoke]);
    assert_eq!(net.deliver(2, 1, Invalidated), [Did::Upgrade]);
    net.settle();
    assert_eq!(net.accesses(), [None, Some(WRITE), None]);
}

#[test]
fn forwards_cross_when_two_nodes_take_the_page_from_each_other() {
    let mut net = Net::new(3);
    net.have(1, WRITE);
    // 2 takes it from 1, and 1 wants it back before 2 has it: both forwards name the other.
    net.fault(2, WRITE);
    net.deliver(2, 0, Get { access: WRITE });
    assert_eq!(net.deliver(0, 1, Fetch { access: WRITE, invalidations: 0 }), [Did::Revoke]);
    net.fault(1, WRITE);
    net.deliver(1, 0, Get { access: WRITE });
    assert!(net.links.get(&(0, 2)).is_none_or(|queue| queue.is_empty()), "2 has it not yet");
    assert_eq!(net.deliver(1, 2, PAGE_WRITE), [Did::Install(WRITE)]);
    net.deliver(2, 0, Done);
    net.settle();
    assert_eq!(net.accesses(), [None, Some(WRITE), None]);
}

#[test]
fn a_write_fault_during_a_pending_read_follows_it() {
    let mut net = Net::new(2);
    net.fault(1, READ);
    assert_eq!((net.fault(1, WRITE), net.fault(1, WRITE)), (vec![], vec![]), "remembered once");
    net.deliver(1, 0, Get { access: READ });
    assert_eq!(net.deliver(0, 1, PAGE_READ), [Did::Install(READ)]);
    net.deliver(1, 0, Done);
    net.deliver(1, 0, Get { access: WRITE });
    net.deliver(0, 1, Grant { invalidations: 1 });
    assert_eq!(net.deliver(0, 1, Invalidated), [Did::Upgrade]);
    net.deliver(1, 0, Done);
    assert_eq!(net.nodes[1].counters().followed_reads, 1);
    assert_eq!(net.nodes[1].outstanding(), Outstanding::default());
}

#[test]
fn invalidated_may_come_before_the_page() {
    let mut net = Net::new(4);
    net.have(1, READ);
    net.have(2, READ);
    net.fault(3, WRITE);
    assert_eq!(net.deliver(3, 0, Get { access: WRITE }), [Did::Revoke]);
    net.deliver(0, 1, Invalidate);
    net.deliver(0, 2, Invalidate);
    assert_eq!(net.deliver(1, 3, Invalidated), []);
    assert_eq!(net.deliver(2, 3, Invalidated), []);
    let page = Page { access: WRITE, invalidations: 2 };
    assert_eq!(net.deliver(0, 3, page), [Did::Install(WRITE)]);
}

#[test]
fn the_page_alone_is_not_enough_while_a_copy_is_left() {
    let mut net = Net::new(3);
    net.have(1, READ);
    net.fault(2, WRITE);
    net.deliver(2, 0, Get { access: WRITE });
    assert_eq!(net.deliver(0, 2, Page { access: WRITE, invalidations: 1 }), []);
    assert_eq!(net.accesses(), [None, Some(READ), None], "1 may still read what it has");
    net.deliver(0, 1, Invalidate);
    assert_eq!(net.deliver(1, 2, Invalidated), [Did::Install(WRITE)]);
}

#[test]
fn a_stale_fault_wakes_at_once() {
    let mut net = Net::new(2);
    net.have(1, READ);
    assert_eq!(net.fault(1, READ), [Did::Wake]);
    assert_eq!(net.fault(0, READ), [Did::Wake], "the home kept its copy");
    net.have(1, WRITE);
    assert_eq!((net.fault(1, READ), net.fault(1, WRITE)), (vec![Did::Wake], vec![Did::Wake]));
    assert_eq!(net.nodes[1].counters().stale_faults, 3);
}

#[test]
fn memory_that_nobody_shares_costs_nothing() {
    let mut net = Net::new(2);
    assert_eq!(net.fault(0, WRITE), [Did::Wake]);
    assert_eq!(net.nodes[0].allocated_chunks(), (0, 0));
    let home = Homes::new(vec![(Pfn(0)..Pfn(16 << 28), NodeId(0))]);
    let sixteen_tib = pangea_dsm::Dsm::new(NodeId(0), 64, home);
    assert_eq!(sixteen_tib.access(Pfn((16 << 28) - 1)), Some(WRITE));
    assert_eq!(sixteen_tib.allocated_chunks(), (0, 0));
}

#[test]
fn a_hold_defers_what_others_want_and_expires() {
    let mut net = Net::new(3);
    net.fault(1, WRITE);
    net.settle();
    let hold = net.nodes[1].hold();
    net.fault(2, READ);
    net.deliver(2, 0, Get { access: READ });
    assert_eq!(net.deliver(0, 1, FETCH_READ), []);
    assert_eq!(net.access(1), Some(WRITE), "the CPU that faulted still has it");
    let due = net.nodes[1].next_deadline().unwrap();
    assert_eq!(due.0, net.now + hold.0);
    net.now = due.0 - 1;
    assert_eq!(net.tick(1), []);
    net.now = due.0;
    assert_eq!(net.tick(1), [Did::Downgrade]);
    assert_eq!(net.nodes[1].next_deadline(), None);
    assert_eq!(net.deliver(1, 2, PAGE_READ), [Did::Install(READ)]);
    assert_eq!(net.nodes[1].counters().deferred, 1);
}

#[test]
fn a_hold_does_not_delay_readers_of_a_page_that_is_only_read() {
    let mut net = Net::new(3);
    net.have(1, WRITE);
    net.fault(2, READ);
    net.deliver(2, 0, Get { access: READ });
    net.deliver(0, 1, FETCH_READ);
    net.deliver(1, 2, PAGE_READ);
    net.deliver(2, 0, Done);
    // 2 has it since this moment, and 1 supplies: neither hold is in the way.
    net.fault(0, READ);
    net.deliver(0, 1, FETCH_READ);
    assert_eq!(net.deliver(1, 0, PAGE_READ), [Did::Install(READ)]);
}

#[test]
fn the_home_holds_too_what_a_transaction_brought_it() {
    let mut net = Net::new(2);
    net.have(1, WRITE);
    net.fault(0, WRITE);
    net.settle();
    net.fault(1, WRITE);
    assert_eq!(net.deliver(1, 0, Get { access: WRITE }), []);
    assert_eq!(
        net.nodes[0].outstanding(),
        Outstanding { deferred: 1, running: 1, ..Default::default() }
    );
    net.now = net.nodes[0].next_deadline().unwrap().0;
    assert_eq!(net.tick(0), [Did::Revoke]);
    assert_eq!(net.deliver(0, 1, PAGE_WRITE), [Did::Install(WRITE)]);
}

#[test]
fn every_node_waits_once_and_is_served_in_turn() {
    let mut net = Net::new(4);
    net.have(1, WRITE);
    for node in [3, 0, 2] {
        net.fault(node, WRITE);
        net.fault(node, WRITE);
        if node != 0 {
            net.deliver(node, 0, Get { access: WRITE });
        }
    }
    assert_eq!(net.nodes[0].outstanding().queued, 2, "one runs, the others wait, none twice");
    net.settle();
    assert_eq!(net.accesses(), [None, None, Some(WRITE), None], "2 asked last");
    assert_eq!(net.nodes[0].counters().longest_queue, 2);
    assert!(net.nodes[0].describe(PAGE).directory.unwrap().exclusive);
}

/// KVM halts a CPU that waits for a page, so that it looks asleep.
#[test]
fn a_node_that_sleeps_keeps_nothing_but_one_that_waits_for_a_page_does() {
    let mut net = Net::new(2);
    net.fault(1, WRITE);
    net.deliver(1, 0, Get { access: WRITE });
    net.deliver(0, 1, PAGE_WRITE);
    net.deliver(1, 0, Done);
    net.fault(0, WRITE);
    assert_eq!(net.deliver(0, 1, FETCH_WRITE), [], "held");
    assert_eq!(net.step(1, Input::Idle).unwrap(), [], "its CPU has only just got the page");
    let other = Pfn(PAGE.0 + 1);
    net.step(1, Input::Fault { pfn: other, access: WRITE }).unwrap();
    net.now += 10_000_000;
    assert_eq!(net.step(1, Input::Idle).unwrap(), [], "it waits for another page");
    net.deliver(1, 0, Get { access: WRITE });
    net.deliver(0, 1, PAGE_WRITE);
    net.now += 10_000_000;
    assert_eq!(net.step(1, Input::Idle).unwrap(), [Did::Revoke]);
}

/// Who asks for what died with its owner waits; nobody makes up a value.
#[test]
fn an_owner_dies_with_the_only_copy_and_nobody_gets_another() {
    let mut net = Net::new(4);
    net.have(1, WRITE);
    net.fault(2, WRITE);
    net.deliver(2, 0, Get { access: WRITE });
    // Node 1 does nothing more: what the home says to it is never answered.
    net.fault(3, READ);
    assert_eq!(net.deliver(3, 0, Get { access: READ }), []);
    net.now += HOLD_FLOOR.0 * 1000;
    assert_eq!((net.tick(0), net.tick(2), net.tick(3)), (vec![], vec![], vec![]));
    assert_eq!(net.accesses(), [None, Some(WRITE), None, None]);
    let home = net.nodes[0].outstanding();
    assert_eq!((home.running, home.queued), (1, 1), "both wait: {home:?}");
}
