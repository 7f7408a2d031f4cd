//! Where clients and engine meet: orders go in, what becomes of them comes back.
//!
//! The engine runs on one thread and takes orders before each of its steps, so requests of many clients are computed
//! together. An order whose client has gone is cancelled at its next token.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::errors::ApiError;
use super::parameters::Form;
use crate::Error;
use crate::engine::{Draft, Drafted, Engine, Outcome, Pressure, RequestSource, Supply, Told};
use crate::text_model::{CancelToken, Completion, RequestError, RunStatistics, Score};

/// How soon an engine without work notices that the server is to end.
const LOOK_UP_EVERY: Duration = Duration::from_millis(50);

/// What becomes of an order.
#[derive(Debug)]
pub(super) enum Reply {
    Text(String),
    Finished(Box<Completion>),
    Scored(Score),
    Failed(RequestError),
}

/// A draft, and who hears of it under which number.
struct Order {
    key: u64,
    draft: Draft,
    part: usize,
    replies: UnboundedSender<(usize, Reply)>,
}

/// The clients' side.
#[derive(Debug)]
pub(super) struct Desk {
    orders: Sender<Order>,
    places: Arc<Semaphore>,
    next_key: AtomicU64,
}

/// The orders of one client's request. Dropped, it cancels what is not finished.
#[derive(Debug)]
pub(super) struct Ticket {
    replies: UnboundedReceiver<(usize, Reply)>,
    sender: Option<UnboundedSender<(usize, Reply)>>,
    cancel: CancelToken,
    form: Form,
    _places: OwnedSemaphorePermit,
}

/// The two sides of a desk that holds at most `places` orders.
pub(super) fn desk(places: usize) -> (Desk, Backroom) {
    let (sender, orders) = channel();
    let places = Arc::new(Semaphore::new(places.min(Semaphore::MAX_PERMITS)));
    (Desk { orders: sender, places, next_key: AtomicU64::new(0) }, Backroom { orders, clients: RefCell::default() })
}

impl Desk {
    /// A ticket for so many orders of a request of this form.
    ///
    /// # Errors
    /// There is no place for them now.
    pub(super) fn ticket(&self, form: Form, orders: usize) -> Result<Ticket, ApiError> {
        let places =
            u32::try_from(orders).ok().and_then(|count| self.places.clone().try_acquire_many_owned(count).ok());
        let (sender, replies) = unbounded_channel();
        Ok(Ticket {
            replies,
            sender: Some(sender),
            cancel: CancelToken::new(),
            form,
            _places: places.ok_or_else(ApiError::overloaded)?,
        })
    }

    /// Hands an order in: the draft that `draft` makes for a key. Its replies come with the number `part`.
    ///
    /// # Errors
    /// The draft can't be made, or the server is about to end.
    pub(super) fn order(
        &self,
        ticket: &Ticket,
        part: usize,
        draft: impl FnOnce(u64) -> Result<Draft, RequestError>,
    ) -> Result<(), ApiError> {
        let key = self.next_key.fetch_add(1, Ordering::Relaxed);
        let mut draft = draft(key).map_err(|error| ApiError::request(ticket.form, &error))?;
        draft.cancel = Some(ticket.cancel.clone());
        let replies = ticket.sender.clone().ok_or_else(ApiError::shutting_down)?;
        self.orders.send(Order { key, draft, part, replies }).map_err(|_| ApiError::shutting_down())
    }

    /// Waits until no order is left, or for so long.
    pub(super) async fn empty(&self, places: usize, patience: Duration) {
        let all = u32::try_from(places).unwrap_or(u32::MAX);
        // Clients that do not read their answers are not waited for.
        let _ = tokio::time::timeout(patience, self.places.acquire_many(all)).await;
    }
}

impl Ticket {
    /// All orders are in: when their replies are, there are no more.
    pub(super) fn close(&mut self) {
        self.sender = None;
    }

    /// Set, it ends all orders.
    pub(super) fn cancel_token(&self) -> CancelToken {
        self.cancel.clone()
    }

    /// The next reply, and to which order. `None` if there are no more, or the engine has ended.
    pub(super) async fn reply(&mut self) -> Option<(usize, Reply)> {
        self.replies.recv().await
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

/// The engine's side.
pub(super) struct Backroom {
    orders: Receiver<Order>,
    clients: RefCell<HashMap<u64, Client>>,
}

struct Client {
    part: usize,
    replies: UnboundedSender<(usize, Reply)>,
}

impl Backroom {
    /// Serves orders until `stop` is set.
    ///
    /// # Errors
    /// The engine fails.
    pub(super) fn serve(self, engine: &mut Engine, stop: &CancelToken) -> Result<RunStatistics, Error> {
        let Self { orders, clients } = self;
        let mut counter = Counter { orders, clients: &clients, stop };
        engine.run(&mut counter, &mut |told| {
            pass_on(&clients, told);
            if stop.is_cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
    }
}

/// Takes orders in.
struct Counter<'a> {
    orders: Receiver<Order>,
    clients: &'a RefCell<HashMap<u64, Client>>,
    stop: &'a CancelToken,
}

impl RequestSource<Drafted> for Counter<'_> {
    fn next_request(&mut self, pressure: Pressure) -> Supply<Drafted> {
        if self.stop.is_cancelled() {
            return Supply::Closed;
        }
        let order = match pressure {
            Pressure::Busy => match self.orders.try_recv() {
                Ok(order) => order,
                Err(TryRecvError::Empty) => return Supply::Pending,
                Err(TryRecvError::Disconnected) => return Supply::Closed,
            },
            Pressure::Idle => match self.orders.recv_timeout(LOOK_UP_EVERY) {
                Ok(order) => order,
                Err(RecvTimeoutError::Timeout) => return Supply::Pending,
                Err(RecvTimeoutError::Disconnected) => return Supply::Closed,
            },
        };
        let Order { key, draft, part, replies } = order;
        let mut clients = self.clients.borrow_mut();
        // A score that was cancelled ends without a word.
        clients.retain(|_, client| !client.replies.is_closed());
        clients.insert(key, Client { part, replies });
        Supply::Ready(Ok(draft))
    }
}

fn pass_on(clients: &RefCell<HashMap<u64, Client>>, told: Told) {
    let mut clients = clients.borrow_mut();
    let (key, reply) = match told {
        Told::Text { key, delta } => (key, Reply::Text(delta)),
        Told::Failed { key, error } => (key, Reply::Failed(error)),
        Told::Finished { key, outcome: Outcome::Completion(completion) } => {
            (key, Reply::Finished(Box::new(completion)))
        }
        Told::Finished { key, outcome: Outcome::Score(score) } => (key, Reply::Scored(score)),
    };
    let is_over = !matches!(reply, Reply::Text(_));
    if let Some(client) = clients.get(&key) {
        // Who has gone away has cancelled the order.
        let _ = client.replies.send((client.part, reply));
    }
    if is_over {
        clients.remove(&key);
    }
}
