"""A page's form, as a machine reads it: any page's, with no knowledge of ours but the fields'
names.
"""

from dataclasses import dataclass, field
from html.parser import HTMLParser

#: On the form of the page that asks to wait: only who was let in is shown it.
WAITING = "data-retry-after"


@dataclass(slots=True)
class PageForm:
    """A form's address, what it sends anyway, and its submit buttons that have a name."""

    action: str = ""
    waiting: bool = False
    fields: dict[str, str] = field(default_factory=dict)
    buttons: list[tuple[str, str]] = field(default_factory=list)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[PageForm] = []
        self._inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._inside = True
            self.forms.append(PageForm(given.get("action", ""), WAITING in given))
        elif self._inside and tag in {"input", "button"} and given.get("name"):
            self._control(tag, given)

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._inside = False

    def _control(self, tag: str, given: dict[str, str]) -> None:
        form = self.forms[-1]
        kind = given.get("type", "submit" if tag == "button" else "text")
        if kind in {"submit", "image"}:
            form.buttons.append((given["name"], given.get("value", "")))
        elif kind != "button":
            form.fields[given["name"]] = given.get("value", "")


def find_form(html: str) -> PageForm | None:
    """Return the first form of a page; None if it has none."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    return reader.forms[0] if reader.forms else None
