//! Nodes that find each other, whatever is in the way.

use super::*;

#[test]
fn two_nodes_link_and_report_the_same_link() {
    let ports = ports(4);
    let (a, b) = (Starting::new(node(A, 2), &ports), Starting::new(node(B, 2), &ports));
    let (a, b) = (a.links(), b.links());
    let ([to_b], [to_a]) = (&a.peers[..], &b.peers[..]) else { panic!("{a:?} {b:?}") };
    assert_eq!((to_b.node, to_b.name.as_str()), (B, "b"));
    assert_eq!((to_a.node, to_a.name.as_str()), (A, "a"));
    assert_joined(&to_b.page, &to_a.page);
    assert_joined(&to_b.control, &to_a.control);
    assert_eq!(to_b.report.fetch_ns, to_a.report.fetch_ns);
    assert_eq!(to_b.report.skew_ns, -to_a.report.skew_ns);
    assert!(to_b.report.rtt_min_ns > 0, "{}", to_b.report);
    assert!(to_b.page.nodelay().unwrap() && to_a.control.nodelay().unwrap());
}

#[test]
fn three_nodes_at_one_address_find_each_other_in_any_order() {
    let ports = ports(4);
    let c = Starting::new(node(C, 3), &ports);
    c.wait_for("listening on");
    let a = Starting::new(node(A, 3), &ports);
    a.wait_for("waiting for node b at 127.0.0.1, ports");
    a.wait_for("is node c");
    let b = Starting::new(node(B, 3), &ports);
    let links = [a.links(), b.links(), c.links()];
    let names = |links: &Links| links.peers.iter().map(|p| p.name.clone()).collect::<String>();
    assert_eq!(links.each_ref().map(names), ["bc", "ac", "ab"]);
    for (left, right) in [(0, 1), (0, 2), (1, 2)] {
        let peer = |from: usize, to: usize| {
            links[from].peers.iter().find(|p| p.node.index() == to).unwrap()
        };
        assert_joined(&peer(left, right).page, &peer(right, left).page);
        assert_joined(&peer(left, right).control, &peer(right, left).control);
    }
}

#[test]
fn a_node_alone_listens_to_nobody() {
    let links = Starting::new(node(A, 1), &ports(1)).links();
    assert!(links.peers.is_empty());
}

#[test]
fn the_next_port_is_taken_and_a_silent_stranger_on_the_first_is_passed() {
    let ports = ports(4);
    let _silent = TcpListener::bind(port(&ports, 0)).unwrap();
    let b = Starting::new(node(B, 2), &ports);
    b.wait_for(&format!("listening on {}", port(&ports, 1)));
    let a = Starting::new(node(A, 2), &ports);
    assert_eq!(a.links().peers[0].report.address, port(&ports, 1));
    b.links();
}

#[test]
fn another_cluster_on_the_same_ports_is_passed_by() {
    let ports = ports(6);
    let other = Identity { cluster: "other".into(), bundle: [2; 32], ..node(B, 2) };
    let other = Starting::new(other, &ports);
    other.wait_for("listening on");
    let a = Starting::new(node(A, 2), &ports);
    a.wait_for("is node b of another cluster, other");
    let b = Starting::new(node(B, 2), &ports);
    assert_eq!((a.links().peers.len(), b.links().peers.len()), (1, 1));
    other.stop.store(true, Ordering::SeqCst);
    assert!(matches!(other.error(), LinkError::Stopped));
}

#[test]
fn strangers_who_say_nothing_or_nonsense_keep_nobody_out() {
    let ports = ports(4);
    let b = Starting::new(node(B, 2), &ports);
    b.wait_for("listening on");
    // More than may be heard at once: the rest is turned away, and room is made in time.
    let silent: Vec<_> = (0..200).map(|_| TcpStream::connect(port(&ports, 0)).unwrap()).collect();
    let mut http = TcpStream::connect(port(&ports, 0)).unwrap();
    let _ = http.write_all(b"GET / HTTP/1.1\r\n\r\n");
    let a = Starting::new(node(A, 2), &ports);
    assert_eq!((a.links().peers.len(), b.links().peers.len()), (1, 1));
    drop(silent);
}
