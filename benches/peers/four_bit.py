"""Puts bitsandbytes' 4-bit layers (NF4) in the place of a model's matrices, as QLoRA and `load_in_4bit` do."""

import bitsandbytes
import torch


def quantised(model, device):
    """The model, which comes on the CPU, on the device, with all matrices but the output head in 4 bits."""
    parents = [module for module in model.modules() if not isinstance(module, torch.nn.Linear)]
    for parent in parents:
        for name, linear in list(parent.named_children()):
            if isinstance(linear, torch.nn.Linear) and name != "lm_head":
                setattr(parent, name, four_bit(linear, device))
    return model.to(device)


def four_bit(linear, device):
    layer = bitsandbytes.nn.Linear4bit(
        linear.in_features, linear.out_features, bias=False, compute_dtype=torch.bfloat16, quant_type="nf4", device="meta"
    )
    weight = linear.weight.detach().to(torch.bfloat16)
    layer.weight = bitsandbytes.nn.Params4bit(weight, requires_grad=False, quant_type="nf4")
    return layer.to(device)
