"""What differs is marked: by hand for what people look for, by properties for any text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thresher.serve.marking import mark

WORDS = ["64", "GB", "64gb", "5.5", "KG800", "kg810", "Plus", "8", "7", "é", "黒", "-", " "]
TEXTS = st.text(max_size=60) | st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join)


def kinds(spans):
    return [(span.text, span.kind) for span in spans if span.kind != "same"]


def pairs(marked):
    return [(conflict.kind, conflict.query, conflict.item) for conflict in marked.conflicts]


@pytest.mark.parametrize(
    ("query", "item"),
    [
        ("apple iphone 8 64 gb", "Apple iPhone 8 64GB"),
        ("café-crème", "CAFE CREME"),
        ("e5 2670", "E5-2670"),
        ("kin85 af30", "KIN85AF30"),
        ("screen 5,5 inch", "Screen 5.5inch"),
        ("1,299 points", "1299 points"),
        ("iphone8 plus", "iPhone 8 Plus"),
        ("ソニー カメラ", "ソニー・カメラ"),
    ],
)
def test_the_same_words_are_not_marked(query, item):
    marked = mark(query, item)
    assert kinds(marked.query) == kinds(marked.item) == []
    assert marked.conflicts == ()


def test_words_of_one_side_alone():
    marked = mark("apple iphone 8 silver sim free", "Apple iPhone 8 Unlocked")
    assert kinds(marked.query) == [("silver sim free", "only")]
    assert kinds(marked.item) == [("Unlocked", "only")]
    assert marked.conflicts == ()


def test_another_code_is_marked_where_it_begins_to_differ():
    marked = mark("Neff oven KIN85AF30", "Neff Oven KIN85HD30G")
    assert kinds(marked.query) == [("AF30", "code")]
    assert kinds(marked.item) == [("HD30G", "code")]
    assert pairs(marked) == [("code", "KIN85AF30", "KIN85HD30G")]


def test_a_code_that_the_other_side_does_not_name_is_no_conflict():
    marked = mark("apple mq8n2b/a iphone", "Apple iPhone")
    assert kinds(marked.query) == [("mq8n2b", "only"), ("a", "only")]
    assert marked.conflicts == ()


def test_codes_without_a_common_beginning_are_marked_whole():
    marked = mark("canon ink 5600", "Canon ink 4800")
    assert kinds(marked.item) == [("4800", "code")]
    assert pairs(marked) == [("code", "5600", "4800")]


@pytest.mark.parametrize(
    ("query", "item", "conflict"),
    [
        ("phone 64 GB", "Phone 128GB", ("number", "64 GB", "128GB")),
        ("phone 64gb", "Phone 128gb", ("number", "64gb", "128gb")),
        ("iphone 8 plus", "iPhone 7 Plus", ("number", "8 plus", "7 Plus")),
        ("iphone 8", "iPhone 7", ("number", "8", "7")),
        ("washer 9kg 1400 rpm", "Washer 9 kg 1200 rpm", ("number", "1400 rpm", "1200 rpm")),
        ("tv 5.5 inch", "TV 55 inch", ("number", "5.5 inch", "55 inch")),
        ("model 2017", "Model 2018", ("number", "2017", "2018")),
    ],
)
def test_another_number_of_the_same_unit(query, item, conflict):
    assert pairs(mark(query, item)) == [conflict]


@pytest.mark.parametrize(
    ("query", "item"),
    [("camera 12mp", "Camera 64gb"), ("washer 1200 spin", "iPhone 8 64GB"), ("5 cups", "Box of 7")],
)
def test_numbers_of_different_things_do_not_contradict(query, item):
    marked = mark(query, item)
    assert {kind for _, kind in kinds(marked.query)} == {"only"}
    assert marked.conflicts == ()


def test_a_text_in_a_script_without_spaces_is_compared_by_its_characters():
    marked = mark("黒い 靴", "白い 靴")
    assert kinds(marked.query) == [("黒", "only")]
    assert kinds(marked.item) == [("白", "only")]


@given(TEXTS, TEXTS)
def test_nothing_of_a_text_is_lost_and_sides_may_be_exchanged(query, item):
    marked, turned = mark(query, item), mark(item, query)
    assert "".join(span.text for span in marked.query) == query
    assert "".join(span.text for span in marked.item) == item
    assert (marked.query, marked.item) == (turned.item, turned.query)
    assert all(span.text for span in marked.query)


@given(TEXTS)
def test_a_text_is_the_same_as_itself(text):
    marked = mark(text, text)
    assert kinds(marked.query) == kinds(marked.item) == []
    assert marked.conflicts == ()
