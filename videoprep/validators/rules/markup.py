"""VP207: captions are plain text."""

from __future__ import annotations

import re
from collections.abc import Iterator

from videoprep.validators.protocol import Finding, Severity, Subject, Validator

_KINDS = {
    "HTML": re.compile(r"</?[a-zA-Z][a-zA-Z0-9-]*(\s[^<>]{0,200})?/?>"),
    "an HTML entity": re.compile(r"&(?:[a-zA-Z]{2,8}|#\d{1,6}|#x[0-9a-fA-F]{1,6});"),
    "Markdown": re.compile(r"\*\*[^*]{1,200}\*\*|^#{1,6} |\[[^\]]{1,200}\]\([^)]{1,500}\)|^```"),
    "an address": re.compile(r"\bhttps?://", re.IGNORECASE),
    "a template's variable": re.compile(r"\{\{.{1,100}?\}\}|\$\{.{1,100}?\}"),
    "a chat model's token": re.compile(r"<\|[a-z_]{1,40}\|>|\[/?INST\]|<</?SYS>>"),
}


class Markup(Validator):
    """Tags and the like are read as words by the text encoder."""

    code = "VP207"
    name = "markup"
    severity = Severity.WARNING
    summary = "Captions hold no HTML, Markdown, addresses or left-over templates."
    why = "They cost tokens, and prompts written later will not have them."
    example = "<b>A cat</b> &amp; a dog   ·   **Caption:** a cat   ·   {{subject}} runs"
    remedy = "Write the caption as plain text."

    def check(self, subject: Subject) -> Iterator[Finding]:
        caption = subject.sample.caption
        found = [kind for kind, pattern in _KINDS.items() if pattern.search(caption)]
        if found:
            yield self.finding(subject, f"the caption holds {', '.join(found)}", kinds=found)
