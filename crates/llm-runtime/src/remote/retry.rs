//! Patience with a server: when an attempt may begin, and when a failed one is repeated.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::http::{Trouble, TroubleKind};
use super::options::RetryPolicy;

/// How soon a wait notices that nobody wants its end any more.
const SLICE: Duration = Duration::from_millis(20);

/// Whether nobody waits for a request any more.
pub(super) type IsOver<'a> = &'a dyn Fn() -> bool;

/// Spaces the attempts of all requests of a model.
#[derive(Debug)]
pub(super) struct Pace {
    minimum_delay: Duration,
    /// No attempt begins before that.
    next: Mutex<Instant>,
    attempts: AtomicU64,
}

impl Pace {
    pub(super) fn new(minimum_delay: Duration) -> Self {
        Self { minimum_delay, next: Mutex::new(Instant::now()), attempts: AtomicU64::new(0) }
    }

    /// Attempts so far.
    pub(super) fn attempts(&self) -> u64 {
        self.attempts.load(Ordering::Relaxed)
    }

    /// Waits for this attempt's turn. False if the request is over before.
    fn take_turn(&self, is_over: IsOver<'_>) -> bool {
        loop {
            let now = Instant::now();
            let turn = {
                let mut next = self.next();
                let turn = *next;
                if turn <= now {
                    *next = now + self.minimum_delay;
                }
                turn
            };
            if is_over() {
                return false;
            }
            if turn <= now {
                self.attempts.fetch_add(1, Ordering::Relaxed);
                return true;
            }
            thread::sleep((turn - now).min(SLICE));
        }
    }

    /// Nothing is sent for so long: the server asked for it.
    fn pause(&self, wait: Duration) {
        let mut next = self.next();
        *next = (*next).max(Instant::now() + wait);
    }

