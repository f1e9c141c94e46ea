"""A small random wmt22-comet-da: encoder folder, checkpoint as the package itself writes it."""

import contextlib
import io
from pathlib import Path

import sentencepiece
import torch
from transformers import XLMRobertaConfig, XLMRobertaModel

from .comet_text import ODD, PAIRS, normalization_rules

# max_position_embeddings 130 makes the longest input 130 - 2 - 2 = 126 tokens, as 514 makes it 510.
ENCODER = dict(hidden_size=32, num_hidden_layers=3, num_attention_heads=4, intermediate_size=48,
               max_position_embeddings=130, type_vocab_size=1, layer_norm_eps=1e-5, hidden_act="gelu",
               pad_token_id=1, bos_token_id=0, eos_token_id=2, initializer_range=0.35)
HEAD = dict(encoder_model="XLM-RoBERTa", pool="avg", layer="mix", layer_norm=False, hidden_sizes=[40, 16], dropout=0.1)


def train_pieces(folder: Path) -> int:
    """Trains the unigram model of the fixture; returns its number of pieces."""
    (folder / "rules.tsv").write_text(normalization_rules(), encoding="utf-8")
    texts = [text for pair in PAIRS for text in pair] + [text for text in ODD if "<" not in text]
    model = io.BytesIO()
    with contextlib.chdir(folder):  # the model keeps the rules' path as it is given
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(texts), model_writer=model, model_type="unigram", vocab_size=420,
            hard_vocab_limit=False, character_coverage=0.98, normalization_rule_tsv="rules.tsv", num_threads=1,
            minloglevel=2, input_sentence_size=0, shuffle_input_sentence=False)
    (folder / "rules.tsv").unlink()
    (folder / "sentencepiece.bpe.model").write_bytes(model.getvalue())
    return sentencepiece.SentencePieceProcessor(model_proto=model.getvalue()).get_piece_size()


def make_encoder(folder: Path, seed: int) -> None:
    """The folder that stands for the pretrained encoder; biases and norms are random too."""
    folder.mkdir(parents=True)
    torch.manual_seed(seed)
    model = XLMRobertaModel(XLMRobertaConfig(vocab_size=train_pieces(folder) + 2, **ENCODER), add_pooling_layer=False)
    shake(model)
    model.save_pretrained(folder)


def shake(model: torch.nn.Module) -> None:
    """Random values wherever a fresh model has zeros or ones, the embedding of <pad> included."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("LayerNorm.weight"):
                parameter.add_(0.2 * torch.randn_like(parameter))
            elif name.endswith("bias") or (parameter.dim() > 1 and "embeddings" in name):
                parameter.copy_(0.3 * torch.randn_like(parameter))


def make_metric(encoder: Path, seed: int, **head) -> torch.nn.Module:
    """A RegressionMetric whose layer weights, gamma and estimator are random; in eval mode."""
    from comet.models import RegressionMetric

    torch.manual_seed(seed)
    model = RegressionMetric(pretrained_model=str(encoder), local_files_only=True, **{**HEAD, **head})
    with torch.no_grad():
        for scalar in model.layerwise_attention.scalar_parameters:
            scalar.copy_(0.4 * torch.randn(1))
        model.layerwise_attention.gamma.copy_(torch.tensor([1.3]))
        for parameter in model.estimator.parameters():
            parameter.copy_(0.25 * torch.randn_like(parameter))
    return model.eval()


def save_checkpoint(model: torch.nn.Module, folder: Path) -> Path:
    """hparams.yaml and checkpoints/model.ckpt as training with the package leaves them."""
    import pytorch_lightning
    from pytorch_lightning.core.saving import save_hparams_to_yaml

    trainer = pytorch_lightning.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False,
                                        enable_progress_bar=False, enable_model_summary=False)
    trainer.strategy.connect(model)
    path = folder / "checkpoints" / "model.ckpt"
    path.parent.mkdir(parents=True)
    trainer.save_checkpoint(path, weights_only=True)
    save_hparams_to_yaml(str(folder / "hparams.yaml"), dict(model.hparams))
    return path
