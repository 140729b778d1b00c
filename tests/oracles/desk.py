"""A service over the small shop with a store of its own, and what a page holds."""

from contextlib import contextmanager
from html.parser import HTMLParser

from thresher.review import Store
from thresher.serve.options import ServiceOptions
from thresher.serve.service import Service


@contextmanager
def open_desk(shop, folder, **options):
    """A service with an empty store."""
    with Store.open(f"sqlite:///{folder / 'reviews.db'}") as store:
        given = ServiceOptions(**{"second_opinion": 0.0, **options})
        service = Service(shop / "model", store, given)
        yield service
        service.close()


class Parsed(HTMLParser):
    """Tags with their attributes, forms with their fields, and the text."""

    def __init__(self, markup):
        super().__init__()
        self.tags, self.forms, self.text, self.buttons = [], [], "", []
        self.feed(markup)
        self.close()
        self.words = " ".join(self.text.replace("\N{NO-BREAK SPACE}", " ").split())

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        if tag not in ("mark", "bdi"):  # other tags part words
            self.text += " "
        self.tags.append((tag, given))
        if tag == "form":
            self.forms.append((given, {}))
        if tag == "input" and self.forms and "name" in given:
            self.forms[-1][1][given["name"]] = given.get("value", "")
        if tag == "button":
            self.buttons.append(given)

    def handle_data(self, data):
        self.text += data

    def form(self, start):
        """Address and fields of the form that posts to an address."""
        return next(
            (given["action"], fields)
            for given, fields in self.forms
            if given.get("method") == "post" and given["action"].startswith(start)
        )

    def attributes(self, name):
        return [given[name] for _, given in self.tags if name in given]