    fn next(&self) -> MutexGuard<'_, Instant> {
        self.next.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What became of a request.
#[derive(Debug, PartialEq)]
pub(super) enum Outcome<T> {
    /// The answer, and after how many attempts.
    Answered(T, u32),
    /// Nobody waits any more.
    Over,
    Failed(Trouble),
}

/// Attempts until one succeeds, fails for good, or is the last. `salt` makes the waits of different requests different.
pub(super) fn persist<T>(
    policy: &RetryPolicy,
    pace: &Pace,
    salt: u64,
    is_over: IsOver<'_>,
    attempt: &mut dyn FnMut() -> Result<T, Trouble>,
) -> Outcome<T> {
    let mut random = ChaCha8Rng::seed_from_u64(salt);
    for number in 0.. {
        if !pace.take_turn(is_over) {
            return Outcome::Over;
        }
        let trouble = match attempt() {
            Ok(answer) => return Outcome::Answered(answer, number + 1),
            Err(trouble) => trouble,
        };
        if trouble.kind != TroubleKind::Passing {
            return Outcome::Failed(trouble);
        }
        if number == policy.retries {
            let message = format!("{} ({} attempts)", trouble.message, u64::from(number) + 1);
            return Outcome::Failed(Trouble { message, ..trouble });
        }
        if let Some(wait) = trouble.retry_after {
            if wait > policy.longest_retry_after {
                let message = format!("{}; it asks to wait {} s, too long", trouble.message, wait.as_secs());
                return Outcome::Failed(Trouble { message, ..trouble });
            }
            pace.pause(wait);
        }
        let wait = wait_before_retry(policy, number + 1, random.random_range(0.5..1.0));
        tracing::info!(
            "{}: trying again in {:.1} s",
            trouble.message,
            wait.max(trouble.retry_after.unwrap_or_default()).as_secs_f64()
        );
        if !sleep(wait, is_over) {
            return Outcome::Over;
        }
    }
    Outcome::Over
}

fn wait_before_retry(policy: &RetryPolicy, retry: u32, factor: f64) -> Duration {
    let doubled = policy.first_wait.saturating_mul(2_u32.saturating_pow(retry - 1));
    doubled.min(policy.longest_wait).mul_f64(factor)
}

/// False if the request is over before the time is.
fn sleep(time: Duration, is_over: IsOver<'_>) -> bool {
    let until = Instant::now() + time;
    loop {
        if is_over() {
            return false;
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return true;
        }
        thread::sleep(left.min(SLICE));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUICK: RetryPolicy = RetryPolicy {
        retries: 3,
        first_wait: Duration::from_millis(1),
        longest_wait: Duration::from_millis(2),
        longest_retry_after: Duration::from_secs(1),
    };

    fn trouble(kind: TroubleKind) -> Trouble {
        Trouble { kind, message: "no".into(), status: None, retry_after: None }
    }

    fn try_with(outcomes: &mut dyn FnMut(u32) -> Result<u32, Trouble>) -> (Outcome<u32>, u32) {
        let pace = Pace::new(Duration::ZERO);
        let mut count = 0;
        let outcome = persist(&QUICK, &pace, 1, &|| false, &mut || {
            count += 1;
            outcomes(count)
        });
        assert_eq!(pace.attempts(), u64::from(count));
        (outcome, count)
    }

    #[test]
    fn what_passes_is_tried_again_and_what_stays_is_not() {
        let third = &mut |number| if number < 3 { Err(trouble(TroubleKind::Passing)) } else { Ok(number) };
        assert_eq!(try_with(third), (Outcome::Answered(3, 3), 3));
        for kind in [TroubleKind::Request, TroubleKind::Setup] {
            assert_eq!(try_with(&mut |_| Err(trouble(kind))), (Outcome::Failed(trouble(kind)), 1));
        }
        let (outcome, count) = try_with(&mut |_| Err(trouble(TroubleKind::Passing)));
        let Outcome::Failed(trouble) = outcome else { panic!("{outcome:?}") };
        assert_eq!((trouble.message.as_str(), count), ("no (4 attempts)", 4));
    }

    #[test]
    fn a_server_that_asks_for_a_pause_gets_it_from_everybody() {
        let pace = Pace::new(Duration::ZERO);
        let wait = Duration::from_millis(80);
        let start = Instant::now();
        let mut is_first = true;
        let outcome = persist(&QUICK, &pace, 1, &|| false, &mut || match std::mem::take(&mut is_first) {
            true => Err(Trouble { retry_after: Some(wait), ..trouble(TroubleKind::Passing) }),
            false => Ok(start.elapsed()),
        });
        let Outcome::Answered(elapsed, 2) = outcome else { panic!("{outcome:?}") };
        assert!(elapsed >= wait, "{elapsed:?}");
        pace.pause(wait);
        let start = Instant::now();
        assert!(pace.take_turn(&|| false) && start.elapsed() >= wait - Duration::from_millis(1));
    }

    #[test]
    fn a_server_that_asks_for_hours_is_not_waited_for() {
        let (outcome, count) = try_with(&mut |_| {
            Err(Trouble { retry_after: Some(Duration::from_secs(7200)), ..trouble(TroubleKind::Passing) })
        });
        assert!(matches!(outcome, Outcome::Failed(_)) && count == 1);
    }

    #[test]
    fn waits_double_up_to_the_longest() {
        let policy = RetryPolicy::default();
        let waits: Vec<u64> = (1..=8).map(|retry| wait_before_retry(&policy, retry, 1.0).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(wait_before_retry(&policy, u32::MAX, 0.5).as_secs(), 30);
    }

    #[test]
    fn a_request_that_is_over_is_left_at_once() {
        let pace = Pace::new(Duration::ZERO);
        pace.pause(Duration::from_secs(3600));
        assert_eq!(persist(&QUICK, &pace, 1, &|| true, &mut || Ok(1)), Outcome::Over);
        assert_eq!(pace.attempts(), 0);
    }

    #[test]
    fn attempts_keep_their_distance() {
        let pace = Pace::new(Duration::from_millis(20));
        let start = Instant::now();
        assert!((0..4).all(|_| pace.take_turn(&|| false)));
        assert!(start.elapsed() >= Duration::from_millis(60));
    }
}
