"""Writes the fixtures that the tokenizer tests compare with: small tokenizers of each kind, and what the published
libraries make of texts with them.

Not needed to run the tests. In an environment with `pip install tokenizers==0.22.2 sentencepiece==0.2.3
transformers==4.57.6 protobuf`:

    python test/tokenizers/generate.py

For each kind: fixtures/NAME/tokenizer.json, tokenizer_config.json where there is one, tokenizer.model where sentencepiece
trained it, and reference.json:

    texts    [{text, ids, decoded}]   by tokenizers, without what it writes around a text; added tokens are found in it
    plain    [ids]                    of the same texts where added tokens are no more than words; absent for Unigram
    pieces   [ids]                    by sentencepiece, which finds no control tokens; absent where there is no tokenizer.model
    prefixes [[decoded]]              of some of the texts: after each token
    random   [{ids, decoded}]         tokens in no order
"""

import json
import random
import shutil
from pathlib import Path

import sentencepiece
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import LlamaTokenizer, LlamaTokenizerFast, T5Tokenizer
from transformers.convert_slow_tokenizer import SpmConverter

HERE = Path(__file__).parent
FIXTURES = HERE / "fixtures"

CORPUS = """
The quick brown fox jumps over the lazy dog, and the dog does not mind. It's 10:30; we've 1,024 tokens left.
Der schnelle braune Fuchs springt über den faulen Hund. Größe und Maß, Äpfel und Öl: Straße!
Le renard brun saute par-dessus le chien paresseux ; l'été, à Noël, où êtes-vous, garçon ?
El veloz murciélago hindú comía feliz cardillo y kiwi. ¿Qué tal? ¡Mañana, señor!
Быстрая коричневая лиса прыгает через ленивую собаку. Съешь ещё этих мягких французских булок.
敏捷的棕色狐狸跳过了懒狗。我是一个小型多模态模型，会看图，也会画图。
素早い茶色の狐がのろまな犬を飛び越える。カタカナとひらがな。
빠른 갈색 여우가 게으른 개를 뛰어넘는다. 안녕하세요, 세계!
الثعلب البني السريع يقفز فوق الكلب الكسول. مرحبا بالعالم
तेज़ भूरी लोमड़ी आलसी कुत्ते के ऊपर कूदती है।
def main(argument: int) -> None:\n    for index in range(argument):\n        print(f"{index}: {argument}")
{"name": "value", "list": [1, 2, 3], "nested": {"a": true, "b": null}}
""".strip().split("\n")

TEXTS = [
    "Hello world", " Hello world", "  Hello   world  ", "Hello world\n", "\n\nHello\n\n\nworld\t\ttabs", "", " ", "  ", "\n",
    "a", "▁", "▁▁a ▁b", " ▁ x", "It's we've I'LL they'd", "1 22 333 4444 12,345.678 ½ ² ³ ①② ٣٤ ⅫⅣ",
    "naïve café", "e\u0301 n\u0303 A\u030a", "\u00e9 \u1e69 \u0073\u0323\u0307", "ﬁ ﬂ ﬀ ｆｕｌｌ ｗｉｄｔｈ ａｂｃ ~～", "ΑΣ ΟΔΟΣ İI ßẞ ǅ",
    "我是一个小型多模态模型，会看图。", "こんにちは世界 カタカナ", "안녕하세요 세계", "مرحبا بالعالم", "नमस्ते दुनिया", "Съешь ещё этих булок",
    "👩‍👩‍👧‍👦 🏳️‍🌈 🍎🍎 😀x😀", "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 ﷽ \U0010fffd", "\ufeffmark \u200bzero \u00a0nbsp \u3000wide \u2028line \u0085next",
    "nul\x00 bell\x07 esc\x1b del\x7f \r\n cr\r lf", "<s>", "</s>", "<s>Hello</s>", "Hello <s> world </s> x", "<unk> <pad>",
    "<|turn|>user\nHi<|end|>\n<|turn|>assistant\n", "  <|turn|>  x  <|end|>  y", "<|turn|>", "a<|turn|>b<|end|>c",
    "<tool>x</tool> <tool> y", "word wordy aword word. WORD Word", "<mask> fill <mask>the<mask>", "<0x41> <0x0A> <0xZZ>",
    "x" * 70, "ab" * 40, " " * 40 + "x" + " " * 17, "\t" * 9, "!?!?... --- *** ### ((()))", "don't 'tis ''' \"quoted\"",
    "def f(x):\n    return {'a': [1, 2, {\"b\": None}]}\n", "https://example.org/a?b=c&d=%20#e", "CamelCase snake_case kebab-case",
]  # fmt: skip
FRAGMENTS = [
    " ", "  ", "   ", "\n", "\t", "\r\n", "\u00a0", "\u3000", "▁", "the", "The", " dog", "fox", "ing", "über", "Straße", "é", "e\u0301",
    "我", "小型", "。", "カ", "여우", "ب", "कु", "🍎", "👩‍👧", "\U0010fffd", "1", "23", "½", "٣", "<s>", "</s>", "<|turn|>", "<|end|>",
    "<tool>", "word", "<mask>", "<", ">", "<|", "|>", "ﬁ", "Ａ", "Σ", "'s", "n't", ".", ",", "!", "\x00", "\u200b", "\ufeff", "\u0085",
]  # fmt: skip


