"""The nlg-eval set of scores with the Python and Java tools, and with `sra score`, on the same files in one run.

    python metrics_python.py HYP.txt REF.txt --sra target/release/sra [--rounds 3] [--meteor full]

Needs: pip install pycocoevalcap==1.2 nltk==3.10.4 (with NLTK's punkt_tab in NLTK_DATA), Java. Prints seconds of every step, the
ratio of the whole, and how far the values are apart.
"""

import argparse
import json
import os
import subprocess
import time
from pathlib import Path

import nltk
import pycocoevalcap
from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.rouge.rouge import Rouge

METEOR = Path(list(pycocoevalcap.__path__)[0]) / "meteor"


def meteor(hypotheses, references, modules):
    command = ["java", "-jar", "-Xmx2G", "meteor-1.5.jar", "-", "-", "-stdio", "-l", "en", "-norm"]
    if modules == "exact-stem":
        command += ["-m", "exact stem"]
    process = subprocess.Popen(command, cwd=METEOR, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)

    def ask(line):
        process.stdin.write(line + "\n")
        process.stdin.flush()
        return process.stdout.readline().strip()

    statistics = [ask(f"SCORE ||| {reference} ||| {hypothesis}") for hypothesis, reference in zip(hypotheses, references)]
    process.stdin.write("EVAL ||| " + " ||| ".join(statistics) + "\n")
    process.stdin.flush()
    for _ in hypotheses:
        process.stdout.readline()
    score = float(process.stdout.readline())
    process.stdin.close()
    process.kill()
    return score


def python_round(hypotheses, references, modules):
    seconds, scores = {}, {}

    def timed(name, run):
        start = time.perf_counter()
        result = run()
        seconds[name] = time.perf_counter() - start
        return result

    words = lambda texts: [" ".join(nltk.word_tokenize(text.lower())) for text in texts]
    hypotheses, references = timed("tokenise", lambda: (words(hypotheses), words(references)))
    gts = {at: [text] for at, text in enumerate(references)}
    res = {at: [text] for at, text in enumerate(hypotheses)}
    bleu = timed("bleu", lambda: Bleu(4).compute_score(gts, res, verbose=0)[0])
    scores.update({f"bleu-{order + 1}": value for order, value in enumerate(bleu)})
    scores["rouge-l"] = timed("rouge-l", lambda: Rouge().compute_score(gts, res)[0])
    scores["cider"] = timed("cider", lambda: Cider().compute_score(gts, res)[0])
    scores["meteor"] = timed("meteor", lambda: meteor(hypotheses, references, modules))
    return seconds, scores


def sra_round(arguments):
    names = ["bleu-coco", "rouge-l-coco", "cider", "meteor-nlg-eval"]
    command = [arguments.sra, "score", arguments.hypotheses, arguments.references, "--metric", ",".join(names), "--resamples", "0", "--format", "json"]
    environment = dict(os.environ)
    environment.pop("SOLACE_METEOR", None)
    if arguments.meteor == "full":
        environment["SOLACE_METEOR"] = str(METEOR)
    start = time.perf_counter()
    output = subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout
    seconds = time.perf_counter() - start
    name = lambda row: "meteor" if row["name"].startswith("meteor15") else row["name"]
    return seconds, {name(row): row["value"] for row in json.loads(output)["rows"]}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("hypotheses")
    parser.add_argument("references")
    parser.add_argument("--sra", required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--meteor", choices=["exact-stem", "full"], default="exact-stem")
    arguments = parser.parse_args()
    read = lambda path: Path(path).read_text(encoding="utf-8").splitlines()
    hypotheses, references = read(arguments.hypotheses), read(arguments.references)
    sra_round(arguments)  # Builds the index of METEOR's tables the first time.
    ratios = []
    for _ in range(arguments.rounds):
        seconds, theirs = python_round(hypotheses, references, arguments.meteor)
        own_seconds, ours = sra_round(arguments)
        total = sum(seconds.values())
        ratios.append(total / own_seconds)
        steps = ", ".join(f"{name} {value:.2f}" for name, value in seconds.items())
        print(f"python {total:.2f} s ({steps}); sra {own_seconds:.3f} s; ratio {ratios[-1]:.1f}")
    worst = max(abs(ours[name] - value) for name, value in theirs.items())
    print(f"{len(hypotheses)} pairs, METEOR {arguments.meteor}: ratio {sorted(ratios)[len(ratios) // 2]:.1f} (median), values at most {worst:.1e} apart")


if __name__ == "__main__":
    main()
