"""Writes study.log, a journal of Optuna with two studies, and study.json, what Optuna knows of the second one. Needs optuna."""

import json
import math
import pathlib

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

optuna.logging.set_verbosity(optuna.logging.ERROR)
HERE = pathlib.Path(__file__).parent
LOG = HERE / "study.log"
LOG.unlink(missing_ok=True)


def objective(trial):
    rate = trial.suggest_float("rate", 1e-6, 1e-4, log=True)
    share = trial.suggest_float("share", 0.0, 0.5, step=0.1)
    kind = trial.suggest_categorical("kind", ["cosine", "linear", None, 3])
    if kind == "cosine":
        trial.suggest_int("cycles", 1, 64, log=True)
    trial.set_user_attr("note", {"of": [trial.number, "é \"NaN\""]})
    if trial.number == 6:
        raise ValueError("on purpose")
    for step in range(4):
        trial.report(math.inf if trial.number == 2 else rate * 1e5 + share / (step + 1), step)
        if trial.should_prune():
            raise optuna.TrialPruned()
    return rate * 1e5 + share


storage = JournalStorage(JournalFileBackend(str(LOG)))
optuna.create_study(study_name="empty", storage=storage)
study = optuna.create_study(
    study_name="second",
    storage=storage,
    direction="maximize",
    sampler=optuna.samplers.RandomSampler(seed=1),
    pruner=optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=2),
)
study.enqueue_trial({"share": 0.2, "kind": None})
study.optimize(objective, n_trials=8, catch=(ValueError,))
study.ask()
study.enqueue_trial({"rate": 2e-5})


def number(value):
    return value if value is None or math.isfinite(value) else str(value)


trials = [
    {
        "number": trial.number,
        "state": trial.state.name,
        "value": number(trial.value) if trial.state.name in ("COMPLETE", "PRUNED") else None,
        "params": trial.params,
        "reports": {str(step): number(value) for step, value in trial.intermediate_values.items()},
        "user_attrs": trial.user_attrs,
        "started": trial.datetime_start and trial.datetime_start.timestamp(),
        "ended": trial.datetime_complete and trial.datetime_complete.timestamp(),
    }
    for trial in study.trials
]
(HERE / "study.json").write_text(json.dumps({"optuna": optuna.__version__, "trials": trials}, indent=1) + "\n")
