//! Is a model as sure as it should be? Its probabilities beside what annotators said.
//!
//! Every single annotation counts: where three of five annotators find a response helpful, a probability of 0.6 is right.

use charts::{Axis, Estimate, Figure, Lines, Panel};
use esc_metrics::agreement::{MeasurementLevel, Ratings, Weighting, cohen_kappa};
use esc_metrics::correlation;
use esc_metrics::interval::wilson;
use serde::{Deserialize, Serialize};

use crate::{HelpfulnessError, Votes};

/// What a model expects of a response, and what annotators chose.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Forecast {
    /// Probabilities of the classes.
    pub distribution: Vec<f64>,
    /// One place for each annotator: the class chosen.
    pub annotations: Vec<Option<usize>>,
}

impl Forecast {
    /// Of a posterior over classes, and votes whose annotators nobody knows.
    pub(crate) fn of_votes(posterior: &[f32], votes: &Votes) -> Self {
        let classes = votes.counts().iter().enumerate();
        Self {
            distribution: posterior.iter().map(|value| f64::from(*value)).collect(),
            annotations: classes.flat_map(|(class, count)| vec![Some(class); *count as usize]).collect(),
        }
    }

    fn chosen(&self) -> impl Iterator<Item = usize> {
        self.annotations.iter().copied().flatten()
    }

    fn helpful(&self) -> f64 {
        self.distribution.first().copied().unwrap_or(0.0)
    }

    fn unhelpful(&self) -> f64 {
        self.distribution.last().copied().unwrap_or(0.0)
    }

    /// The share of helpful ones among annotations; none without annotations.
    fn helpful_share(&self) -> Option<f64> {
        mean(self.chosen().map(|class| f64::from(u8::from(class == 0))))
    }

    /// Whether it takes the response for helpful, and whether most annotators do; none without annotations.
    fn verdicts(&self) -> Option<(bool, bool)> {
        let votes = Votes::of(&self.annotations, self.distribution.len()).ok().filter(|votes| votes.total() > 0)?;
        Some((self.helpful() > self.unhelpful(), votes.majority() + 1 < votes.classes()))
    }

    fn expected_class(&self) -> usize {
        let better = |best: usize, class: usize| match self.distribution[class] > self.distribution[best] {
            true => class,
            false => best,
        };
        (1..self.distribution.len()).fold(0, better)
    }
}

/// Brier's score over classes: the mean over annotations `y` of `Σ_l (q(l) − [y = l])²`, from 0 to 2; lower is better (Brier 1950). `None` without annotations.
pub fn brier_score(forecasts: &[Forecast]) -> Option<f64> {
    mean(forecasts.iter().flat_map(|forecast| {
        forecast.chosen().map(move |chosen| {
            let terms = forecast.distribution.iter().enumerate();
            terms.map(|(class, q)| (q - f64::from(u8::from(class == chosen))).powi(2)).sum::<f64>()
        })
    }))
}

/// The expected calibration error of the helpful class (0), `Σ_b n_b/N |share_b − mean probability_b|` over so many bins of equal width (Naeini et al. 2015).
/// `None` without annotations or bins.
pub fn calibration_error(forecasts: &[Forecast], bins: usize) -> Option<f64> {
    let bins = reliability(forecasts, bins);
    let total: usize = bins.iter().map(|bin| bin.annotations).sum();
    let apart = |bin: &ReliabilityBin| bin.annotations as f64 * (bin.share - bin.probability).abs();
    (total > 0).then(|| bins.iter().map(apart).sum::<f64>() / total as f64)
}

/// How often forecasts and the majority of annotators agree on whether a response is helpful; a draw among annotators is unhelpful. `None` without annotations.
pub fn accuracy(forecasts: &[Forecast]) -> Option<f64> {
    let verdicts = forecasts.iter().filter_map(Forecast::verdicts);
    mean(verdicts.map(|(expected, found)| f64::from(u8::from(expected == found))))
}

/// Spearman's rank correlation of the expected rating with the share of annotators who find a response helpful. `None` where it has no value.
pub fn rank_correlation(forecasts: &[Forecast]) -> Option<f64> {
    let pair = |forecast: &Forecast| {
        let (helpful, unhelpful) = (forecast.helpful(), forecast.unhelpful());
        Some((helpful / (helpful + unhelpful).max(f64::MIN_POSITIVE), forecast.helpful_share()?))
    };
    correlation::spearman(&forecasts.iter().filter_map(pair).collect::<Vec<_>>())
}

/// A bin of a reliability diagram, of the helpful class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReliabilityBin {
    /// Its ends.
    pub from: f64,
    /// See [`Self::from`].
    pub to: f64,
    /// Annotations of responses whose probability lies in it.
    pub annotations: usize,
    /// Their mean probability.
    pub probability: f64,
    /// The share of annotations that say helpful.
    pub share: f64,
    /// Wilson's interval of the share at 95 %. It takes annotations for independent, which those of one response are not.
    pub interval: (f64, f64),
}

