import pytest


@pytest.fixture(scope="module")
def check(script):
    return script("check")


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("[train]\nepochs = 3", ()),
        ('[tower]\nkind = "vectors"\nitem_vectors = "a.npy"\nquery_vectors = "b"', ()),
        ("[train]\nepoch = 3", ("train.epoch", "did you mean 'epochs'")),
        ("[ranking]\nks = [1]", ("[ranking] is called [recommend]",)),
        ("[train]\nepochs = true", ("train.epochs must be a whole number",)),
        ("epochs =", ("Invalid value",)),
    ],
)
def test_a_run_in_a_page_is_read(check, code, words):
    found = list(check.toml(code))
    assert len(found) == bool(words)
    assert all(word in found[0] for word in words)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("thresher train run.toml --out runs/a --set train.epochs=3  # a word", ""),
        ("thresher match runs/a --queries - < titles.txt", ""),
        ("thresher data import beir FOLDER data/", ""),
        ("ls --nothing", ""),
        ("thresher train run.toml --nothing 3", "--nothing"),
        ("thresher train run.toml --set train.nothing=3", "train.nothing"),
        ("thresher certify scores.csv --seed high", "seed"),
        ("thresher match", "artifact"),
        ("thresher bench alc", "there is no command thresher bench"),
        ("thresher data generate x", "there is no command thresher data generate"),
        ("python benchmarks/alc.py --data pricerunner", ""),
        ("python benchmarks/alc.py --nothing", "has no --nothing"),
        ("python benchmarks/nothing.py", "there is no benchmarks/nothing.py"),
        ("make quickstart", ""),
        ("make nothing", "make has no target nothing"),
        ("thresher match 'x", "No closing quotation"),
    ],
)
def test_a_command_in_a_page_is_one(check, line, words):
    found = list(check.shell(line))
    assert len(found) == bool(words)
    assert all(words in one for one in found)


def test_a_command_over_two_lines_is_one(check):
    assert list(check.shell("thresher train run.toml \\\n  --set train.seed=1")) == []
    [found] = check.shell("thresher train run.toml \\\n  --set train.sead=1")
    assert "train.sead" in found


def test_a_mention_may_lack_arguments_and_not_have_others(check, tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "`thresher match` and `thresher calibrate runs/a --by NAME`, `thresher index --it x`"
    )
    assert list(check.examples(page)) == ["thresher index has no --it"]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import thresher\nmodel = thresher.train(items, queries, pairs, target=0.9)", ""),
        ("model.match(frame, k=3, keep=['shop'])\nmodel.config.to_toml()", ""),
        ("loss = thresher.losses.CROLoss(alpha=1.2)", ""),
        ("model.calibrate(confidence_level=0.9)", ""),
        ("thresher.fit(items)", "there is no thresher.fit"),
        ("model.predict(frame)", "there is no model.predict"),
        ("thresher.losses.Nothing()", "there is no thresher.losses.Nothing"),
        ("thresher.train(items, precision=0.9)", "no argument precision"),
        ("model.match(frame, top=3)", "no argument top"),
        ("from thresher.losses import Nothing", "thresher.losses has no Nothing"),
        ("model.match(", "was never closed"),
    ],
)
def test_an_example_names_what_there_is(check, code, words):
    found = list(check.python(code))
    assert bool(found) == bool(words)
    assert all(words in one for one in found)


def test_links_lead_somewhere(check, tmp_path):
    (tmp_path / "other.md").write_text("# The `one` thing\n")
    page = tmp_path / "page.md"
    page.write_text(
        "# Here\n[a](other.md) [b](other.md#the-one-thing) [c](#here) [d](https://x.org)\n"
        "[e](lost.md) [f](other.md#lost) [g](#lost)\n```\n[h](code.md)\n```\n"
    )
    assert list(check.links(page)) == [
        "no file lost.md",
        "no heading other.md#lost",
        "no heading #lost",
    ]


def test_what_no_page_names_is_found(check):
    everything = "\n".join(
        [
            *check.commands(),
            *(f"thresher data import {name}" for name in check.IMPORTERS),
            *(f"`{n}`" for r in (check.LOSSES, check.TOWERS, check.ENCODERS) for n in r),
            *(f"`{name}`" for name in (*check.SPLITS, *check.BUNDLED)),
        ]
    )
    assert list(check.undocumented(everything)) == []
    assert list(check.undocumented(everything.replace("`croloss`", ""))) == [
        "no page mentions the loss croloss"
    ]
    assert "no page mentions `thresher certify`" in check.undocumented("")
    assert {"thresher data audit", "thresher match"} <= set(check.commands())


def test_a_table_is_made_of_the_signature_and_the_docstring(check, monkeypatch):
    class Options:
        """What is told.

        Args:
            rows: how many `rows`, or |more|,
                over two lines.
            names: of them.
        """

        def __init__(self, rows: int, names: tuple = ("a",), other: int | None = None) -> None: ...

    reference = check.reference
    Options.__doc__ = Options.__doc__.replace("of them.", "of them.\n            other: none.")
    monkeypatch.setattr(reference, "TABLES", {"made": Options})
    page = "before\n<!-- made -->\nold\n<!-- end -->\nafter"
    assert reference.written(page).splitlines()[2:7] == [
        "| key | default | meaning |",
        "|-|-|-|",
        "| `rows` | needed | how many rows, or \\|more\\|, over two lines. |",
        '| `names` | `["a"]` | of them. |',
        "| `other` | none | none. |",
    ]
    assert reference.missing(page) == []
    assert reference.missing("no table") == ["made"]
