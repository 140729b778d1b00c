import pytest

pytest.importorskip("mkdocs")


@pytest.fixture(scope="module")
def pages(script):
    return script("pages")


def test_a_notebook_is_its_text_its_code_and_what_it_printed(pages):
    read = {
        "cells": [
            {"cell_type": "markdown", "source": ["# Head\n", "text"]},
            {
                "cell_type": "code",
                "source": ["print(1)\n", "2"],
                "outputs": [
                    {"output_type": "stream", "text": ["1\n"]},
                    {"output_type": "execute_result", "data": {"text/plain": ["2"]}},
                ],
            },
            {"cell_type": "code", "source": ["x = 1"], "outputs": []},
        ]
    }
    assert pages.notebook(read) == (
        "# Head\ntext\n\n```python\nprint(1)\n2\n```\n\n```text\n1\n```\n\n```text\n2\n```\n\n"
        "```python\nx = 1\n```"
    )


@pytest.mark.parametrize(
    ("folder", "page", "link", "led"),
    [
        ("..", "contributing.md", "docs/guides/losses.md", "guides/losses.md"),
        ("..", "changelog.md", "CONTRIBUTING.md#work-here", "contributing.md#work-here"),
        ("guides", "guides/encoders.md", "../../CONTRIBUTING.md", "../contributing.md"),
        ("guides", "guides/matching.md", "../tutorials/match.ipynb", "../tutorials/match.md"),
        ("adr", "adr/index.md", "0013-one-run.md", "0013-one-run.md"),
        ("", "index.md", "https://x.org/a.ipynb", "https://x.org/a.ipynb"),
    ],
)
def test_links_lead_to_the_pages_of_the_site(pages, folder, page, link, led):
    assert pages._relinked(f"[a]({link})", folder, page) == f"[a]({led})"


@pytest.mark.parametrize(
    "loaded",
    [
        '<script src="https://x.org/a.js"></script>',
        "<link rel=stylesheet href='https://x.org/a.css'>",
        '<img alt="a" src="http://x.org/a.png">',
    ],
)
def test_a_page_that_loads_from_elsewhere_is_refused(pages, loaded):
    class Page:
        class file:
            src_uri = "a.md"

    fine = '<script src="../a.js"></script><a href="https://x.org">x</a>'
    assert pages.on_post_page(fine, Page, {}) == fine
    with pytest.raises(pages.PluginError, match=r"a\.md loads"):
        pages.on_post_page(fine + loaded, Page, {})


def test_a_section_of_a_docstring_keeps_the_lines_of_its_equation(script):
    pytest.importorskip("griffe")
    sections = script("sections")

    class Thing:
        class docstring:
            value = (
                "Add.\n\nEquation:  a = b\n           c = d\nSource:    A 2020.\n\nArgs:\n    a: b."
            )

    sections.Sections().on_object(obj=Thing)
    assert Thing.docstring.value == (
        "Add.\n\n**Equation**\n\n```text\na = b\nc = d\n```\n\n"
        "**Source**: A 2020.\n\n\nArgs:\n    a: b."
    )
