"""Writes config.json, pytorch_model.bin and logits.json beside this file: a BART of one layer on either side with random weights as torch
saves it, and its logits for the input [3, 4, 2] and the decoder's input [2, 5].

pip install torch==2.15.0 transformers==5.24.0; python make_state_dict.py
"""

import json
import pathlib

import torch
from transformers import BartConfig, BartForConditionalGeneration

torch.manual_seed(1)
config = BartConfig(vocab_size=12, d_model=8, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
                    decoder_attention_heads=2, encoder_ffn_dim=12, decoder_ffn_dim=12, max_position_embeddings=10,
                    init_std=0.5)
model = BartForConditionalGeneration(config).eval()
folder = pathlib.Path(__file__).parent
torch.save(model.state_dict(), folder / "pytorch_model.bin")
config.architectures = ["BartForConditionalGeneration"]
(folder / "config.json").write_text(config.to_json_string())
with torch.no_grad():
    output = model(input_ids=torch.tensor([[3, 4, 2]]), decoder_input_ids=torch.tensor([[2, 5]]))
(folder / "logits.json").write_text(json.dumps(output.logits[0].flatten().tolist()))
