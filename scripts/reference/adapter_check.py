"""Opens an adapter folder with PEFT and checks that PEFT took every tensor of it."""

import json
from pathlib import Path

import torch
from safetensors.torch import load_file

from .adapters import lora_parameters, open_adapter
from .models import load_model


def check_adapter(folder: Path, model_folder: Path) -> bool:
    """Prints what PEFT made of it. False if a name, shape or value of the file differs from what PEFT holds (PEFT
    itself only warns of missing tensors), or if a nonzero B changes no logit."""
    saved = load_file(folder / "adapter_model.safetensors")
    config = json.loads((folder / "adapter_config.json").read_text())
    model = open_adapter(load_model(model_folder), folder)
    held = dict(lora_parameters(model))
    wrong = [f"{name}: only in {'the file' if name in saved else 'PEFT'}"
             for name in sorted(saved.keys() ^ held.keys())]
    wrong += [f"{name}: other values" for name in sorted(saved.keys() & held.keys())
              if saved[name].shape != held[name].shape or not torch.equal(saved[name].float(), held[name].detach())]
    ids = torch.randint(0, model.config.vocab_size, (1, 32), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        change = model(input_ids=ids).logits
        with model.disable_adapter():
            change = (change - model(input_ids=ids).logits).abs().max().item()
    if change == 0 and any(".lora_B." in name and tensor.any() for name, tensor in saved.items()):
        wrong.append("logits do not change although B is not zero")
    for line in wrong:
        print(f"parity: {folder}: {line}")
    print(f"{folder.name}: {len(saved)} tensors, rank {config['r']}, alpha {config['lora_alpha']}, "
          f"logits change by {change:.3g}: {'refused' if wrong else 'opened by PEFT'}")
    return not wrong
