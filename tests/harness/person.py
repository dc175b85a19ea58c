"""A person with a browser that runs no scripts: keeps the cookie, follows redirects, sends the forms of pages."""

import re
from typing import Any
from urllib.parse import urlencode

from harness.answers import Answer
from harness.haldir import Haldir

FORM_TOKEN = re.compile(r'name="form_token" value="([^"]+)"')
FORM = "application/x-www-form-urlencoded"


class Person:
    """`cookie` is what the browser has of this Haldir."""

    def __init__(self, haldir: Haldir) -> None:
        self._haldir = haldir
        self.cookie = ""

    def get(self, path: str, **headers: str) -> Answer:
        return self._asked("GET", path, None, headers)

    def send(self, path: str, **fields: Any) -> Answer:
        """Send a form of the list's page, with its token, from a page of this Haldir."""
        token = fields.pop("form_token", None)
        if token is None and self.cookie:
            found = FORM_TOKEN.search(text(self.get("/approvals")))
            token = found[1] if found else ""
        return self.send_raw(path, urlencode({"form_token": token or "", **fields}).encode())

    def send_raw(self, path: str, body: bytes, **headers: str) -> Answer:
        told = {"content_type": FORM, "origin": self._haldir.url, **headers}
        return self._asked("POST", path, body, told)

    def follow(self, answer: Answer) -> Answer:
        assert answer.status == 303, answer
        return self.get(answer.headers["location"])

    def sign_in(self, key: str, **fields: str) -> Answer:
        """Send the form that takes a key."""
        return self.send_raw("/sign-in", urlencode({"key": key, **fields}).encode())

    def _asked(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> Answer:
        carried = {"sec_fetch_site": "same-origin"} | ({"cookie": self.cookie} if self.cookie else {})
        answer = self._haldir.ask(method, path, body, key=None, **{**carried, **headers})
        given = answer.headers.get("set-cookie")
        if given is not None:
            pair = given.partition(";")[0]
            self.cookie = pair if pair.partition("=")[2] else ""
        return answer


def text(answer: Answer) -> str:
    return answer.raw.decode()
