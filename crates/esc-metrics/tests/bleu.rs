//! Tests of bleu.
