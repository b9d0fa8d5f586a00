//! Peers that go, break the frame or break the protocol; and the end of a pager.
#![allow(clippy::unwrap_used)]

mod common;

use common::{PATIENCE, TestNode, bounded, machine, page, sockets, topology};
use pangea_pager::{GuestRam, LaneError, Pager, PagerError, PagerEvent, SharedInstall};
use pangea_topology::{NodeId, Pfn};
use pangea_wire::{Access, PageMessage, PageVerb, Payload, Txn, encode_page};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::Ordering::SeqCst;

/// Node 0 of two, and the socket at which the test plays node 1.
fn against_us() -> (TestNode, TcpStream) {
    let (near, far) = sockets();
    let way = SharedInstall::probe().expect("this test needs a userfaultfd");
    (TestNode::start(way, &topology(&[256, 64]), 0, vec![(NodeId(1), near)]), far)
}

#[test]
fn a_peer_that_goes_is_reported_by_name_and_its_waiters_go_free_on_stop() {
    bounded(|| {
        let (node, mut peer) = against_us();
        let wanted = page(&topology(&[256, 64]), 1, 0);
        let waiting = node.cpu.run(move |cpu| cpu.word(wanted, 0).load(SeqCst));
        peer.read_exact(&mut [0; 32]).unwrap(); // Its request is out.
        drop(peer);
        let event = node.events.recv_timeout(PATIENCE).unwrap();
        assert!(
            matches!(event, PagerEvent::LaneClosed { node: NodeId(1), cause: LaneError::Closed }),
            "{event}"
        );
        assert_eq!(event.to_string(), "node 1: the peer closed the page lane");
        assert!(!waiting.is_finished(), "nobody may read what never came");
        let stats = node.pager.stop();
        waiting.join().unwrap();
        assert_eq!(stats.peers[1].reads, 1);
    });
}

#[test]
fn bytes_that_are_no_frame_end_the_lane() {
    bounded(|| {
        let (node, mut peer) = against_us();
        peer.write_all(b"GET / HTTP/1.1\r\nHost: pangea.example\r\n\r\n").unwrap();
        let event = node.events.recv_timeout(PATIENCE).unwrap();
        assert!(
            matches!(
                event,
                PagerEvent::LaneClosed { node: NodeId(1), cause: LaneError::Frame { .. } }
            ),
            "{event}"
        );
        assert_eq!(peer.read(&mut [0; 8]).unwrap_or(0), 0, "the lane is closed");
    });
}

#[test]
fn a_page_nobody_asked_for_is_refused_and_not_let_in() {
    bounded(|| {
        let (node, mut peer) = against_us();
        let own = Pfn(7);
        node.cpu.word(own, 0).store(1, SeqCst);
        let message = PageMessage {
            pfn: own,
            txn: Txn(99),
            requester: NodeId(0),
            verb: PageVerb::Page { access: Access::Write, invalidations: 0 },
        };
        peer.write_all(&encode_page(&message, Payload::Bytes)).unwrap();
        peer.write_all(&[0xEE; 4096]).unwrap();
        let event = node.events.recv_timeout(PATIENCE).unwrap();
        assert!(matches!(event, PagerEvent::Protocol { node: NodeId(1), .. }), "{event}");
        assert_eq!(node.cpu.word(own, 0).load(SeqCst), 1);
    });
}

#[test]
fn a_page_outside_of_all_ram_is_refused() {
    bounded(|| {
        let (node, mut peer) = against_us();
        let message = PageMessage {
            pfn: Pfn(1 << 39),
            txn: Txn(1),
            requester: NodeId(1),
            verb: PageVerb::Get { access: Access::Write },
        };
        peer.write_all(&encode_page(&message, Payload::None)).unwrap();
        let event = node.events.recv_timeout(PATIENCE).unwrap();
        assert!(matches!(event, PagerEvent::Protocol { node: NodeId(1), .. }), "{event}");
    });
}

#[test]
fn a_lane_for_each_other_node_is_asked_for() {
    let map = topology(&[256, 64, 64]);
    let ram = GuestRam::new(map.ram()).unwrap();
    let start = |peers: &[u8]| {
        let peers = peers.iter().map(|&node| (NodeId(node), sockets().0)).collect();
        match Pager::start(&ram, &map, NodeId(0), peers, Box::new(drop)) {
            Ok(_) => panic!("started"),
            Err(e) => e,
        }
    };
    assert!(matches!(start(&[1]), PagerError::NoLane { node: NodeId(2) }));
    assert!(matches!(start(&[1, 1]), PagerError::Peer { node: NodeId(1), .. }));
    assert!(matches!(start(&[0, 1, 2]), PagerError::Peer { node: NodeId(0), .. }));
    assert!(matches!(start(&[1, 2, 3]), PagerError::Peer { node: NodeId(3), .. }));
}

#[test]
fn stopping_one_node_is_seen_by_the_other() {
    bounded(|| {
        let map = topology(&[256, 64]);
        let mut nodes = machine(SharedInstall::probe().unwrap(), &map);
        let last = nodes.pop().unwrap();
        let stats = last.pager.stop();
        assert_eq!(stats.remote_faults(), 0);
        let event = nodes[0].events.recv_timeout(PATIENCE).unwrap();
        assert!(matches!(event, PagerEvent::LaneClosed { node: NodeId(1), .. }), "{event}");
    });
}