def texts(seed: int) -> list[str]:
    choice = random.Random(seed)
    lines = [line.replace("\\n", "\n") for line in CORPUS]
    return TEXTS + lines + ["".join(choice.choices(FRAGMENTS, k=choice.randint(1, 9))) for _ in range(150)]


def reference(tokenizer: Tokenizer, seed: int, processor: sentencepiece.SentencePieceProcessor | None = None) -> dict:
    source = json.loads(tokenizer.to_str())
    encode = lambda text, by: by.encode(text, add_special_tokens=False).ids  # noqa: E731
    found = []
    for text in texts(seed):
        ids = encode(text, tokenizer)
        found.append({"text": text, "ids": ids, "decoded": tokenizer.decode(ids)})
    written = {"texts": found}
    if source["model"]["type"] == "BPE":
        without = Tokenizer.from_str(json.dumps({**source, "added_tokens": [], "post_processor": None}))
        written["plain"] = [encode(text["text"], without) for text in found]
    if processor is not None:
        written["pieces"] = [processor.encode(text["text"]) for text in found]
    chosen = [text for text in found if 3 <= len(text["ids"]) <= 40][:: 12]
    written["prefixes"] = [
        [tokenizer.decode(text["ids"][: end + 1]) for end in range(len(text["ids"]))] for text in chosen
    ]
    written["prefixed"] = [found.index(text) for text in chosen]
    choice = random.Random(seed)
    size = tokenizer.get_vocab_size()
    drawn = [[choice.randrange(size) for _ in range(choice.randint(1, 12))] for _ in range(150)]
    written["random"] = [{"ids": ids, "decoded": tokenizer.decode(ids)} for ids in drawn]
    return written


