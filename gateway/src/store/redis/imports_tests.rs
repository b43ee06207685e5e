use super::*;
use crate::store::redis::node_line::imported;
use crate::store::redis::topology::MasterView;

fn address(port: u16) -> Address {
    Address { host: "h".into(), port }
}

fn view(owner: u16) -> ClusterView {
    let master = |port: u16, slots| MasterView {
        id: format!("id{port}"),
        address: address(port),
        epoch: 1,
        slots,
        replicas: Vec::new(),
    };
    let masters = [1, 2, 3].map(|port| master(port, if port == owner { vec![(5, 5)] } else { vec![] })).to_vec();
    ClusterView { masters, nodes: [1, 2, 3].map(address).to_vec(), ..ClusterView::default() }
}

#[test]
fn what_a_server_imports_is_in_its_own_line() {
    let text = "a1 h:1@1 master - 0 1 2 connected 0-4 [7-<-b2]\n\
                b2 h:2@2 myself,master - 0 1 2 connected 5 7-9 [5->-a1] [6-<-c3] [8-<-a1]\n";
    assert_eq!(imported(text), [(6, "c3".to_owned()), (8, "a1".to_owned())]);
    for odd in ["", "b2 h:2@2 myself,master", "b2 h:2@2 myself,master - 0 1 2 connected [x-<-a] [70000-<-a] [5-<-"] {
        assert!(imported(odd).is_empty(), "{odd}");
    }
}

#[test]
fn a_slot_is_torn_where_neither_end_of_its_move_has_it() {
    let mut imports = Imports::default();
    imports.note(&address(2), &vec![(5, "id1".to_owned())]);
    assert!(imports.torn(&view(1)).is_empty(), "it is on its way");
    assert!(imports.torn(&view(2)).is_empty(), "it has arrived");
    assert_eq!(imports.torn(&view(3)), BTreeSet::from([5]), "somebody took the place of the one that it left");
    assert_eq!(imports.servers().collect::<Vec<_>>(), [&address(2)]);
    imports.note(&address(2), &vec![]);
    assert!(imports.torn(&view(3)).is_empty(), "it was put in order");
    imports.note(&address(9), &vec![(5, "id1".to_owned())]);
    assert!(imports.torn(&view(3)).is_empty() && imports.servers().next().is_none(), "that server is no more");
}
