"""LoRA training with torch, transformers and peft on the CPU, on the shapes of our own program, as a peer to compare with.

    python lora_torch_peft.py --model FOLDER --data tokens.jsonl --steps 20

FOLDER is a Hugging Face model folder. Each line of the data is {"ids": [..], "labels_from": n}: token ids, of which those
from n on are learned. Lines are taken in order, from the first again after the last. A step is `accumulate` micro-batches
of `batch` lines, padded on the right to the longest of the micro-batch; their mean losses are averaged.

Prints one JSON line. Seconds are wall time of a whole step (forward, backward, clipping, AdamW); tokens are those of the
lines, without padding. The first `--warm-up` steps are trained and reported in `losses`, but not timed.
"""

import argparse
import json
import platform
import resource
import statistics
import sys
import time

import peft
import torch
import transformers


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True, help="Hugging Face model folder")
    parser.add_argument("--data", required=True, help='JSON Lines of {"ids": [..], "labels_from": n}')
    parser.add_argument("--rank", type=int, default=8)
    parser.add_argument("--alpha", type=float, default=16)
    parser.add_argument("--dropout", type=float, default=0.0)
    parser.add_argument("--targets", default="q_proj,v_proj", help="names of linear layers, separated by commas")
    parser.add_argument("--batch", type=int, default=4, help="sequences of a micro-batch")
    parser.add_argument("--accumulate", type=int, default=1, help="micro-batches of a step")
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--weight-decay", type=float, default=0.0)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--warm-up", type=int, default=1, help="first steps that are not timed")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"], help="of the frozen weights")
    parser.add_argument("--attention", default="sdpa", choices=["sdpa", "eager"])
    parser.add_argument("--seed", type=int, default=0)
    parsed = parser.parse_args()
    if parsed.warm_up >= parsed.steps:
        parser.error("--steps must be more than --warm-up, or nothing is timed")
    return parsed


def read_lines(path):
    with open(path, encoding="utf-8") as file:
        lines = [json.loads(line) for line in file if line.strip()]
    for number, line in enumerate(lines, 1):
        if not 0 <= line["labels_from"] < len(line["ids"]):
            sys.exit(f"{path}, line {number}: labels_from must leave at least one id to learn")
    if not lines:
        sys.exit(f"{path}: there are no lines")
    return lines


def padded(lines, pad):
    """A micro-batch: ids, attention mask and labels, each [lines, longest]."""
    longest = max(len(line["ids"]) for line in lines)
    ids = torch.full((len(lines), longest), pad)
    mask = torch.zeros((len(lines), longest), dtype=torch.long)
    labels = torch.full((len(lines), longest), -100)
    for row, line in enumerate(lines):
        tokens = torch.tensor(line["ids"])
        ids[row, : len(tokens)] = tokens
        mask[row, : len(tokens)] = 1
        labels[row, line["labels_from"] : len(tokens)] = tokens[line["labels_from"] :]
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def adapted_model(options):
    model = transformers.AutoModelForCausalLM.from_pretrained(
        options.model, dtype=getattr(torch, options.dtype), attn_implementation=options.attention
    )
    model.config.use_cache = False
    config = peft.LoraConfig(
        r=options.rank,
        lora_alpha=options.alpha,
        lora_dropout=options.dropout,
        target_modules=options.targets.split(","),
        bias="none",
        task_type="CAUSAL_LM",
    )
    # peft keeps the adapter in float32 over half-precision weights.
    return peft.get_peft_model(model, config).train()


def train(model, lines, options):
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(trainable, lr=options.lr, weight_decay=options.weight_decay)
    pad = model.config.pad_token_id or 0
    losses, seconds, tokens = [], [], []
    for step in range(options.steps):
        first = step * options.batch * options.accumulate
        started, loss_sum, token_sum = time.perf_counter(), 0.0, 0
        for micro in range(options.accumulate):
            start = first + micro * options.batch
            chosen = [lines[(start + row) % len(lines)] for row in range(options.batch)]
            loss = model(**padded(chosen, pad)).loss / options.accumulate
            loss.backward()
            loss_sum += loss.item()
            token_sum += sum(len(line["ids"]) for line in chosen)
        torch.nn.utils.clip_grad_norm_(trainable, 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        losses.append(loss_sum)
        if step >= options.warm_up:
            seconds.append(time.perf_counter() - started)
            tokens.append(token_sum)
    return losses, seconds, tokens


def main():
    options = arguments()
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    lines = read_lines(options.data)
    model = adapted_model(options)
    losses, seconds, tokens = train(model, lines, options)
    settings = {name: value for name, value in vars(options).items() if name not in ("model", "data")}
    report = {
        "seconds_per_step": {"min": min(seconds), "median": statistics.median(seconds), "max": max(seconds)},
        "tokens_per_second": sum(tokens) / sum(seconds),
        "tokens_per_step": sum(tokens) / len(tokens),
        "losses": losses,
        "trainable_parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
        # Linux counts kibibytes.
        "peak_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "settings": settings,
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "peft": peft.__version__,
        },
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
