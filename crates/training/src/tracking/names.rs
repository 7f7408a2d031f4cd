//! Names of scalars as dashboards show them.

/// The dashboard's name for a scalar of the trainer: `eval_loss` is `eval/loss`, and whatever has no prefix belongs to
/// training, so `rewards/chosen` is `train/rewards/chosen`. A name that says `train/` or `eval/` already stays.
///
/// # Examples
/// `dashboard_name("learning_rate")` is `train/learning_rate`.
pub fn dashboard_name(name: &str) -> String {
    match name.strip_prefix("eval_") {
        Some(rest) => format!("eval/{rest}"),
        None if name.starts_with("train/") || name.starts_with("eval/") => name.to_owned(),
        None => format!("train/{name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::dashboard_name;

    #[test]
    fn every_name_belongs_to_training_or_evaluation() {
        let names = ["loss", "rewards/chosen", "eval_rewards/margins", "train_loss", "eval/loss"];
        let shown = ["train/loss", "train/rewards/chosen", "eval/rewards/margins", "train/train_loss", "eval/loss"];
        assert_eq!(names.map(dashboard_name), shown);
    }
}
