"""Greedy continuations by llama.cpp, to compare with ours.

    python llama_cpp_greedy.py MODEL.gguf PROMPTS.jsonl [--max-tokens N]

Each line of the prompts is {"prompt": "..."} (rendered text, control tokens as text) or {"prompt_ids": [...]}. Prints a JSON line
for each: the number of prompt tokens, the generated ids and the text. llama.cpp comes as the package xllamacpp.
"""

import argparse
import json

import xllamacpp


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("prompts")
    parser.add_argument("--max-tokens", type=int, default=48)
    return parser.parse_args()


def main():
    options = arguments()
    params = xllamacpp.CommonParams()
    params.model.path = options.model
    params.n_ctx = 8192
    params.n_parallel = 1
    params.cpuparams.n_threads = 2
    params.warmup = False
    server = xllamacpp.Server(params)
    with open(options.prompts, encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            prompt = row.get("prompt_ids") or row["prompt"]
            answer = server.handle_completions({
                "prompt": prompt,
                "n_predict": options.max_tokens,
                "temperature": 0.0,
                "top_k": 1,
                "cache_prompt": False,
                "return_tokens": True,
                "seed": 1,
            })
            answer = answer[0] if isinstance(answer, list) else answer
            print(json.dumps({
                "prompt_tokens": answer.get("tokens_evaluated", answer.get("usage", {}).get("prompt_tokens")),
                "ids": answer.get("tokens"),
                "text": answer.get("content", answer.get("choices", [{}])[0].get("text")),
            }), flush=True)


if __name__ == "__main__":
    main()
