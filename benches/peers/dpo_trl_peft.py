"""LoRA-DPO with trl, peft and torch on the CPU, as a peer to compare with.

    python dpo_trl_peft.py --hidden 256 --layers 4 --heads 8 --kv-heads 4 --intermediate 688 --vocabulary 4096 \
        --pairs 4 --prompt-tokens 96 --chosen-tokens 48 --rejected-tokens 40 --steps 6 --save /tmp/dpo
    python dpo_trl_peft.py --model FOLDER --data pairs.jsonl

trains a Llama of that shape with random weights, or the model of a Hugging Face folder, on random token ids or on those of
a file with one {"prompt_ids": [..], "chosen_ids": [..], "rejected_ids": [..]} per line. Lines are taken in order, from the
first again after the last. trl's own trainer does the steps; nothing is computed beforehand, the reference is the model
without its adapter. `--save` keeps model and pairs, so that another program can be measured on the same.

Prints a JSON line per step and one that sums up. Seconds are wall time of a whole step (both forward passes, backward,
clipping, AdamW); the first `--warm-up` steps are reported, but not summed up. `peak_rss_bytes` is the largest memory of the
process, `rss_before_bytes` what it had before the first step: with both it can be told what the libraries themselves take.
"""

import argparse
import json
import os
import pathlib
import platform
import random
import resource
import statistics
import sys
import tempfile
import time

# Nothing may be looked up on the network.
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import datasets
import peft
import tokenizers
import torch
import transformers
import trl


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", help="Hugging Face model folder; without it, a random Llama of the shape below")
    parser.add_argument("--hidden", type=int, default=64)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--heads", type=int, default=4)
    parser.add_argument("--kv-heads", type=int, default=2)
    parser.add_argument("--intermediate", type=int, default=160)
    parser.add_argument("--vocabulary", type=int, default=512)
    parser.add_argument("--data", help="JSON Lines of token ids; without it, random ids of the lengths below")
    parser.add_argument("--pairs", type=int, default=4, help="pairs of a micro-batch")
    parser.add_argument("--accumulate", type=int, default=1, help="micro-batches of a step")
    parser.add_argument("--prompt-tokens", type=int, default=64)
    parser.add_argument("--chosen-tokens", type=int, default=32)
    parser.add_argument("--rejected-tokens", type=int, default=32)
    parser.add_argument("--vary", type=float, default=0.0, help="share of a length that is drawn: 0.5 is half to all of it")
    parser.add_argument("--save", help="folder for the model (`model/`) and the pairs (`pairs.jsonl`)")
    parser.add_argument("--rank", type=int, default=8)
    parser.add_argument("--alpha", type=float, default=16)
    parser.add_argument("--targets", default="q_proj,v_proj", help="names of linear layers, separated by commas")
    parser.add_argument("--loss", default="sigmoid", help="trl's name")
    parser.add_argument("--beta", type=float, default=0.1)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--warm-up", type=int, default=1, help="first steps that are not summed up")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"], help="of the frozen weights")
    parser.add_argument("--attention", default="sdpa", choices=["sdpa", "eager"])
    parser.add_argument("--checkpointing", action="store_true", help="computes activations again to save memory")
    parser.add_argument("--seed", type=int, default=0)
    parsed = parser.parse_args()
    if parsed.warm_up >= parsed.steps:
        parser.error("--steps must be more than --warm-up, or nothing is summed up")
    if not 0 <= parsed.vary < 1:
        parser.error("--vary must be from 0 to below 1")
    return parsed


def model_of(options):
    settings = {"dtype": getattr(torch, options.dtype), "attn_implementation": options.attention}
    if options.model:
        return transformers.AutoModelForCausalLM.from_pretrained(options.model, **settings)
    shape = transformers.LlamaConfig(
        hidden_size=options.hidden,
        num_hidden_layers=options.layers,
        num_attention_heads=options.heads,
        num_key_value_heads=options.kv_heads,
        intermediate_size=options.intermediate,
        vocab_size=options.vocabulary,
        max_position_embeddings=max(2048, options.prompt_tokens + options.chosen_tokens + options.rejected_tokens),
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
        tie_word_embeddings=False,
    )
    return transformers.AutoModelForCausalLM.from_config(shape, **settings)


