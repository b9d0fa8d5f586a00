//! What guests of different clusters see, from made-up hosts.
#![allow(clippy::unwrap_used)]

use super::*;
use pangea_topology::{Boot, Cluster, Failure, Guest, Links, Node, Os};

fn topology(vcpus: &[u32]) -> Topology {
    let nodes = vcpus.iter().enumerate().map(|(i, &vcpus)| Node {
        name: format!("n{i}"),
        address: "127.0.0.1".into(),
        vcpus,
        memory: 512 << 20,
    });
    Topology::of(&Cluster {
        name: "test".into(),
        guest: Guest {
            os: Os::Linux,
            boot: Boot::Direct,
            kernel: None,
            initrd: None,
            command_line: String::new(),
        },
        nodes: nodes.collect(),
        links: Links::default(),
        failure: Failure::default(),
    })
}

fn leaf(function: u32, eax: u32, ebx: u32, ecx: u32, edx: u32) -> CpuidEntry {
    CpuidEntry { function, index: 0, flags: 0, eax, ebx, ecx, edx }
}

fn intel() -> CpuidEntry {
    leaf(0, 0x1f, 0x756e_6547, 0x6c65_746e, 0x4965_6e69)
}

fn shifts(vcpus: &[u32]) -> u32 {
    Place::of(&topology(vcpus), ApicId(0)).shift
}

#[test]
fn packages_are_never_cut_by_a_node() {
    assert_eq!(shifts(&[1]), 0);
    assert_eq!(shifts(&[4]), 2);
    assert_eq!(shifts(&[4, 4]), 2);
    assert_eq!(shifts(&[4, 2]), 1);
    assert_eq!(shifts(&[3, 3]), 0);
    assert_eq!(shifts(&[8, 8, 0]), 3, "a memory-only node cuts nothing");
}

#[test]
fn a_feature_is_offered_if_all_nodes_have_it() {
    let a = vec![intel(), leaf(1, 0x50654, 0, 0b1110, 0b11)];
    let b = vec![intel(), leaf(1, 0x306f2, 0, 0b0111, 0b01)];
    let offers = [(NodeId(0), a), (NodeId(1), b)];
    let agreed = agree(&topology(&[1, 1]), &offers).unwrap();
    let one = find(agreed.entries(), 1, 0).unwrap();
    assert_eq!((one.eax, one.ecx, one.edx), (0x50654, 0b0110, 0b01), "the model is the root's");
}

#[test]
fn a_leaf_that_one_node_lacks_is_gone() {
    let a = vec![intel(), leaf(0x8000_0001, 0, 0, !0, !0)];
    let agreed = agree(&topology(&[1, 1]), &[(NodeId(0), a), (NodeId(1), vec![intel()])]).unwrap();
    assert_eq!(find(agreed.entries(), 0x8000_0001, 0), None);
}

#[test]
fn two_makers_are_refused_by_name() {
    let amd = leaf(0, 0x10, 0x6874_7541, 0x444d_4163, 0x6974_6e65);
    let error = agree(&topology(&[1, 1]), &[(NodeId(0), vec![intel()]), (NodeId(1), vec![amd])])
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "node 1 has CPUs of \"AuthenticAMD\", the root node of \"GenuineIntel\": one machine can't \
         be made of CPUs of two makers"
    );
}

#[test]
fn features_that_would_act_on_ghosts_are_masked() {
    let kvm = policy(leaf(KVM_FEATURE_LEAF, !0, 0, 0, !0));
    for (bit, name) in [(4, "ASYNC_PF"), (5, "STEAL_TIME"), (7, "PV_UNHALT"), (9, "PV_TLB_FLUSH")] {
        assert_eq!(kvm.eax >> bit & 1, 0, "{name}");
    }
    assert_eq!(kvm.eax >> 3 & 1, 1, "kvmclock stays");
    assert_eq!(policy(leaf(0x8000_0007, 0, 0, 0, !0)).edx & INVARIANT_TSC, 0);
}

#[test]
fn a_map_beyond_the_hosts_address_bits_is_refused() {
    let small = vec![intel(), leaf(0x8000_0008, 0x1e, 0, 0, 0)];
    let error = agree(&topology(&[1, 1, 1, 1]), &[(NodeId(0), small)]).unwrap_err();
    assert!(matches!(error, KvmError::AddressBits { needed: 31, bits: 30, .. }), "{error}");
}

#[test]
fn extended_topology_names_the_cpu_and_the_bits_of_its_package() {
    let topology = topology(&[4, 4]);
    let leaves: Vec<_> = Place::of(&topology, ApicId(6)).topology(0x1e).collect();
    assert_eq!(leaves.len(), 3, "leaf 0x1f is beyond the highest leaf");
    assert_eq!((leaves[1].eax, leaves[1].ebx, leaves[1].ecx, leaves[1].edx), (2, 4, 0x201, 6));
}
