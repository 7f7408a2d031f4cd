"""The library's side of `throughput`'s scenarios of encoder–decoders, which start this program: decoding and training of a BART folder with transformers and torch, and
candidates of a BlenderBot-small folder.

    python seq2seq_transformers.py FOLDER --task decode|train|candidates --threads 2

Reads requests and writes answers as lines of JSON, the first answer when the model is loaded. Decoding: `{"inputs": [[ids]], "beams": n, "new": n}`
gives the best hypothesis' new ids. Candidates: `{"inputs": [[ids]], "prompts": [[ids]], "candidates": n, "penalty": x, "new": n, "least": n, "banned":
[ids]}` gives the new ids of all hypotheses of a diverse beam search. Training: the first line is the batch, `{"inputs": [[ids]], "labels": [[ids]]}`, each further line
asks for a step and is answered with loss and gradient norm. Answers have the seconds that the work took and the peak of resident memory.
"""

import argparse
import time

import torch
import transformers
from transformers import AutoModelForSeq2SeqLM

from line_protocol import answer, requests


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--task", choices=["decode", "train", "candidates"], required=True)
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


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


def candidates(model):
    model.eval()
    answer(name=f"transformers {transformers.__version__}, torch {torch.__version__}")
    pad, eos = model.config.pad_token_id, model.config.eos_token_id
    for request in requests():
        rows, count = request["inputs"], request["candidates"]
        longest = max(len(row) for row in rows)
        ids = torch.tensor([row + [pad] * (longest - len(row)) for row in rows])
        mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])
        prompts = torch.tensor(request["prompts"])
        started = time.perf_counter()
        with torch.inference_mode():
            found = model.generate(
                ids,
                attention_mask=mask,
                decoder_input_ids=prompts,
                do_sample=False,
                num_beams=count,
                num_beam_groups=count,
                num_return_sequences=count,
                diversity_penalty=request["penalty"],
                length_penalty=1.0,
                min_length=request["least"],
                max_length=prompts.shape[1] + request["new"],
                forced_eos_token_id=eos,
                bad_words_ids=[[id] for id in request["banned"]],
            )
        seconds = time.perf_counter() - started
        answer(seconds=seconds, ids=[until(row, eos) for row in found[:, prompts.shape[1] :].tolist()])


def until(ids, eos):
    return ids[: ids.index(eos) + 1] if eos in ids else ids


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
    model = AutoModelForSeq2SeqLM.from_pretrained(options.folder)
    {"decode": decode, "train": train, "candidates": candidates}[options.task](model)


if __name__ == "__main__":
    main()
