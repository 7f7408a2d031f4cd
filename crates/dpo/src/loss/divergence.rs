//! How far the policy may be from the reference, and by which measure.

use serde::{Deserialize, Serialize};

use super::dual::Dual;
use crate::{DpoError, Rules};

/// The divergence that keeps the policy near the reference (Wang et al. 2023). It turns the log-ratios r into scores s(r), and Δ into
/// s(r_w) − s(r_l). Written `reverse-kl`, `forward-kl`, `js` or `alpha=0.5`; TRL's names are read too.
///
/// Exponents are capped as in TRL's f32 (88.7228 = ln of f32's largest number, or 80 for the α of TRL 1): above the cap a score is constant.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Divergence {
    /// s(r) = r.
    #[default]
    ReverseKl,
    /// s(r) = 1 − e^(−r).
    ForwardKl,
    /// Jensen–Shannon: s(r) = ls(r) + ln 2.
    Js,
    /// With this α above 0: s(r) = (1 − e^(−αr))/α, or with the rules of TRL 1 (e^((α−1)r) − 1)/(α−1), which is r for α = 1. `alpha`
    /// without a number is 1 (TRL 0.11's default; that of TRL 1 is 0.5).
    Alpha(f64),
}

impl Divergence {
    /// The score of a log-ratio.
    pub(crate) fn score(self, ratio: Dual, rules: Rules) -> Dual {
        match self {
            Self::ReverseKl => ratio,
            Self::ForwardKl => -(-ratio).exp_capped(largest_exponent()) + 1.0,
            Self::Js => ratio.log_sigmoid() + std::f64::consts::LN_2,
            Self::Alpha(alpha) if rules == Rules::Trl1 => {
                let power = alpha - 1.0;
                if power.abs() < 1e-6 { ratio } else { ((ratio * power).exp_capped(80.0) - 1.0) * (1.0 / power) }
            }
            Self::Alpha(alpha) => ((ratio * -alpha).exp_capped(largest_exponent()) - 1.0) * (-1.0 / alpha),
        }
    }

    pub(crate) fn check(self) -> Result<(), DpoError> {
        match self {
            Self::Alpha(alpha) if !(alpha.is_finite() && alpha > 0.0) => Err(DpoError::invalid(format!(
                "the divergence's alpha is {alpha}; it must be above 0, as in `alpha=0.5`"
            ))),
            _ => Ok(()),
        }
    }
}

/// Of f32.
fn largest_exponent() -> f64 {
    f64::from(f32::MAX).ln()
}

impl std::fmt::Display for Divergence {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::ReverseKl => formatter.write_str("reverse-kl"),
            Self::ForwardKl => formatter.write_str("forward-kl"),
            Self::Js => formatter.write_str("js"),
            Self::Alpha(alpha) => write!(formatter, "alpha={alpha}"),
        }
    }
}

impl std::str::FromStr for Divergence {
    type Err = DpoError;

    fn from_str(text: &str) -> Result<Self, DpoError> {
        let unknown = || {
            DpoError::invalid(format!("there is no divergence `{text}`; it is reverse-kl, forward-kl, js or alpha=0.5"))
        };
        let (name, number) = text.split_once('=').map_or((text, None), |(name, number)| (name, Some(number)));
        let alpha = number.map(|number| number.trim().parse::<f64>().map_err(|_| unknown())).transpose()?;
        let divergence = match (name.trim().replace('_', "-").as_str(), alpha) {
            ("reverse-kl", None) => Self::ReverseKl,
            ("forward-kl", None) => Self::ForwardKl,
            ("js" | "js-divergence", None) => Self::Js,
            ("alpha" | "alpha-divergence", alpha) => Self::Alpha(alpha.unwrap_or(1.0)),
            _ => return Err(unknown()),
        };
        divergence.check()?;
        Ok(divergence)
    }
}

impl TryFrom<String> for Divergence {
    type Error = DpoError;

    fn try_from(text: String) -> Result<Self, DpoError> {
        text.parse()
    }
}

impl From<Divergence> for String {
    fn from(divergence: Divergence) -> Self {
        divergence.to_string()
    }
}
