"""Scores what `magic eval` has written with the tools that MAGIC's published evaluation uses, and says how far its numbers are from theirs.

    python benches/peers/magic_eval_python.py eval_result

Needs nltk with its punkt data, and pycocoevalcap (METEOR needs Java). `magic eval` has to find METEOR's and WordNet's tables (docs/src/metrics.md), else its METEOR is
another one and is passed over.
"""
import json
import math
import pathlib
import re
import sys

from nltk import word_tokenize
from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.meteor.meteor import Meteor
from pycocoevalcap.rouge.rouge import Rouge


def cleaned(response):
    response = re.sub(r"(\w)([.,!?;:])", r"\1 \2", response)
    response = re.sub(r"\.+", ".", response)
    return re.sub(r"!+", "!", response).replace('"', "")


def words(text):
    return " ".join(word_tokenize(text.lower())) or "&"


def lines(path):
    return path.read_text().removesuffix("\n").split("\n")


def scores(responses, references):
    results = {number: [text] for number, text in enumerate(responses)}
    truths = {number: [text] for number, text in enumerate(references)}
    bleu, _ = Bleu(4).compute_score(truths, results, verbose=0)
    found = {f"bleu-{n + 1}": 100 * value for n, value in enumerate(bleu)}
    found["meteor15"] = 100 * Meteor().compute_score(truths, results)[0]
    found["rouge-l"] = 100 * Rouge().compute_score(truths, results)[0]
    found["cider"] = 100 * Cider().compute_score(truths, results)[0]
    tokens = [response.split() for response in responses]
    for n in (1, 2, 3):
        ngrams = [tuple(own[at:at + n]) for own in tokens for at in range(len(own) - n + 1)]
        found[f"distinct-{n}"] = len(set(ngrams)) / len(ngrams) if ngrams else 0.0
    found["length"] = sum(map(len, tokens)) / len(tokens)
    return found


def main(folder):
    references = [words(text) for text in lines(folder / "response_labels.txt")]
    rows = [json.loads(line) for line in lines(folder / "responses.jsonl")]
    worst = 0.0
    for evaluation in json.loads((folder / "metrics.json").read_text())["evaluations"]:
        source = evaluation["source"]
        theirs = scores([words(cleaned(text)) for text in lines(folder / f"responses_{source}.txt")], references)
        own = [row for row in rows if row["source"] == source]
        theirs["perplexity"] = math.exp(sum(row["nll"] for row in own) / sum(row["labels"] for row in own))
        ours = {row["name"]: row["value"] for row in evaluation["scores"]} | {"perplexity": evaluation["perplexity"]["value"]}
        for name, value in ours.items():
            if name not in theirs:
                print(f"{source:<9} {name:<20} {value:>12.6f}  passed over")
                continue
            apart = abs(value - theirs[name])
            worst = max(worst, apart)
            print(f"{source:<9} {name:<20} {value:>12.6f} {theirs[name]:>12.6f}  {apart:.1e}")
    print(f"at most {worst:.1e} apart")


main(pathlib.Path(sys.argv[1]))
