"""The words by which folders, shards and tables name a split."""

from __future__ import annotations

import re
import unicodedata

from fer_bench.errors import FerBenchError

#: `eval` is what a tree does not name otherwise: its val part, or its test part next to a val one.
EVAL = "eval"


def _plain(text: str) -> str:
    """Without accents and width forms; the case stays."""
    decomposed = unicodedata.normalize("NFKD", text)
    bare = "".join(c for c in decomposed if not unicodedata.combining(c))
    return unicodedata.normalize("NFC", bare)


def _words(**parts: str) -> dict[str, str]:
    return {_plain(word): part for part, words in parts.items() for word in words.split()}


#: Whole words in Latin letters, lower case and without accents.
WORDS = _words(
    train="""train training trains trained trn learn learning entrainement apprentissage
        entrenamiento treino treinamento addestramento allenamento trening trenowanie egitim
        lernen trainieren opleiding trainset utbildning opplaering latihan pelatihan entrenar
        traning trenovaci trenink antrenare antrenament tanito koulutus huanluyen""",
    val="""val vali vals valid valids validate validating validation validations vld dev devel
        development validierung validacion validacao validazione validatie walidacja walidacyjny
        dogrulama validering validasi publictest validar convalida validacni""",
    test="""test tests testing tst holdout heldout teste testes prueba pruebas prova essai tester
        testowy testowanie pengujian privatetest testen testning testovaci teszt testi testare
        probar kiemtra""",
    eval="eval evals evaluate evaluating evaluation evaluations evaluacion avaliacao valutazione",
)
#: Stems of scripts that do not set words apart, or bend their endings; wherever they stand.
STEMS = _words(
    train="""训练 訓練 学习 學習 学習 トレーニング 훈련 학습 обуч трениров навчаль تدريب प्रशिक्षण
        εκπαίδευσ אימון ฝึก""",
    val="验证 驗證 検証 검증 валид провер تحقق सत्यापन επικύρωσ",
    test="测试 測試 テスト 시험 테스트 тест اختبار परीक्षण מבחן ทดสอบ",
    eval="评估 評估 評価 평가 оценк",
)
#: What stands glued to such a word: `trainset`, `testdata`, `Trainingsdaten`.
GLUED = (
    "set", "sets", "data", "dataset", "image", "images", "img", "imgs", "face", "faces", "split",
    "folder", "dir", "sample", "samples", "picture", "pictures", "photo", "photos", "crop", "crops",
    "subset", "part", "list", "daten", "sdaten", "satz", "ssatz", "menge", "smenge", "bilder",
    "sbilder",
)  # fmt: skip
_CAMEL = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[^\W\d_A-Z]+|[A-Z]+")
_LETTERS = re.compile(r"[^\W\d_]+")


def _part_of_word(word: str) -> str | None:
    if word in WORDS:
        return WORDS[word]
    for affix in GLUED:
        if word.endswith(affix) and (part := WORDS.get(word[: -len(affix)])):
            return part
        if word.startswith(affix) and (part := WORDS.get(word[len(affix) :])):
            return part
    return None


def part_of(name: str) -> str | None:
    """`train`, `val`, `test` or `eval` where a name says so in one of its words, else None.

    Words end at `-`, `_`, `.`, blanks, digits and capitals: `01_train`, `FER2013Valid`,
    `test-images`. A name of two splits (`train_val`) names none.
    """
    plain = _plain(name)
    lower = plain.lower()
    parts = {part for stem, part in STEMS.items() if stem.lower() in lower}
    words = _LETTERS.findall(plain)
    if part := WORDS.get("".join(words).lower()):  # `hold-out`
        return part
    for word in words:
        part = _part_of_word(word.lower())
        pieces = [part] if part else [_part_of_word(w.lower()) for w in _CAMEL.findall(word)]
        parts |= {piece for piece in pieces if piece}
    if "test" in parts and (public := re.search("public|private", lower)):
        parts = {"val" if public[0] == "public" else "test"}  # FER2013's own two tests
    return parts.pop() if len(parts) == 1 else None


def settle_eval(parts: set[str], source: str) -> str:
    """What `eval` is among a source's parts.

    Raises:
        FerBenchError: it has a val and a test part too.
    """
    if {"val", "test", EVAL} <= parts:
        raise FerBenchError(
            f"{source} has a val, a test and an eval part, expected two of them next to train: "
            "leave one out or rename it"
        )
    return "test" if "val" in parts else "val"
