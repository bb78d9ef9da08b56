"""The everyday grammar: one method per way to build a sentence.

What it says is grammatical, mostly, and seldom sensible: the network is to hear words, not to guess them.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable

from num2words import num2words

from tools.demo_model.grammar import HERE, Phrase, count, lexicon, noun, ordinal, pronoun, verb


class Everyday:
    """One method per way to build a sentence."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.words = lexicon()
        phrases = (HERE / "phrases.txt").read_text(encoding="utf-8").splitlines()
        self.phrases = [line for line in phrases if line and not line.startswith("#")]
        self.patterns: list[tuple[Callable[[], str], float]] = [
            (self.transitive, 5), (self.action, 3), (self.motion, 3), (self.happening, 2), (self.equality, 2),
            (self.possession, 1.5), (self.wish, 2), (self.question, 2), (self.request, 1.5), (self.phrase, 3),
            (self.price, 1.2), (self.clock, 1.2), (self.date, 1.2), (self.telephone, 0.6), (self.number, 1.2),
            (self.weather, 0.7), (self.place_of, 1.5), (self.naming, 0.8), (self.several, 1.2),
        ]  # fmt: skip

    def pick(self, *sections: str) -> str:
        return self.rng.choice(self.words[self.rng.choice(sections)])

    def maybe(self, share: float, *sections: str) -> str:
        return self.pick(*sections) if self.rng.random() < share else ""

    def name(self, case: str = "nomn") -> Phrase:
        gender = self.rng.choice(["male", "female"])
        phrase = noun(self.pick(gender), case)
        return Phrase(phrase.words, "3per", "masc" if gender == "male" else "femn")

    def things(self, case: str, plural_share: float = 0.3) -> str:
        adjective = self.maybe(0.4, "quality", "quality", "colour")
        return noun(self.pick("thing"), case, self.rng.random() < plural_share, adjective).words

    def food(self, case: str) -> str:
        return noun(self.pick("food"), case, False, self.maybe(0.35, "taste")).words

    def person(self, case: str, plural_share: float = 0.2) -> Phrase:
        if self.rng.random() < 0.2:
            return self.name(case)
        plural = self.rng.random() < plural_share
        return noun(self.pick("person"), case, plural, self.maybe(0.3, "human_quality"))

    def subject(self) -> Phrase:
        draw = self.rng.random()
        if draw < 0.35:
            return pronoun(self.rng)
        return noun(self.pick("animal"), "nomn") if draw > 0.93 else self.person("nomn")

    def object_of(self) -> tuple[str, str]:
        """A transitive verb and something it can be done to."""
        kind = self.rng.choice(["thing", "thing", "food", "abstract", "person"])
        word = {
            "thing": lambda: self.things("accs"),
            "food": lambda: self.food("accs"),
            "abstract": lambda: noun(self.pick("abstract"), "accs", False, self.maybe(0.4, "quality")).words,
            "person": lambda: self.person("accs").words,
        }[kind]()
        return self.pick(f"do_{kind}"), word

    def where(self) -> str:
        if self.rng.random() < 0.2:
            return self.pick("where")
        if self.rng.random() < 0.25:
            return "в городе " + self.pick("city")
        preposition, case = self.rng.choice([("в", "loct"), ("около", "gent"), ("возле", "gent"), ("за", "ablt")])
        place = noun(self.pick("place"), case, False, self.maybe(0.3, "quality")).words
        return f"{'во' if preposition == 'в' and place[:2] in ('вт', 'вх', 'вн') else preposition} {place}"

    def whither(self) -> str:
        preposition, case = self.rng.choice([("в", "accs"), ("к", "datv"), ("из", "gent"), ("через", "accs")])
        section = "city" if preposition in ("в", "из") and self.rng.random() < 0.3 else "place"
        return f"{preposition} {noun(self.pick(section), case).words}"

    def tense(self) -> str:
        return self.rng.choice(["past", "past", "present", "future"])

    def frame(self, *parts: str) -> str:
        """Most sentences carry a time or a manner, some an opening."""
        opening = self.maybe(0.08, "opening")
        when = self.maybe(0.3, "when")
        words = [part for part in parts if part]
        if when:
            words.insert(self.rng.choice([0, len(words)]), when)
        return (f"{opening}, " if opening else "") + " ".join(words)

    def transitive(self) -> str:
        who, (what, thing) = self.subject(), self.object_of()
        negation = "не" if self.rng.random() < 0.08 else ""
        where = self.where() if self.rng.random() < 0.2 else ""
        said = f"{negation} {verb(what, who, self.tense())}".strip()
        return self.frame(who.words, self.maybe(0.15, "manner"), said, thing, where)

    def action(self) -> str:
        who = self.subject()
        return self.frame(who.words, self.maybe(0.4, "manner"), verb(self.pick("act"), who, self.tense()), self.where())

    def motion(self) -> str:
        who = self.subject()
        company = f"с {self.person('ablt').words}" if self.rng.random() < 0.3 else ""
        return self.frame(who.words, verb(self.pick("go"), who, self.tense()), self.whither(), company)

    def happening(self) -> str:
        what = noun(self.pick("abstract", "thing", "place"), "nomn", False, self.maybe(0.5, "quality"))
        return self.frame(what.words, self.maybe(0.3, "manner"), verb(self.pick("happen"), what, self.tense()))

    def equality(self) -> str:
        section = self.rng.choice(["thing", "abstract", "place", "food"])
        what = noun(self.pick(section), "nomn")
        quality = noun(what.words, "nomn", what.plural, self.pick("quality", "colour")).words.rsplit(" ", 1)[0]
        return self.rng.choice([f"{what.words} {self.maybe(0.4, 'manner')} {quality}", f"это {quality} {what.words}"])

    def possession(self) -> str:
        owner = self.rng.choice(["у меня", "у тебя", "у него", "у неё", "у нас", "у вас", "у них"])
        if self.rng.random() < 0.4:
            owner = f"у {self.person('gent').words}"
        thing = noun(self.pick("thing"), "nomn", False, self.maybe(0.4, "quality", "colour"))
        return self.frame(owner, self.rng.choice(["есть", verb("быть", thing, "past")]), thing.words)

    def wish(self) -> str:
        who, (what, thing) = self.subject(), self.object_of()
        modal = verb(self.rng.choice(["хотеть", "мочь", "решить", "начать"]), who, self.rng.choice(["past", "present"]))
        if self.rng.random() < 0.4:
            return self.frame(self.rng.choice(["надо", "нужно", "можно", "пора", "нельзя"]), what, thing)
        return self.frame(who.words, modal, self.rng.choice([f"{what} {thing}", self.pick("verb_inf")]))

    def question(self) -> str:
        who, (what, thing) = self.subject(), self.object_of()
        asked = self.rng.choice(["где", "когда", "зачем", "почему", "как", "сколько раз"])
        place = noun(self.pick("place", "thing"), "nomn").words
        said = verb(what, who, self.tense())
        ways = [f"{asked} {who.words} {said} {thing}?", f"где находится {place}?", f"{said} ли {who.words} {thing}?"]
        return self.rng.choice(ways)

    def request(self) -> str:
        openings = ["пожалуйста", "прошу вас", "не забудьте", "помогите", "давайте", "я хочу", "мне надо"]
        opening = self.rng.choice(openings)
        what, thing = self.object_of()
        return self.frame(opening, what, thing)

    def phrase(self) -> str:
        return self.rng.choice(self.phrases).format(
            name=self.name().words, city=self.pick("city"), number=num2words(self.rng.randint(2, 99), lang="ru")
        )

    def price(self) -> str:
        what = noun(self.pick("thing", "food"), "nomn")
        tens = self.rng.choice([10, 50, 100]) * self.rng.randint(1, 99)
        amount = tens + self.rng.choice([0, 0, self.rng.randint(1, 99)])
        return f"{what.words} {'стоят' if what.plural else 'стоит'} {count(amount, 'рубль')}"

    def clock(self) -> str:
        time = f"{count(self.rng.randint(1, 23), 'час')} {count(self.rng.randint(1, 59), 'минута')}"
        what = noun(self.pick("abstract", "thing"), "nomn")
        return self.rng.choice([f"московское время {time}", f"сейчас {time}", self.frame(what.words, "в", time)])

    def date(self) -> str:
        month = noun(self.pick("month"), "gent").words
        day = ordinal(self.rng.randint(1, 31), self.rng.choice(["gent", "nomn"]), "neut")
        year = f"{ordinal(self.rng.randint(1950, 2030), 'gent')} года" if self.rng.random() < 0.4 else ""
        what = noun(self.pick("abstract"), "nomn", False, self.maybe(0.3, "quality"))
        event = f"{what.words} {verb(self.rng.choice(['начаться', 'закончиться']), what, self.tense())}"
        return f"{event if self.rng.random() < 0.6 else 'сегодня'} {day} {month} {year}".strip()

    def telephone(self) -> str:
        groups = [self.rng.randint(100, 999), *(self.rng.randint(10, 99) for _ in range(self.rng.randint(1, 2)))]
        opening = self.rng.choice(["мой номер", "звоните по телефону", "добавочный", "номер заказа", "код города"])
        return f"{opening} {' '.join(str(num2words(group, lang='ru')) for group in groups)}"

    def number(self) -> str:
        amount = self.rng.choice([self.rng.randint(1, 20), self.rng.randint(20, 999), self.rng.randint(1000, 99999)])
        return self.frame(self.rng.choice(["примерно", "ровно", "осталось", "всего", "ещё", "более чем", "нас", "это"]),
                          count(amount, self.pick("unit", "person", "thing")))  # fmt: skip

    def weather(self) -> str:
        degrees = count(self.rng.randint(1, 35), "градус")
        sign = self.rng.choice(["плюс", "минус", "около", "до"])
        return self.frame(self.where(), self.pick("weather"), f"{sign} {degrees}" if self.rng.random() < 0.6 else "")

    def place_of(self) -> str:
        preposition, case = self.rng.choice([("на", "loct"), ("под", "ablt"), ("в", "loct"), ("рядом с", "ablt")])
        what = noun(self.pick("thing", "animal"), "nomn", self.rng.random() < 0.3, self.maybe(0.3, "quality", "colour"))
        said = verb(self.rng.choice(["лежать", "стоять", "находиться", "остаться"]), what, self.tense())
        return self.frame(what.words, said, preposition, self.things(case, 0.1))

    def naming(self) -> str:
        surname = self.pick("surname")
        who, title = self.name(), noun(self.pick("person"), "nomn").words
        surname = surname + "а" if who.gender == "femn" else surname
        ways = [f"меня зовут {who.words} {surname}", f"{title} {who.words} {surname}", f"это {who.words}, {title}"]
        return self.rng.choice(ways)

    def several(self) -> str:
        section = self.rng.choice(["thing", "food", "animal", "person", "place", "abstract"])
        listed = [noun(self.pick(section), "nomn").words for _ in range(self.rng.randint(2, 4))]
        return f"{', '.join(listed[:-1])} и {listed[-1]}"

    def sentence(self) -> str:
        patterns, weights = zip(*self.patterns, strict=True)
        text = str(self.rng.choices(patterns, weights)[0]())
        if self.rng.random() < 0.06:
            text = f"{text}, {self.pick('conjunction')} {self.rng.choices(patterns, weights)[0]()}"
        return re.sub(r"\s+", " ", text).strip()
