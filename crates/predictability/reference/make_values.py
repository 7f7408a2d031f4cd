"""Values of scikit-learn that the tests compare with.

    python make_values.py > ../tests/data/sklearn.json

Needs scikit-learn and numpy; the versions are part of the output.
"""

import json
import sys

import numpy as np
import sklearn
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression, RidgeClassifier

TEXTS = [
    "It makes sense that you feel hurt, truly it does!",
    "Many people feel hurt after such a loss.",
    "Brighter days are ahead of you; brighter days will come.",
    "Brighter days will come, I promise.",
    "Have you tried a walk in the evening? A walk helps.",
    "A walk in the evening helps many people.",
    "É bom -- naïve café words_with_underscore 42 7.",
    "It makes sense, it really makes sense.",
]
STOP = ["it", "that", "you", "the", "of", "are", "in", "such", "after", "have", "will"]


def main():
    rng = np.random.default_rng(5)
    out = {"versions": {"scikit-learn": sklearn.__version__, "numpy": np.__version__, "python": sys.version.split()[0]}}
    counter = CountVectorizer(ngram_range=(2, 3), stop_words=STOP, max_df=0.3, lowercase=True)
    counts = counter.fit_transform(TEXTS)
    out["ngrams"] = {"texts": TEXTS, "stop_words": STOP, "most_texts": 0.3, "names": counter.get_feature_names_out().tolist(),
                     "counts": counts.toarray().tolist()}
    vectors = rng.normal(size=(120, 6)).round(3)
    weights = rng.normal(size=(3, 6))
    labels = (vectors @ weights.T + rng.normal(size=(120, 3))).argmax(axis=1)
    vectors32 = vectors.astype(np.float32).astype(np.float64)
    out["vectors"], out["labels"] = vectors.tolist(), labels.tolist()
    out["logistic"] = []
    for c in (0.01, 1.0, 50.0):
        model = LogisticRegression(C=c, tol=1e-10, max_iter=10000).fit(vectors32, labels)
        out["logistic"].append({"c": c, "weights": model.coef_.tolist(), "intercepts": model.intercept_.tolist(),
                                "probabilities": model.predict_proba(vectors32[:10]).tolist()})
    ridge = RidgeClassifier(alpha=1.0).fit(vectors32, labels)
    out["ridge"] = {"weights": ridge.coef_.tolist(), "intercepts": ridge.intercept_.tolist(),
                    "predicted": ridge.predict(vectors32).tolist()}
    json.dump(out, sys.stdout)


main()
