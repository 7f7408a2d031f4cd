//! A kind of request: how it is made, and what may be said to it.

use std::io::{self, ErrorKind};

use rand::{Rng, RngExt};
use rand_chacha::ChaCha8Rng;

/// A kind of request to a target of type `T`.
pub(super) struct Kind<T> {
    pub(super) name: &'static str,
    /// How often it is drawn beside the others.
    pub(super) weight: u32,
    /// What is right to say.
    pub(super) expected: &'static [Reply],
    pub(super) act: fn(&T, &mut ChaCha8Rng) -> io::Result<Reply>,
}

/// How a request ended.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reply {
    /// An answer of this status.
    Status(u16),
    /// The server closed the connection.
    Closed,
    /// The client left, as it was to.
    Left,
    /// An answer that is not right, or none.
    Wrong(String),
}

impl Reply {
    pub(super) fn name(&self) -> String {
        match self {
            Self::Status(status) => status.to_string(),
            Self::Closed => "closed".into(),
            Self::Left => "left".into(),
            Self::Wrong(what) => what.clone(),
        }
    }
}

impl<T> Kind<T> {
    /// Makes such a request.
    pub(super) fn ask(&self, target: &T, random: &mut ChaCha8Rng) -> Reply {
        (self.act)(target, random).unwrap_or_else(|error| match error.kind() {
            ErrorKind::BrokenPipe
            | ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::UnexpectedEof => Reply::Closed,
            ErrorKind::WouldBlock | ErrorKind::TimedOut => Reply::Wrong("no answer in time".into()),
            _ => Reply::Wrong(error.to_string()),
        })
    }
}

/// One of the kinds, by their weights.
pub(super) fn draw<'a, T>(kinds: &'a [Kind<T>], random: &mut impl Rng) -> &'a Kind<T> {
    let all: u32 = kinds.iter().map(|kind| kind.weight).sum();
    let mut left = random.random_range(0..all.max(1));
    let found = kinds.iter().find(|kind| match left < kind.weight {
        true => true,
        false => {
            left -= kind.weight;
            false
        }
    });
    found.unwrap_or(&kinds[0])
}
