"""BERTScore with the package bert-score, and with `sra score`, on the same encoders and files.

    python bertscore_python.py HYP.txt REF.txt --sra target/release/sra

Needs: pip install bert-score==0.3.13 transformers torch. Makes a BERT and a RoBERTa of random weights with vocabularies learned
from REF.txt, scores with two layers of each, and prints how far the means are apart.
"""

import argparse
import json
import subprocess
import tempfile
from pathlib import Path

import bert_score
import torch
from tokenizers import BertWordPieceTokenizer, ByteLevelBPETokenizer
from transformers import BertConfig, BertModel, BertTokenizerFast, RobertaConfig, RobertaModel, RobertaTokenizerFast

# Weights large enough for tokens to differ.
SHAPE = dict(hidden_size=64, num_hidden_layers=3, num_attention_heads=4, intermediate_size=128, initializer_range=0.2)
LONGEST = 256
NAMES = ["bertscore-precision", "bertscore-recall", "bertscore-f1"]


def bert(folder, texts):
    pieces = BertWordPieceTokenizer(lowercase=True)
    pieces.train([texts], vocab_size=3000)
    pieces.save_model(str(folder))
    tokenizer = BertTokenizerFast.from_pretrained(folder, model_max_length=LONGEST)
    model = BertModel(BertConfig(vocab_size=len(tokenizer), max_position_embeddings=LONGEST, **SHAPE))
    return tokenizer, model


def roberta(folder, texts):
    pairs = ByteLevelBPETokenizer()
    pairs.train([texts], vocab_size=3000, special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
    pairs.save_model(str(folder))
    tokenizer = RobertaTokenizerFast.from_pretrained(folder, model_max_length=LONGEST)
    # Its positions begin behind the padding token's.
    ids = dict(bos_token_id=0, pad_token_id=1, eos_token_id=2)
    config = RobertaConfig(vocab_size=len(tokenizer), max_position_embeddings=LONGEST + 2, **ids, **SHAPE)
    return tokenizer, RobertaModel(config)


def ours(arguments, folder, layer):
    files = [arguments.sra, "score", arguments.hypotheses, arguments.references]
    options = ["--metric", "f1", "--resamples", "0", "--format", "json"]
    encoder = ["--encoder", str(folder), "--encoder-layer", str(layer)]
    rows = json.loads(subprocess.run(files + options + encoder, check=True, capture_output=True).stdout)["rows"]
    values = {row["name"]: row["value"] for row in rows}
    return [values[name] for name in NAMES]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("hypotheses")
    parser.add_argument("references")
    parser.add_argument("--sra", required=True)
    arguments = parser.parse_args()
    lines = [Path(path).read_text().splitlines() for path in (arguments.hypotheses, arguments.references)]
    torch.manual_seed(1)
    most = 0.0
    for make in (bert, roberta):
        with tempfile.TemporaryDirectory() as place:
            tokenizer, model = make(Path(place), arguments.references)
            tokenizer.save_pretrained(place)
            model.eval().save_pretrained(place)
            for layer in (2, 3):
                theirs = bert_score.score(*lines, model_type=place, num_layers=layer, device="cpu", batch_size=32)
                theirs = [values.double().mean().item() for values in theirs]
                apart = [abs(left - right) for left, right in zip(theirs, ours(arguments, place, layer))]
                print(f"{make.__name__}, layer {layer}: {theirs[2]:.6f}, apart", *(f"{value:.1e}" for value in apart))
                most = max(most, *apart)
    print(f"at most {most:.1e} apart")


if __name__ == "__main__":
    main()
