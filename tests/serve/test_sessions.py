"""Sessions end, cannot be forged, and belong to people who review."""

from types import SimpleNamespace

from thresher.review import Key
from thresher.serve.sessions import LOCAL, Sessions

ANN = Key("k1", "ann", "reviewer", 0.0)


class Keys:
    def __init__(self, *keys):
        self.found = list(keys)

    def keys(self):
        return self.found


def opened(*keys, secret=b"s"):
    clock = SimpleNamespace(now=1000.0)
    return Sessions(secret, Keys(*keys), lambda: clock.now), clock


def test_a_session_names_its_key_for_twelve_hours():
    sessions, clock = opened(ANN)
    cookie = sessions.open(ANN)
    clock.now += 12 * 3600
    assert sessions.who(cookie) == ANN
    clock.now += 1
    assert sessions.who(cookie) is None


def test_a_session_that_was_changed_is_none():
    sessions, _ = opened(ANN, Key("k2", "eve", "admin", 0.0))
    cookie = sessions.open(ANN)
    for forged in (
        None,
        "",
        "x",
        "...",
        cookie.replace("k1", "k2"),
        cookie[:-1],
        f"{cookie}0",
        "é.é",
    ):
        assert sessions.who(forged) is None
    other, _ = opened(ANN, secret=b"t")
    assert other.who(cookie) is None


def test_a_session_is_for_a_key_in_force_whose_role_reviews():
    for key in (Key("k1", "ann", "client", 0.0), Key("k1", "ann", "reviewer", 0.0, 900.0)):
        sessions, _ = opened(key)
        assert sessions.who(sessions.open(key)) is None
    sessions, _ = opened(ANN)
    assert sessions.who(sessions.open(LOCAL)) is None
    sessions, _ = opened()
    assert sessions.who(sessions.open(LOCAL)) == LOCAL
    assert sessions.who(sessions.open(ANN)) is None


def test_a_token_belongs_to_one_session():
    sessions, _ = opened(ANN)
    one, other = sessions.open(ANN), sessions.open(ANN)
    assert sessions.is_token(one, sessions.token(one))
    assert not sessions.is_token(other, sessions.token(one))
    assert not sessions.is_token(None, sessions.token(one))
    assert sessions.token(one) not in one
