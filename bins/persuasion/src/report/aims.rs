//! Which scalars of a run are ones to choose a checkpoint by.

use command_line::{Aim, HELD_OUT};

/// What a scalar should be, if it is one to choose a checkpoint by.
pub(super) fn aim(name: &str) -> Option<Aim> {
    match name.strip_prefix(HELD_OUT)? {
        "loss" | "perplexity_policy/chosen" => Some(Aim::Small),
        "rewards/accuracies" | "rewards/margins" => Some(Aim::Large),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn held_out_scalars_have_an_aim() {
        assert_eq!((aim("loss"), aim("eval_loss"), aim("eval_runtime")), (None, Some(Aim::Small), None));
        assert_eq!(aim("eval_rewards/accuracies"), Some(Aim::Large));
    }
}
