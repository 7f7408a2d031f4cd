//! Where a run's requests come from: a list that is there, or people who ask while others are being answered.

use crate::Request;

/// Gives an engine its requests, one by one, while it runs. Every iterator is one: it is closed at its end.
///
/// An engine asks before each step, so requests that come while others are being served join the running batch.
pub trait RequestSource<R = Request> {
    /// The next request. With [`Pressure::Idle`] nothing else is to be done, and the source should wait for one; it may give up
    /// with [`Supply::Pending`] at any time and is then asked again.
    fn next_request(&mut self, pressure: Pressure) -> Supply<R>;
}

/// Whether an engine has something to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pressure {
    /// Requests are being served: waiting would hold them up.
    Busy,
    /// None are.
    Idle,
}

/// What a source has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Supply<R = Request> {
    /// A request.
    Ready(R),
    /// Nothing now, maybe later.
    Pending,
    /// Nothing any more.
    Closed,
}

impl<R, I: Iterator<Item = R> + ?Sized> RequestSource<R> for I {
    fn next_request(&mut self, _: Pressure) -> Supply<R> {
        self.next().map_or(Supply::Closed, Supply::Ready)
    }
}

/// A source whose requests are turned into something else as they come.
pub(super) struct Mapped<'s, R, F> {
    pub(super) source: &'s mut dyn RequestSource<R>,
    pub(super) map: F,
}

impl<R, T, F: FnMut(R) -> T> RequestSource<T> for Mapped<'_, R, F> {
    fn next_request(&mut self, pressure: Pressure) -> Supply<T> {
        match self.source.next_request(pressure) {
            Supply::Ready(request) => Supply::Ready((self.map)(request)),
            Supply::Pending => Supply::Pending,
            Supply::Closed => Supply::Closed,
        }
    }
}
