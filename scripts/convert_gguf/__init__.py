"""Turns a GGUF file into a Hugging Face model folder; `scripts/convert-gguf` is the command.

reading.py    the file's header and tensors, every size checked; nothing of it is trusted
families.py   which tensors a Llama, Qwen 2 or Qwen 3 has, and config.json
weights.py    dequantised tensors, streamed into safetensors files
pieces.py     the tokenizer: tokenizer.json of byte-level BPE, or a sentencepiece tokenizer.model
folder.py     the whole folder, made under another name and renamed when it is complete
"""
