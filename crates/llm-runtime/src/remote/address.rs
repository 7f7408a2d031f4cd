//! `openai:NAME@URL`: which model on which server.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ureq::http::Uri;

use crate::Error;

/// A model's name and the URL below which its server has the API's paths, written `openai:NAME@URL`, e.g.
/// `openai:gpt-4o@https://api.openai.com/v1` or `openai:meta-llama/Llama-3.1-8B-Instruct@http://localhost:8000/v1`.
///
/// The last `@` divides the two, so a name may hold `@`, `:` and `/`. A URL is `http` or `https`, has no user name or password in it
/// (keys come from elsewhere, see [`crate::KeySource`]), no query and no fragment. So an address holds no secret and may be
/// shown and recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteAddress {
    model: String,
    url: String,
    host: String,
    is_encrypted: bool,
}

impl RemoteAddress {
    /// What every written address begins with.
    pub const PREFIX: &str = "openai:";

    /// An address of its two parts.
    ///
    /// # Errors
    /// The name is empty or holds control characters, or the URL is not one as described above.
    pub fn new(model: &str, url: &str) -> Result<Self, Error> {
        if model.trim().is_empty() || model.chars().any(char::is_control) {
            return Err(invalid("the model has no name: write openai:NAME@URL"));
        }
        if url.contains('@') {
            return Err(invalid(
                "the server's URL holds a user name or a password: give a key by its own option instead",
            ));
        }
        if url.contains(['?', '#']) {
            return Err(invalid("the server's URL holds a query or a fragment: give only scheme, host and path"));
        }
        let not_a_url = || invalid("the server's URL is not one: expected e.g. https://api.openai.com/v1");
        let uri: Uri = url.parse().map_err(|_| not_a_url())?;
        let (Some(scheme), Some(host)) = (uri.scheme_str(), uri.host()) else { return Err(not_a_url()) };
        if !["http", "https"].contains(&scheme) || host.is_empty() {
            return Err(not_a_url());
        }
        Ok(Self {
            model: model.to_owned(),
            url: url.trim_end_matches('/').to_owned(),
            host: host.to_ascii_lowercase(),
            is_encrypted: scheme == "https",
        })
    }

    /// The model's name on its server.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// The URL below which the API's paths are, without a slash at its end.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The server's host name, in lower case.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Whether the server is on this machine.
    pub fn is_loopback(&self) -> bool {
        let ip = self.host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        self.host == "localhost" || ip.is_ok_and(|ip| ip.is_loopback())
    }

    /// Whether nobody on the way can read along: the connection is encrypted, or stays on this machine.
    pub fn is_private(&self) -> bool {
        self.is_encrypted || self.is_loopback()
    }
}

impl FromStr for RemoteAddress {
    type Err = Error;

    /// Reads `openai:NAME@URL`.
    fn from_str(text: &str) -> Result<Self, Error> {
        let rest = text.strip_prefix(Self::PREFIX).ok_or_else(|| invalid("expected openai:NAME@URL"))?;
        let (model, url) = rest.rsplit_once('@').ok_or_else(|| {
            invalid("the server is missing: write openai:NAME@URL, e.g. openai:gpt-4o@https://api.openai.com/v1")
        })?;
        // A password in the URL moves the last `@` into it; what stands before must then not be shown.
        if model.contains("://") && !url.contains("://") {
            return Err(invalid(
                "the server's URL holds a user name or a password: give a key by its own option instead",
            ));
        }
        Self::new(model, url)
    }
}

impl fmt::Display for RemoteAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}{}@{}", Self::PREFIX, self.model, self.url)
    }
}

fn invalid(problem: &str) -> Error {
    Error::Invalid(problem.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_may_hold_what_urls_hold() {
        for (text, model, url) in [
            ("openai:gpt-4o@https://api.openai.com/v1", "gpt-4o", "https://api.openai.com/v1"),
            ("openai:meta/Llama:8b@http://[::1]:8000/v1/", "meta/Llama:8b", "http://[::1]:8000/v1"),
            ("openai:a@b@http://localhost", "a@b", "http://localhost"),
        ] {
            let address: RemoteAddress = text.parse().unwrap();
            assert_eq!((address.model(), address.url()), (model, url));
            assert_eq!(address.to_string(), format!("openai:{model}@{url}"));
        }
    }

    #[test]
    fn what_is_no_address_is_refused_and_passwords_are_not_shown() {
        for text in [
            "gpt-4o",
            "openai:",
            "openai:gpt-4o",
            "openai:@https://a/v1",
            "openai: @https://a/v1",
            "openai:a@ftp://a/v1",
            "openai:a@localhost:8000",
            "openai:a@https:///v1",
            "openai:a@https://a/v1?key=hunter2",
            "openai:a@https://user:hunter2@a/v1",
            "openai:a@b@https://hunter2@a/v1",
        ] {
            let error = text.parse::<RemoteAddress>().unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn only_this_machine_and_https_are_private() {
        let is_private = |url: &str| RemoteAddress::new("a", url).unwrap().is_private();
        assert!(
            is_private("https://a.example/v1") && is_private("http://localhost:1/v1") && is_private("http://127.0.0.2")
        );
        assert!(!is_private("http://gpu-server:8000/v1") && !is_private("http://127.0.0.1.example/v1"));
    }
}