/// Bins of equal width from 0 to 1; empty ones are left out.
pub fn reliability(forecasts: &[Forecast], bins: usize) -> Vec<ReliabilityBin> {
    let mut sums = vec![(0usize, 0usize, 0.0); bins];
    for forecast in forecasts {
        let helpful = forecast.helpful();
        let bin = ((helpful * bins as f64) as usize).min(bins.saturating_sub(1));
        let Some((count, positive, probability)) = sums.get_mut(bin) else { continue };
        for chosen in forecast.chosen() {
            *count += 1;
            *positive += usize::from(chosen == 0);
            *probability += helpful;
        }
    }
    let bin = |(number, (annotations, positive, probability)): (usize, (usize, usize, f64))| {
        let interval = wilson(positive, annotations, 0.95).ok().flatten()?;
        let (count, width) = (annotations as f64, 1.0 / bins as f64);
        let (from, to) = (number as f64 * width, (number + 1) as f64 * width);
        let (probability, share) = (probability / count, positive as f64 / count);
        Some(ReliabilityBin { from, to, annotations, probability, share, interval })
    };
    sums.into_iter().enumerate().filter_map(bin).collect()
}

/// How a model and one annotator get on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AnnotatorReport {
    /// The annotator, counted from 0.
    pub annotator: usize,
    /// Annotations given.
    pub annotations: usize,
    /// How often the annotator chose what the model expects most.
    pub agreement: f64,
    /// The same beyond chance (Cohen); `None` where it has no value.
    pub kappa: Option<f64>,
    /// The share of helpful ones among the annotations.
    pub helpful: f64,
    /// What the model expected that share to be.
    pub expected: f64,
    /// Brier's score on these annotations.
    pub brier: f64,
}

/// What one and the same forecast for all responses would have.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConstantForecast {
    /// Probabilities of the classes.
    pub distribution: Vec<f64>,
    /// [`brier_score`].
    pub brier: f64,
    /// [`calibration_error`].
    pub calibration_error: f64,
    /// [`accuracy`].
    pub accuracy: f64,
}

/// How well a model's probabilities fit annotators.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CalibrationReport {
    /// Responses.
    pub responses: usize,
    /// Annotations.
    pub annotations: usize,
    /// [`brier_score`].
    pub brier: f64,
    /// [`calibration_error`] over the same bins.
    pub calibration_error: f64,
    /// [`accuracy`].
    pub accuracy: f64,
    /// [`rank_correlation`]. `None` where it has no value.
    pub spearman: Option<f64>,
    /// The best constant forecast: the classes' shares among all annotations.
    pub shares: ConstantForecast,
    /// The majority vote over all annotations, held for certain.
    pub vote: ConstantForecast,
    /// The reliability diagram's bins.
    pub bins: Vec<ReliabilityBin>,
    /// Each annotator who annotated anything.
    pub annotators: Vec<AnnotatorReport>,
    /// Krippendorff's nominal alpha among the annotators: how far they agree at all. `None` where it has no value.
    pub alpha: Option<f64>,
}

impl CalibrationReport {
    /// Over so many bins.
    ///
    /// # Errors
    /// There are no bins or no annotations, distributions differ in their classes, or an annotation is none of them.
    pub fn new(forecasts: &[Forecast], bins: usize) -> Result<Self, HelpfulnessError> {
        check(forecasts, bins)?;
        let none = || HelpfulnessError::Invalid("no annotations to compare with".into());
        let annotators = forecasts.iter().map(|forecast| forecast.annotations.len()).max().unwrap_or(0);
        let shares = class_shares(forecasts).ok_or_else(none)?;
        let most = (1..shares.len()).fold(0, |most, class| if shares[class] > shares[most] { class } else { most });
        let vote = (0..shares.len()).map(|class| f64::from(u8::from(class == most))).collect();
        Ok(Self {
            responses: forecasts.len(),
            annotations: forecasts.iter().map(|forecast| forecast.chosen().count()).sum(),
            brier: brier_score(forecasts).ok_or_else(none)?,
            calibration_error: calibration_error(forecasts, bins).ok_or_else(none)?,
            accuracy: accuracy(forecasts).ok_or_else(none)?,
            spearman: rank_correlation(forecasts),
            shares: constant(forecasts, shares, bins).ok_or_else(none)?,
            vote: constant(forecasts, vote, bins).ok_or_else(none)?,
            bins: reliability(forecasts, bins),
            annotators: (0..annotators).filter_map(|annotator| annotator_report(forecasts, annotator)).collect(),
            alpha: alpha(forecasts, annotators),
        })
    }

