"""A name that would become a tag if nothing escaped it, and a check that it has not."""

from html.parser import HTMLParser

NASTY = """<img src=x onerror=alert(1)>"'&"""


class Tags(HTMLParser):
    """Collects the tags and the text of a piece of HTML, and checks that tags end as they begin."""

    def __init__(self, markup):
        super().__init__()
        self.found, self.open, self.text = [], [], ""
        self.feed(str(markup))
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        if tag not in {"img", "br"}:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def assert_escaped(markup):
    """The nasty text is in it, as text or as the value of an attribute, and has not become a tag."""
    tags = Tags(markup)
    assert NASTY in tags.text
    assert [name for _, attributes in tags.found for name in attributes if name.startswith("on")] == []
    assert all(attributes.get("src", "data:").startswith("data:") for _, attributes in tags.found)
