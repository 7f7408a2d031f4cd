//! What the demonstration's search varies.

/// The published space, at rates that fit short runs of a small model.
pub(super) const SPACE: &str = "learning_rate = { low = 1e-5, high = 1e-3, log = true }
beta = { choices = [0.1, 0.15, 0.2, 0.25] }
schedule = { choices = [\"cosine\", \"linear\"] }
";
