//! [`KnownHosts`]: the names under which a server on this machine lets itself be called.

use std::net::SocketAddr;

/// The names under which a server on this machine lets itself be called.
///
/// A page from elsewhere may have a name that it lets point to loopback; the browser then takes our answers for the page's own. Such a request
/// gives itself away by its `Host`, which names the page and not us. A server that other machines can reach has no names to go by and
/// admits all.
///
/// ```
/// use llm_runtime::KnownHosts;
///
/// let hosts = KnownHosts::new("127.0.0.1:8080".parse()?, &["Model.test".to_owned()]);
/// assert!(hosts.admits(Some("LOCALHOST:8080")) && hosts.admits(Some("model.test")));
/// assert!(!hosts.admits(Some("page.example:8080")) && !hosts.admits(None));
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Debug, Clone)]
pub struct KnownHosts {
    /// In lower case; `None` admits all.
    names: Option<Vec<String>>,
}

impl KnownHosts {
    /// Loopback, the address itself, and these other names, with the address' port or without one.
    pub fn new(address: SocketAddr, others: &[String]) -> Self {
        Self { names: address.ip().is_loopback().then(|| names(address, others)) }
    }

    /// Whether a request with this `Host` is meant for the server.
    pub fn admits(&self, host: Option<&str>) -> bool {
        let is_known = |names: &Vec<String>| host.is_some_and(|host| names.contains(&host.to_ascii_lowercase()));
        self.names.as_ref().is_none_or(is_known)
    }
}

fn names(address: SocketAddr, others: &[String]) -> Vec<String> {
    let port = address.port();
    let with_port = |name: &str| format!("{name}:{port}");
    let own = ["localhost", "127.0.0.1", "[::1]"].iter().map(|name| with_port(name)).chain([address.to_string()]);
    // Browsers leave the usual port out.
    let own = own.flat_map(|name| [name.trim_end_matches(":80").to_owned(), name]);
    let others = others.iter().map(|name| name.to_ascii_lowercase());
    own.chain(others.flat_map(|name| [with_port(&name), name])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_loopback_only_known_names_are_admitted() {
        let hosts = KnownHosts::new(SocketAddr::from(([127, 0, 0, 2], 90)), &["Solace.test".to_owned()]);
        for known in ["localhost:90", "127.0.0.1:90", "[::1]:90", "127.0.0.2:90", "solace.test", "SOLACE.test:90"] {
            assert!(hosts.admits(Some(known)), "{known}");
        }
        for unknown in ["localhost", "localhost:91", "solace.test:91", "page.example:90", ""] {
            assert!(!hosts.admits(Some(unknown)), "{unknown}");
        }
        assert!(!hosts.admits(None));
        assert!(KnownHosts::new(SocketAddr::from(([127, 0, 0, 1], 80)), &[]).admits(Some("localhost")));
    }

    #[test]
    fn a_server_for_other_machines_admits_all() {
        let hosts = KnownHosts::new(SocketAddr::from(([0, 0, 0, 0], 90)), &[]);
        assert!(hosts.admits(Some("page.example")) && hosts.admits(None));
    }
}
