//! What was answered, how often and how soon.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use serde_json::{Value, json};

use super::kind::Reply;

/// Counts of all kinds of requests.
#[derive(Debug, Default)]
pub(super) struct Counts {
    kinds: BTreeMap<(&'static str, &'static str), Requests>,
}

/// Counts of one kind.
#[derive(Debug, Default)]
struct Requests {
    replies: BTreeMap<Reply, usize>,
    /// Replies that were not right.
    unexpected: BTreeMap<Reply, usize>,
    /// Of replies that were right.
    seconds: Vec<f32>,
}

impl Counts {
    /// Notes a reply of a server to a kind of request.
    pub(super) fn add(
        &mut self,
        server: &'static str,
        kind: &'static str,
        reply: Reply,
        expected: &[Reply],
        took: Duration,
    ) {
        let requests = self.kinds.entry((server, kind)).or_default();
        if expected.contains(&reply) {
            requests.seconds.push(took.as_secs_f32());
        } else {
            *requests.unexpected.entry(reply.clone()).or_default() += 1;
        }
        *requests.replies.entry(reply).or_default() += 1;
    }

    /// Takes over what another worker has counted.
    pub(super) fn merge(&mut self, other: Self) {
        for (kind, theirs) in other.kinds {
            let requests = self.kinds.entry(kind).or_default();
            theirs.replies.into_iter().for_each(|(reply, count)| *requests.replies.entry(reply).or_default() += count);
            theirs
                .unexpected
                .into_iter()
                .for_each(|(reply, count)| *requests.unexpected.entry(reply).or_default() += count);
            requests.seconds.extend(theirs.seconds);
        }
    }

    pub(super) fn all(&self) -> usize {
        self.kinds.values().flat_map(|requests| requests.replies.values()).sum()
    }

    /// Replies that were not right, a line each.
    pub(super) fn unexpected(&self) -> Vec<String> {
        let of = |((server, kind), requests): (&(&str, &str), &Requests)| {
            let line = |(reply, count): (&Reply, &usize)| format!("{server}, {kind}: {count} times {}", reply.name());
            requests.unexpected.iter().map(line).collect::<Vec<_>>()
        };
        self.kinds.iter().flat_map(of).collect()
    }

    /// Of everything that was answered, by status.
    pub(super) fn by_status(&self) -> BTreeMap<String, usize> {
        let mut found = BTreeMap::new();
        for (reply, count) in self.kinds.values().flat_map(|requests| &requests.replies) {
            *found.entry(reply.name()).or_default() += count;
        }
        found
    }

    /// For people.
    pub(super) fn table(&self) -> String {
        let mut table = format!(
            "{:<7} {:<30} {:>7}  {:<22} {:>8} {:>8} {:>8} {:>8}\n",
            "server", "request", "count", "replies", "median", "90 %", "99 %", "largest"
        );
        for ((server, kind), requests) in &self.kinds {
            let replies: Vec<String> =
                requests.replies.iter().map(|(reply, count)| format!("{} {count}", reply.name())).collect();
            let times = requests.quantiles().map(|seconds| format!("{:.1} ms", 1000.0 * seconds));
            let _ = writeln!(
                table,
                "{server:<7} {kind:<30} {:>7}  {:<22} {:>8} {:>8} {:>8} {:>8}",
                requests.replies.values().sum::<usize>(),
                replies.join(", "),
                times[0],
                times[1],
                times[2],
                times[3]
            );
        }
        table
    }

    /// For machines.
    pub(super) fn json(&self) -> Value {
        let row = |((server, kind), requests): (&(&str, &str), &Requests)| {
            let replies: BTreeMap<String, usize> =
                requests.replies.iter().map(|(reply, count)| (reply.name(), *count)).collect();
            let [median, ninety, ninety_nine, largest] = requests.quantiles();
            json!({
                "server": server, "request": kind, "replies": replies, "seconds_median": median, "seconds_90": ninety,
                "seconds_99": ninety_nine, "seconds_largest": largest,
            })
        };
        self.kinds.iter().map(row).collect()
    }
}

impl Requests {
    /// Median, 90 %, 99 % and the largest, in seconds.
    fn quantiles(&self) -> [f32; 4] {
        let mut seconds = self.seconds.clone();
        seconds.sort_unstable_by(f32::total_cmp);
        [0.5, 0.9, 0.99, 1.0].map(|share| {
            let at = (share * seconds.len() as f64).ceil() as usize;
            seconds.get(at.saturating_sub(1)).copied().unwrap_or(0.0)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_counted_and_unexpected_ones_told() {
        let mut counts = Counts::default();
        for milliseconds in 1..=100 {
            counts.add("serve", "chat", Reply::Status(200), &[Reply::Status(200)], Duration::from_millis(milliseconds));
        }
        let mut other = Counts::default();
        other.add("serve", "chat", Reply::Status(500), &[Reply::Status(200)], Duration::from_secs(9));
        counts.merge(other);
        assert_eq!(counts.unexpected(), ["serve, chat: 1 times 500"]);
        assert_eq!((counts.all(), counts.by_status()["200"]), (101, 100));
        assert_eq!(counts.kinds[&("serve", "chat")].quantiles(), [0.05, 0.09, 0.099, 0.1]);
    }
}
