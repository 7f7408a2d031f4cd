"""Writes decisions.json: where Optuna's pruners give up trials that run one after the other. Needs optuna and scipy."""

import json
import math
import pathlib

import optuna
import scipy

optuna.logging.set_verbosity(optuna.logging.ERROR)
DRAWS = iter(range(1, 10**9))


def noise():
    """Numbers in [-1, 1) that look like noise and are the same everywhere."""
    return math.modf(next(DRAWS) * 0.754877666)[0] * 2 - 1


def curve(steps):
    level = noise()
    return [round(level + 2 / (step + 1) + 0.4 * noise(), 6) for step in range(steps)]


CURVES = [curve(30) for _ in range(24)]
P = optuna.pruners
CASES = {
    "hyperband": lambda: P.HyperbandPruner(),
    "hyperband_2_20_2": lambda: P.HyperbandPruner(min_resource=2, max_resource=20, reduction_factor=2),
    "hyperband_1_243_3_bootstrap1": lambda: P.HyperbandPruner(min_resource=1, max_resource=243, bootstrap_count=1),
    "halving": lambda: P.SuccessiveHalvingPruner(),
    "halving_2_3_1_bootstrap2": lambda: P.SuccessiveHalvingPruner(2, 3, 1, 2),
    "patient_alone_3": lambda: P.PatientPruner(None, 3),
    "patient_median_2_0.1": lambda: P.PatientPruner(P.MedianPruner(3), 2, 0.1),
    "threshold": lambda: P.ThresholdPruner(lower=-1.0, upper=1.0, n_warmup_steps=5, interval_steps=4),
    "wilcoxon": lambda: P.WilcoxonPruner(),
    "wilcoxon_0.3_8": lambda: P.WilcoxonPruner(p_threshold=0.3, n_startup_steps=8),
}


def pruned_at(pruner, direction):
    study = optuna.create_study(study_name="decisions", direction=direction, pruner=pruner)
    sign = -1 if direction == "maximize" else 1
    steps = []
    for values in CURVES:
        trial = study.ask()
        pruned = None
        for step, value in enumerate(values):
            trial.report(sign * value, step)
            if trial.should_prune():
                pruned = step
                break
        steps.append(pruned)
        if pruned is None:
            study.tell(trial, sign * values[-1])
        else:
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
    return steps


decisions = [
    {"pruner": name, "direction": direction, "pruned_at_step": pruned_at(make(), direction)}
    for name, make in CASES.items()
    for direction in ("minimize", "maximize")
]
text = json.dumps(
    {"versions": {"optuna": optuna.__version__, "scipy": scipy.__version__}, "curves": CURVES, "cases": decisions}
)
pathlib.Path(__file__).with_name("decisions.json").write_text(text + "\n")
for case in decisions:
    print(case)
