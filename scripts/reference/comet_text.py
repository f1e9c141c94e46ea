"""Texts for the goldens of COMET: sentences, segments made from them, and strings that are hard to tokenise."""

import random
import unicodedata

# Sources and references that mean the same, in several scripts.
PAIRS = [
    ("雨停了，院子里只剩下水滴的声音。", "The rain stopped, and only the sound of dripping water was left in the yard."),
    ("他把信放在桌上，没有说一句话。", "He laid the letter on the table without saying a word."),
    ("“你到底想去哪里？”她问。", "\"Where on earth do you want to go?\" she asked."),
    ("山那边有一座很老的桥。", "Beyond the mountain there is a very old bridge."),
    ("第二天早上，船已经离开港口了。", "The next morning the ship had already left the harbour."),
    ("老师傅笑了笑，又倒了一杯茶。", "The old master smiled and poured another cup of tea."),
    ("她的剑在月光下像一条银色的线。", "Her sword looked like a silver thread in the moonlight."),
    ("没有人知道门后面是什么。", "Nobody knew what was behind the door."),
    ("这本书有三百二十页，价格是４５元。", "The book has 320 pages and costs 45 yuan."),
    ("火车晚点了四十分钟！", "The train was forty minutes late!"),
    ("我小时候住在河边的一个小镇。", "As a child I lived in a small town by the river."),
    ("风从北方来，带着雪的味道。", "The wind came from the north and smelled of snow."),
    ("孩子们在广场上追一只黄狗。", "The children were chasing a yellow dog across the square."),
    ("他数了三遍，还是少一个。", "He counted three times, and one was still missing."),
    ("请把窗户关上，外面太吵了。", "Please close the window, it is too noisy outside."),
    ("那一年的冬天特别长。", "The winter of that year was unusually long."),
    ("國王沒有回答，只是看著地圖。", "The king gave no answer and only looked at the map."),
    ("昨日、駅で古い友だちに会いました。", "Yesterday I met an old friend at the station."),
    ("カフェで二時間も待っていた。", "I had been waiting in the café for two hours."),
    ("그는 문을 열고 천천히 밖으로 나갔다.", "He opened the door and slowly went outside."),
    ("우리는 내일 아침에 떠나기로 했다.", "We decided to leave tomorrow morning."),
    ("Мы долго шли по пустой дороге.", "We walked along the empty road for a long time."),
    ("Он забыл ключи дома.", "He forgot his keys at home."),
    ("Die Brücke wurde erst im Frühjahr geöffnet.", "The bridge was not opened until spring."),
    ("Größe und Gewicht stehen auf der Rückseite.", "Size and weight are given on the back."),
    ("Le café était fermé à cause de la pluie.", "The café was closed because of the rain."),
    ("Ça ne fait rien, répondit-elle.", "It does not matter, she replied."),
    ("¿Dónde está la biblioteca más cercana?", "Where is the nearest library?"),
    ("كان البحر هادئا في ذلك المساء.", "The sea was calm that evening."),
    ("सुबह से बारिश हो रही है।", "It has been raining since the morning."),
    ("Η θάλασσα ήταν ήσυχη.", "The sea was quiet."),
    ("Kapının arkasında kimse yoktu.", "There was nobody behind the door."),
]

# Left out, because the slow and the fast tokenizer of transformers differ there: U+2581 at a text's ends, and long
# runs of one character whose cuts are equally likely.
ODD = [
    "", " ", "\t\n", "\u3000\u3000", ".", "…", "?!", "12345", "1,000,000.50", "a", "中", "a\u2581b",
    "  two  spaces   and a tail  ", "line one\nline two\r\nline three", "tab\tbetween", "no\u00a0break",
    "ＦＵＬＬ　ｗｉｄｔｈ　１２３", "ﬁne ﬂat", "cafe\u0301 and café", "ｶﾀｶﾅ ﾊﾞﾋﾟ", "half ½ and №",
    "emoji 🙂🙃 and 👩‍👩‍👧", "unknown ꙮ꙯ჯჰ letters", "ꙮ", "ꙮ中ꙮ", "zero\u200bwidth", "bell\u0007here", "soft\u00adhyphen",
    "<s>", "</s>", "<pad>", "<unk>", "<mask>", "before<pad>after", "a <mask> b", "a  <mask>  b", "x<s>y</s>z", " <s> ",
    "<pad><pad>", "<unk> is unknown", "< s >", "&lt;s&gt;", "<S>", "<s", "word <pad> word <pad> end", "中<mask>文",
    "\u2028separator\u2029", "trailing space ", " leading space", "ALL CAPS", "x" * 70,
    "".join(pair[0] for pair in PAIRS[:20]), "ab " * 90,
    "e\u0301e\u0301e\u0301", "한국어", "\ufeffmark",
]


