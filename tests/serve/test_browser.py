"""The pages in a real browser: keys, focus, contrast, a phone, no script, hostile titles."""

import shutil
import socket
import threading
import time

import pytest

from oracles.desk import open_desk
from oracles.shop import trained
from thresher.review import Decided, Store
from thresher.serve.app import create_app

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
if CHROMIUM is None:
    pytest.skip("there is no chromium to test with", allow_module_level=True)
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
uvicorn = pytest.importorskip("uvicorn")

ATTACK = (
    "<script>window.hit=1</script><img src=x onerror='window.hit=1'><svg onload='window.hit=1'>"
    "\"' autofocus onfocus='window.hit=1' </title></style></h1>"
    "<a href='javascript:window.hit=1'>x</a>"
)
PATIENCE = 60_000  # milliseconds: no test depends on the speed of the machine
playwright.expect.set_options(timeout=PATIENCE)
PHONE, DESK = {"width": 390, "height": 844}, {"width": 1280, "height": 800}

# Texts that are seen, with the contrast of their colour to what lies behind them, too low for
# WCAG 2.2 AA (1.4.3).
LOW_CONTRAST = """() => {
  const parse = (text) => {
    const [r, g, b, a] = text.match(/[\\d.]+/g).map(Number);
    return [r, g, b, a ?? 1];
  };
  const over = (a, b) => [0, 1, 2].map((i) => a[i] * a[3] + b[i] * (1 - a[3])).concat(1);
  const linear = (v) => v <= 10.31475 ? v / 3294.6 : ((v / 255 + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) =>
    0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  const low = [];
  for (const one of document.querySelectorAll("body *")) {
    const own = [...one.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!own && !one.matches("input, select")) continue;
    if (!one.checkVisibility({visibilityProperty: true})) continue;
    const style = getComputedStyle(one);
    const layers = [];
    for (let at = one; at; at = at.parentElement)
      layers.unshift(parse(getComputedStyle(at).backgroundColor));
    const back = layers.reduce((under, layer) => over(layer, under), [255, 255, 255, 1]);
    const both = [light(over(parse(style.color), back)), light(back)];
    const ratio = (Math.max(...both) + 0.05) / (Math.min(...both) + 0.05);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
    if (ratio < (large ? 3 : 4.5)) low.push([one.outerHTML.slice(0, 90), ratio.toFixed(2)]);
  }
  return low;
}"""
# Controls without a name, or smaller than WCAG 2.2 AA (2.5.8) asks for.
BAD_CONTROLS = """() => [...document.querySelectorAll("button, input:not([type=hidden]), select")]
  .filter((one) => one.checkVisibility())
  .filter((one) => {
    const box = one.getBoundingClientRect();
    const named = one.ariaLabel || one.textContent.trim() || one.labels?.length;
    const small = Math.min(box.width, box.height) < 24;
    return !named || (small && !one.matches(".link, [type=checkbox]"));
  }).map((one) => one.outerHTML.slice(0, 90))"""


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """The service, its address, and a function that gives it an empty store."""
    with open_desk(trained(tmp_path_factory), tmp_path_factory.mktemp("desk")) as service:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        apps = {}

        async def app(scope, receive, send):
            await apps["now"](scope, receive, send)

        config = uvicorn.Config(
            app, host="127.0.0.1", port=port, lifespan="off", ws="none", log_level="error"
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield service, f"http://127.0.0.1:{port}", apps
        server.should_exit = True
        thread.join(10)


@pytest.fixture(scope="module")
def chromium():
    with playwright.sync_playwright() as started:
        made = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield made
        made.close()


@pytest.fixture
def service(served, tmp_path):
    made, _, apps = served
    before = made.store
    with Store.open(f"sqlite:///{tmp_path / 'own.db'}") as made.store:
        apps["now"] = create_app(made)
        log(made, "kettle red KL-123", "toaster blue AK-200 64 GB", "mixer white")
        yield made
    made.store = before


@pytest.fixture
def tab(served, chromium, service):
    """Opens a page; at the end, nothing was asked of others and nothing went wrong."""
    address, opened = served[1], []

    def open_(path="/review", *, asks=True, **how):
        context = chromium.new_context(base_url=address, **{"viewport": DESK, **how})
        context.set_default_timeout(PATIENCE)
        page = context.new_page()
        faults, asked = [], []
        page.on("console", lambda m: faults.append(m.text) if _is_fault(m) else None)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("dialog", lambda dialog: faults.append(dialog.message))
        page.on("request", lambda request: asked.append(request.url))
        opened.append((context, faults, asked))
        page.goto("/login")  # without a key that starts a session
        page.goto(path)
        return page

    yield open_
    for context, faults, asked in opened:
        context.close()
        assert faults == []
        assert [url for url in asked if not url.startswith(address)] == []


def _is_fault(message):
    return message.type in ("error", "warning") and "status of 404" not in message.text


def log(service, *texts, **more):
    found = [
        {
            "item_id": f"i{n}",
            "item": f"Caldo KL-12{n} kettle 128 GB",
            "score": 0.9,
            "confidence": 0.5,
        }
        for n in range(3)
    ]
    made = [
        Decided(
            at=0.0, query_id=text, query={"title": text, "price": "99"}, item_id="i0",
            confidence=0.5 + n / 100, decision="review", candidates=found, **more,
        )
        for n, text in enumerate(texts)
    ]  # fmt: skip
    service.store.log(made)


def said(service):
    return [(v.kind, v.item_id) for v in service.store.verdicts()]


def press(page, key):
    """Press a key and wait for what it brings."""
    with page.expect_response(lambda r: r.request.method == "POST"):
        page.keyboard.press(key)
    page.locator("html:not([data-busy])").wait_for()


def heading(page, text):
    playwright.expect(page.locator("#query")).to_have_text(text)


def test_a_day_at_the_keyboard(tab, service):
    page = tab()
    heading(page, "kettle red KL-123")
    press(page, "2")
    heading(page, "toaster blue AK-200 64 GB")
    assert page.evaluate("document.activeElement.id") == "query"
    press(page, "n")
    heading(page, "mixer white")
    press(page, "u")
    heading(page, "toaster blue AK-200 64 GB")
    playwright.expect(page.locator(".told")).to_contain_text("Taken back")
    press(page, "o")
    heading(page, "mixer white")
    press(page, "s")
    heading(page, "Nothing waits here")
    assert said(service) == [("item", "i1"), ("not_sure", None), ("skip", None)]
    press(page, "u")
    heading(page, "mixer white")


def test_searching_without_the_mouse(tab, service):
    page = tab()
    page.keyboard.press("/")
    page.keyboard.type(service.live.rows(["i42"])["i42"]["title"])
    page.locator("#found .pick").first.wait_for()
    assert said(service) == []  # digits in the search choose nothing
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.value") == "i42"
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Escape")
    press(page, "n")
    page.keyboard.press("/")
    page.keyboard.type(service.live.rows(["i42"])["i42"]["title"])
    page.locator("#found .pick").first.wait_for()
    page.keyboard.press("ArrowDown")
    press(page, "Enter")
    heading(page, "mixer white")
    assert said(service) == [("none", None), ("item", "i42")]


def test_keys_can_be_read_and_switched_off(tab, service):
    page = tab()
    page.keyboard.press("?")
    playwright.expect(page.locator("#help")).to_be_visible()
    page.keyboard.press("1")  # not while the list lies over the case
    page.locator("#keys-on").uncheck()
    page.keyboard.press("Escape")
    playwright.expect(page.locator("#help")).to_be_hidden()
    page.keyboard.press("1")
    page.reload()
    page.keyboard.press("1")
    heading(page, "kettle red KL-123")
    assert said(service) == []


def test_a_key_that_is_held_or_hit_twice_judges_one_case(tab, service):
    page = tab()
    page.evaluate(
        "for (const repeat of [false, true, true]) document.body.dispatchEvent("
        "new KeyboardEvent('keydown', {key: '1', bubbles: true, repeat}))"
    )
    page.evaluate(
        "document.body.dispatchEvent(new KeyboardEvent('keydown', {key: '1', bubbles: true}))"
    )
    heading(page, "toaster blue AK-200 64 GB")
    assert said(service) == [("item", "i0")]


def test_what_is_typed_before_the_next_case_is_seen_judges_nothing(tab, service):
    page = tab()
    page.evaluate(
        "for (const key of '1/non') document.body.dispatchEvent("
        "new KeyboardEvent('keydown', {key, bubbles: true}))"
    )
    heading(page, "toaster blue AK-200 64 GB")
    page.locator("html:not([data-busy])").wait_for()
    assert page.evaluate("document.activeElement.id") == "q"
    assert said(service) == [("item", "i0")]


def test_titles_run_nothing(tab, service):
    log(service, ATTACK, threshold=0.5)
    service.store.log(
        [
            Decided(
                at=0.0, query_id=ATTACK, query={"title": ATTACK, ATTACK: ATTACK}, item_id=ATTACK,
                confidence=0.5, decision="review", threshold=0.5,
                candidates=[{"item_id": ATTACK, "item": ATTACK, "score": 1.0, "confidence": 0.5}],
            )
        ]
    )  # fmt: skip
    page = tab()
    press(page, "n")
    for _ in range(2):
        assert "<script>window.hit=1</script>" in page.locator("#query").text_content()
        page.wait_for_timeout(50)
        assert page.evaluate("window.hit") is None
        assert page.locator("#content img, #content svg, #content a[href^=javascript]").count() == 0
        press(page, "1")
    page.locator("#q").fill(ATTACK)
    page.locator("#found .pick").first.wait_for()
    assert page.evaluate("window.hit") is None
    assert page.title() == "Review - Thresher"
    assert ("item", ATTACK) in said(service)


@pytest.mark.parametrize(("scheme", "size"), [("light", DESK), ("dark", PHONE)])
def test_everything_can_be_read_and_reached(tab, service, scheme, size):
    service.set("stopped", "the audits speak against it", reason="the guard")
    found = [{"item_id": "i1", "item": "Grill AK-778 8 kg"}]
    label = Decided(
        at=0.0, query_id="l", query={"title": "grill AK-777 9 kg"}, item_id="i1", decision="label",
        candidates=found,
    )  # fmt: skip
    service.store.log([label], labels=["i2"])
    page = tab("/review?scores=1", color_scheme=scheme, viewport=size)
    page.locator("#q").fill("kettle")
    page.locator("#found .pick").first.wait_for()
    _check(page)
    page.evaluate("document.querySelector('#help').showPopover()")
    _check(page)
    for path in (
        "/review?queue=label",
        "/review?queue=second",
        "/dashboard",
        "/costs",
        "/review/cases/x",
    ):
        page.goto(path)
        _check(page)
    service.set("stopped", None, reason="")


def _check(page):
    assert page.evaluate(LOW_CONTRAST) == []
    assert page.evaluate(BAD_CONTROLS) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


FOCUS = """(() => {
  const style = getComputedStyle(document.activeElement);
  return [document.activeElement.tagName, style.outlineStyle, parseFloat(style.outlineWidth)];
})()"""


def test_focus_is_seen_wherever_it_goes(tab):
    page, seen = tab(), []
    for _ in range(14):
        page.keyboard.press("Tab")
        seen.append(page.evaluate(FOCUS))
    assert {"A", "SELECT", "BUTTON", "INPUT"} <= {tag for tag, *_ in seen}
    assert [one for one in seen if one[1] != "solid" or one[2] < 2] == []


def test_without_script_every_answer_can_be_given(tab, service):
    page = tab(java_script_enabled=False)
    page.get_by_role("button", name="Choose 2").click()
    heading(page, "toaster blue AK-200 64 GB")
    page.get_by_role("button", name="Undo").click()
    heading(page, "kettle red KL-123")
    page.locator("#q").fill("kettle")
    page.get_by_role("button", name="Search").click()
    page.locator("#found .pick").nth(1).click()
    heading(page, "toaster blue AK-200 64 GB")
    page.get_by_label("Order").select_option("age")
    page.get_by_role("button", name="Show", exact=True).click()
    page.get_by_role("button", name="None of these").click()
    heading(page, "mixer white")
    kinds = [kind for kind, _ in said(service)]
    assert kinds == ["item", "none"]


def test_a_key_logs_in_and_out(tab, service):
    secret = service.store.create_key("ann", "reviewer")
    page = tab()
    page.get_by_label("API key").fill(secret)
    page.get_by_role("button", name="Log in").click()
    heading(page, "kettle red KL-123")
    page.get_by_role("button", name="Log out").click()
    playwright.expect(page.get_by_label("API key")).to_be_visible()