def pairs_of(options, vocabulary):
    """As many lines as all steps take."""
    count = options.steps * options.accumulate * options.pairs
    if options.data:
        with open(options.data, encoding="utf-8") as file:
            lines = [json.loads(line) for line in file if line.strip()]
        if not lines:
            sys.exit(f"{options.data}: there are no lines")
        names = ("prompt_ids", "chosen_ids", "rejected_ids")
        return [{name: lines[row % len(lines)][name] for name in names} for row in range(count)]
    generator = random.Random(options.seed)

    def ids(longest):
        length = generator.randint(max(1, round(longest * (1 - options.vary))), longest)
        # The first ids are special.
        return [generator.randrange(3, vocabulary) for _ in range(length)]

    return [
        {
            "prompt_ids": [1] + ids(max(1, options.prompt_tokens - 1)),
            "chosen_ids": ids(options.chosen_tokens),
            "rejected_ids": ids(options.rejected_tokens),
        }
        for _ in range(count)
    ]


def save(folder, model, pairs):
    folder = pathlib.Path(folder)
    model.save_pretrained(folder / "model")
    with open(folder / "pairs.jsonl", "w", encoding="utf-8") as file:
        file.writelines(json.dumps(pair) + "\n" for pair in pairs)


def padding_tokenizer():
    """The trainer asks for a tokenizer, but of token ids it needs only the padding."""
    words = {"<pad>": 0, "<s>": 1, "</s>": 2}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="<pad>"))
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", bos_token="<s>", eos_token="</s>"
    )


def resident_bytes():
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def peak_bytes():
    # Linux counts kibibytes.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


class Clock(transformers.TrainerCallback):
    """Times steps and prints a line for each."""

    def __init__(self):
        self.seconds, self.losses = [], []

    def on_step_begin(self, *_, **__):
        self.started = time.perf_counter()

    def on_step_end(self, *_, **__):
        self.seconds.append(time.perf_counter() - self.started)

    def on_log(self, arguments, state, control, logs=None, **_):
        if logs and "loss" in logs:
            self.losses.append(float(logs["loss"]))
            step = {"step": state.global_step, "seconds": self.seconds[-1], "loss": self.losses[-1]}
            print(json.dumps(step | {"peak_rss_bytes": peak_bytes()}), flush=True)


class TokenTrainer(trl.DPOTrainer):
    """Trains on lines that are tokens already, in their own order."""

    def _prepare_dataset(self, dataset, *_, **__):
        return dataset

    def _get_train_sampler(self, *_, **__):
        return torch.utils.data.SequentialSampler(self.train_dataset)


def trainer_of(model, pairs, options, output, clock):
    settings = trl.DPOConfig(
        output_dir=output,
        max_steps=options.steps,
        per_device_train_batch_size=options.pairs,
        gradient_accumulation_steps=options.accumulate,
        learning_rate=options.lr,
        lr_scheduler_type="constant",
        weight_decay=0.0,
        max_grad_norm=1.0,
        loss_type=[options.loss],
        beta=options.beta,
        label_smoothing=0.1 if options.loss == "exo_pair" else 0.0,
        max_length=None,
        gradient_checkpointing=options.checkpointing,
        bf16=False,
        use_cpu=True,
        seed=options.seed,
        logging_steps=1,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )
    adapter = peft.LoraConfig(
        r=options.rank,
        lora_alpha=options.alpha,
        lora_dropout=0.0,
        target_modules=options.targets.split(","),
        bias="none",
        task_type="CAUSAL_LM",
    )
    trainer = TokenTrainer(
        model=model,
        args=settings,
        train_dataset=datasets.Dataset.from_list(pairs),
        processing_class=padding_tokenizer(),
        peft_config=adapter,
        callbacks=[clock],
    )
    trainer.remove_callback(transformers.trainer_callback.PrinterCallback)
    return trainer


def main():
    options = arguments()
    transformers.logging.set_verbosity_error()
    datasets.disable_progress_bars()
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    model = model_of(options)
    pairs = pairs_of(options, model.config.vocab_size)
    if options.save:
        save(options.save, model, pairs)
    clock = Clock()
    with tempfile.TemporaryDirectory() as output:
        trainer = trainer_of(model, pairs, options, output, clock)
        before = resident_bytes()
        trainer.train()
    seconds = clock.seconds[options.warm_up :]
    timed = pairs[options.warm_up * options.accumulate * options.pairs :]
    tokens = sum(2 * len(pair["prompt_ids"]) + len(pair["chosen_ids"]) + len(pair["rejected_ids"]) for pair in timed)
    report = {
        "seconds_per_step": {"min": min(seconds), "median": statistics.median(seconds), "max": max(seconds)},
        "tokens_per_second": tokens / sum(seconds),
        "tokens_per_step": tokens / len(seconds),
        "losses": clock.losses,
        "trainable_parameters": sum(p.numel() for p in trainer.model.parameters() if p.requires_grad),
        "peak_rss_bytes": peak_bytes(),
        "rss_before_bytes": before,
        "settings": {name: value for name, value in vars(options).items() if name not in ("model", "data", "save")},
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "peft": peft.__version__,
            "trl": trl.__version__,
        },
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
