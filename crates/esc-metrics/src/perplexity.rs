//! Perplexity, by the five conventions that are in use.
