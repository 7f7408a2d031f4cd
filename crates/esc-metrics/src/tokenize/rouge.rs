//! Google's rouge-score words.
