//! Persuasive replies: from posts and replies to pairs, from pairs to a model, and to what it is worth.

pub mod best_trial;
pub mod corpus;
pub mod report;
