//! Word-vector scores: average, extrema, greedy.
