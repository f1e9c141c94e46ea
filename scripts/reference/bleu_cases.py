"""Random corpora with what sacreBLEU says about them, for goldens and for the live comparison.

A case is one corpus:
  hyp      one text a segment
  refs     the references of each segment
  bleu     [tokenizer, smoothing, value or null, order, effective, lowercase, score, counts, totals, precisions,
           brevity penalty, words of the hypotheses, words of the references, signature], one a setting
  chrf     [char order, word order, beta, lowercase, white space, eps smoothing, score, name, signature], one a setting
  sentence [segment, score, chrF2], BLEU with effective order
  released BLEU as the script released with the paper prints it; only where each segment has one reference
"""

import math
import random
import re

from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from sacrebleu.metrics.helpers import extract_all_word_ngrams
from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a

TOKENIZERS = ["13a", "intl", "zh", "char", "none"]
SMOOTHINGS = [("exp", None), ("floor", None), ("floor", 0.01), ("add-k", None), ("add-k", 2.5), ("none", None)]
WORDS = """the a of cat sat on mat , . ! ? ; : ' " - -- ( ) [x] {y} <b> a/b a&b @ # $5 5% ^ * _ ~ ` | \\ = + it's
 e.g. U.S.A. 1,000.5 1,000,000 3-4 -5 1990. .5 5. ,7 7, 2.5% x-1 1-x 10:30 don't well-known Mr. &amp; &quot; &lt;
 &gt; &amp;lt; &apos; <skipped> <|im_end|> Üñí naïve ÉCOLE STRASSE straße İstanbul IĞDIR ΣΑΣ ΟΔΟΣ Σ ΑΣ.Β ΑΣ' ǅ Ǆ
 Ⅷ ½ ٣٫٤ १२ ² 中 文 中文 你好，世界。 “引” —— …… 《书》 ３，０００ ！ ａＢ 一二三 𠀀 豈 ㈱ カタ ｶﾅ あ 한국어 ☃ ✂ 😀 👍🏽 👩‍👧
 € £5 ©2 №7 → ≤ × « » ‘x’ “y” – ‰ † · ¿ ¡ ¬ ± µ º Ω Å K ſ ﬁ Ｚ é Z̃ ; x.y a,b 1.b a.1 ..., ,,, ... .,.""".split()
SPACES = [" "] * 40 + ["", "", "", "  ", "\t", "\n", "-\n", "\u00a0", "\u3000", "\u2028", "\u200b", "\ufeff", "\u2009",
                       "\x1c", "\x85", "\u00ad"]
EDGES = [" ", "\n", "\t", "\u3000", "\u00a0", "-\n", ".", "\u0301"]


def joined(rng: random.Random, words: list[str]) -> str:
    text = "".join(word + rng.choice(SPACES) for word in words)
    return rng.choice(EDGES) * (rng.random() < 0.1) + text + rng.choice(EDGES) * (rng.random() < 0.2)


def edited(rng: random.Random, words: list[str], vocabulary: list[str], rate: float) -> list[str]:
    """Words with some dropped, replaced, repeated, or exchanged with the next."""
    result = []
    for word in words:
        draw = rng.random() / rate
        if draw < 0.25:
            continue
        result.append(rng.choice(vocabulary) if draw < 0.5 else word)
        if draw > 0.5 and draw < 0.75:
            result.append(word)
        if 0.75 < draw < 1 and len(result) > 1:
            result[-1], result[-2] = result[-2], result[-1]
    return result


