"""Scores what `thtra infer` or `thtra eval` has written with the tools that the published evaluations use, and says how far our numbers are from theirs.

    python benches/peers/thtra_eval_python.py eval_result [glove.6B.300d.txt]

Needs nltk with its punkt data, and pycocoevalcap (METEOR needs Java). `thtra eval` has to find METEOR's and WordNet's tables (docs/src/metrics.md), else its METEOR is
another one and is passed over. Embedding metrics are computed here by nlg-eval's rules, with the vectors that `thtra eval --glove` was given.
"""
import json
import math
import pathlib
import sys
from collections import Counter

from nltk import word_tokenize
from nltk.translate.bleu_score import SmoothingFunction, corpus_bleu
from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.meteor.meteor import Meteor
from pycocoevalcap.rouge.rouge import Rouge

# What counts, and the oracle beside it.
FILES = ["generations.jsonl", "generations_gold.jsonl"]


def words(text):
    return word_tokenize(text.lower())


def common_subsequence(left, right):
    row = [0] * (len(right) + 1)
    for one in left:
        before = 0
        for at, other in enumerate(right, 1):
            before, row[at] = row[at], before + 1 if one == other else max(row[at], row[at - 1])
    return row[-1]


def rouge_l(said, meant, beta=1.2):
    length = common_subsequence(said, meant)
    if not length:
        return 0.0
    precision, recall = length / len(said), length / len(meant)
    return (1 + beta**2) * precision * recall / (recall + beta**2 * precision)


def f1(said, meant):
    shared = sum((Counter(said) & Counter(meant)).values())
    return 2 * shared / (len(said) + len(meant)) if shared else 0.0


def mean(values):
    values = list(values)
    return sum(values) / len(values)


def thu_coai(said, meant):
    """The line of `codes_zcj`: NLTK's BLEU with smoothing 3, Distinct whose windows end one short of the text, everything times 100."""
    found = {}
    for order in range(1, 5):
        weights, smoothing = [1 / order] * order, SmoothingFunction().method3
        found[f"bleu-{order}"] = 100 * corpus_bleu([[one] for one in meant], said, weights, smoothing)
    found["rouge-l"] = 100 * mean(map(rouge_l, said, meant))
    for order in (1, 2, 3):
        ngrams = [tuple(one[at : at + order]) for one in said for at in range(len(one) - order)]
        found[f"distinct-{order}"] = 100 * len(set(ngrams)) / len(ngrams) if ngrams else 0.0
    found["f1"] = 100 * mean(map(f1, said, meant))
    found["length"] = mean(map(len, said))
    return found


def nlg_eval(said, meant):
    results = {number: [" ".join(one)] for number, one in enumerate(said)}
    truths = {number: [" ".join(one)] for number, one in enumerate(meant)}
    bleu, _ = Bleu(4).compute_score(truths, results, verbose=0)
    found = {f"bleu-{order}-coco": value for order, value in enumerate(bleu, 1)}
    found["meteor15"] = Meteor().compute_score(truths, results)[0]
    found["rouge-l-coco"] = Rouge().compute_score(truths, results)[0]
    found["cider"] = Cider().compute_score(truths, results)[0]
    return found


def word_vectors(path):
    """Of a file in GloVe's text format; a word that it lacks has the mean of all."""
    rows = [line.split(" ") for line in path.read_text().splitlines()]
    vectors = {row[0]: [float(value) for value in row[1:]] for row in rows if len(row) > 2}
    unknown = [mean(column) for column in zip(*vectors.values())]
    return lambda words: [vectors.get(word, unknown) for word in words]


def cosine(left, right):
    dot = sum(one * other for one, other in zip(left, right))
    return dot / math.sqrt(sum(one * one for one in left) * sum(other * other for other in right))


def extreme(column):
    low, high = min(column), max(column)
    if low == 0:
        return 0.0
    return high if low > 0 or high > -low else low


def embeddings(said, meant, vectors):
    """The line of nlg-eval."""
    pairs = [(vectors(one), vectors(other)) for one, other in zip(said, meant) if one and other]
    total = lambda rows: [sum(column) for column in zip(*rows)]
    extrema = lambda rows: [extreme(column) for column in zip(*rows)]
    best = lambda left, right: mean(max(cosine(one, other) for other in right) for one in left)
    return {
        "embedding-average": mean(cosine(total(one), total(other)) for one, other in pairs),
        "embedding-extrema": mean(cosine(extrema(one), extrema(other)) for one, other in pairs),
        "embedding-greedy": mean((best(one, other) + best(other, one)) / 2 for one, other in pairs),
    }


def likeliest(row, names, k):
    order = sorted(range(len(names)), key=lambda place: (-row["distribution"][place], place))
    return [names[place] for place in order[:k]]


def macro_f1(meant, said):
    """Over all strategies that occur, annotated or predicted."""
    pairs = list(zip(meant, said))
    scores = []
    for name in sorted(set(meant) | set(said)):
        right = sum(one == name == other for one, other in pairs)
        scores.append(2 * right / (meant.count(name) + said.count(name)))
    return mean(scores)


def json_lines(path):
    with path.open() as lines:
        return [json.loads(line) for line in lines]


def main(folder, glove=None):
    worst = 0.0
    vectors = word_vectors(glove) if glove else None
    # A file of answers may hold more than were scored.
    places = [(row["sample_id"], row["turn"]) for row in json_lines(folder / "metrics_list.jsonl")]
    for number, evaluation in enumerate(json.loads((folder / "metrics.json").read_text())["evaluations"]):
        mode = evaluation["mode"] or "none"
        answers = {(row["sample_id"], row["turn"]): row for row in json_lines(folder / FILES[number])}
        rows = [answers[place] for place in places]
        said, meant = ([words(row[name]) for row in rows] for name in ("generation", "response"))
        theirs = thu_coai(said, meant) | nlg_eval(said, meant)
        if vectors:
            theirs |= embeddings(said, meant, vectors)
        theirs["perplexity"] = math.exp(sum(row["loss"] for row in rows) / sum(row["token_num"] for row in rows))
        ours = {row["name"]: row["value"] for row in evaluation["scores"]}
        ours["perplexity"] = evaluation["perplexity"]["value"]
        if evaluation["strategies"]:
            names = [one["name"] for one in evaluation["strategies"]["report"]["classes"]]
            for k in range(1, 6):
                theirs[f"top-{k}"] = mean(row["strategy"] in likeliest(row, names, k) for row in rows)
                ours[f"top-{k}"] = evaluation["strategies"]["top_k"][k - 1]["mean"]
            theirs["macro-f1"] = macro_f1([row["strategy"] for row in rows], [row["top1"] for row in rows])
            ours["macro-f1"] = evaluation["strategies"]["report"]["macro_f1"]
        for name, value in ours.items():
            if name not in theirs:
                print(f"{mode:<8} {name:<20} {value:>12.6f}  passed over")
                continue
            apart = abs(value - theirs[name])
            worst = max(worst, apart)
            print(f"{mode:<8} {name:<20} {value:>12.6f} {theirs[name]:>12.6f}  {apart:.1e}")
    print(f"at most {worst:.1e} apart")


main(*map(pathlib.Path, sys.argv[1:3]))
