//! The objectives by name.

use serde::{Deserialize, Serialize};

use crate::DpoError;

/// An objective. The formulas give the loss of a pair in the letters of [`Preference`](crate::Preference): β, label smoothing ε, the
/// log-ratios r = π − ρ, Δ = r_w − r_l, averages π̄ = π/n and r̄ = r/n over a completion's tokens, and ls(x) = ln σ(x).
///
/// Names are read with `-` or `_`, and as TRL has them (`exo_pair`, `aot_pair`, `sppo_hard`, …).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Loss {
    /// `sigmoid`: −(1−ε)·ls(βΔ) − ε·ls(−βΔ). DPO (Rafailov et al. 2023); conservative DPO with ε > 0. TRL 1 ignores ε.
    Sigmoid,
    /// `robust`: \[−(1−ε)·ls(βΔ) + ε·ls(−βΔ)\] / (1−2ε), ε < ½ (Chowdhury et al. 2024).
    Robust,
    /// `hinge`: max(0, 1 − βΔ). SLiC with a reference (Zhao et al. 2023).
    Hinge,
    /// `ipo`: (r̄_w − r̄_l − 1/(2β))² (Azar et al. 2023).
    Ipo,
    /// `exo`: σ(βΔ)·(ls(βΔ) − ln(1−ε)) + σ(−βΔ)·(ls(−βΔ) − ln ε) (Ji et al. 2024). ε = 0 means 0.001; TRL 1 refuses it.
    Exo,
    /// `nca`: −ls(βr_w) − ½·ls(−βr_w) − ½·ls(−βr_l) (Chen et al. 2024).
    Nca,
    /// `bco`: −ls(βr_w − δ) − ls(δ − βr_l), δ the running mean of the batches' mean rewards (Jung et al. 2024). TRL 1 has δ = 0.
    Bco,
    /// `sppo`: (r_w − 1/(2β))² + (r_l + 1/(2β))² (Wu et al. 2024), the hard form.
    Sppo,
    /// `aot`: as `sigmoid` with TRL 0.11's ε, on Δ = sort(π_w − π_l) − sort(ρ_w − ρ_l) over the batch (Melnyk et al. 2024).
    Aot,
    /// `aot-unpaired`: the same on Δ = sort(r_w) − sort(r_l).
    AotUnpaired,
    /// `apo-zero`: 1 − σ(βr_w) + σ(βr_l) (D'Oosterlinck et al. 2024).
    ApoZero,
    /// `apo-down`: σ(βr_w) + 1 − σ(βΔ), of the same paper.
    ApoDown,
    /// `kto-pair`: the mean of 1 − σ(β(r_w − KL_l)) and 1 − σ(β(KL_w − r_l)), KL the batch's mean of r, at least 0 (Ethayarajh et al.
    /// 2024). Gradients flow through KL with the rules of TRL 0.7 only.
    KtoPair,
    /// `discopop`: −ls(βΔ)·(1−m) + e^(−βΔ)·m with m = σ(βΔ/τ) (Lu et al. 2024).
    Discopop,
    /// `sigmoid-norm`: −ls(β(r̄_w − r̄_l)), DPO normalised by length.
    SigmoidNorm,
    /// `sft`: NLL, the mean cross-entropy of all tokens of the batch's chosen completions. A partner in mixes.
    Sft,
    /// `simpo`: as `sigmoid` with TRL 0.11's ε, on β(π̄_w − π̄_l) − γ (Meng et al. 2024). No reference.
    Simpo,
    /// `cpo`: as `sigmoid` with TRL 0.11's ε, on β(π_w − π_l), plus α·NLL (Xu et al. 2024). No reference.
    Cpo,
    /// `cpo-hinge`: max(0, 1 − β(π_w − π_l)) + α·NLL.
    CpoHinge,
    /// `cpo-ipo`: (π̄_w − π̄_l − 1/(2β))² + α·NLL.
    CpoIpo,
    /// `orpo`: NLL − β·ls(L), L = π̄_w − π̄_l − ln(1−e^π̄_w) + ln(1−e^π̄_l), the log of the odds' ratio (Hong et al. 2024). No reference.
    Orpo,
}

