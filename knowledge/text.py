"""What people type → one spelling: width, traditional characters, numerals, years, rates, dates, pinyin."""

import functools
import os
import re
import unicodedata

import cn2an
import opencc

# Only single characters are looked up; without its phrase table pypinyin takes 50 MB less and starts faster.
os.environ.setdefault("PYPINYIN_NO_PHRASES", "true")
from pypinyin import lazy_pinyin  # noqa: E402

_DIGITS = "零〇一二两三四五六七八九十百"
_NUMERAL = f"[{_DIGITS}]"
_YEAR_WORD = "年|批|级|届"
_MEASURE = "个|天|县|家|名|人|次|月|日|号|期|批|万|元|块|毛|平|倍|年|周|分"

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\ud800-\udfff\ufeff]")
_SPACE_IN_CHINESE = re.compile(r"(?<=[\u4e00-\u9fff，。？！、])\s+(?=[\u4e00-\u9fff])")
_FULL_YEAR = re.compile(r"[二2][0〇零][一二0-2〇零][0-9一二三四五六七八九〇零](?=年|批|级|届)")
_SHORT_YEAR = re.compile(rf"(?<![{_DIGITS}])([一二])([〇零一二三四五六七八九])(?=年|批)")
_TWO_DIGIT_YEAR = re.compile(rf"(?<![\d.])([12]\d)(?=(?:{_YEAR_WORD})(?!底前?共))")
_YEAR_RANGE = re.compile(r"(?<![\d.])(\d{2}|20\d\d)年?(?:到|至|-|—|~)(\d{2}|20\d\d)(?=年|批|级)")
_PERCENT_WORD = re.compile(rf"百分之({_NUMERAL}+(?:点{_NUMERAL}+)?)")
_PERCENT_DIGIT = re.compile(r"百分之(\d+(?:\.\d+)?)")
_TENTHS = re.compile(r"([一二两三四五六七八九]|\d)成(半|[一二三四五六七八九]|\d)?(?![立为功员效本果就])")
_MONTH_DAY = re.compile(rf"({_NUMERAL}+|\d+)月(?:份)?({_NUMERAL}+|\d+)[号日]")
_MONTH = re.compile(rf"({_NUMERAL}+)月")
_COUNT = re.compile(rf"(?<![第\d.{_DIGITS}])({_NUMERAL}+)(?={_MEASURE})")

_FILLER = re.compile(
    r"^(?:\s*(?:(?:您好|你好|请问|麻烦|咨询|想问|问)(?:一?下)?[，,。!！ ]*"
    r"|领导(?:让|叫)我问一?[句下][，,]?|我想(?:问|知道|了解)(?:一?下)?[，,]?"
    r"|(?:老师|同志|领导|专家)[，,]|[一-龥]{1,3}问[：:]|那个[，,]))+"
)


@functools.cache
def _converter() -> opencc.OpenCC:
    return opencc.OpenCC("t2s")


def number(text: str) -> int:
    """Read a whole number in Arabic or Chinese digits. Raises ValueError."""
    return int(text) if text.isdigit() else int(cn2an.cn2an(text, "smart"))


def _safe_number(text: str) -> str:
    whole, point, rest = text.partition("点")
    try:
        return f"{number(whole)}.{_digits(rest)}" if point else str(number(text))
    except ValueError:
        return text


def _count(match: re.Match[str]) -> str:
    """A count in digits; a span of years stays, or 十年 would be read again as 2010年."""
    count = _safe_number(match[1])
    return match[1] if _TWO_DIGIT_YEAR.match(count + match.string[match.end() :]) else count


def _digits(text: str) -> str:
    return "".join(
        str("〇一二三四五六七八九".find(c)) if c in "〇一二三四五六七八九" else "0" if c == "零" else c for c in text
    )


def _tenths(match: re.Match[str]) -> str:
    tens = number(match[1])
    rest = match[2]
    ones = 5 if rest == "半" else number(rest) if rest else 0
    return f"{tens * 10 + ones}%"


def clean(text: str) -> str:
    """Fold width and traditional characters, drop control characters; the words stay as typed."""
    text = _CONTROL.sub("", text.replace("\n", " ").replace("\t", " "))
    text = unicodedata.normalize("NFKC", text)
    text = text.translate(str.maketrans("?!,;:", "？！，；："))
    return _SPACE_IN_CHINESE.sub(" ", _converter().convert(text)).strip()


