"""PEFT adapter folders: making, opening, and the names under which PEFT saves A and B."""

import json
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, TaskType, get_peft_model

ALL_TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def new_adapter(model, seed: int, rank: int, alpha: float, targets=ALL_TARGETS, layers=None, b_std: float = 0.0):
    """Puts a LoRA on `model` with PEFT's own initialisation (A Kaiming-uniform, B zero); B ~ N(0, b_std) if given."""
    torch.manual_seed(seed)
    peft_model = get_peft_model(model, LoraConfig(
        task_type=TaskType.CAUSAL_LM, r=rank, lora_alpha=alpha, lora_dropout=0.0, target_modules=list(targets),
        layers_to_transform=layers))
    if b_std > 0:
        with torch.no_grad():
            for name, parameter in peft_model.named_parameters():
                if ".lora_B." in name:
                    parameter.normal_(0.0, b_std)
    return peft_model


def save_adapter(peft_model, folder: Path, base: str) -> None:
    """save_pretrained, without its README, with sorted targets and `base` instead of this machine's path."""
    peft_model.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)
    config = json.loads((folder / "adapter_config.json").read_text())
    config["base_model_name_or_path"] = base
    config["target_modules"] = sorted(config["target_modules"])
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=2) + "\n")


def open_adapter(model, folder: Path):
    """The saved adapter on `model`, trainable, in the model's dtype."""
    dtype = next(model.parameters()).dtype
    peft_model = PeftModel.from_pretrained(model, str(folder), is_trainable=True)
    for _, parameter in lora_parameters(peft_model):
        parameter.data = parameter.data.to(dtype)
    return peft_model


def lora_parameters(peft_model) -> list[tuple[str, torch.nn.Parameter]]:
    """(name as in adapter_model.safetensors, parameter) of every A and B, in the model's order."""
    return [(name.replace(".default.", "."), parameter)
            for name, parameter in peft_model.named_parameters() if ".lora_A." in name or ".lora_B." in name]
