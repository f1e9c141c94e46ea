"""Texts and token ids of the GuoFeng experiment on transformers' slow tokenizer, as the released loop makes them.

The released loop knows ChatML only and a tokenizer without BOS. For the other templates the same steps are taken, and
BOS stands once, at the start, where the tokenizer adds one.

- official: a prompt is one string, encoded at once; the reference is encoded on its own; a training text is encoded
  sentence by sentence, each with its line end (the last zh and the last en have none).
- corrected: every sentence, line end and fixed part is encoded behind a line end, whose ids are then taken off, so
  that a sentence has the same ids in prompts, references and training texts.
"""

INSTRUCTION = "请将下面的文本翻译成英文。"
TEMPLATES = {  # head, middle, tail
    "chatml": ("<|im_start|>user\n", "<|im_end|>\n<|im_start|>assistant\n", "<|im_end|>"),
    "llama2": ("[INST] ", " [/INST]\n", "</s>"),
    "llama3": ("<|start_header_id|>user<|end_header_id|>\n\n",
               "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n", "<|eot_id|>"),
    "plain": ("", "\n\n", "\n"),
}


class GuoFengText:
    def __init__(self, tokenizer, template: str = "chatml", official: bool = True):
        self.tokenizer, self.official = tokenizer, official
        self.head, self.middle, self.tail = TEMPLATES[template]
        self.head += INSTRUCTION + "\n"
        self.bos = [tokenizer.bos_token_id] if tokenizer.add_bos_token else []

    def encode(self, text: str) -> list[int]:
        return self.tokenizer.encode(text, add_special_tokens=False)

    def behind_line_end(self, text: str) -> list[int]:
        before, ids = self.encode("\n"), self.encode("\n" + text)
        return ids[len(before):] if ids[:len(before)] == before else self.encode(text)

    def sentence(self, text: str, line_end: bool) -> list[int]:
        if self.official:
            return self.encode(text + "\n" if line_end else text)
        return self.behind_line_end(text) + (self.behind_line_end("\n") if line_end else [])

    def prompt(self, history: list[dict], zh: str) -> list[int]:
        """Asks for the English of `zh` after pairs {"zh", "en"}."""
        if self.official:
            return self.bos + self.encode(
                self.head + "".join(pair["zh"] + "\n" for pair in history) + zh + self.middle
                + "".join(pair["en"] + "\n" for pair in history))
        ids = self.bos + self.encode(self.head)
        for pair in history:
            ids += self.sentence(pair["zh"], True)
        ids += self.sentence(zh, False) + self.behind_line_end(self.middle)
        for pair in history:
            ids += self.sentence(pair["en"], True)
        return ids

    def reference(self, en: str) -> list[int]:
        return self.sentence(en, False)

    def lesson(self, context: list[dict], chunk: list[dict]) -> tuple[list[int], list[int]]:
        """Ids and labels (-100 where none) of the training text."""
        part = self.encode if self.official else self.behind_line_end
        pairs = context + chunk
        ids = self.bos + self.encode(self.head)
        for number, pair in enumerate(pairs, 1):
            ids += self.sentence(pair["zh"], number < len(pairs))
        ids += part(self.middle)
        labels = [-100] * len(ids)
        for number, pair in enumerate(pairs, 1):
            english = self.sentence(pair["en"], number < len(pairs))
            ids += english
            labels += english if number > len(context) else [-100] * len(english)
        return ids + part(self.tail), labels + part(self.tail)

    def clean(self, text: str) -> str:
        """A prediction as the released result script compares it."""
        return (text.replace(self.tail, "") if self.tail.strip() else text).strip()