def numerals(text: str) -> str:
    """Write years, rates, dates and counts in Arabic digits: 一七年 → 2017年, 八成五 → 85%, 三个 → 3个."""
    text = _FULL_YEAR.sub(lambda m: _digits(m.group()), text)
    text = _SHORT_YEAR.sub(lambda m: "20" + _digits(m.group()), text)
    text = _YEAR_RANGE.sub(lambda m: f"20{m[1][-2:]}—20{m[2][-2:]}", text)
    text = _TWO_DIGIT_YEAR.sub(r"20\1", text)
    text = _PERCENT_WORD.sub(lambda m: _safe_number(m[1]) + "%", text)
    text = _PERCENT_DIGIT.sub(r"\1%", text)
    text = _TENTHS.sub(_tenths, text)
    text = _MONTH_DAY.sub(lambda m: f"{_safe_number(m[1])}月{_safe_number(m[2])}日", text)
    text = _MONTH.sub(lambda m: f"{_safe_number(m[1])}月", text)
    return _COUNT.sub(_count, text)


# How other regions ask: 中不中, 要得不, …噻, …伐, 莫得.
_REGIONAL = tuple(
    (re.compile(pattern), common)
    for pattern, common in (
        (r"(?<![其当集])中不中(?!断)|要得不(?:要得)?|得行不(?:得行)?", "行不行"),
        (r"(?<![砍征步北讨杀])伐(?=[？?。]*$)", "吗"),
        (r"(?<=[一-龥])[噻嘞](?=[？?。]*$)", "吧"),
        (r"莫得|没得(?=[？?。]*$)", "没有"),
        (r"俺们?", "我们"),
        (r"自个儿?|各人(?=[的个])", "自己"),
        (r"(?<=[一-龥])[，,\s](?:领导|局长|县长|书记|老板|主任)(?:在|让|叫我|让我)?问(?:的|呢)?(?=[？?。]*$)", ""),
    )
)


def normalise(text: str) -> str:
    """One spelling of a question for matching; greetings and run-up phrases go, regional ways to ask become common."""
    plain = _FILLER.sub("", numerals(clean(text).lower())).strip()
    for pattern, common in _REGIONAL:
        plain = pattern.sub(common, plain)
    return plain


_FUZZY = [("zh", "z"), ("ch", "c"), ("sh", "s"), ("ang", "an"), ("eng", "en"), ("ing", "in")]


def _fold(syllable: str) -> str:
    for precise, loose in _FUZZY:
        syllable = syllable.replace(precise, loose)
    return "l" + syllable[1:] if syllable.startswith("n") else syllable


@functools.lru_cache(maxsize=32768)
def _syllable(character: str) -> str:
    return lazy_pinyin(character)[0]


@functools.lru_cache(maxsize=32768)
def _sound(character: str) -> str:
    return _fold(_syllable(character))


def pinyin(text: str) -> list[str]:
    """A toneless syllable for each character, read alone, so that equal characters always sound equal.

    Pairs that southern speakers and input methods mix up (zh/z, n/l, ing/in …) are folded.
    """
    return [_sound(character) for character in text]


def initials(text: str) -> str:
    """First letters of the syllables: 二次申报 → ecsb."""
    return "".join(_syllable(character)[:1] for character in text if character.isalnum()).lower()


_TOKEN = re.compile(r"[a-z]+|\d+(?:\.\d+)?%?|[\u3400-\u9fff]")


def grams(text: str) -> list[str]:
    """Single characters, adjacent pairs, and whole numbers or Latin words; punctuation breaks pairs."""
    found: list[str] = []
    before, end = "", -1
    for match in _TOKEN.finditer(text):
        token = match.group()
        found.append(token)
        if before and match.start() == end:
            found.append(before + token)
        before, end = token, match.end()
    return found


def sentences(text: str) -> list[str]:
    """Split at sentence ends, keeping the mark; line breaks end a sentence too."""
    return [part.strip() for part in re.findall(r"[^。！？\n]+[。！？]?[”’]?", text) if part.strip()]


def squeeze(text: str) -> str:
    """Only letters, digits and characters, for comparing whole questions."""
    return re.sub(r"[^\w%]+", "", text.lower())
