//! Tests of perplexity.
