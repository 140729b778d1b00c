import re
from pathlib import Path

import numpy as np
import pandas as pd

import thresher

ROOT = Path(__file__).parents[2]
SIZE = 270
KINDS = ("kettle", "lamp", "drill", "chair", "router")


def test_the_examples_of_the_readme_run(tmp_path, monkeypatch):
    draw = np.random.default_rng(0)
    titles = [f"{KINDS[n % 5]} model{n} x{7 * n}" for n in range(60)]
    item = np.arange(SIZE) % 60
    words = draw.integers(1000, size=SIZE)
    offers = [f"{titles[i]} in colour{w}" for i, w in zip(item, words, strict=True)]
    splits = [*["train"] * 120, *["calibration"] * 110, *["validation"] * 20, *["test"] * 20]
    frames = {
        "items": {"id": [f"i{n}" for n in range(60)], "title": titles},
        "queries": {"id": [f"q{n}" for n in range(SIZE)], "title": offers, "split": splits},
        "pairs": {
            "query_id": [f"q{n}" for n in range(SIZE)],
            "item_id": [f"i{n}" for n in item],
        },
        "new_offers": {"id": ["a", "b"], "title": ["lamp model1 x7 green", "drill model2 x14"]},
    }
    for name, columns in frames.items():
        pd.DataFrame(columns).to_csv(tmp_path / f"{name}.csv", index=False)
    monkeypatch.chdir(tmp_path)

    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
    assert len(blocks) == 2
    names = {}
    for block in blocks:
        # The value of the last line of the first block is what a reader is promised.
        exec(re.sub(r"(?m)^model\.match", "answers = model.match", block), names)

    answers = names["answers"]
    assert isinstance(answers, pd.DataFrame)
    assert answers["query_id"].tolist() == ["a", "b"]
    assert answers["item_id"].tolist() == ["i1", "i2"]
    assert set(answers["decision"]) <= {"accept", "review"}
    assert isinstance(names["model"].policy, thresher.Policy | thresher.NoThreshold)
    assert names["queries"].grad.abs().sum() > 0