    /// The reliability diagram, with the number of annotations in each bin below it.
    pub fn figure(&self, title: &str) -> Figure {
        let share =
            |bin: &ReliabilityBin| (bin.probability, Estimate::new(bin.share).between(bin.interval.0, bin.interval.1));
        let diagram = Lines::new().series("annotators", self.bins.iter().map(share)).with_diagonal();
        let probability = || Axis::linear("probability of helpful").range(0.0, 1.0);
        let counts = Lines::new()
            .series("annotations", self.bins.iter().map(|bin| ((bin.from + bin.to) / 2.0, bin.annotations as f64)));
        Figure::new(title)
            .columns(1)
            .subtitle(format!(
                "calibration error {:.3}, Brier {:.3} (constant forecast {:.3}), {} annotations",
                self.calibration_error, self.brier, self.shares.brier, self.annotations
            ))
            .panel(Panel::new("", diagram).x(probability()).y(Axis::linear("share of annotators").range(0.0, 1.0)))
            .panel(
                Panel::new("", counts).x(probability()).y(Axis::linear("annotations").starting_at(0.0)).height(110.0),
            )
    }
}

fn check(forecasts: &[Forecast], bins: usize) -> Result<(), HelpfulnessError> {
    if bins == 0 {
        return Err(HelpfulnessError::Invalid("a reliability diagram of 0 bins: at least 1 is needed".into()));
    }
    let classes = forecasts.first().map_or(0, |forecast| forecast.distribution.len());
    for (number, forecast) in forecasts.iter().enumerate() {
        let is_probability = |q: &f64| (0.0..=1.0 + 1e-6).contains(q);
        let fits = forecast.distribution.len() == classes
            && forecast.distribution.iter().all(is_probability)
            && forecast.chosen().all(|class| class < classes);
        if !fits {
            let problem =
                format!("forecast {number}: expected probabilities of {classes} classes, and annotations of these");
            return Err(HelpfulnessError::Invalid(problem));
        }
    }
    Ok(())
}

/// The share of each class among all annotations.
fn class_shares(forecasts: &[Forecast]) -> Option<Vec<f64>> {
    let classes = forecasts.first()?.distribution.len();
    let share = |class: usize| {
        let chosen = forecasts.iter().flat_map(Forecast::chosen);
        mean(chosen.map(|chosen| f64::from(u8::from(chosen == class))))
    };
    (0..classes).map(share).collect()
}

fn constant(forecasts: &[Forecast], distribution: Vec<f64>, bins: usize) -> Option<ConstantForecast> {
    let same = |forecast: &Forecast| Forecast {
        distribution: distribution.clone(),
        annotations: forecast.annotations.clone(),
    };
    let same: Vec<Forecast> = forecasts.iter().map(same).collect();
    Some(ConstantForecast {
        brier: brier_score(&same)?,
        calibration_error: calibration_error(&same, bins)?,
        accuracy: accuracy(&same)?,
        distribution,
    })
}

fn annotator_report(forecasts: &[Forecast], annotator: usize) -> Option<AnnotatorReport> {
    let of_one = |forecast: &Forecast| {
        let chosen = forecast.annotations.get(annotator).copied().flatten()?;
        Some(Forecast { distribution: forecast.distribution.clone(), annotations: vec![Some(chosen)] })
    };
    let own: Vec<Forecast> = forecasts.iter().filter_map(of_one).collect();
    let (chosen, expected): (Vec<usize>, Vec<usize>) = own
        .iter()
        .flat_map(|forecast| forecast.chosen().map(move |chosen| (chosen, forecast.expected_class())))
        .unzip();
    let agree = chosen.iter().zip(&expected).map(|(chosen, expected)| f64::from(u8::from(chosen == expected)));
    Some(AnnotatorReport {
        annotator,
        annotations: own.len(),
        agreement: mean(agree)?,
        kappa: cohen_kappa(&chosen, &expected, Weighting::None).ok(),
        helpful: mean(own.iter().filter_map(Forecast::helpful_share))?,
        expected: mean(own.iter().map(Forecast::helpful))?,
        brier: brier_score(&own)?,
    })
}

