//! Lines that gateways print.

/// Addresses in the lines `node 1 ready at http://…`, once all nodes have said so.
pub fn node_origins(log: &str, nodes: u16) -> Option<Vec<String>> {
    let origins: Vec<String> =
        log.lines().filter_map(|line| Some(line.split_once(" ready at ")?.1.trim().to_owned())).collect();
    (origins.len() == usize::from(nodes) && log.ends_with('\n')).then_some(origins)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_once_all_are_there() {
        let log = "node 1 ready at http://127.0.0.1:17000\n";
        assert_eq!(node_origins(log, 2), None);
        let log = format!("{log}INFO something else\nnode 2 ready at http://127.0.0.1:17001\n");
        assert_eq!(node_origins(&log, 2), Some(vec!["http://127.0.0.1:17000".into(), "http://127.0.0.1:17001".into()]));
        assert_eq!(node_origins(log.trim_end(), 2), None, "the last line may be cut");
    }
}
