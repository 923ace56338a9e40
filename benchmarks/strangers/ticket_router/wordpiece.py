"""Words in pieces, longest first, and tickets to try them on."""

import random
import re

import torch

WORD = re.compile(r"[a-z]+|[0-9]+|[^a-z0-9\s]")


class WordPiece:
    def __init__(self, vocabulary):
        self.ids = {piece: number for number, piece in enumerate(["[PAD]", "[UNK]", *vocabulary])}

    def __len__(self):
        return len(self.ids)

    def split(self, word):
        pieces, start = [], 0
        while start < len(word):
            for end in range(len(word), start, -1):
                piece = word[start:end] if start == 0 else "##" + word[start:end]
                if piece in self.ids:
                    pieces.append(self.ids[piece])
                    start = end
                    break
            else:
                return [1]
        return pieces

    def __call__(self, texts, length):
        rows = torch.zeros(len(texts), length, dtype=torch.long)
        for row, text in enumerate(texts):
            pieces = []
            for word in WORD.findall(text.lower()):
                pieces.extend(self.split(word))
            pieces = pieces[:length]
            rows[row, : len(pieces)] = torch.tensor(pieces)
        return rows


def write_tickets(count, desks, seed):
    rng = random.Random(seed)
    syllables = [a + b + c for a in "bdfgklmnprstv" for b in "aeiou" for c in ("", "n", "r", "s")]
    stems = ["".join(rng.choices(syllables, k=rng.randint(2, 4))) for _ in range(900)]
    favourites = [rng.sample(stems, 40) for _ in range(desks)]
    answers = [rng.randrange(desks) for _ in range(count)]
    tickets = []
    for desk in answers:
        words = rng.choices(stems, k=rng.randint(70, 90)) + rng.choices(favourites[desk], k=8)
        rng.shuffle(words)
        tickets.append(" ".join(words).capitalize() + ".")
    pieces = [*stems[:500], ".", *syllables, *("##" + syllable for syllable in syllables)]
    return tickets, answers, list(dict.fromkeys(pieces))
