//! Verdicts on pairs of answers: wins, ties, losses, position bias.
