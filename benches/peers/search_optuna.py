"""What a trial of a search costs in Optuna beside its objective, as a peer of `search-overhead`.

    python search_optuna.py --trials 200 --repetitions 5

Prints a JSON line per setting: TPE with and without `multivariate`, in memory and with a journal file.
"""

import argparse
import json
import math
import os
import statistics
import tempfile
import time

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend


def objective(trial):
    rate = trial.suggest_float("learning_rate", 1e-6, 1e-4, log=True)
    beta = trial.suggest_categorical("beta", [0.1, 0.15, 0.2, 0.25])
    schedule = trial.suggest_categorical("lr_scheduler_type", ["cosine", "linear"])
    epochs = trial.suggest_int("num_train_epochs", 2, 5)
    return (math.log10(rate) + 5) ** 2 + beta + epochs / 10 + (0.1 if schedule == "linear" else 0.0)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--repetitions", type=int, default=5)
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    for multivariate in (False, True):
        for place in ("memory", "folder"):
            measured = []
            for seed in range(arguments.repetitions):
                with tempfile.TemporaryDirectory() as folder:
                    file = os.path.join(folder, "journal.log")
                    storage = None if place == "memory" else JournalStorage(JournalFileBackend(file))
                    sampler = optuna.samplers.TPESampler(seed=seed, multivariate=multivariate)
                    study = optuna.create_study(storage=storage, sampler=sampler)
                    begun = time.perf_counter()
                    study.optimize(objective, n_trials=arguments.trials)
                    measured.append(1e3 * (time.perf_counter() - begun) / arguments.trials)
            row = {
                "side": f"optuna {optuna.__version__}",
                "sampler": "tpe multivariate" if multivariate else "tpe univariate",
                "study": place,
                "trials": arguments.trials,
                "ms_per_trial": statistics.median(measured),
            }
            print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
