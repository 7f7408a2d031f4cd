//! Means with bootstrap intervals by group.