impl Loss {
    /// All objectives.
    pub const ALL: [Self; 21] = [
        Self::Sigmoid,
        Self::Robust,
        Self::Hinge,
        Self::Ipo,
        Self::Exo,
        Self::Nca,
        Self::Bco,
        Self::Sppo,
        Self::Aot,
        Self::AotUnpaired,
        Self::ApoZero,
        Self::ApoDown,
        Self::KtoPair,
        Self::Discopop,
        Self::SigmoidNorm,
        Self::Sft,
        Self::Simpo,
        Self::Cpo,
        Self::CpoHinge,
        Self::CpoIpo,
        Self::Orpo,
    ];

    /// The name it is written by.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sigmoid => "sigmoid",
            Self::Robust => "robust",
            Self::Hinge => "hinge",
            Self::Ipo => "ipo",
            Self::Exo => "exo",
            Self::Nca => "nca",
            Self::Bco => "bco",
            Self::Sppo => "sppo",
            Self::Aot => "aot",
            Self::AotUnpaired => "aot-unpaired",
            Self::ApoZero => "apo-zero",
            Self::ApoDown => "apo-down",
            Self::KtoPair => "kto-pair",
            Self::Discopop => "discopop",
            Self::SigmoidNorm => "sigmoid-norm",
            Self::Sft => "sft",
            Self::Simpo => "simpo",
            Self::Cpo => "cpo",
            Self::CpoHinge => "cpo-hinge",
            Self::CpoIpo => "cpo-ipo",
            Self::Orpo => "orpo",
        }
    }

    /// The objective of a name, its own or TRL's.
    ///
    /// # Errors
    /// There is none of that name.
    pub fn parse(name: &str) -> Result<Self, DpoError> {
        let plain = name.trim().replace('_', "-");
        let own = match plain.as_str() {
            "exo-pair" => "exo",
            "nca-pair" => "nca",
            "bco-pair" => "bco",
            "sppo-hard" => "sppo",
            "aot-pair" => "aot-unpaired",
            "slic" => "hinge",
            other => other,
        };
        Self::ALL.into_iter().find(|loss| loss.name() == own).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            DpoError::invalid(format!("there is no loss `{name}`; the losses are {names}"))
        })
    }

    /// Whether it compares the policy with a reference.
    pub const fn needs_reference(self) -> bool {
        !matches!(self, Self::Sft | Self::Simpo | Self::Cpo | Self::CpoHinge | Self::CpoIpo | Self::Orpo)
    }

    /// Whether a pair's loss depends on the other pairs of its batch, so that it has no meaning for a pair alone.
    pub const fn couples_pairs(self) -> bool {
        matches!(self, Self::Bco | Self::Aot | Self::AotUnpaired | Self::KtoPair)
    }

    /// Whether it goes by Δ, which another divergence than the reverse KL changes.
    pub(crate) const fn uses_divergence(self) -> bool {
        matches!(
            self,
            Self::Sigmoid | Self::Robust | Self::Hinge | Self::Ipo | Self::Exo | Self::Discopop | Self::SigmoidNorm
        )
    }
}

impl std::fmt::Display for Loss {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.name())
    }
}

impl std::str::FromStr for Loss {
    type Err = DpoError;

    fn from_str(name: &str) -> Result<Self, DpoError> {
        Self::parse(name)
    }
}

impl TryFrom<String> for Loss {
    type Error = DpoError;

    fn try_from(name: String) -> Result<Self, DpoError> {
        Self::parse(&name)
    }
}

impl From<Loss> for String {
    fn from(loss: Loss) -> Self {
        loss.name().to_owned()
    }
}