fn alpha(forecasts: &[Forecast], annotators: usize) -> Option<f64> {
    let row = |forecast: &Forecast| -> Vec<Option<f64>> {
        let chosen = |annotator| forecast.annotations.get(annotator).copied().flatten();
        (0..annotators).map(|annotator| chosen(annotator).map(|class| class as f64)).collect()
    };
    let ratings = Ratings::new(&forecasts.iter().map(row).collect::<Vec<_>>()).ok()?;
    ratings.krippendorff(MeasurementLevel::Nominal).ok()
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0usize), |(sum, count), value| (sum + value, count + 1));
    (count > 0).then(|| sum / count as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forecast(helpful: f64, annotations: &[usize]) -> Forecast {
        let annotations = annotations.iter().copied().map(Some).collect();
        Forecast { distribution: vec![helpful, 1.0 - helpful], annotations }
    }

    #[test]
    fn who_says_what_annotators_say_is_calibrated() {
        let forecasts = [forecast(0.75, &[0, 0, 0, 1]), forecast(0.25, &[0, 1, 1, 1])];
        assert!(calibration_error(&forecasts, 10).unwrap().abs() < 1e-12);
        // 2 · p (1 − p) is left where the probability is right.
        assert!((brier_score(&forecasts).unwrap() - 0.375).abs() < 1e-12);
    }

    #[test]
    fn who_is_too_sure_is_told_so() {
        let sure = [forecast(1.0, &[0, 0, 0, 1]), forecast(0.0, &[0, 1, 1, 1])];
        assert!((calibration_error(&sure, 10).unwrap() - 0.25).abs() < 1e-12);
        assert!((brier_score(&sure).unwrap() - 0.5).abs() < 1e-12);
    }

    #[test]
    fn bins_hold_annotations_of_like_probabilities() {
        let bins = reliability(&[forecast(1.0, &[0]), forecast(0.95, &[1]), forecast(0.05, &[1])], 10);
        let found: Vec<_> = bins.iter().map(|bin| (bin.annotations, bin.share)).collect();
        assert_eq!(found, [(1, 0.0), (2, 0.5)]);
        assert!((bins[1].probability - 0.975).abs() < 1e-12 && bins[1].interval.0 < 0.5 && bins[1].interval.1 > 0.5);
        assert!(reliability(&[forecast(0.5, &[0])], 0).is_empty());
        assert_eq!(calibration_error(&[forecast(0.5, &[])], 10), None);
    }

    #[test]
    fn a_report_tells_of_each_annotator() {
        let forecasts = [forecast(0.9, &[0, 1]), forecast(0.8, &[0, 0]), forecast(0.1, &[1, 1])];
        let report = CalibrationReport::new(&forecasts, 5).unwrap();
        assert_eq!((report.responses, report.annotations, report.annotators.len()), (3, 6, 2));
        let [first, second] = &report.annotators[..] else { panic!("{report:?}") };
        assert_eq!((first.agreement, first.kappa), (1.0, Some(1.0)));
        assert!((second.agreement - 2.0 / 3.0).abs() < 1e-12 && first.brier < second.brier);
        assert!((first.expected - 0.6).abs() < 1e-12 && (first.helpful - 2.0 / 3.0).abs() < 1e-12);
        assert!((report.shares.brier - 0.5).abs() < 1e-12 && report.alpha.is_some());
    }

    #[test]
    fn a_model_stands_beside_constant_forecasts() {
        let forecasts = [forecast(0.9, &[0, 0, 1]), forecast(0.8, &[0, 0, 0]), forecast(0.3, &[1, 1, 0])];
        let report = CalibrationReport::new(&forecasts, 5).unwrap();
        assert_eq!((report.accuracy, report.spearman), (1.0, Some(0.5)));
        // Six of nine say helpful: 2 · 2/3 · 1/3, and where that is held for certain 2 · 3/9.
        assert!((report.shares.brier - 4.0 / 9.0).abs() < 1e-12 && report.shares.calibration_error < 1e-12);
        assert!((report.vote.brier - 2.0 / 3.0).abs() < 1e-12);
        assert!((report.vote.calibration_error - 1.0 / 3.0).abs() < 1e-12);
        assert!((report.vote.accuracy - 2.0 / 3.0).abs() < 1e-12 && report.vote.distribution == [1.0, 0.0]);
    }

    #[test]
    fn the_diagram_shows_bins_beside_the_diagonal() {
        let forecasts = [forecast(0.9, &[0, 1]), forecast(0.1, &[1, 1])];
        let figure = CalibrationReport::new(&forecasts, 10).unwrap().figure("Is d-PM calibrated?");
        let svg = figure.svg();
        assert!(svg.contains("Is d-PM calibrated?") && svg.contains("share of annotators"));
        assert!(figure.csv().contains("0.9"));
    }

    #[test]
    fn forecasts_that_do_not_belong_together_are_refused() {
        let odd = Forecast { distribution: vec![0.2, 0.3, 0.5], annotations: vec![Some(0)] };
        let error = CalibrationReport::new(&[forecast(0.5, &[0]), odd], 10).unwrap_err().to_string();
        assert!(error.starts_with("forecast 1: expected probabilities of 2 classes"), "{error}");
        assert!(CalibrationReport::new(&[forecast(0.5, &[2])], 10).is_err());
        assert!(CalibrationReport::new(&[forecast(f64::NAN, &[0])], 10).is_err());
        assert!(CalibrationReport::new(&[forecast(0.5, &[0])], 0).is_err());
        assert!(CalibrationReport::new(&[], 10).is_err());
    }
}