def save(name: str, tokenizer: Tokenizer, seed: int, model: Path | None = None, config: dict | None = None) -> None:
    folder = FIXTURES / name
    folder.mkdir(parents=True)
    source = json.loads(tokenizer.to_str())
    (folder / "tokenizer.json").write_text(json.dumps(source, ensure_ascii=False) + "\n")
    processor = None
    if model is not None:
        shutil.copy(model, folder / "tokenizer.model")
        processor = sentencepiece.SentencePieceProcessor(model_file=str(model))
    if config is not None:
        (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")
    found = reference(Tokenizer.from_str(json.dumps(source)), seed, processor)
    (folder / "reference.json").write_text(json.dumps(found, ensure_ascii=False) + "\n")
    print(name, len(found["texts"]), "texts", tokenizer.get_vocab_size(), "tokens")


SPECIAL = ["<|turn|>", "<|end|>"]


def added(**which: bool) -> list[AddedToken]:
    return [
        AddedToken("<mask>", lstrip=True, special=True),
        AddedToken("<tool>", rstrip=True, normalized=False),
        AddedToken("word", single_word=True, normalized=True),
        AddedToken("   ", normalized=False),
    ]


def byte_level(name: str, seed: int, pre_tokenizer, normalizer=None, extra=False, **model: bool) -> None:
    tokenizer = Tokenizer(models.BPE(**model))
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.ByteLevel()
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    trainer = trainers.BpeTrainer(
        vocab_size=420, special_tokens=SPECIAL, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(CORPUS * 4, trainer)
    if extra:
        tokenizer.add_tokens(added())
    save(name, tokenizer, seed)


LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def train(name: str, **options) -> Path:
    prefix = FIXTURES / name
    corpus = FIXTURES / "corpus.txt"
    corpus.write_text("\n".join(CORPUS * 4) + "\n")
    sentencepiece.SentencePieceTrainer.train(
        input=str(corpus), model_prefix=str(prefix), minloglevel=2, num_threads=1, pad_id=-1, hard_vocab_limit=False, **options
    )
    (FIXTURES / f"{name}.vocab").unlink()
    return FIXTURES / f"{name}.model"


def llama(name: str, seed: int, model: Path, **config) -> None:
    """As transformers converts it; ids are held to its slow tokenizer, too."""
    given = {"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", **config}
    extra = {
        str(index): {"content": text, "special": True, "normalized": False, "lstrip": False, "rstrip": False, "single_word": False}
        for index, text in enumerate(["<unk>", "<s>", "</s>"])
    }
    size = sentencepiece.SentencePieceProcessor(model_file=str(model)).get_piece_size()
    for index, text in enumerate(SPECIAL):
        extra[str(size + index)] = {**extra["0"], "content": text}
    given["added_tokens_decoder"] = extra
    options = {key: value for key, value in config.items() if key in ("legacy", "add_prefix_space", "add_bos_token", "add_eos_token")}
    # Left out, the fast tokenizer takes it for false, which the slow one does not.
    options.setdefault("add_prefix_space", True)
    slow = LlamaTokenizer(str(model), **options)
    slow.add_tokens([AddedToken(text, special=True, normalized=False) for text in SPECIAL], special_tokens=True)
    fast = LlamaTokenizerFast(str(model), **options)
    fast.add_tokens([AddedToken(text, special=True, normalized=False) for text in SPECIAL], special_tokens=True)
    save(name, fast._tokenizer, seed, model, given)
    differing = 0
    for text in texts(seed):
        one, other = (by.encode(text, add_special_tokens=False) for by in (slow, fast))
        if one != other:
            differing += 1
            if differing < 6:
                print("   slow differs", repr(text), one[:12], other[:12])
    print("   slow and fast differ in", differing)


class Generic(SpmConverter):
    handle_byte_fallback = True


def main() -> None:
    shutil.rmtree(FIXTURES, ignore_errors=True)
    FIXTURES.mkdir()
    byte_level("byte-level", 1, pre_tokenizers.ByteLevel(add_prefix_space=False), extra=True)
    split = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(LLAMA3), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    byte_level("byte-level-split", 2, split, ignore_merges=True)
    digits = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=True)])
    byte_level("byte-level-digits-nfc", 3, digits, normalizers.NFC())

    bpe = train("bpe", model_type="bpe", vocab_size=900, byte_fallback=True, character_coverage=0.98, normalization_rule_name="identity", remove_extra_whitespaces=False, user_defined_symbols=[])  # fmt: skip
    llama("llama-legacy", 4, bpe, legacy=True)
    llama("llama-first", 5, bpe, legacy=False, add_bos_token=True)
    llama("llama-no-prefix", 6, bpe, legacy=False, add_prefix_space=False, add_bos_token=False)
    bpe.unlink()

    mixed = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True))
    mixed.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase(), normalizers.Strip()])
    mixed.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Metaspace(prepend_scheme="always"), pre_tokenizers.Punctuation("isolated")])
    mixed.decoder = decoders.Metaspace(prepend_scheme="always")
    mixed.train_from_iterator(CORPUS * 4, trainers.BpeTrainer(vocab_size=500, special_tokens=["<unk>", "<s>", *SPECIAL], limit_alphabet=200, show_progress=False))  # fmt: skip
    mixed.add_tokens(added())
    save("metaspace-lowercase", mixed, 7)

    unigram = train("unigram", model_type="unigram", vocab_size=420, normalization_rule_name="nmt_nfkc", character_coverage=0.98)
    processor = T5Tokenizer(str(unigram), extra_ids=0)
    save("unigram-nfkc", Generic(processor).converted(), 8, unigram)
    unigram.unlink()

    fallback = train("unigram-bytes", model_type="unigram", vocab_size=700, byte_fallback=True, normalization_rule_name="identity", remove_extra_whitespaces=False, character_coverage=0.98, user_defined_symbols=["<tool>"])  # fmt: skip
    plain = LlamaTokenizerFast(str(fallback), legacy=False, add_prefix_space=True)
    save("unigram-bytes", plain._tokenizer, 9, fallback, {"tokenizer_class": "LlamaTokenizer", "legacy": False})
    fallback.unlink()
    train_kinds()
    (FIXTURES / "corpus.txt").unlink()


def train_kinds() -> None:
    """Kinds that are refused."""
    for kind in ("word", "char"):
        train(f"refused-{kind}", model_type=kind, vocab_size=60 if kind == "char" else 40, normalization_rule_name="identity")


main()
