//! What the demonstration's search varies.

/// The published space without epochs, with rates from too low to too high for a run so short.
pub(super) const SPACE: &str = "learning_rate = { low = 1e-5, high = 1e-2, log = true }
beta = { choices = [0.1, 0.15, 0.2, 0.25] }
schedule = { choices = [\"cosine\", \"linear\"] }
";