def random_corpus(rng: random.Random, longest: int) -> tuple[list[str], list[list[str]]]:
    """Up to 6 segments of mostly a few words; some empty, some of one word, some of up to `longest` words."""
    vocabulary = rng.sample(WORDS, rng.choice([3, 8, 20, 60]))
    rate = rng.choice([1e-9, 0.1, 0.3, 0.6, 1.0])
    most, vary = rng.choice([1, 1, 1, 2, 3]), rng.random() < 0.3
    hyp, refs = [], []
    for _ in range(rng.choice([1, 1, 2, 3, 6])):
        kind = rng.random()
        size = 0 if kind < 0.08 else 1 if kind < 0.16 else rng.randint(2, 5) if kind < 0.3 else rng.randint(5, 16)
        if kind > 0.98:
            size = rng.randint(longest // 2, longest)
        words = [rng.choice(vocabulary) for _ in range(size)]
        hyp.append("" if rng.random() < 0.06 else joined(rng, edited(rng, words, vocabulary, rate)))
        count = rng.randint(1, most) if vary else most
        refs.append(["" if rng.random() < 0.04 else joined(rng, edited(rng, words, vocabulary, 0.2 * i + 1e-9))
                     for i in range(count)])
    return hyp, refs


def streams(refs: list[list[str]]) -> list[list[str | None]]:
    """References as sacreBLEU takes them: stream by stream, None where a segment has fewer."""
    return [[row[i] if i < len(row) else None for row in refs] for i in range(max(map(len, refs)))]


def bleu_row(hyp, refs, tokenizer, smoothing, value, order, effective, lowercase) -> list:
    metric = BLEU(tokenize=tokenizer, smooth_method=smoothing, smooth_value=value, max_ngram_order=order,
                  effective_order=effective, lowercase=lowercase, force=True)
    s = metric.corpus_score(hyp, streams(refs))
    return [tokenizer, smoothing, value, order, effective, lowercase, s.score, s.counts, s.totals, s.precisions, s.bp,
            s.sys_len, s.ref_len, str(metric.get_signature())]


def chrf_row(hyp, refs, char_order, word_order, beta, lowercase, whitespace, eps) -> list:
    metric = CHRF(char_order=char_order, word_order=word_order, beta=beta, lowercase=lowercase, whitespace=whitespace,
                  eps_smoothing=eps)
    s = metric.corpus_score(hyp, streams(refs))
    return [char_order, word_order, beta, lowercase, whitespace, eps, s.score, s.name, str(metric.get_signature())]


def released(hyp: list[str], refs: list[list[str]]) -> float:
    """By the definition, from 13a's words: matches over n-grams, geometric mean, brevity penalty; 0 to 1."""
    split = Tokenizer13a()
    matches, totals, lengths = [0] * 4, [0] * 4, [0, 0]
    for text, (reference,) in zip(hyp, refs):
        ours = extract_all_word_ngrams(split(re.sub(r"<\|im_end\|>", "", text).strip()), 1, 4)
        theirs = extract_all_word_ngrams(split(reference.strip()), 1, 4)
        lengths = [lengths[0] + ours[1], lengths[1] + theirs[1]]
        for ngram, count in ours[0].items():
            totals[len(ngram) - 1] += count
            matches[len(ngram) - 1] += min(count, theirs[0][ngram])
    if min(matches) == 0:
        return 0.0
    mean = math.exp(sum(math.log(m / t) for m, t in zip(matches, totals)) / 4)
    return mean * min(1.0, math.exp(1 - lengths[1] / lengths[0]))


def case(number: int, rng: random.Random, hyp: list[str], refs: list[list[str]], settings: int) -> dict:
    """`settings` of BLEU and two of chrF: tokenizers and smoothings in turn, the rest drawn."""
    bleu = []
    for i in range(settings):
        turn = number * settings + i
        smoothing, value = SMOOTHINGS[turn // len(TOKENIZERS) % len(SMOOTHINGS)]
        bleu.append(bleu_row(hyp, refs, TOKENIZERS[turn % len(TOKENIZERS)], smoothing, value,
                             rng.choice([4, 4, 4, 4, 2, 1, 6]), rng.random() < 0.3, rng.random() < 0.3))
    chrf = [chrf_row(hyp, refs, 6, 2 * (number % 2), 2, rng.random() < 0.2, rng.random() < 0.2, rng.random() < 0.3)]
    if settings > 2:
        chrf.append(chrf_row(hyp, refs, rng.choice([6, 1, 4]), rng.choice([0, 1, 2, 3]), rng.choice([1, 2, 3]), True,
                             rng.random() < 0.5, rng.random() < 0.5))
    at = rng.randrange(len(hyp))
    sentence = [at, BLEU(effective_order=True).sentence_score(hyp[at], refs[at]).score,
                CHRF().sentence_score(hyp[at], refs[at]).score]
    one = all(len(row) == 1 for row in refs)
    return {"hyp": hyp, "refs": refs, "bleu": bleu, "chrf": chrf, "sentence": sentence,
            **({"released": released(hyp, refs)} if one else {})}


# Where implementations of BLEU and chrF used to differ: nothing at all, no 4-gram, no match, a perfect match, a
# reference of the same length twice as far, entities, a hyphen at a line's end, marks between digits, a final dot.
EDGE_CORPORA = [
    ([""], [[""]]), ([""], [["a b c d e"]]), (["a b c d e"], [[""]]), (["", ""], [["x", ""], ["", "y"]]),
    (["   "], [["\n"]]), (["a"], [["a"]]), (["a b c"], [["a b c"]]), (["a b c d"], [["a b c d"]]),
    (["a b c d"], [["e f g h"]]), (["a b c d e f"], [["a b x d e f"]]), (["the the the the the the the"],
     [["the cat is on the mat", "there is a cat on the mat"]]), (["a b c"], [["a b", "a b c d", "x"]]),
    (["a b c d", "e"], [["a b c d e", "a b c"], ["e f"]]),
    (["She said: &quot;Tom &amp; Jerry &lt;3&gt;&quot;"], [["She said: \"Tom & Jerry <3>\""]]),
    (["a line that was bro-\nken, in 1990."], [["a line that was broken, in 1990."]]),
    (["1,000.50 and 3-4, or (5%)."], [["1,000.50 and 3 - 4 , or ( 5 % ) ."]]),
    (["他说：“你好，世界！”——2024年……"], [["他说：“你好世界”，2024 年。"]]),
    (["ΟΔΥΣΣΕΥΣ ΚΑΙ ΣΙΣΥΦΟΣ. İI"], [["οδυσσευς και σισυφος. i̇i"]]),
    (["<|im_end|>A b c d e.<|im_end|> "], [["A b c d e."]]),
    (["(hi) 'hello' \"x\" ... -"], [["( hi ) ' hello ' \" x \" . . . -"]]),
]


def every_character(first: int, last: int) -> tuple[list[str], list[list[str]]]:
    """Each character of the range between letters, between digits, and beside sigmas; 32 of them a segment."""
    chars = [chr(c) for c in range(first, last) if not 0xD800 <= c < 0xE000]
    hyp = [" ".join(f"a{c}b 1{c}2 Σ{c}Σ a{c}Σ" for c in chars[i:i + 32]) for i in range(0, len(chars), 32)]
    return hyp, [[text.lower()] for text in hyp]
