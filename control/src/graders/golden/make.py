"""Makes the golden vectors of text_similarity from the reference implementations of its measures.

    python -m venv venv && venv/bin/pip install rapidfuzz==3.14.6 sacrebleu==2.6.0 nltk==3.10.4 rouge-score==0.1.2
    venv/bin/python control/src/graders/golden/make.py

Writes similarity.json and stems.json beside itself; the same packages give the same files.
"""

import json
import pathlib
import random

from nltk.stem.porter import PorterStemmer
from nltk.translate.gleu_score import sentence_gleu
from nltk.translate.meteor_score import single_meteor_score
from rapidfuzz import fuzz, utils
from rouge_score import rouge_scorer
from sacrebleu.metrics import BLEU
from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a

HERE = pathlib.Path(__file__).parent
WORDS = """the a cat dog sat on mat quick brown fox jumps over lazy running runs ran jumped nationally relational
conditionally happiness hopefulness flies died dying skies enjoy argued controlling rolled probate cease geology
3.14 1,000 e.g. U.S. well-known 10-20 don't "quoted" (in brackets) a/b x+y=z 50% $5 #tag user@host naïve Straße ÄPFEL
Ελλάδα привет мир 你好 世界 हिन्दी العربية émigré _under_score_ &amp; &quot; <b> C++ O(n) -- … — ‘curly’ 🦀""".split()
PAIRS = [
    ("", ""),
    ("a", ""),
    ("", "a"),
    (" ", "."),
    ("same text", "same text"),
    ("Same Text!", "same text"),
    ("The cat sat on the mat.", "The cat is on the mat."),
    ("the the the the", "the cat"),
    ("fuzzy was a bear but not a dog", "fuzzy was a bear but not a cat"),
    ("wuzzy fuzzy was a bear", "fuzzy fuzzy was a bear"),
    ("new york mets", "new york mets vs atlanta braves"),
    ("It is a guide to action which ensures that the military always obeys the commands of the party",
     "It is a guide to action that ensures that the military will forever heed Party commands"),
    ("The answer is 42.", "42"),
    ("I think that, after all, the answer to this question must be 42, and nothing else but 42, whatever.", "42"),
    ("12,345.67 and 1,2 .5 -5 5-3", "12,345.67 and 1 , 2 . 5 - 5 5 - 3"),
    ("line one\nline two-\nbroken <skipped> &lt;tag&gt;", "line one line twobroken <tag>"),
    ("Zażółć gęślą jaźń", "zazolc gesla jazn"),
    ("STRASSE ÄPFEL", "straße äpfel"),
    ("你好 世界", "你好,世界"),
    ("हिन्दी भाषा", "हिन्दी"),
    ("ab" * 60 + "cd" * 5, "ba" * 20),
    ("abcdefghij" * 12, "jihgfedcba" * 3),
]


def noise(rng, words):
    """A text that is like another: words dropped, doubled, swapped, or with a letter changed."""
    out = []
    for word in words:
        kind = rng.random()
        if kind < 0.1:
            continue
        if kind < 0.2:
            out.append(rng.choice(WORDS))
        elif kind < 0.3:
            at = rng.randrange(len(word))
            out.append(word[:at] + rng.choice("aeixz") + word[at + 1:])
        else:
            out.append(word)
        if kind > 0.95:
            out.append(word)
    if rng.random() < 0.3:
        rng.shuffle(out)
    return out


def pairs():
    """The pairs above, and random ones of many lengths and proportions."""
    rng = random.Random(20261101)
    yield from PAIRS
    for _ in range(160):
        words = [rng.choice(WORDS) for _ in range(rng.choice([1, 2, 3, 5, 8, 13, 40, 90]))]
        other = noise(rng, words) if rng.random() < 0.7 else [rng.choice(WORDS) for _ in range(rng.randrange(1, 60))]
        if rng.random() < 0.3:
            other = other[:rng.randrange(1, 8)]
        left, right = " ".join(words), rng.choice([" ", " ", "  ", "\n"]).join(other)
        yield (left, right) if rng.random() < 0.5 else (right, left)


class NoSynonyms:
    """Stands for WordNet, which is 10 MB of data that nltk does not bring."""

    @staticmethod
    def synsets(_word):
        """None."""
        return []


def main():
    """Writes both files."""
    bleu, cut = BLEU(effective_order=True), Tokenizer13a()
    names = ["rouge1", "rouge2", "rouge3", "rouge4", "rouge5", "rougeL"]
    rouge = rouge_scorer.RougeScorer(names, use_stemmer=False)
    rows = []
    for text, reference in pairs():
        words, other = cut(text.rstrip()).split(), cut(reference.rstrip()).split()
        f1 = rouge.score(reference, text)
        rows.append({
            "input": text,
            "reference": reference,
            "fuzzy_match": fuzz.WRatio(text, reference, processor=utils.default_process) / 100,
            "bleu": bleu.sentence_score(text, [reference]).score / 100,
            "gleu": sentence_gleu([other], words),
            "meteor": single_meteor_score(other, words, wordnet=NoSynonyms),
            **{f"rouge_{name[5:].lower()}": f1[name].fmeasure for name in names},
        })
    stemmer = PorterStemmer()
    bases = [word for word in WORDS if word.isalpha()] + STEMS.split()
    forms = sorted({base + ending for base in bases for ending in ENDINGS.split()} | set(bases))
    dump("similarity.json", rows)
    dump("stems.json", [[form.lower(), stemmer.stem(form)] for form in forms])


STEMS = """succeed proceed exceed howe inning outing canning news sky skies die tie lie geo theo archaeo analog radic
form vital oper sens digit confor electr triplic good adopt commun effect adjust depend homolog replac allow infer
airlin gyroscop defens irrit angular bowdler contr roll fall hiss fizz fail fil hop hopp tann plast motor sing agre
fe size conflat troubl y by say spy cry happ yyy ay oy w x box snow tray bl at iz ee aa l ll ill call"""
ENDINGS = """s es ies sses ss ed eed ied ing ying y ly ally alli li ational tional enci anci izer bli abli entli eli ousli
ization ation ator alism iveness fulness ousness aliti iviti biliti fulli logi icate ative alize iciti ical ful ness al
ance ence er ic able ible ant ement ment ent ion sion tion ou ism ate iti ous ive ize e l ll le"""


def dump(name, value):
    """One row a line, so that a change shows."""
    rows = ",\n".join(json.dumps(row, ensure_ascii=False) for row in value)
    (HERE / name).write_text(f"[\n{rows}\n]\n", encoding="utf-8")


main()
