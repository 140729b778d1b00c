"""A small catalogue on disk that each test bends as it needs."""

import pytest

FILES = {
    "items.csv": "id,title\nA,red mug\nB,blue mug\nC,green mug\n",
    "queries.csv": "id,title\n1,mug red\n2,mug blue\n3,mug green\n4,teapot\n",
    "pairs.csv": "query_id,item_id\n1,A\n2,B\n3,C\n",
}


@pytest.fixture
def folder(tmp_path):
    """Writes the three files, some of them replaced, and gives their folder."""

    def write(**replaced: str):
        for name, content in FILES.items():
            (tmp_path / name).write_text(replaced.get(name.split(".")[0], content))
        return tmp_path

    return write
