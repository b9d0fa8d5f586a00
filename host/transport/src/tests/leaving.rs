//! Nodes that leave, or never come, while links are coming up.

use super::*;

#[test]
fn a_missing_node_is_named_with_what_was_found_instead() {
    let ports = ports(4);
    let b = Starting::new(node(B, 3), &ports);
    b.wait_for("listening on");
    let a = Starting::with(node(A, 3), &ports, Duration::from_secs(2), tuning());
    let error = a.error();
    let text = error.to_string();
    let (first, last) = (ports.start(), ports.end());
    assert!(text.starts_with("1 of the cluster's other nodes aren't there after 2 s:"), "{text}");
    assert!(
        text.contains(&format!("waiting for node c at 127.0.0.1, ports {first}-{last}")),
        "{text}"
    );
    assert!(text.contains(&format!("port {first} is node b")), "{text}");
    assert!(error.help().contains("start the missing nodes"));
    let b = b.error().to_string();
    assert!(b.starts_with("node a gave up during start-up: 1 of the cluster's"), "{b}");
}

#[test]
fn a_node_that_is_stopped_tells_those_it_was_linked_to() {
    let ports = ports(4);
    let (a, b) = (Starting::new(node(A, 3), &ports), Starting::new(node(B, 3), &ports));
    a.wait_for("linked to node b at 127.0.0.1:");
    b.wait_for("linked to node a");
    a.stop.store(true, Ordering::SeqCst);
    assert!(matches!(a.error(), LinkError::Stopped));
    let b = b.error().to_string();
    assert_eq!(b, "node a gave up during start-up: stopped while waiting for the other nodes");
}

#[test]
fn a_node_killed_during_start_up_may_come_back() {
    let ports = ports(4);
    let b = Starting::new(node(B, 3), &ports);
    b.wait_for("listening on");
    let killed = own(A, 3, 1);
    let (page, greeting) = hail(port(&ports, 0), &killed, B, Lane::Page);
    assert_eq!(greeting, Greeting::Welcome);
    let (control, greeting) = hail(port(&ports, 0), &killed, B, Lane::Control);
    assert_eq!(greeting, Greeting::Welcome);
    measure::drive(&page, &*Tuning::default().clock).unwrap();
    b.wait_for("linked to node a");
    drop((page, control));
    b.wait_for("node a left; waiting for it again");
    let (a, c) = (Starting::new(node(A, 3), &ports), Starting::new(node(C, 3), &ports));
    assert_eq!([a.links(), b.links(), c.links()].map(|links| links.peers.len()), [2, 2, 2]);
}

#[test]
fn nonsense_on_a_linked_control_lane_is_an_error_that_says_so() {
    let ports = ports(4);
    let b = Starting::new(node(B, 3), &ports);
    b.wait_for("listening on");
    let raw = own(A, 3, 1);
    let (page, _) = hail(port(&ports, 0), &raw, B, Lane::Page);
    let (mut control, _) = hail(port(&ports, 0), &raw, B, Lane::Control);
    measure::drive(&page, &*Tuning::default().clock).unwrap();
    control.write_all(&u32::MAX.to_le_bytes()).unwrap();
    let error = b.error().to_string();
    assert!(error.contains("node a gave up") && error.contains("the limit is 65536"), "{error}");
}