def normalization_rules() -> str:
    """A small part of what XLM-R's sentencepiece model does to characters (its full table has 240 KB)."""
    rules = {}
    for code in [0x09, 0x0A, 0x0D, 0xA0, 0x200B, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000, 0xFEFF,
                 *range(0x2000, 0x200B)]:
        rules[(code,)] = (0x20,)
    for code in [*range(0x01, 0x09), *range(0x0E, 0x20), 0x7F]:
        rules[(code,)] = ()
    for code in [*range(0xFF01, 0xFFDD), *range(0xFB00, 0xFB07), 0xBD, 0x2026, 0x2116]:
        made = unicodedata.normalize("NFKC", chr(code))
        if unicodedata.name(chr(code), "") and made != chr(code):
            rules[(code,)] = tuple(map(ord, made))
    for letter in "aceinouACEINOU":
        for mark in "\u0300\u0301\u0302\u0303\u0308\u0327":
            made = unicodedata.normalize("NFKC", letter + mark)
            if len(made) == 1:
                rules[(ord(letter), ord(mark))] = (ord(made),)
    for code in range(0xFF76, 0xFF85):  # half-width katakana with a voicing mark
        made = unicodedata.normalize("NFKC", chr(code) + "\uff9e")
        if len(made) == 1:
            rules[(code, 0xFF9E)] = (ord(made),)
    lines = [" ".join(f"{c:X}" for c in key) + "\t" + " ".join(f"{c:X}" for c in value)
             for key, value in sorted(rules.items())]
    return "\n".join(lines) + "\n"


def damaged(text: str, draw: random.Random) -> str:
    """A translation as a weak system might give it."""
    words = text.split(" ")
    for _ in range(draw.randrange(4)):
        at = draw.randrange(len(words))
        kind = draw.randrange(4)
        if kind == 0 and len(words) > 1:
            words.pop(at)
        elif kind == 1:
            words.insert(at, words[at])
        elif kind == 2:
            words[at] = draw.choice(draw.choice(PAIRS)[1].split(" "))
        else:
            other = draw.randrange(len(words))
            words[at], words[other] = words[other], words[at]
    return " ".join(words)


def segments(seed: int) -> list[dict[str, str]]:
    """Segments of src, mt, ref: plain ones, odd strings on each side, empty ones, and some beyond the longest input."""
    draw = random.Random(seed)
    out = []
    for src, ref in PAIRS * 4 + PAIRS[::2]:
        out.append({"src": src, "mt": damaged(ref, draw), "ref": ref})
    for text in ODD:
        src, ref = draw.choice(PAIRS)
        sides = {"src": src, "mt": damaged(ref, draw), "ref": ref}
        sides[draw.choice(["src", "mt", "ref"])] = text
        out.append(sides)
    for side in ["src", "mt", "ref", None]:
        src, ref = draw.choice(PAIRS)
        sides = {"src": src, "mt": damaged(ref, draw), "ref": ref}
        for name in ["src", "mt", "ref"]:
            if side in (name, None):
                sides[name] = ""
        out.append(sides)
    for count in range(2, 18):
        chosen = [draw.choice(PAIRS) for _ in range(count)]
        ref = " ".join(pair[1] for pair in chosen)
        out.append({"src": "".join(pair[0] for pair in chosen), "mt": damaged(ref, draw), "ref": ref})
    draw.shuffle(out)
    return out
