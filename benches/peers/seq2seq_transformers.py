"""The library's side of the bench `seq2seq`, which starts this program: decoding and training of a BART folder with transformers and torch.

    python seq2seq_transformers.py FOLDER --task decode|train --threads 2

Reads requests and writes answers as lines of JSON, the first answer when the model is loaded. Decoding: `{"inputs": [[ids]], "beams": n, "new": n}`
gives the best hypothesis' new ids. Training: the first line is the batch, `{"inputs": [[ids]], "labels": [[ids]]}`, each further line
asks for a step and is answered with loss and gradient norm. Answers have the seconds that the work took and the peak of resident memory.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import torch
import transformers
from transformers import BartForConditionalGeneration


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--task", choices=["decode", "train"], required=True)
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


def requests():
    for line in sys.stdin:
        yield json.loads(line)


def answer(**fields):
    print(json.dumps({**fields, "peak_bytes": peak()}), flush=True)


def peak():
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024
    return 0


def decode(model):
    model.eval()
    answer(name=f"transformers {transformers.__version__}, torch {torch.__version__}")
    for request in requests():
        ids = torch.tensor(request["inputs"])
        length = request["new"] + 1
        started = time.perf_counter()
        with torch.inference_mode():
            found = model.generate(ids, num_beams=request["beams"], min_length=length, max_length=length, do_sample=False)
        answer(seconds=time.perf_counter() - started, ids=found[:, 1:].tolist())


def train(model):
    model.train()
    answer(name=f"torch {torch.__version__}, transformers {transformers.__version__}")
    asked = requests()
    batch = next(asked)
    batch = {"input_ids": torch.tensor(batch["inputs"]), "labels": torch.tensor(batch["labels"])}
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-5, weight_decay=0.0)
    for _ in asked:
        started = time.perf_counter()
        loss = model(**batch, use_cache=False).loss
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        answer(seconds=time.perf_counter() - started, loss=loss.item(), gradient_norm=norm.item())


def main():
    options = arguments()
    torch.set_num_threads(options.threads)
    model = BartForConditionalGeneration.from_pretrained(options.folder)
    {"decode": decode, "train": train}[options.task](model)


if __name__ == "__main__":
    main()
