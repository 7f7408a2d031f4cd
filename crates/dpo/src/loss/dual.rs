//! Numbers that carry their derivatives, so that a loss is written once, as its formula.

use std::ops::{Add, Mul, Neg, Sub};

/// A value and its derivatives by the log-probability of a chosen and of a rejected completion.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dual {
    pub(crate) value: f64,
    pub(crate) by_chosen: f64,
    pub(crate) by_rejected: f64,
}

impl Dual {
    /// A chosen completion's log-probability, or what differs from it by a constant.
    pub(crate) const fn chosen(value: f64) -> Self {
        Self { value, by_chosen: 1.0, by_rejected: 0.0 }
    }

    /// A rejected completion's log-probability, or what differs from it by a constant.
    pub(crate) const fn rejected(value: f64) -> Self {
        Self { value, by_chosen: 0.0, by_rejected: 1.0 }
    }

    pub(crate) fn sigmoid(self) -> Self {
        let value = sigmoid(self.value);
        self.mapped(value, value * sigmoid(-self.value))
    }

    /// ln σ(x) = −softplus(−x).
    pub(crate) fn log_sigmoid(self) -> Self {
        self.mapped(-softplus(-self.value), sigmoid(-self.value))
    }

    /// e^min(x, cap): constant above the cap, so that nothing overflows.
    pub(crate) fn exp_capped(self, cap: f64) -> Self {
        let value = self.value.min(cap).exp();
        self.mapped(value, if self.value > cap { 0.0 } else { value })
    }

    /// ln(1 − e^x) of a log-probability x; one that rounding made 0 counts as just below.
    pub(crate) fn log_complement(self) -> Self {
        const JUST_BELOW_ZERO: f64 = -1e-12;
        let complement = -self.value.min(JUST_BELOW_ZERO).exp_m1();
        self.mapped(complement.ln(), (complement - 1.0) / complement)
    }

    pub(crate) fn square(self) -> Self {
        self.mapped(self.value * self.value, 2.0 * self.value)
    }

    /// max(0, x).
    pub(crate) fn positive_part(self) -> Self {
        if self.value > 0.0 { self } else { self.mapped(0.0, 0.0) }
    }

    fn mapped(self, value: f64, slope: f64) -> Self {
        Self { value, by_chosen: slope * self.by_chosen, by_rejected: slope * self.by_rejected }
    }
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

impl Add for Dual {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            value: self.value + other.value,
            by_chosen: self.by_chosen + other.by_chosen,
            by_rejected: self.by_rejected + other.by_rejected,
        }
    }
}

impl Sub for Dual {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        self + -other
    }
}

impl Neg for Dual {
    type Output = Self;

    fn neg(self) -> Self {
        self * -1.0
    }
}

impl Mul for Dual {
    type Output = Self;

    fn mul(self, other: Self) -> Self {
        Self {
            value: self.value * other.value,
            by_chosen: self.by_chosen * other.value + self.value * other.by_chosen,
            by_rejected: self.by_rejected * other.value + self.value * other.by_rejected,
        }
    }
}

impl Mul<f64> for Dual {
    type Output = Self;

    fn mul(self, factor: f64) -> Self {
        self.mapped(self.value * factor, factor)
    }
}

impl Add<f64> for Dual {
    type Output = Self;

    fn add(self, constant: f64) -> Self {
        Self { value: self.value + constant, ..self }
    }
}

impl Sub<f64> for Dual {
    type Output = Self;

    fn sub(self, constant: f64) -> Self {
        self + -constant
    }
}
