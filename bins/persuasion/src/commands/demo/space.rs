//! What the demonstration's search varies.

/// The published space without epochs, down to rates at which a short run learns next to nothing.
pub(super) const SPACE: &str = "learning_rate = { low = 1e-7, high = 1e-4, log = true }
beta = { choices = [0.1, 0.15, 0.2, 0.25] }
schedule = { choices = [\"cosine\", \"linear\"] }
";
