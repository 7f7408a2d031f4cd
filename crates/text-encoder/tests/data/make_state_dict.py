"""Writes data/state-dict: a BERT classifier of one layer with random weights as torch saves it, and its logits for [2, 4, 5, 3].

pip install torch==2.15.0 transformers==5.24.0; python make_state_dict.py
"""

import json
import pathlib

import torch
from transformers import BertConfig, BertForSequenceClassification

torch.manual_seed(1)
config = BertConfig(vocab_size=12, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=12,
                    max_position_embeddings=16, initializer_range=0.5, id2label={0: "a", 1: "b", 2: "c"})
model = BertForSequenceClassification(config).eval()
folder = pathlib.Path(__file__).parent / "state-dict"
folder.mkdir(exist_ok=True)
torch.save(model.state_dict(), folder / "pytorch_model.bin")
config.architectures = ["BertForSequenceClassification"]
(folder / "config.json").write_text(config.to_json_string())
with torch.no_grad():
    logits = model(torch.tensor([[2, 4, 5, 3]])).logits[0].tolist()
(folder / "logits.json").write_text(json.dumps(logits))
