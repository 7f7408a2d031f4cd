//! Tests of the crate, in one binary.

mod lora;
mod sft_corpus;
mod sft_cutoff;
mod sft_encode;
mod sft_models;
mod sft_pack;
mod sft_plain;
mod sft_read;
mod training;
